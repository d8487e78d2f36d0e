"""``transport:reference`` as people type it (containers-transports(5))."""

from __future__ import annotations

from wherry.errors import InvalidArgument, Unsupported
from wherry.model import reference
from wherry.model.record import Record
from wherry.model.reference import Reference
from wherry.spec.parse_values import quote

DOCKER = "docker"
OCI = "oci"
OCI_ARCHIVE = "oci-archive"
DOCKER_ARCHIVE = "docker-archive"
DIRECTORY = "dir"
STORAGE = "containers-storage"

SUPPORTED = (DOCKER, OCI, OCI_ARCHIVE, DOCKER_ARCHIVE, DIRECTORY, STORAGE)
#: Transports other tools of the family know, and wherry does not read.
_FOREIGN = ("atomic", "docker-daemon", "ostree", "sif", "tarball")

_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_SEPARATORS = frozenset("-._:@+")


class Location(Record):
    """A parsed image location. Which fields are set depends on ``transport``.

    docker: ``reference``.  containers-storage: ``image``, as typed.  dir: ``path``.  oci, oci-archive: ``path`` and
    perhaps ``image`` (the ``org.opencontainers.image.ref.name`` annotation) or ``index``.  docker-archive: ``path``
    and perhaps ``reference`` or ``index``.
    """

    transport: str = ""
    path: str = ""
    image: str = ""
    index: int = -1                         # position in the archive, -1 when not given
    reference: Reference | None = None

    def __str__(self) -> str:
        if self.transport == DOCKER:
            return f"docker://{self.reference}"
        if self.transport in (DIRECTORY, STORAGE):
            return f"{self.transport}:{self.path or self.image}"
        selected = f"@{self.index}" if self.index >= 0 else str(self.reference or self.image)
        if self.transport == DOCKER_ARCHIVE and not selected:
            return f"{self.transport}:{self.path}"
        return f"{self.transport}:{self.path}:{selected}"


def transport_of(text: str) -> str:
    """The transport *text* begins with, empty when it begins with none (``alpine:3.22`` is an image name)."""
    name, colon, _ = text.partition(":")
    return name if colon and name in (*SUPPORTED, *_FOREIGN) else ""


def parse(text: str) -> Location:
    """Parse ``transport:reference``. Raises :class:`InvalidArgument`, :class:`Unsupported`."""
    name, colon, rest = text.partition(":")
    if not colon:
        raise InvalidArgument(f"Invalid image name {quote(text)}, expected colon-separated transport:reference")
    if name in _FOREIGN:
        raise Unsupported(f"Invalid image name {quote(text)}, transport {quote(name)} is not supported")
    if name == DOCKER:
        return _parse_docker(rest)
    if name in (OCI, OCI_ARCHIVE):
        return _parse_oci(name, rest)
    if name == DOCKER_ARCHIVE:
        return _parse_docker_archive(rest)
    if name == DIRECTORY:
        return Location(transport=name, path=rest)
    if name == STORAGE:
        return Location(transport=name, image=rest)
    raise InvalidArgument(f"Invalid image name {quote(text)}, unknown transport {quote(name)}")


def _parse_docker(rest: str) -> Location:
    if not rest.startswith("//"):
        raise InvalidArgument(f"docker: image reference {rest} does not start with //")
    named = reference.normalize(rest[2:]).with_default_tag()
    if named.tag and named.digest:
        raise InvalidArgument("Docker references with both a tag and digest are currently not supported")
    return Location(transport=DOCKER, reference=named)


def _parse_oci(transport: str, rest: str) -> Location:
    path, _, image = rest.partition(":")
    if image.startswith("@"):
        return Location(transport=transport, path=path, index=_parse_index(image))
    if image and not _is_image_name(image):
        raise InvalidArgument(f"Invalid image {image}")
    return Location(transport=transport, path=path, image=image)


def _parse_docker_archive(rest: str) -> Location:
    if not rest:
        raise InvalidArgument(f"docker-archive reference {rest} isn't of the form <path>[:<reference>]")
    path, colon, selected = rest.partition(":")
    if not colon:
        return Location(transport=DOCKER_ARCHIVE, path=path)
    if selected.startswith("@"):
        return Location(transport=DOCKER_ARCHIVE, path=path, index=_parse_index(selected))
    named = reference.normalize(selected).with_default_tag()
    if named.digest:
        raise InvalidArgument(f"docker-archive doesn't support digest references: {named}")
    return Location(transport=DOCKER_ARCHIVE, path=path, reference=named)


def _parse_index(text: str) -> int:
    digits = text[1:]
    if not digits.isascii() or not digits.isdigit() or len(digits) > 9:
        raise InvalidArgument(f"Invalid source index {text}")
    return int(digits)


def _is_image_name(text: str) -> bool:
    """``component[/component...]``: words joined by one separator or ``--`` (image-spec annotations, ref.name)."""
    return all(_is_image_component(part) for part in text.split("/"))


def _is_image_component(part: str) -> bool:
    if not part or part[0] not in _WORD or part[-1] not in _WORD:
        return False
    gap = ""
    for char in part:
        if char in _WORD:
            if len(gap) > 1 and gap != "--":
                return False
            gap = ""
        elif char in _SEPARATORS:
            gap += char
        else:
            return False
    return True
