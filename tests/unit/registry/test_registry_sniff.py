"""Media types by content."""

from __future__ import annotations

import gzip

import pytest

from wherry.registry.sniff import content_type


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "text/plain; charset=utf-8"),
        (b"hello\n", "text/plain; charset=utf-8"),
        ("größe".encode(), "text/plain; charset=utf-8"),
        (b"a\x00b", "application/octet-stream"),
        (b" \n<!doctype html><p>", "text/html; charset=utf-8"),
        (b"<htmlx>", "text/plain; charset=utf-8"),
        (b"<?xml version='1.0'?>", "text/xml; charset=utf-8"),
        (b"%PDF-1.4", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (gzip.compress(b"x"), "application/x-gzip"),
        (b"PK\x03\x04...", "application/zip"),
        (b"\x7fELF\x02\x01\x01\x00", "application/octet-stream"),
        (b"x" * 512 + b"\x00", "text/plain; charset=utf-8"),
    ],
)
def test_content_type(data: bytes, kind: str) -> None:
    assert content_type(data) == kind
