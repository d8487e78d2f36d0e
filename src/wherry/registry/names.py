"""What images from files are called in a store."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model import reference


def local_name(text: str) -> str:
    """The full name of *text*: names without registry belong to ``localhost``, the tag is ``latest`` unless given.

    A tag beside a digest is dropped, as Podman does.  Raises :class:`InvalidArgument`.
    """
    parsed = reference.normalize(text, default_domain="localhost")
    return str(parsed.with_default_tag().without_tag_if_digested())


def valid_local_names(texts: list[str]) -> list[str]:
    """:func:`local_name` of each of *texts* that is a name at all (annotations may hold anything)."""
    found: list[str] = []
    for text in texts:
        try:
            found.append(local_name(text))
        except InvalidArgument:
            continue
    return found
