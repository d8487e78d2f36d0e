"""manifest add --artifact: files in an image index, each lot with an artifact manifest of its own.

Format: OCI image specification, "Guidelines for Artifact Usage".  What is known of the artifacts of a list is kept
beside it as ``artifacts.json``, in the form of containers/common; the files stay where they are until they are pushed.
"""

from __future__ import annotations

import os

from wherry.errors import Corrupt, NotFound, from_os_error
from wherry.model import jsontext
from wherry.model.digest import of_bytes
from wherry.model.record import Record
from wherry.registry import conversion, mediatypes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.engine.manifest_lists import ListImage
    from wherry.registry.copy import Copied
    from wherry.registry.destination import ImageDestination

ARTIFACTS = "artifacts.json"
UNKNOWN = "application/vnd.unknown.artifact.v1"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"
_EMPTY = b"{}"


class ArtifactOptions(Record):
    """How to describe files. *artifact_type* ``None``: unknown."""

    artifact_type: str | None = None
    config: str = ""                # a file
    config_type: str = ""
    layer_type: str = ""
    exclude_titles: bool = False
    subject: Mapping[str, Any] | None = None     # a descriptor


class Artifacts:
    """The artifacts of one list."""

    def __init__(self, text: bytes = b"") -> None:
        found: dict[str, Any] = jsontext.loads(text) if text else {}
        self.manifests: dict[str, str] = found.get("manifests") or {}           # digest -> the manifest's text
        self.files: dict[str, list[str]] = found.get("files") or {}             # manifest digest -> names given
        self.configs: dict[str, str] = found.get("config") or {}                # manifest digest -> config digest
        self.layers: dict[str, list[str]] = found.get("layers") or {}           # manifest digest -> layer digests
        self.detached: dict[str, str] = found.get("detached") or {}             # blob digest -> file
        self.blobs: dict[str, str] = found.get("blobs") or {}                   # blob digest -> base64 of its content

    def text(self) -> bytes:
        """As it is stored."""
        return jsontext.dumps({
            "manifests": self.manifests, "files": self.files, "config": self.configs, "layers": self.layers,
            "detached": self.detached, "blobs": self.blobs,
        }).encode()

    def add(self, paths: Sequence[str], options: ArtifactOptions) -> dict[str, Any]:
        """Describe the files *paths*; returns the entry for the list. Raises ``NotFound``."""
        import base64

        config = _read(options.config) if options.config else _EMPTY
        default = mediatypes.OCI_CONFIG if options.config else EMPTY_TYPE
        described = conversion.descriptor(options.config_type or default, of_bytes(config), len(config), True)
        if config == _EMPTY:
            described["data"] = base64.b64encode(config).decode()
        layers = [_layer(path, options) for path in paths]
        artifact_type = UNKNOWN if options.artifact_type is None else options.artifact_type
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": mediatypes.OCI_MANIFEST}
        if artifact_type:
            document["artifactType"] = artifact_type
        document |= {"config": described, "layers": layers}
        if options.subject is not None:
            document["subject"] = dict(options.subject)
        manifest = conversion.go_json(document)
        digest = of_bytes(manifest)
        self.manifests[digest] = manifest.decode()
        self.files[digest] = [os.path.abspath(path) for path in paths]
        self.configs[digest] = described["digest"]
        self.layers[digest] = [layer["digest"] for layer in layers]
        self.blobs[described["digest"]] = base64.b64encode(config).decode()
        for path, layer in zip(paths, layers, strict=True):
            self.detached[layer["digest"]] = os.path.abspath(path)
        entry = conversion.descriptor(mediatypes.OCI_MANIFEST, digest, len(manifest), True)
        return entry | ({"artifactType": artifact_type} if artifact_type else {})

    def remove(self, digest: str) -> None:
        """Forget the artifact with the manifest *digest*, if there is one."""
        for table in (self.manifests, self.files, self.configs, self.layers):
            table.pop(digest, None)
        for blob in [blob for blob in self.detached if not any(blob in layers for layers in self.layers.values())]:
            del self.detached[blob]
        for blob in [blob for blob in self.blobs if blob not in self.configs.values()]:
            del self.blobs[blob]

    def push(self, digest: str, destination: ImageDestination) -> Copied:
        """Write the artifact *digest* as one image of a list. Raises ``Corrupt`` when a file changed meanwhile."""
        import base64

        from wherry.registry.copy import Copied

        manifest = self.manifests[digest].encode()
        sizes = {layer["digest"]: layer["size"] for layer in jsontext.loads(manifest)["layers"]}
        for layer in self.layers[digest]:
            _put(destination, self.detached[layer], layer, sizes[layer])
        config = self.configs[digest]
        destination.put_config(config, base64.b64decode(self.blobs[config]))
        destination.put_manifest(manifest, mediatypes.OCI_MANIFEST, instance=True)
        return Copied(manifest=manifest, media_type=mediatypes.OCI_MANIFEST, digest=digest)


def artifacts_of(found: ListImage) -> Artifacts:
    """What is kept of the list's artifacts."""
    return Artifacts(found.data(ARTIFACTS))


def _put(destination: ImageDestination, path: str, digest: str, size: int) -> None:
    from wherry.registry.streams import FileRange, Verified

    if destination.find_blob(digest, size):
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(error, "reading artifact") from None
    try:
        if os.fstat(fd).st_size != size:
            raise Corrupt(f"the file {path} was changed after it was added to the list")
        stream = Verified(FileRange(fd, 0, size), digest, size)
        destination.put_stream(stream, digest, size, lambda done: None)
    finally:
        os.close(fd)


def _read(path: str) -> bytes:
    from wherry.sys.files import read_bytes

    try:
        return read_bytes(path)
    except OSError as error:
        raise from_os_error(error, "reading artifact config") from None


def _layer(path: str, options: ArtifactOptions) -> dict[str, Any]:
    """The descriptor of a file."""
    import hashlib

    digest, size, head = hashlib.sha256(), 0, b""
    try:
        with open(path, "rb") as file:
            while data := file.read(1 << 20):
                head = head or data[:512]
                digest.update(data)
                size += len(data)
    except FileNotFoundError:
        raise NotFound(f"open {path}: no such file or directory") from None
    except OSError as error:
        raise from_os_error(error, "reading artifact") from None
    layer = conversion.descriptor(
        options.layer_type or _guessed(path, head), f"sha256:{digest.hexdigest()}", size, True
    )
    if not options.exclude_titles:
        layer["annotations"] = {TITLE: os.path.basename(path)}
    return layer


def _guessed(path: str, head: bytes) -> str:
    """A media type by the file's name, else by its first bytes."""
    import mimetypes

    named, encoding = mimetypes.guess_type(path, strict=False)
    if encoding:
        return f"application/{encoding}"
    if named:
        return named
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character cut in two by the end of what was read is text all the same.
        if error.start < len(head) - 3:
            return "application/octet-stream"
        text = head[:error.start].decode("utf-8")
    is_text = all(char >= " " or char in "\t\n\r\f\x1b" for char in text)
    return "text/plain" if is_text else "application/octet-stream"
