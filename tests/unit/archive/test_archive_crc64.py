"""CRC-64/GO-ISO."""

from __future__ import annotations

import os

import pytest

from wherry.archive.crc64 import crc64, crc64_folded


@pytest.mark.parametrize("function", [crc64, crc64_folded])
def test_check_value(function: object) -> None:
    assert function(b"123456789", 0) == 0xB90956C775A41001      # type: ignore[operator]
    assert function(b"", 0) == 0                                # type: ignore[operator]


@pytest.mark.parametrize("size", [1, 7, 8, 9, 63, 64, 65, 4095, 4096, (1 << 18) - 1, (1 << 18) + 1, 3 << 18])
def test_folding_agrees_with_a_bit_at_a_time(size: int) -> None:
    data = os.urandom(size)
    assert crc64_folded(data, 0) == crc64(data, 0)
    if size < 100:
        assert crc64_folded(data, 0) == bit_by_bit(data)


def test_a_checksum_can_be_continued() -> None:
    data = os.urandom(1000)
    for function in (crc64, crc64_folded):
        assert function(data[300:], function(data[:300], 0)) == function(memoryview(data), 0)


def bit_by_bit(data: bytes) -> int:
    register = (1 << 64) - 1
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xD800000000000000 if register & 1 else 0)
    return register ^ (1 << 64) - 1
