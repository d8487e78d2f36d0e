"""Writing docker-archive files: layers as plain tars, configs, and the manifest.json that lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wherry.archive.compression import NONE
from wherry.model import jsontext
from wherry.model.digest import encoded
from wherry.registry import manifests, mediatypes
from wherry.registry.destination import ImageDestination, SpooledBlob
from wherry.registry.streams import Stream
from wherry.registry.tarwriter import ArchiveWriter


class DockerArchive:
    """One archive on the descriptor *fd*; :meth:`image` gives a destination for each image in it."""

    def __init__(self, fd: int, path: str) -> None:
        self.writer = ArchiveWriter(fd)
        self.path = path
        self._items: list[dict[str, Any]] = []

    def image(self, names: Sequence[str]) -> DockerArchiveDestination:
        """Where an image called *names* (``host/repo:tag``) is written."""
        return DockerArchiveDestination(self, names)

    def add_item(self, config: str, names: Sequence[str], layers: Sequence[str]) -> None:
        """List an image; one listed already gets the names as well."""
        for item in self._items:
            if item["Config"] == config:
                item["RepoTags"] += [name for name in names if name not in item["RepoTags"]]
                return
        self._items.append({"Config": config, "RepoTags": list(names), "Layers": list(layers)})

    def end(self) -> None:
        """Write the listing and the end mark."""
        listing = [{**item, "RepoTags": item["RepoTags"] or None} for item in self._items]
        self.writer.add_bytes("repositories", jsontext.dumps(self._repositories()).encode())
        self.writer.add_bytes("manifest.json", jsontext.dumps(listing).encode())
        self.writer.end()

    def _repositories(self) -> dict[str, dict[str, str]]:
        """The listing of Docker before 1.10: name -> tag -> id of the top layer."""
        found: dict[str, dict[str, str]] = {}
        for item in self._items:
            for name in item["RepoTags"]:
                repository, _, tag = name.rpartition(":")
                if item["Layers"]:
                    found.setdefault(repository, {})[tag] = item["Layers"][-1].removesuffix(".tar")
        return found


class DockerArchiveDestination(ImageDestination):
    types = (mediatypes.DOCKER_MANIFEST,)
    compression = NONE

    def __init__(self, archive: DockerArchive, names: Sequence[str]) -> None:
        self.reference = f"docker-archive:{archive.path}"
        self._archive = archive
        self._names = names
        self._config = ""

    def find_blob(self, digest: str, size: int) -> bool:
        return self._archive.writer.has(_layer_file(digest))

    def put_stream(self, stream: Stream, digest: str, size: int, report: Callable[[int], object]) -> None:
        writer = self._archive.writer
        with writer.lock:
            writer.add_stream(_layer_file(digest), stream, size)

    def put_file(self, blob: SpooledBlob, report: Callable[[int], object]) -> None:
        writer = self._archive.writer
        with writer.lock:
            if not writer.has(_layer_file(blob.digest)):
                writer.add_file(_layer_file(blob.digest), blob.fd, blob.size)

    def put_config(self, digest: str, data: bytes) -> None:
        self._config = encoded(digest) + ".json"
        if not self._archive.writer.has(self._config):
            self._archive.writer.add_bytes(self._config, data)

    def put_manifest(self, data: bytes, media_type: str, *, instance: bool = False) -> None:
        image = manifests.parse_image(data, media_type)
        self._archive.add_item(self._config, self._names, [_layer_file(layer.digest) for layer in image.layers])


def _layer_file(digest: str) -> str:
    return encoded(digest) + ".tar"
