"""CRC-64/GO-ISO, the checksum of file content in tar-split files.

Polynomial x^64 + x^4 + x^3 + x + 1, reflected, register preset to ones and inverted at the end; the check value, that
of ``b"123456789"``, is b90956c775a41001.  ``fastcrc`` computes it where it is installed.  The arithmetic below is used
elsewhere: it treats the data as one large number and folds that in halves, which runs at the speed of the interpreter's
long-integer routines (some hundred megabytes a second) instead of one table look-up per byte.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Buffer = bytes | bytearray | memoryview

_ONES = (1 << 64) - 1
_STEP = 1 << 18         # bytes taken at a time: large enough to be quick, small enough for the caches


def crc64_folded(data: Buffer, value: int = 0) -> int:
    """The checksum of *data*, continuing from *value*, the checksum of what came before it."""
    view = memoryview(data).cast("B")
    register = value ^ _ONES
    for start in range(0, len(view), _STEP):
        chunk = view[start:start + _STEP]
        # Bit 0 of the number is the first bit of the data, the coefficient of the highest power of x; 64 zero bits
        # follow the data, for the remainder.
        register = _remainder(int.from_bytes(chunk, "little") ^ register, 8 * len(chunk) + 64)
    return register ^ _ONES


def _remainder(number: int, bits: int) -> int:
    """*number*, a polynomial with its constant term at bit ``bits - 1``, modulo the CRC polynomial (64 bits)."""
    while bits > 64:
        # x^64 = x^4 + x^3 + x + 1; squaring k times gives x^(64s) = x^(4s) + x^(3s) + x^s + 1 with s = 2^k.
        s = 1 << ((bits - 1) // 64).bit_length() - 1
        high_bits = bits - 64 * s
        high = number & ((1 << high_bits) - 1)
        low = number >> high_bits
        new_bits = max(64 * s, high_bits + 4 * s)
        shift = new_bits - high_bits
        number = (low << new_bits - 64 * s) ^ (high << shift)
        number ^= (high << shift - s) ^ (high << shift - 3 * s) ^ (high << shift - 4 * s)
        bits = new_bits
    return number


crc64: Callable[[Buffer, int], int]
try:
    from fastcrc.crc64 import go_iso as crc64
except ImportError:     # pragma: no cover - depends on what is installed
    crc64 = crc64_folded
