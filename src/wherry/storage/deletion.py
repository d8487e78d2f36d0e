"""Deleting images and layers."""

from __future__ import annotations

from wherry.errors import InUse, ReadOnly
from wherry.storage.images import ImageHeld
from wherry.storage.locking import EXCLUSIVE, SHARED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.storage.home import Located
    from wherry.storage.parts import Parts
    from wherry.storage.records import ImageRecord


def delete_image(parts: Parts, image_id: str) -> list[str]:
    """Delete the image and the layers only it used; returns their ids, topmost first."""
    with parts.locks.hold(layers=EXCLUSIVE, images=EXCLUSIVE, containers=SHARED):
        image = parts.images.get(image_id)
        container = parts.containers.using_image(image.id)
        if container:
            raise ImageHeld(container)
        doomed = _layers_only_of(parts, image)
        parts.images.delete(image.id)
        parts.layers.delete(doomed)
        return [layer.id for layer in doomed]


def _layers_only_of(parts: Parts, image: ImageRecord) -> list[Located]:
    """Layers that go with the image: its mapped copies, then from the top down to the first that is needed."""
    needed = parts.containers.layers()
    for other in parts.images.all():
        if other.id != image.id:
            needed.update(other.top_layers())
    doomed: list[Located] = []
    gone: set[str] = set()
    for layer_id in image.mapped_layers:
        layer = parts.layers.find(layer_id)
        if layer is not None and _may_go(parts, layer, needed, gone):
            doomed.append(layer)
            gone.add(layer.id)
    layer = parts.layers.find(image.layer) if image.layer else None
    kept_copies = set(image.mapped_layers) - gone
    while layer is not None and not kept_copies and _may_go(parts, layer, needed, gone):
        doomed.append(layer)
        gone.add(layer.id)
        parent = layer.record.parent
        layer = parts.layers.find(parent) if parent else None
    return doomed


def _may_go(parts: Parts, layer: Located, needed: set[str], gone: set[str]) -> bool:
    if layer.home.read_only or layer.id in needed:
        return False
    return gone.issuperset(parts.layers.children(layer.id))


def delete_layer(parts: Parts, layer_id: str) -> None:
    """Delete one layer nothing uses."""
    with parts.locks.hold(layers=EXCLUSIVE, images=SHARED, containers=SHARED):
        layer = parts.layers.find(layer_id)
        if layer is None:
            return
        if layer.home.read_only:
            raise ReadOnly(f"layer {layer_id}: called a write method on a read-only store")
        parts.layers.check_unused(layer)
        for image in parts.images.all():
            if layer_id in image.top_layers():
                raise InUse(f"layer {layer_id} is used by image {image.id}: layer is in use by an image")
        container = parts.containers.of_layer(layer_id)
        if container is not None:
            raise InUse(f"layer {layer_id} is used by container {container.id}: layer is in use by a container")
        parts.layers.delete([layer])
