"""A home: one directory tree in the containers/storage layout, with the tables of its layers and images.

A store has one home it writes containers to, perhaps a second it writes images to (``imagestore``), and any number of
read-only ones it only looks into (``additionalimagestores``).
"""

from __future__ import annotations

from wherry.storage.jsonstore import File, Table
from wherry.storage.records import ImageRecord, LayerRecord
from wherry.sys.locks import FileLock

#: File numbers of the layers table.
STABLE = 0
VOLATILE = 1


class Home:
    """Paths and tables below *root*.

    *volatile_dir* is where ``volatile-layers.json`` is looked for: the layers directory itself, or its counterpart in
    the run root for a transient store.
    """

    def __init__(self, root: str, driver: str, *, read_only: bool = False, volatile_dir: str = "") -> None:
        self.root = root
        self.read_only = read_only
        self.driver_dir = f"{root}/{driver}"
        self.layers_dir = f"{root}/{driver}-layers"
        self.images_dir = f"{root}/{driver}-images"
        self.layers = Table(
            LayerRecord,
            FileLock(f"{self.layers_dir}/layers.lock", read_only=read_only),
            (
                File(f"{self.layers_dir}/layers.json"),
                File(f"{volatile_dir or self.layers_dir}/volatile-layers.json", sync=False),
            ),
            watch=True,
        )
        self.images = Table(
            ImageRecord,
            FileLock(f"{self.images_dir}/images.lock", read_only=read_only),
            (File(f"{self.images_dir}/images.json"),),
        )

    def image_dir(self, image_id: str) -> str:
        """Where the big data of an image is."""
        return f"{self.images_dir}/{image_id}"

    def tar_split(self, layer_id: str) -> str:
        """The file from which the layer's tar is put together again."""
        return f"{self.layers_dir}/{layer_id}.tar-split.gz"

    def layer_data_dir(self, layer_id: str) -> str:
        """Where the big data of a layer is."""
        return f"{self.layers_dir}/{layer_id}"

    def __repr__(self) -> str:
        return f"<Home {self.root}>"


class Located:
    """A layer and the home it lives in."""

    __slots__ = ("home", "record")

    def __init__(self, home: Home, record: LayerRecord) -> None:
        self.home = home
        self.record = record

    @property
    def id(self) -> str:
        return self.record.id
