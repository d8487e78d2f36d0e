"""What kind of file something is, by its first bytes (WHATWG "MIME Sniffing", as Go's ``http.DetectContentType``)."""

from __future__ import annotations

#: How many bytes are looked at.
LENGTH = 512

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"%!PS-Adobe-", "application/postscript"),
    (0, b"\xfe\xff", "text/plain; charset=utf-16be"),
    (0, b"\xff\xfe", "text/plain; charset=utf-16le"),
    (0, b"\xef\xbb\xbf", "text/plain; charset=utf-8"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"),
    (0, b"\x00\x00\x02\x00", "image/x-icon"),
    (0, b"BM", "image/bmp"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"\x89PNG\x0d\x0a\x1a\x0a", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS\x00", "application/ogg"),
    (0, b"MThd\x00\x00\x00\x06", "audio/midi"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"\x00\x01\x00\x00", "font/ttf"),
    (0, b"OTTO", "font/otf"),
    (0, b"ttcf", "font/collection"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"\x1f\x8b\x08", "application/x-gzip"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"Rar!\x1a\x07\x00", "application/x-rar-compressed"),
    (0, b"Rar!\x1a\x07\x01\x00", "application/x-rar-compressed"),
    (0, b"\x00asm", "application/wasm"),
)
_RIFF = {b"WEBPVP": "image/webp", b"AVI ": "video/avi", b"WAVE": "audio/wave"}
_TAGS = (
    b"<!DOCTYPE HTML", b"<HTML", b"<HEAD", b"<SCRIPT", b"<IFRAME", b"<H1", b"<DIV", b"<FONT", b"<TABLE", b"<A",
    b"<STYLE", b"<TITLE", b"<B", b"<BODY", b"<BR", b"<P", b"<!--",
)
_BINARY = frozenset([*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)])


def content_type(data: bytes) -> str:
    """The media type of a file that begins with *data*; ``application/octet-stream`` when nothing better is known."""
    data = data[:LENGTH]
    text = data.lstrip(b"\t\n\x0c\r ")
    for tag in _TAGS:
        ends = text[len(tag):len(tag) + 1]
        if text[:len(tag)].upper() == tag and (tag == b"<!--" or ends in (b" ", b">")):
            return "text/html; charset=utf-8"
    if text.startswith(b"<?xml"):
        return "text/xml; charset=utf-8"
    for offset, magic, kind in _MAGIC:
        if data[offset:offset + len(magic)] == magic:
            return kind
    if data[:4] == b"RIFF":
        for magic, kind in _RIFF.items():
            if data[8:8 + len(magic)] == magic:
                return kind
    if data[:4] == b"FORM" and data[8:12] == b"AIFF":
        return "audio/aiff"
    if data[4:8] == b"ftyp" and b"mp4" in data[8:64]:
        return "video/mp4"
    return "application/octet-stream" if _BINARY & set(data) else "text/plain; charset=utf-8"
