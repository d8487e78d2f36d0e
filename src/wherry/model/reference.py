"""Image references: ``[host[:port]/]path[:tag][@digest]`` (the grammar of distribution/reference)."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.digest import is_digest
from wherry.model.record import Record

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_TAG = _WORD | frozenset(".-")
_HOST = _WORD - {"_"} | frozenset(".-")

MAX_NAME = 255
MAX_TAG = 128
DEFAULT_TAG = "latest"


class Reference(Record):
    """A parsed reference. ``domain`` is empty for short names (no registry was given)."""

    domain: str = ""     # host[:port]
    path: str = ""       # repository path below the host, "library/alpine"
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """``domain/path``, or the path alone for a short name."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    def __str__(self) -> str:
        text = self.repository
        if self.tag:
            text += ":" + self.tag
        if self.digest:
            text += "@" + self.digest
        return text

    def with_default_tag(self) -> Reference:
        """The same reference, ``:latest`` added when it has neither tag nor digest."""
        return self if self.tag or self.digest else self.replace(tag=DEFAULT_TAG)

    def without_tag_if_digested(self) -> Reference:
        """Podman stores ``repo:tag@digest`` as ``repo@digest``."""
        return self.replace(tag="") if self.tag and self.digest else self


def parse(text: str) -> Reference:
    """Parse *text* without adding anything: a name without registry stays a short name.

    The part before the first ``/`` is a registry when it contains ``.`` or ``:``, equals ``localhost`` or has an
    upper-case letter.  Raises :class:`InvalidArgument`.
    """
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise InvalidArgument(f"invalid reference format: {text!r} has an invalid digest")
    tag = ""
    colon = rest.rfind(":")
    if colon > rest.rfind("/"):
        rest, tag = rest[:colon], rest[colon + 1:]
        if not tag or len(tag) > MAX_TAG or tag[0] in ".-" or not _TAG.issuperset(tag):
            raise InvalidArgument(f"invalid reference format: {text!r} has an invalid tag")
    domain = ""
    first, slash, path = rest.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first.lower() != first):
        domain = first
        if not _is_domain(domain):
            raise InvalidArgument(f"invalid reference format: {text!r} has an invalid registry name")
    else:
        path = rest
    if not path or len(rest) > MAX_NAME:
        raise InvalidArgument(f"invalid reference format: {text!r}")
    for component in path.split("/"):
        if not _is_component(component):
            if component.lower() != component:
                raise InvalidArgument(f"invalid reference format: repository name must be lowercase: {text!r}")
            raise InvalidArgument(f"invalid reference format: {text!r}")
    return Reference(domain=domain, path=path, tag=tag, digest=digest)


def normalize(text: str, *, default_domain: str = "docker.io") -> Reference:
    """Parse *text* the way Docker does: short names go to *default_domain*, one-part names there to ``library/``."""
    reference = parse(text)
    if not reference.domain:
        reference = reference.replace(domain=default_domain)
    if reference.domain in ("docker.io", "index.docker.io"):
        path = reference.path if "/" in reference.path else "library/" + reference.path
        reference = reference.replace(domain="docker.io", path=path)
    return reference


def familiar(text: str) -> str:
    """*text* without what Docker implies (``docker.io/library/``)."""
    return text.removeprefix("docker.io/library/").removeprefix("docker.io/")


def _is_domain(text: str) -> bool:
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        return bool(bracket) and all(c in "0123456789abcdefABCDEF:" for c in host) and (not port or port[1:].isdigit())
    host, colon, port = text.partition(":")
    if colon and not port.isdigit():
        return False
    return bool(host) and all(
        part and _HOST.issuperset(part) and part[0] != "-" and part[-1] != "-" for part in host.split(".")
    )


def _is_component(text: str) -> bool:
    """Lower-case alphanumerics joined by ``.``, ``_``, ``__`` or any number of ``-``."""
    if not text or text[0] not in _LOWER or text[-1] not in _LOWER:
        return False
    separator = ""
    for char in text:
        if char in _LOWER:
            if separator not in ("", ".", "_", "__") and separator.strip("-"):
                return False
            separator = ""
        elif char in "._-":
            separator += char
        else:
            return False
    return True
