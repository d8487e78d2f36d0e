"""Digests of what comes in."""

from __future__ import annotations

import hashlib
from typing import Any

from wherry.errors import Corrupt
from wherry.model.digest import check_digest, encoded


def digest_of(data: bytes, like: str = "sha256:") -> str:
    """The digest of *data* in the algorithm of the digest *like*."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


class Verifier:
    """Hashes and counts the bytes of one blob. *size* is -1 when it is not known beforehand."""

    def __init__(self, digest: str, size: int = -1) -> None:
        self.digest = check_digest(digest)
        self.size = size
        self.count = 0
        self._hash: Any = hashlib.new(digest.partition(":")[0])

    def update(self, data: bytes) -> None:
        """Take the next bytes. Raises :class:`Corrupt` as soon as there are too many."""
        self.count += len(data)
        if 0 <= self.size < self.count:
            raise Corrupt(f"blob {self.digest} is larger than the {self.size} bytes the manifest says")
        self._hash.update(data)

    def finish(self) -> None:
        """All bytes have been seen. Raises :class:`Corrupt` unless they are the blob."""
        if self._hash.hexdigest() != encoded(self.digest):
            algorithm = self.digest.partition(":")[0]
            raise Corrupt(f"Digest did not match, expected {self.digest}, got {algorithm}:{self._hash.hexdigest()}")
        if 0 <= self.size != self.count:
            raise Corrupt(f"blob {self.digest} has {self.count} bytes, the manifest says {self.size}")
