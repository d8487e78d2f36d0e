"""The order in which containers that depend on each other are started and stopped."""

from __future__ import annotations

from wherry.errors import WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class DependencyCycle(WherryError):
    cause = "internal libpod error"


def levels(needs: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Groups of ids, each depending only on groups before it; within a group the order of *needs*.

    *needs* says for every id which others it needs; ids that are not keys do not count.  Raises
    :class:`DependencyCycle`.
    """
    left = {key: {other for other in others if other in needs} for key, others in needs.items()}
    found: list[list[str]] = []
    done: set[str] = set()
    while left:
        ready = [key for key, others in left.items() if others <= done]
        if not ready:
            raise DependencyCycle(f"dependency cycle among containers {', '.join(left)}")
        found.append(ready)
        done.update(ready)
        for key in ready:
            del left[key]
    return found
