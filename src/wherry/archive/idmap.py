"""Translation of owners between a container's user namespace and the host."""

from __future__ import annotations

from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.model.mount import IDMap


def to_host(number: int, maps: Sequence[IDMap], kind: str = "ID") -> int:
    """The host's number for one of the container's; the number itself without maps.

    Raises :class:`InvalidArgument` when no map covers it.
    """
    for line in maps:
        if 0 <= number - line.container_id < line.size:
            return line.host_id + number - line.container_id
    if maps:
        raise InvalidArgument(f"container {kind} {number} cannot be mapped to a host {kind}")
    return number


def to_container(number: int, maps: Sequence[IDMap], kind: str = "ID") -> int:
    """The container's number for one of the host's; the inverse of :func:`to_host`."""
    for line in maps:
        if 0 <= number - line.host_id < line.size:
            return line.container_id + number - line.host_id
    if maps:
        raise InvalidArgument(f"host {kind} {number} cannot be mapped to a container {kind}")
    return number


def root_id(maps: Sequence[IDMap]) -> int:
    """Whose files the mapped root's are: the host's number for 0, or the only one a map of a single id has."""
    if len(maps) == 1 and maps[0].size == 1:
        return maps[0].host_id
    return to_host(0, maps)
