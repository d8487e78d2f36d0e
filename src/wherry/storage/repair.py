"""Putting right what :mod:`wherry.storage.check` found, as far as that is possible without losing anything of use."""

from __future__ import annotations

import os

from wherry.errors import WherryError
from wherry.storage import bigdata, check
from wherry.storage.images import MANIFEST
from wherry.storage.locking import EXCLUSIVE
from wherry.sys import log
from wherry.sys.files import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.storage.check import Damage
    from wherry.storage.home import Home
    from wherry.storage.parts import Parts


def repair(parts: Parts, damages: Sequence[Damage]) -> list[Damage]:
    """Repair the repairable; returns the damage the store has afterwards.

    Everything is looked at again under the locks: what is no damage any more (another process is at work) is left
    alone.
    """
    asked = {(damage.kind, damage.id) for damage in damages if damage.repairable}
    # Holding the layers for writing has removed incomplete ones.
    with parts.locks.hold(layers=EXCLUSIVE, images=EXCLUSIVE, containers=EXCLUSIVE):
        for damage in check.check(parts):
            if damage.repairable and (damage.kind, damage.id) in asked:
                try:
                    _ACTIONS[damage.kind](parts, damage.id)
                except (WherryError, OSError) as error:
                    log.warning(f"repairing: {damage.text}: {error}")
        return check.check(parts)


def _delete_layer(parts: Parts, layer_id: str) -> None:
    parts.layers.delete([parts.layers.get(layer_id)])


def _restore_layer(parts: Parts, layer_id: str) -> None:
    layers = parts.layers
    layer = layers.get(layer_id)
    parent = layers.get(layer.record.parent) if layer.record.parent else None
    parts.driver.restore(layer, parent, [layers.get(child) for child in layers.children(layer_id)])


def _drop_mapped_layers(parts: Parts, image_id: str) -> None:
    """Copies of the top layer for other id maps are made again when needed."""
    home, image = parts.images.locate(image_id)
    there = [layer for layer in image.mapped_layers if parts.layers.find(layer) is not None]
    home.images.put(image.replace(mapped_layers=there))
    home.images.save()


def _restore_manifest(parts: Parts, image_id: str) -> None:
    """The default manifest is stored under its digest as well."""
    home, image = parts.images.locate(image_id)
    digest = image.big_data_digests[MANIFEST]
    bigdata.write(home.image_dir(image_id), MANIFEST, parts.images.data(image_id, f"{MANIFEST}-{digest}"))


def _delete_container(parts: Parts, container_id: str) -> None:
    parts.containers.delete([container_id])


def _forget_mount(parts: Parts, layer_id: str) -> None:
    parts.mounts.correct(layer_id)


def _unmount(parts: Parts, layer_id: str) -> None:
    parts.mounts.unmount(parts.layers.get(layer_id), force=True)


def _remove_layer_directory(parts: Parts, layer_id: str) -> None:
    for home in _writable(parts):
        if layer_id not in home.layers:
            parts.driver.remove(home, layer_id)


def _remove_image_directory(parts: Parts, image_id: str) -> None:
    for home in _writable(parts):
        if image_id not in home.images:
            remove_tree(home.image_dir(image_id))


def _remove_path(_parts: Parts, path: str) -> None:
    remove_tree(path)


def _unlink(_parts: Parts, path: str) -> None:
    os.unlink(path)


def _writable(parts: Parts) -> list[Home]:
    return [home for home in parts.homes if not home.read_only]


_ACTIONS: dict[str, Callable[[Parts, str], None]] = {
    check.LAYER_PARENT: _delete_layer,
    check.LAYER_CONTENT: _delete_layer,
    check.LAYER_UNREFERENCED: _delete_layer,
    check.LAYER_FILES: _restore_layer,
    check.IMAGE_LAYER: _drop_mapped_layers,
    check.IMAGE_DATA: _restore_manifest,
    check.CONTAINER_LAYER: _delete_container,
    check.MOUNT_STALE: _forget_mount,
    check.MOUNT_UNRECORDED: _unmount,
    check.ORPHAN_LAYER: _remove_layer_directory,
    check.ORPHAN_IMAGE: _remove_image_directory,
    check.ORPHAN_CONTAINER: _remove_path,
    check.ORPHAN_LINK: _unlink,
    check.ORPHAN_FILE: _remove_path,
}
