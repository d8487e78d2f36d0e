"""The filters of ``volume ls`` and ``volume prune``: values of one key are OR, keys are AND, labels are AND."""

from __future__ import annotations

from wherry.engine.container_filters import label_matches
from wherry.errors import InvalidArgument
from wherry.model.timestamps import parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry.engine.runtime import Runtime
    from wherry.engine.volume import Volume

    Predicate = Callable[[Volume], bool]

#: What ``volume prune`` takes.
PRUNE = ("all", "after", "anonymous", "label", "label!", "since", "until")


def select(runtime: Runtime, items: list[Volume], filters: Mapping[str, Sequence[str]]) -> list[Volume]:
    """The volumes all *filters* accept. Raises ``InvalidArgument``."""
    tests = [_predicate(runtime, key, list(values)) for key, values in filters.items()]
    return [item for item in items if all(test(item) for test in tests)]


def _predicate(runtime: Runtime, key: str, values: list[str]) -> Predicate:
    if key in ("after", "since"):
        moments = [parse_ns(runtime.state.volume(runtime.state.volume_name(text))[0].created_time) for text in values]
        return lambda item: any(item.created_ns > moment for moment in moments)
    if key == "all":
        everything = [_truth(key, text) for text in values]
        return lambda item: any(everything) or item.config.is_anonymous
    maker = _MAKERS.get(key)
    if maker is None:
        raise InvalidArgument(f'"{key}" is an invalid volume filter')
    return maker(values)


def _truth(key: str, text: str) -> bool:
    if text.lower() in ("true", "1", "t"):
        return True
    if text.lower() in ("false", "0", "f"):
        return False
    raise InvalidArgument(f'"{text}" is not a valid value for the "{key}" filter - must be true or false')


def _name(values: list[str]) -> Predicate:
    import re

    try:
        patterns = [re.compile(text) for text in values]
    except re.error as error:
        raise InvalidArgument(f"invalid regular expression: {error}: invalid argument") from None
    return lambda item: any(pattern.search(item.name) for pattern in patterns)


def _until(values: list[str]) -> Predicate:
    from wherry.model.timespec import parse_until

    if len(values) > 1:
        raise InvalidArgument("specify exactly one timestamp for until")
    moment = parse_until(values[0])
    return lambda item: item.created_ns < moment


def _option(values: list[str]) -> Predicate:
    wanted = [text.partition("=")[::2] for text in values]

    def test(item: Volume) -> bool:
        options = item.config.options
        return any(key in options and (not value or options[key] == value) for key, value in wanted)

    return test


def _dangling(values: list[str]) -> Predicate:
    wanted = [_truth("dangling", text) for text in values]
    return lambda item: any(truth != bool(item.users()) for truth in wanted)


def _anonymous(values: list[str]) -> Predicate:
    wanted = [_truth("anonymous", text) for text in values]
    return lambda item: any(truth == item.config.is_anonymous for truth in wanted)


_MAKERS: dict[str, Callable[[list[str]], Predicate]] = {
    "anonymous": _anonymous,
    "dangling": _dangling,
    "driver": lambda values: lambda item: item.config.driver in values,
    "label": lambda values: lambda item: all(label_matches(item.labels, text) for text in values),
    "label!": lambda values: lambda item: not any(label_matches(item.labels, text) for text in values),
    "name": _name,
    "opt": _option,
    "scope": lambda values: lambda item: item.scope in values,
    "until": _until,
}
