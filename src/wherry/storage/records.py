"""The records of a store, with the JSON keys of containers/storage (``layers.json``, ``images.json``,
``containers.json``).

Field order is the order other engines write.  Records are immutable; a change is a new record put into its table.
"""

from __future__ import annotations

from wherry.model.mount import IDMap
from wherry.model.record import EMPTY, Record, field
from wherry.model.timestamps import ZERO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

#: Layer flag: being created or being deleted; whoever next loads the layers for writing removes it.
INCOMPLETE = "incomplete"
#: Container flag: the layer need not survive a power cut, mount it with overlay's ``volatile``.
VOLATILE = "Volatile"
#: Container flag: mount options that replace the configured ones.
MOUNT_OPTIONS = "MountOpts"
MOUNT_LABEL = "MountLabel"
PROCESS_LABEL = "ProcessLabel"

#: ``LayerRecord.compression``: the numbers of containers/storage by the names of :mod:`wherry.archive.compression`.
COMPRESSION_NUMBERS = {"none": 0, "bzip2": 1, "gzip": 2, "xz": 3, "zstd": 4}


class StoreRecord(Record):
    """What the three kinds have in common: only what is not empty is written, but for the fields in ``_always``."""

    _always: tuple[str, ...] = ("created",)

    def to_json(self) -> dict[str, Any]:
        values = self.__dict__
        out: dict[str, Any] = {}
        for name, key in self._keys.items():
            value = values.get(name)
            if not value:
                if name in self._always:
                    out[key] = getattr(type(self), name)
            elif name in ("uid_map", "gid_map"):
                out[key] = [
                    {"container_id": line.container_id, "host_id": line.host_id, "size": line.size} for line in value
                ]
            else:
                out[key] = value
        return out


class LayerRecord(StoreRecord):
    """One layer: a directory holding the difference to its parent.

    Layers of images have ``diff_digest`` and a tar-split; read-write layers of containers have neither.
    """

    id: str = ""
    names: Sequence[str] = ()                  # unique over all layers; Podman's are "<container name>-layer"
    parent: str = ""                           # layer id, possibly of another store
    metadata: str = ""
    mount_label: str = field(default="", key="mountlabel")
    created: str = ZERO
    compressed_digest: str = field(default="", key="compressed-diff-digest")    # of the blob as received
    compressed_size: int = field(default=0, key="compressed-size")
    diff_digest: str = field(default="", key="diff-digest")                     # DiffID
    toc_digest: str = field(default="", key="toc-digest")
    diff_size: int = field(default=0, key="diff-size")                          # bytes; -1: only the TOC is known
    compression: int = 0                                                        # see COMPRESSION_NUMBERS
    uids: Sequence[int] = field(default=(), key="uidset")
    gids: Sequence[int] = field(default=(), key="gidset")
    flags: Mapping[str, Any] = EMPTY
    uid_map: Sequence[IDMap] = field(default=(), key="uidmap", records=IDMap)   # baked into the files
    gid_map: Sequence[IDMap] = field(default=(), key="gidmap", records=IDMap)
    big_data_names: Sequence[str] = field(default=(), key="big-data-names")

    @property
    def is_incomplete(self) -> bool:
        return bool(self.flags.get(INCOMPLETE))

    @property
    def is_mapped(self) -> bool:
        """Are the files owned by the ids of a user namespace?"""
        return bool(self.uid_map or self.gid_map)

    def flagged(self, name: str, value: Any) -> LayerRecord:
        """A copy with one flag set, or removed when *value* is None."""
        flags = {key: old for key, old in self.flags.items() if key != name}
        if value is not None:
            flags[name] = value
        return self.replace(flags=flags or EMPTY)


class ImageRecord(StoreRecord):
    """One image: a top layer, names, and the documents stored as big data."""

    id: str = ""
    digest: str = ""                           # first manifest digest ever recorded
    names: Sequence[str] = ()                  # normalised references
    names_history: Sequence[str] = field(default=(), key="names-history")
    layer: str = ""                            # top layer; empty for manifest lists
    mapped_layers: Sequence[str] = field(default=(), key="mapped-layers")
    metadata: str = ""                         # JSON: sizes of the signatures
    big_data_names: Sequence[str] = field(default=(), key="big-data-names")
    big_data_sizes: Mapping[str, int] = field(default=EMPTY, key="big-data-sizes")
    big_data_digests: Mapping[str, str] = field(default=EMPTY, key="big-data-digests")
    created: str = ZERO
    flags: Mapping[str, Any] = EMPTY
    read_only: bool = field(default=False, key="read-only")    # of a read-only store; never stored

    def digests(self) -> list[str]:
        """Every manifest digest this image may be asked for by; its own first."""
        found = [self.digest] if self.digest else []
        for key, digest in self.big_data_digests.items():
            if key.startswith("manifest") and digest not in found:
                found.append(digest)
        return found

    def top_layers(self) -> list[str]:
        """The top layer and its copies for other id maps."""
        return [layer for layer in (self.layer, *self.mapped_layers) if layer]


class ContainerRecord(StoreRecord):
    """One storage-container: a read-write layer on an image, of wherry or of any other engine."""

    id: str = ""
    names: Sequence[str] = ()                  # unique over all storage-containers of all engines
    image: str = ""                            # image id, empty when made from no image
    layer: str = ""                            # its read-write layer
    metadata: str = ""
    big_data_names: Sequence[str] = field(default=(), key="big-data-names")
    big_data_sizes: Mapping[str, int] = field(default=EMPTY, key="big-data-sizes")
    big_data_digests: Mapping[str, str] = field(default=EMPTY, key="big-data-digests")
    created: str = ZERO
    uid_map: Sequence[IDMap] = field(default=(), key="uidmap", records=IDMap)   # the container's user namespace
    gid_map: Sequence[IDMap] = field(default=(), key="gidmap", records=IDMap)
    flags: Mapping[str, Any] = EMPTY

    _always = ("image", "layer", "created")

    @property
    def is_volatile(self) -> bool:
        return bool(self.flags.get(VOLATILE))

    @property
    def mount_options(self) -> Sequence[str] | None:
        """Options that replace the configured ones, or None when the configured ones apply."""
        options: Sequence[str] | None = self.flags.get(MOUNT_OPTIONS)
        return options


class MountRecord(Record):
    """How often a layer is mounted, and where (``mountpoints.json``)."""

    id: str = ""
    path: str = ""
    count: int = 0
