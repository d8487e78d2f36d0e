"""The filters of ``ps`` (and of verbs that take ``--filter``): one predicate per key.

The same key given several times is OR, except ``label`` which is AND; different keys are AND (podman-ps(1)).
"""

from __future__ import annotations

from wherry.errors import InvalidArgument, NoSuchContainer
from wherry.model import status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry.engine.listing import Summary
    from wherry.engine.runtime import Runtime

    Predicate = Callable[[Summary], bool]

STATES = ("created", "initialized", "running", "paused", "stopped", "exited", "removing", "unknown")
HEALTH = ("healthy", "unhealthy", "starting", "none")
POLICIES = ("", "no", "none", "always", "on-failure", "unless-stopped")


def select(runtime: Runtime, items: list[Summary], filters: Mapping[str, Sequence[str]]) -> list[Summary]:
    """The summaries all filters accept. Raises ``InvalidArgument`` in Podman's words for a bad key or value."""
    tests = [_predicate(runtime, key, list(values)) for key, values in filters.items()]
    return [item for item in items if all(test(item) for test in tests)]


def _predicate(runtime: Runtime, key: str, values: list[str]) -> Predicate:
    maker = _MAKERS.get(key)
    if maker is None:
        raise InvalidArgument(f"{key} is an invalid filter")
    return maker(runtime, values)


def _any(test: Callable[[Summary, str], bool]) -> Callable[[Runtime, list[str]], Predicate]:
    def make(_runtime: Runtime, values: list[str]) -> Predicate:
        return lambda item: any(test(item, value) for value in values)

    return make


def matches(pattern: str, text: str) -> bool:
    """Is *pattern* the text or, as a regular expression, found in it? Raises ``InvalidArgument``."""
    if pattern == text:
        return True
    import re

    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        raise InvalidArgument(f"invalid regular expression {pattern!r}: {error}: invalid argument") from None


def _id(item: Summary, value: str) -> bool:
    return item.id.startswith(value.lower()) or matches(value, item.id)


def _name(item: Summary, value: str) -> bool:
    return any(matches(value.strip("/"), name) for name in item.names)


def _label(_runtime: Runtime, values: list[str]) -> Predicate:
    return lambda item: all(label_matches(item.labels, value) for value in values)


def _not_label(_runtime: Runtime, values: list[str]) -> Predicate:
    return lambda item: not any(label_matches(item.labels, value) for value in values)


def label_matches(labels: Mapping[str, str], wanted: str) -> bool:
    """Does a label fulfil ``key`` or ``key=value`` (the key may have ``*``)?"""
    key, equals, value = wanted.partition("=")
    if "*" not in key:
        return key in labels and (not equals or labels[key] == value)
    from fnmatch import fnmatchcase

    return any(fnmatchcase(have, key) and (not equals or content == value) for have, content in labels.items())


def _status(_runtime: Runtime, values: list[str]) -> Predicate:
    for value in values:
        if value not in STATES:
            raise InvalidArgument(f"{value} is not a valid container state: invalid argument")
    wanted = {"exited" if value == "stopped" else value for value in values}
    return lambda item: ("exited" if item.state == status.STOPPED else item.state) in wanted


def _exited(_runtime: Runtime, values: list[str]) -> Predicate:
    try:
        codes = {int(value) for value in values}
    except ValueError:
        raise InvalidArgument(f"exited code out of range {values[0]!r}: invalid argument") from None
    return lambda item: item.state in (status.EXITED, status.STOPPED) and item.exit_code in codes


def _ancestor(item: Summary, value: str) -> bool:
    if value and (item.image_id.startswith(value.removeprefix("sha256:")) or item.image == value):
        return True
    last = value.rsplit("/", 1)[-1]
    wanted = value if ":" in last else value + ":latest"
    return item.image == wanted or item.image.endswith("/" + wanted)


def _relative(before: bool) -> Callable[[Runtime, list[str]], Predicate]:
    def make(runtime: Runtime, values: list[str]) -> Predicate:
        times = []
        for value in values:
            config = runtime.state.container_config(runtime.state.container_id(value))
            from wherry.model.timestamps import SECOND, parse_ns

            times.append((config.id, parse_ns(config.created_time) // SECOND))
        if before:
            return lambda item: any(item.id != other and item.created < moment for other, moment in times)
        return lambda item: any(item.id != other and item.created > moment for other, moment in times)

    return make


def _volume(item: Summary, value: str) -> bool:
    source, colon, target = value.partition(":")
    return (target if colon else source) in item.mounts or source in item.mounts


def _health(_runtime: Runtime, values: list[str]) -> Predicate:
    for value in values:
        if value not in HEALTH:
            raise InvalidArgument(f"{value} is not a valid health status: invalid argument")
    return lambda item: (item.health or "none") in values


def _pod(item: Summary, value: str) -> bool:
    return bool(item.pod) and (item.pod.startswith(value) or item.pod_name == value)


def _network(runtime: Runtime, values: list[str]) -> Predicate:
    names: set[str] = set()
    for value in values:
        kind, colon, owner = value.partition(":")
        if colon and kind == "container":
            try:
                owner_id = runtime.state.container_id(owner)
            except NoSuchContainer:
                continue
            names.add(f"container:{owner_id}")
        else:
            names.add(value)
    return lambda item: any(network in names for network in item.networks)


def _restart_policy(runtime: Runtime, values: list[str]) -> Predicate:
    for value in values:
        if value not in POLICIES:
            raise InvalidArgument(f"{value} invalid restart policy")
    wanted = {"no" if value in ("", "none") else value for value in values}
    return lambda item: (runtime.state.container_config(item.id).restart_policy or "no") in wanted


def _until(_runtime: Runtime, values: list[str]) -> Predicate:
    from wherry.model.timespec import parse_until
    from wherry.model.timestamps import SECOND

    moments = [parse_until(value) // SECOND for value in values]
    return lambda item: any(item.created < moment for moment in moments)


def _command(item: Summary, value: str) -> bool:
    return bool(item.command) and matches(value, item.command[0])


def _start_on_boot(runtime: Runtime, values: list[str]) -> Predicate:
    wanted = {_bool(value) for value in values}
    policies = ("always", "unless-stopped")
    return lambda item: (runtime.state.container_config(item.id).restart_policy in policies) in wanted


def _bool(text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise InvalidArgument(f'strconv.ParseBool: parsing "{text}": invalid syntax')


_MAKERS: dict[str, Callable[[Runtime, list[str]], Predicate]] = {
    "id": _any(_id),
    "name": _any(_name),
    "label": _label,
    "label!": _not_label,
    "exited": _exited,
    "status": _status,
    "ancestor": _any(_ancestor),
    "before": _relative(before=True),
    "since": _relative(before=False),
    "volume": _any(_volume),
    "health": _health,
    "pod": _any(_pod),
    "network": _network,
    "restart-policy": _restart_policy,
    "until": _until,
    "command": _any(_command),
    "should-start-on-boot": _start_on_boot,
}
