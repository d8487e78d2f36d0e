"""Which image was built on which: by layers and history, as nothing records it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.storage.records import ImageRecord


def parent_of(runtime: Runtime, record: ImageRecord) -> str:
    """Id of the image this one was built on: it has the same history but for the last entries and the parent layer."""
    store = runtime.store
    if not record.layer:
        return ""
    parent_layer = store.layer(record.layer).parent
    if not parent_layer:
        return ""
    history = store.image_config(record.id).get("history") or []
    for other in store.images():
        if other.layer != parent_layer or other.id == record.id:
            continue
        base = store.image_config(other.id).get("history") or []
        if len(base) < len(history) and history[: len(base)] == base:
            return other.id
    return ""


def children_of(runtime: Runtime, record: ImageRecord) -> list[str]:
    """Ids of the images built on this one: one layer more, or the same with a longer history."""
    store = runtime.store
    if not record.layer:
        return []
    history = store.image_config(record.id).get("history") or []
    found = []
    for other in store.images():
        if other.id == record.id or not other.layer:
            continue
        if other.layer != record.layer and store.layer(other.layer).parent != record.layer:
            continue
        longer = store.image_config(other.id).get("history") or []
        if len(longer) > len(history) and longer[: len(history)] == history:
            found.append(other.id)
    return found
