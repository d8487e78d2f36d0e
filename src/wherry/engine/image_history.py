"""history and tree: what an image is made of."""

from __future__ import annotations

from wherry.model.record import Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.runtime import Runtime
    from wherry.storage.records import ImageRecord, LayerRecord

MISSING = "<missing>"


class HistoryEntry(Record):
    """One line of ``history``, with the JSON keys of Podman's."""

    id: str = MISSING
    created: str = ""               # RFC 3339
    created_by: str = field(default="", key="CreatedBy")
    tags: Sequence[str] = ()
    size: int = 0                   # bytes of the layer's tar
    comment: str = ""


class TreeLayer(Record):
    """A layer of ``image tree``; ``children`` only where the question was what requires it."""

    id: str = ""
    size: int = 0
    tags: Sequence[str] = ()        # names of the images it is the top of
    children: Sequence[TreeLayer] = ()


def history(runtime: Runtime, record: ImageRecord) -> list[HistoryEntry]:
    """The image's history, newest first."""
    store = runtime.store
    layers = list(store.layer_chain(record.layer)) if record.layer else []
    tops = {image.layer: image for image in reversed(store.images()) if image.layer}
    found: list[HistoryEntry] = []
    for entry in reversed(store.image_config(record.id).get("history") or ()):
        size, owner = 0, None
        if not entry.get("empty_layer") and layers:
            layer = layers.pop(0)
            size = max(layer.diff_size, 0)
            owner = tops.get(layer.id)
        if not found:
            owner = record
        found.append(HistoryEntry(
            id=owner.id if owner is not None else MISSING,
            created=entry.get("created") or "",
            created_by=entry.get("created_by") or "",
            tags=list(owner.names) if owner is not None else (),
            size=size,
            comment=entry.get("comment") or "",
        ))
    return found


def tree(runtime: Runtime, record: ImageRecord, *, what_requires: bool = False) -> list[TreeLayer]:
    """The image's layers, base first; or, nested, its top layer with all layers built on it."""
    store = runtime.store
    tags: dict[str, list[str]] = {}
    for image in store.images():
        for top in image.top_layers():
            tags.setdefault(top, []).extend(image.names)
    if not record.layer:
        return []
    if not what_requires:
        return [_node(layer, tags) for layer in reversed(store.layer_chain(record.layer))]
    children: dict[str, list[LayerRecord]] = {}
    for layer in store.layers():
        if layer.diff_digest:
            children.setdefault(layer.parent, []).append(layer)
    return [_with_children(store.layer(record.layer), tags, children)]


def _node(layer: LayerRecord, tags: dict[str, list[str]]) -> TreeLayer:
    return TreeLayer(id=layer.id, size=max(layer.diff_size, 0), tags=tags.get(layer.id, ()))


def _with_children(
    layer: LayerRecord, tags: dict[str, list[str]], children: dict[str, list[LayerRecord]]
) -> TreeLayer:
    below = [_with_children(child, tags, children) for child in children.get(layer.id, ())]
    return _node(layer, tags).replace(children=below)
