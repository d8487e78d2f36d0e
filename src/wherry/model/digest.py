"""Content digests: ``algorithm:hex`` (OCI image spec, descriptor.md "Digests")."""

from __future__ import annotations

from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import sha256 as _sha256
else:
    # hashlib loads OpenSSL (1.4 ms); the interpreter's own sha256 does for small documents.
    try:
        from _sha256 import sha256 as _sha256  # Python 3.11
    except ImportError:
        try:
            from _sha2 import sha256 as _sha256  # Python 3.12 and later
        except ImportError:
            from hashlib import sha256 as _sha256

_HEX = frozenset("0123456789abcdef")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


def is_digest(text: str) -> bool:
    """Is *text* a digest of a registered algorithm with lower-case hex of the right length?"""
    algorithm, _, encoded = text.partition(":")
    return _LENGTHS.get(algorithm) == len(encoded) and _HEX.issuperset(encoded)


def check_digest(text: str) -> str:
    """Return *text* if it is a digest; raise :class:`InvalidArgument` otherwise."""
    if not is_digest(text):
        raise InvalidArgument(f"invalid digest {text!r}: want sha256: and 64 hexadecimal digits")
    return text


def encoded(digest: str) -> str:
    """The hex part."""
    return digest.partition(":")[2]


def of_bytes(data: bytes) -> str:
    """sha256 digest of *data*."""
    return "sha256:" + _sha256(data).hexdigest()
