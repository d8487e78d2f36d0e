"""Changing a complete configuration by what resolving an option changes: a three-way merge of records and trees."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from wherry.model.record import Record


def merged_fields(base: Record, before: Record, after: Record, *, but: Collection[str] = ()) -> dict[str, Any]:
    """The fields of *base* that what leads from *before* to *after* changes, as they are then; all of one class."""
    found = {}
    for name in type(base).__annotations__:
        if name not in but and getattr(before, name) != getattr(after, name):
            found[name] = merged(getattr(base, name), getattr(before, name), getattr(after, name))
    return found


def merged(base: Any, before: Any, after: Any) -> Any:
    """*base* with the change from *before* to *after*: key by key in mappings, element by element in lists."""
    if before == after:
        return base
    if all(_is_mapping(value) for value in (base, before, after)):
        return _mapping(base, before, after)
    if all(isinstance(value, (list, tuple)) for value in (base, before, after)):
        return _sequence(base, before, after)
    return after


def _is_mapping(value: Any) -> bool:
    return hasattr(value, "keys") and hasattr(value, "items")


def _mapping(base: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for key in before.keys() - after.keys():
        found.pop(key, None)
    for key, value in after.items():
        if before.get(key) != value:
            found[key] = merged(base[key], before.get(key, _nothing(value)), value) if key in base else value
    return found


def _nothing(value: Any) -> Any:
    """What stands for a value of this kind that is not there."""
    if _is_mapping(value):
        return {}
    return [] if isinstance(value, (list, tuple)) else None


def _sequence(base: Sequence[Any], before: Sequence[Any], after: Sequence[Any]) -> list[Any]:
    kept = [value for value in base if value in after or value not in before]
    return kept + [value for value in after if value not in before and value not in kept]
