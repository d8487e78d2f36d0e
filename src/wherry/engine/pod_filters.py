"""The filters of ``pod ps``: values of one key are OR, labels AND, keys AND."""

from __future__ import annotations

from wherry.engine import pod_status
from wherry.engine.container_filters import label_matches
from wherry.engine.pods import summaries
from wherry.errors import InvalidArgument
from wherry.model.timestamps import parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry.engine.listing import Summary
    from wherry.engine.pod import Pod
    from wherry.engine.runtime import Runtime

    Test = Callable[[Pod, Sequence[Summary]], bool]


def select(runtime: Runtime, pods: list[Pod], filters: Mapping[str, Sequence[str]]) -> list[Pod]:
    """The pods all *filters* accept. Raises ``InvalidArgument`` in Podman's words."""
    tests = [_test(key, list(values)) for key, values in filters.items()]
    members = summaries(runtime)
    return [pod for pod in pods if all(test(pod, members.get(pod.id, ())) for test in tests)]


def _test(key: str, values: list[str]) -> Test:
    maker = _MAKERS.get(key)
    if maker is None:
        raise InvalidArgument(f"{key} is an invalid filter")
    return maker(values)


def _matches(text: str, patterns: Sequence[str]) -> bool:
    import re

    try:
        return any(re.search(pattern, text) for pattern in patterns)
    except re.error as error:
        raise InvalidArgument(f"invalid regular expression: {error}: invalid argument") from None


def _status(values: list[str]) -> Test:
    for value in values:
        if value.capitalize() not in pod_status.ALL:
            raise InvalidArgument(f"{value} is not a valid pod status: invalid argument")
    wanted = {value.capitalize() for value in values}
    return lambda _pod, members: pod_status.of([member.state for member in members]) in wanted


def _container_status(values: list[str]) -> Test:
    for value in values:
        if value not in ("created", "running", "paused", "stopped", "exited", "unknown"):
            raise InvalidArgument(f"{value} is not a valid status: invalid argument")
    return lambda _pod, members: any(member.state in values for member in members)


def _number(values: list[str]) -> Test:
    for value in values:
        if not value.isdecimal():
            raise InvalidArgument(f'strconv.Atoi: parsing "{value}": invalid syntax')
    return lambda _pod, members: len(members) in {int(value) for value in values}


def _until(values: list[str]) -> Test:
    from wherry.model.timespec import parse_until

    if len(values) > 1:
        raise InvalidArgument("specify exactly one timestamp for until")
    moment = parse_until(values[0])
    return lambda pod, _members: parse_ns(pod.config.created_time) < moment


_MAKERS: dict[str, Callable[[list[str]], Test]] = {
    "ctr-ids": lambda values: lambda _pod, members: any(
        member.id.startswith(value) or _matches(member.id, [value]) for member in members for value in values
    ),
    "ctr-names": lambda values: lambda _pod, members: any(_matches(member.name, values) for member in members),
    "ctr-number": _number,
    "ctr-status": _container_status,
    "id": lambda values: lambda pod, _members: any(
        pod.id.startswith(value) or _matches(pod.id, [value]) for value in values
    ),
    "label": lambda values: lambda pod, _members: all(label_matches(pod.labels, value) for value in values),
    "label!": lambda values: lambda pod, _members: not any(label_matches(pod.labels, value) for value in values),
    "name": lambda values: lambda pod, _members: _matches(pod.name, values),
    "network": lambda values: lambda _pod, members: any(
        name in values for member in members if member.is_infra for name in member.networks
    ),
    "status": _status,
    "until": _until,
}
