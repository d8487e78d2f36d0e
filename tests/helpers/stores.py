"""Stores of their own for tests."""

from __future__ import annotations

import io
import os

from tests.helpers.images import MadeImage
from wherry.config.settings import StorageSettings
from wherry.storage.records import ImageRecord
from wherry.storage.store import Store


def settings_at(base: object, **changes: object) -> StorageSettings:
    """Settings of a store below the directory *base*: graph root ``g``, run root ``r``, overlay driver."""
    values: dict[str, object] = {"driver": "overlay", "graph_root": f"{base}/g", "run_root": f"{base}/r", **changes}
    return StorageSettings(**values)  # type: ignore[arg-type]


def store_at(base: object, **changes: object) -> Store:
    return Store(settings_at(base, **changes))


def add(store: Store, image: MadeImage, *names: str, manifest_list: bytes = b"") -> ImageRecord:
    """Put an image made by hand into the store, the way a pull does."""
    parent = ""
    for tar, diff_id in zip(image.layers, image.diff_ids, strict=True):
        parent = store.add_layer(parent, io.BytesIO(tar), diff_id=diff_id).id
    return store.add_image(
        config=image.config, manifest=image.manifest, manifest_list=manifest_list, layer=parent, names=names
    )


def tree(path: str) -> dict[str, tuple[object, ...]]:
    """Everything about the files below *path*, for comparing."""
    found = {}
    for directory, names, files in os.walk(path):
        for name in (*names, *files):
            full = os.path.join(directory, name)
            info = os.lstat(full)
            content: object = b""
            if os.path.islink(full):
                content = os.readlink(full)
            elif os.path.isfile(full):
                with open(full, "rb") as file:
                    content = file.read()
            found[os.path.relpath(full, path)] = (
                oct(info.st_mode), info.st_uid, info.st_gid, info.st_nlink, info.st_rdev, content
            )
    return found
