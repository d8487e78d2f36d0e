"""The handle of one image."""

from __future__ import annotations

from wherry.engine import image_lookup
from wherry.model import reference as references
from wherry.model.event import Event
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.storage.records import ImageRecord


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

    def tag(self, *names: str) -> None:
        """Give the image further names; a name without registry becomes ``localhost/NAME``."""
        full = [full_name(name) for name in names]
        self._runtime.store.set_names(self.id, [*self._record.names, *full])
        self._emit("tag", *full)
        self.reload()

    def untag(self, *names: str) -> None:
        """Take names away (all of them when none is given)."""
        gone = [image_lookup.find(self._runtime.store, name)[1] for name in names] or self.names
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
