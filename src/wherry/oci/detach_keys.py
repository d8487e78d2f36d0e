"""The key sequence that detaches from a container: parsing it, and finding it in what is typed."""

from __future__ import annotations

from wherry.errors import InvalidArgument

#: What ``ctrl-X`` may be followed by; the position is the code (ASCII control characters 0 to 31).
_CONTROL = "@abcdefghijklmnopqrstuvwxyz[\\]^_"


def parse(text: str) -> bytes:
    """The bytes of a sequence such as ``ctrl-p,ctrl-q`` or ``a,b``; empty text gives none and disables detaching.

    Each element is one character, ``ctrl-`` and one of ``@ a-z [ \\ ] ^ _``, or ``DEL``.
    Raises :class:`wherry.errors.InvalidArgument`.
    """
    if not text:
        return b""
    return bytes(_code(key) for key in text.split(","))


def _code(key: str) -> int:
    if len(key) == 1 and ord(key) < 128:
        return ord(key)
    if len(key) == 6 and key.startswith("ctrl-") and key[5] in _CONTROL:
        return _CONTROL.index(key[5])
    if key == "DEL":
        return 127
    raise InvalidArgument(f"invalid detach keys: Unknown character: '{key}'")


class DetachScanner:
    """Finds the sequence in a stream that arrives in pieces.

    A piece that ends with the beginning of the sequence is held back until it is known whether the rest follows.
    """

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """(what may be passed on now, whether the sequence is complete). What follows the sequence is dropped."""
        keys = self._keys
        if not keys:
            return data, False
        data = self._held + data
        found = data.find(keys)
        if found >= 0:
            self._held = b""
            return data[:found], True
        for length in range(min(len(keys) - 1, len(data)), 0, -1):
            if data.endswith(keys[:length]):
                self._held = data[-length:]
                return data[:-length], False
        self._held = b""
        return data, False

    def flush(self) -> bytes:
        """What is held back, for when the stream ends."""
        held, self._held = self._held, b""
        return held
