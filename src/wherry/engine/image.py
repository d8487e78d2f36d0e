"""The handle of one image."""

from __future__ import annotations

from wherry.errors import NotFound
from wherry.model import reference as references
from wherry.model.event import Event
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.archive.diff import Change
    from wherry.engine.image_history import HistoryEntry, TreeLayer
    from wherry.engine.runtime import Runtime
    from wherry.storage.records import ImageRecord


class NoSuchTag(NotFound):
    cause = "tag not known"


class Image:
    """An image of the store. Attributes are a snapshot; call :meth:`reload` for a new one."""

    def __init__(self, runtime: Runtime, record: ImageRecord, found_as: str = "") -> None:
        self._runtime = runtime
        self._record = record
        #: The name (or id) by which this image was looked up.
        self.found_as = found_as or record.id

    @property
    def id(self) -> str:
        """64 hex digits, without ``sha256:``."""
        return self._record.id

    @property
    def names(self) -> list[str]:
        """Fully qualified references, newest first."""
        return list(self._record.names)

    @property
    def digest(self) -> str:
        """Digest of the manifest the image was first stored with."""
        return self._record.digest

    @property
    def record(self) -> ImageRecord:
        """The storage record."""
        return self._record

    @property
    def size(self) -> int:
        """Bytes of all layers and metadata."""
        return self._runtime.store.image_size(self.id)

    def config(self) -> dict[str, Any]:
        """The image configuration document (OCI image spec, config.md)."""
        return self._runtime.store.image_config(self.id)

    def inspect(self) -> dict[str, Any]:
        """The tree ``wherry image inspect`` prints."""
        from wherry.engine.image_inspect import inspect

        return inspect(self._runtime, self._record)

    def history(self) -> list[HistoryEntry]:
        """What the image was made by, newest first."""
        from wherry.engine.image_history import history

        return history(self._runtime, self._record)

    def tree(self, *, what_requires: bool = False) -> list[TreeLayer]:
        """Its layers, base first; with *what_requires* the top layer and, nested, all that is built on it."""
        from wherry.engine.image_history import tree

        return tree(self._runtime, self._record, what_requires=what_requires)

    def diff(self, other: str = "") -> list[Change]:
        """What its top layer changes, or what leads from the image *other* to this one."""
        from wherry.engine.changed import diff

        return diff(self._runtime, self.id, other, kind="image")

    def push(self, destination: str = "", **options: Any) -> str:
        """Push it (see :meth:`ImageCollection.push`); returns the digest of the manifest."""
        return self._runtime.images.push(self.found_as, destination, **options)

    def save(self, path: str, **options: Any) -> None:
        """Write it to an archive (see :meth:`ImageCollection.save`)."""
        self._runtime.images.save(self.found_as, path, **options)

    def mount(self) -> str:
        """Mount it read-only, or count one more user of the mount; returns where."""
        path = self._runtime.store.mount_image(self.id)
        self._emit("mount", self.id)
        return path

    def unmount(self, *, force: bool = False) -> bool:
        """Count one user of the mount less, or all with *force*; True when it was really unmounted."""
        gone = self._runtime.store.unmount_image(self.id, force=force)
        self._emit("unmount", self.id)
        return gone

    def tag(self, *names: str) -> None:
        """Give the image further names; a name without registry becomes ``localhost/NAME``."""
        full = [full_name(name) for name in names]
        self._runtime.store.set_names(self.id, [*self._record.names, *full])
        self._emit("tag", *full)
        self.reload()

    def untag(self, *names: str) -> None:
        """Take names away (all of them when none is given)."""
        gone = [full_name(name) for name in names] or self.names
        for name in gone:
            if name not in self._record.names:
                raise NoSuchTag(name)
        self._runtime.store.remove_names(self.id, gone)
        self._emit("untag", *gone)
        self.reload()

    def remove(self, *, force: bool = False) -> list[str]:
        """Remove the image with all its names; returns the lines ``rmi`` prints. Raises ``ImageInUse``."""
        return self._runtime.images.remove(self.id, force=force)

    def reload(self) -> None:
        """Read the record again; raises ``NoSuchImage`` if it is gone."""
        self._record = self._runtime.store.image(self.id)

    def _emit(self, what: str, *names: str) -> None:
        events = [Event(id=self.id, name=name, type="image", status=what, time_ns=now_ns()) for name in names]
        self._runtime.state.add_events(*events)
        self._runtime.publish()

    def __repr__(self) -> str:
        return f"<Image {self.id[:12]} {' '.join(self.names)}>"


def full_name(text: str) -> str:
    """The full reference of a name for a local image: ``localhost/`` and ``:latest`` are added where missing."""
    return str(references.normalize(text, default_domain="localhost").with_default_tag())
