"""The filters of ``events`` (podman-events(1) ``--filter``).

Values of one key are alternatives, different keys must all match; keys are not case-sensitive.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.model.event import Event

    Test = Callable[[Event, str], bool]


class EventFilter:
    """Decides whether an event is wanted: *filters* are ``key=value`` texts, the times ns with 0 for no bound.

    Both times exclude the moment itself.  Raises :class:`InvalidArgument` for an unknown key or a missing ``=``.
    """

    def __init__(self, filters: Sequence[str] = (), *, since: int = 0, until: int = 0) -> None:
        self._since = since
        self._until = until
        self._wanted: dict[str, list[str]] = {}
        for text in filters:
            key, equals, value = text.partition("=")
            name = key.lower()
            if not equals:
                raise InvalidArgument(f"{text} is an invalid filter")
            if name not in _TESTS:
                raise InvalidArgument(f"{key} is an invalid filter")
            self._wanted.setdefault(name, []).append(value)

    def __call__(self, event: Event) -> bool:
        if self._since and event.time_ns <= self._since:
            return False
        if self._until and event.time_ns >= self._until:
            return False
        return all(any(_TESTS[key](event, value) for value in values) for key, values in self._wanted.items())


def _object(kind: str) -> Test:
    """Events of a *kind* of object: by its name or the beginning of its id."""
    return lambda event, value: event.type == kind and (event.name == value or event.id.startswith(value))


def _status(event: Event, value: str) -> bool:
    return event.status == ("died" if value == "die" else value)     # Docker's word


def _volume(event: Event, value: str) -> bool:
    return event.type == "volume" and event.name.startswith(value)


def _type(event: Event, value: str) -> bool:
    return event.type == value


def _label(event: Event, value: str) -> bool:
    key, equals, content = value.partition("=")
    return key in event.attributes and (not equals or event.attributes[key] == content)


_TESTS: dict[str, Test] = {
    "container": _object("container"),
    "image": _object("image"),
    "pod": _object("pod"),
    "volume": _volume,
    "event": _status,
    "status": _status,
    "type": _type,
    "label": _label,
}
