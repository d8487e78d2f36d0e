"""One OCI artifact of the store."""

from __future__ import annotations

from wherry.errors import Corrupt, InvalidArgument
from wherry.model import jsontext
from wherry.model.digest import encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_TITLE = "org.opencontainers.image.title"
_CREATED = "org.opencontainers.image.created"


class Artifact:
    """An artifact as it was when it was looked up."""

    def __init__(self, directory: str, name: str, digest: str, media_type: str) -> None:
        self._directory = directory
        #: Full reference, empty for one that lost its name to another.
        self.name = name
        #: Of its manifest, ``sha256:...``.
        self.digest = digest
        self.media_type = media_type
        self._raw: bytes | None = None

    @property
    def raw(self) -> bytes:
        """The manifest's bytes. Raises ``Corrupt``."""
        if self._raw is None:
            try:
                with open(self.blob_path(self.digest), "rb") as file:
                    self._raw = file.read()
            except FileNotFoundError:
                raise Corrupt(f"artifact {self.name or self.digest}: its manifest is missing from the store") from None
        return self._raw

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The OCI manifest as JSON tree. Raises ``Corrupt``."""
        try:
            document = jsontext.loads(self.raw)
            if isinstance(document, dict) and isinstance(document.get("config"), dict):
                return document
        except jsontext.JSONError:
            pass
        raise Corrupt(f"artifact {self.name or self.digest}: its manifest is damaged")

    @property
    def layers(self) -> Sequence[Mapping[str, Any]]:
        """The descriptors of its files."""
        found: Sequence[Mapping[str, Any]] = self.manifest.get("layers") or ()
        return found

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(layer["size"] for layer in self.layers)

    @property
    def created(self) -> str:
        """When it was made (RFC 3339), empty if it does not say."""
        return str((self.manifest.get("annotations") or {}).get(_CREATED, ""))

    def blob_path(self, digest: str) -> str:
        """Where a blob of it is in the store."""
        return f"{self._directory}/blobs/{digest.partition(':')[0]}/{encoded(digest)}"

    def digests(self) -> set[str]:
        """All blobs it consists of."""
        try:
            return {self.digest, self.manifest["config"]["digest"], *(layer["digest"] for layer in self.layers)}
        except Corrupt:
            return {self.digest}

    def chosen(self, *, title: str = "", digest: str = "") -> list[tuple[str, str]]:
        """(name, path in the store) of the file with *title* or *digest*, or of all. Raises ``InvalidArgument``."""
        layers = self.layers
        if not layers:
            raise InvalidArgument("the artifact has no blobs, nothing to extract")
        if title or digest:
            what, wanted = ("title", title) if title else ("digest", digest)
            found = [layer for layer in layers if wanted == (_title(layer) if title else layer["digest"])]
            if not found:
                raise InvalidArgument(f'no blob with the {what} "{wanted}"')
            if len(found) > 1:
                raise InvalidArgument(f'more than one match for the {what} "{wanted}"')
            name = title or digest.replace(":", "-")
            return [(_checked(name), self.blob_path(found[0]["digest"]))]
        names = [_checked(_title(layer) or layer["digest"].replace(":", "-")) for layer in layers]
        for name in names:
            if names.count(name) > 1:
                raise InvalidArgument(
                    f'annotation "{_TITLE}":"{name}" is used in multiple different layers within artifact'
                )
        return [(name, self.blob_path(layer["digest"])) for name, layer in zip(names, layers, strict=True)]

    def inspect(self) -> dict[str, Any]:
        """The tree ``wherry artifact inspect`` prints."""
        return {"Manifest": dict(self.manifest), "Name": self.name, "Digest": self.digest}

    def __repr__(self) -> str:
        return f"<Artifact {self.name or self.digest}>"


def _title(layer: Mapping[str, Any]) -> str:
    return str((layer.get("annotations") or {}).get(_TITLE, ""))


def _checked(name: str) -> str:
    """A title comes from whoever made the artifact: it must not lead out of the target directory."""
    if "/" in name or name in (".", ".."):
        raise InvalidArgument(f'invalid name: "{name}" cannot contain /: artifact blob title is invalid')
    return name
