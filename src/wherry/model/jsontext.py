"""JSON text to values and back, without the cost of importing :mod:`json`.

``import json`` pulls in ``re`` and takes about 3 ms, a quarter of what a short command may cost in all.  The scanner
and the encoder it wraps are C functions of ``_json``; this module drives them directly.  On an interpreter without
``_json`` it falls back to the standard module.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SPACE = " \t\r\n"


class JSONError(ValueError):
    """The text is not JSON; the message says where it stops being so."""


class _Context:
    """The settings object ``_json.make_scanner`` reads."""

    strict = False
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}

    @staticmethod
    def parse_constant(name: str) -> float:
        raise JSONError(f"{name} is not allowed in JSON")


def _unencodable(value: object) -> object:
    if isinstance(value, type(type.__dict__)):      # the empty mapping that record defaults share
        return dict(value)
    to_json = getattr(value, "to_json", None)
    if to_json is not None:
        return to_json()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


try:
    from _json import encode_basestring as _quote
    from _json import encode_basestring_ascii as _quote_ascii
    from _json import make_encoder as _make_encoder
    from _json import make_scanner as _make_scanner
except ImportError:     # pragma: no cover - another interpreter
    import json as _json_module

    def loads(text: str | bytes) -> Any:
        try:
            return _json_module.loads(text)
        except ValueError as error:
            raise JSONError(str(error)) from None

    def dumps(value: Any, *, sort_keys: bool = False, ascii_only: bool = False) -> str:
        return _json_module.dumps(
            value, separators=(",", ":"), ensure_ascii=ascii_only, sort_keys=sort_keys, default=_unencodable
        )
else:
    # For a bad text the C scanner raises json.decoder.JSONDecodeError if that module was imported, and before Python
    # 3.13 a SystemError if not: so a bad text costs the import; a good one does not.
    _scan = _make_scanner(_Context())  # type: ignore[arg-type]
    _encoders: dict[tuple[bool, bool], Any] = {}

    def loads(text: str | bytes) -> Any:
        """Decode one JSON document. Raises :class:`JSONError`."""
        if isinstance(text, bytes):
            try:
                text = text.decode()
            except UnicodeDecodeError as error:
                raise JSONError(f"not UTF-8: {error}") from None
        start = 0
        size = len(text)
        while start < size and text[start] in _SPACE:
            start += 1
        try:
            try:
                value, end = _scan(text, start)
            except SystemError:
                import json.decoder  # noqa: F401

                value, end = _scan(text, start)
        except StopIteration as stop:
            raise JSONError(f"unexpected end or character at offset {stop.value}") from None
        except JSONError:
            raise
        except SystemError:     # Python 3.11's scanner, about some broken texts while json.decoder is not imported
            raise JSONError("it is broken somewhere") from None
        except ValueError as error:
            raise JSONError(str(error)) from None
        while end < size and text[end] in _SPACE:
            end += 1
        if end != size:
            raise JSONError(f"extra data at offset {end}")
        return value

    def dumps(value: Any, *, sort_keys: bool = False, ascii_only: bool = False) -> str:
        """Encode compactly (no spaces), as Go's encoder does except for its HTML escapes."""
        key = (sort_keys, ascii_only)
        encoder = _encoders.get(key)
        if encoder is None:
            quote = _quote_ascii if ascii_only else _quote
            encoder = _make_encoder(None, _unencodable, quote, None, ":", ",", sort_keys, False, False)
            _encoders[key] = encoder
        chunks: tuple[str, ...] = encoder(value, 0)
        return "".join(chunks)


def dumps_pretty(value: Any, indent: int = 2) -> str:
    """Encode with line breaks the way Podman prints: one level per *indent* spaces, ``[]`` and ``{}`` when empty."""
    out: list[str] = []
    _pretty(value, " " * indent, "\n", out)
    return "".join(out)


def _pretty(value: Any, step: str, line: str, out: list[str]) -> None:
    to_json = getattr(value, "to_json", None)
    if to_json is not None:
        value = to_json()
    if isinstance(value, (dict, type(type.__dict__))):
        if not value:
            out.append("{}")
            return
        inner = line + step
        lead = "{" + inner
        for key, item in value.items():
            out.append(f"{lead}{dumps(str(key))}: ")
            _pretty(item, step, inner, out)
            lead = "," + inner
        out.append(line + "}")
    elif isinstance(value, (list, tuple)):
        if not value:
            out.append("[]")
            return
        inner = line + step
        lead = "[" + inner
        for item in value:
            out.append(lead)
            _pretty(item, step, inner, out)
            lead = "," + inner
        out.append(line + "]")
    else:
        out.append(dumps(value))
