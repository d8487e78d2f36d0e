"""What every transport hands out: an image with its documents at hand and its layers as streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wherry.model.record import Record
from wherry.registry.progress import Reporter
from wherry.registry.streams import Stream
from wherry.registry.verify import digest_of

if TYPE_CHECKING:
    from typing import Self


class LayerBlob(Record):
    """A layer as the manifest describes it."""

    digest: str = ""            # of the blob, compressed or not
    size: int = -1              # bytes of the blob, -1 when unknown
    media_type: str = ""
    diff_id: str = ""           # digest of the uncompressed tar; empty when the config does not say
    urls: Sequence[str] = ()    # where else the blob is to be had (foreign layers)


class ImageSource:
    """An image that can be read, whatever it is in.

    ``reference`` names it as the user did, ``names`` what it should be called in a store.  ``manifest`` has
    ``manifest_digest`` and ``manifest_media_type``; ``manifest_list`` is the list or index it was chosen from, empty
    if there was none.  ``config`` and ``config_digest``: the image configuration, exact bytes.  ``layers``: base
    first.  A source is a context manager; :meth:`close` gives back what it holds.
    """

    def __init__(
        self,
        *,
        reference: str,
        manifest: bytes,
        manifest_media_type: str,
        manifest_digest: str = "",
        manifest_list: bytes = b"",
        config: bytes,
        layers: Sequence[LayerBlob],
        names: Sequence[str] = (),
        reporter: Reporter | None = None,
    ) -> None:
        self.reference = reference
        self.names = list(names)
        self.manifest = manifest
        self.manifest_media_type = manifest_media_type
        self.manifest_digest = manifest_digest or digest_of(manifest)
        self.manifest_list = manifest_list
        self.config = config
        self.config_digest = digest_of(config)
        self.layers = list(layers)
        #: Signatures of the manifest that are kept with the image, each as it is stored.
        self.signatures: list[bytes] = []
        self._reporter = reporter or Reporter()
        self._announced: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open_layer(self, index: int) -> Stream:
        """A stream of the blob of layer *index*, as it is (compressed or not); close it after use.

        Its last read raises :class:`~wherry.errors.Corrupt` when the blob does not have the digest and size the
        manifest promises: until it has returned ``b""`` nothing read from it may be kept.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop what is under way and remove what was spooled. A second call does nothing."""

    def finished(self) -> None:
        """Everything is stored: what was kept in case it would not be is not needed any more."""

    def discard_suspect(self) -> bool:
        """Throw away what may have made the content wrong; True when reading it again may succeed."""
        return False

    def announce_config(self) -> None:
        """Tell the reporter that the layers are done with and the config is next.

        Layers nobody opened were there already; they are reported as such first, as Podman lists every blob.
        """
        for layer in self.layers:
            if layer.digest not in self._announced:
                self._announced.add(layer.digest)
                self._reporter.start(layer.digest, "Copying blob", layer.size)
                self._reporter.finish(layer.digest, "skipped: already exists")
        self._reporter.start(self.config_digest, "Copying config", len(self.config))
        self._reporter.finish(self.config_digest, "done")
