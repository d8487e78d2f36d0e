"""What an image can be copied to: the protocol of every destination."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wherry.archive.compression import GZIP, NONE
from wherry.errors import InvalidArgument
from wherry.model.record import Record
from wherry.registry import mediatypes

if TYPE_CHECKING:
    from wherry.registry.streams import Stream


class KnownBlob(Record):
    """A compressed form a layer is known to have: it came that way, or was pushed."""

    digest: str = ""
    size: int = -1
    compression: str = GZIP
    registry: str = ""              # where it is known to be, empty: anywhere
    repository: str = ""


class SpooledBlob(Record):
    """A blob in an open file, ready to be written somewhere."""

    fd: int = -1
    digest: str = ""
    size: int = 0


class ImageDestination:
    """Somewhere an image is written to: blobs first, its manifest last, then :meth:`commit`.

    ``types`` are the manifest types it takes, the preferred one first, empty for any; ``compression`` what layers are
    compressed with unless asked otherwise (None: left as they are).  Blob methods may be called by several threads.
    :meth:`close` without commit leaves nothing behind where that can be helped.
    """

    types: Sequence[str] = ()
    compression: str | None = None
    reference: str = ""
    domain: str = ""                # of the registry, where it is one
    repository: str = ""

    def __enter__(self) -> ImageDestination:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find_blob(self, digest: str, size: int) -> bool:
        """Is the blob there already, or can it be made so without sending it?"""
        return False

    def find_known(self, blobs: Sequence[KnownBlob]) -> KnownBlob | None:
        """The first of *blobs*, all of the same content, that is there or can be made so; with its size."""
        for blob in blobs:
            if blob.size >= 0 and self.find_blob(blob.digest, blob.size):
                return blob
        return None

    def put_stream(self, stream: Stream, digest: str, size: int, report: Callable[[int], object]) -> None:
        """Write a blob of known digest and size, verified by its stream. Raises wherry errors."""
        raise NotImplementedError

    def put_file(self, blob: SpooledBlob, report: Callable[[int], object]) -> None:
        """Write a blob from a file; it stays the caller's."""
        raise NotImplementedError

    def put_config(self, digest: str, data: bytes) -> None:
        """Write the image's configuration."""
        raise NotImplementedError

    def put_manifest(self, data: bytes, media_type: str, *, instance: bool = False) -> None:
        """Write the image's manifest; *instance*: it is one of a list that follows."""
        raise NotImplementedError

    def put_signatures(self, digest: str, signatures: Sequence[bytes], *, instance: bool = False) -> None:
        """Store the signatures of the manifest *digest* written before. Raises :class:`InvalidArgument`."""
        if signatures:
            raise InvalidArgument(
                f"Can not copy signatures to {self.reference}: signatures cannot be stored there",
                hint="use --remove-signatures",
            )

    def commit(self) -> None:
        """Everything is there."""

    def close(self) -> None:
        """Give back what is held."""


def layer_type(manifest_type: str, compression: str) -> str:
    """The media type of a layer in manifests of *manifest_type*.

    Docker's schema 2 has none for plain tars; containers/image writes the gzip type for them as well.
    """
    if manifest_type == mediatypes.DOCKER_MANIFEST:
        return mediatypes.DOCKER_LAYER
    return mediatypes.OCI_LAYER + mediatypes.OCI_SUFFIXES.get(compression, "")


def type_compression(media_type: str) -> str:
    """The compression a layer's media type says."""
    for name, suffix in (("gzip", "gzip"), ("zstd", "zstd")):
        if media_type.endswith(suffix):
            return name
    return NONE
