"""Checking an image configuration before it is stored: every field has the type the specifications give it.

What reads a stored configuration later (listing, inspecting, creating containers) may then rely on it.  Fields:
OCI image specification, "config.md"; Docker image specification v1.2 (Healthcheck, OnBuild, Shell, ArgsEscaped).
Unknown fields are left alone; null stands for a field that is not given, as it does for Go's decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wherry.errors import Corrupt
from wherry.model.timestamps import parse_ns

_Check = Callable[[Any, str], None]


def check(document: Mapping[str, Any]) -> None:
    """Raise :class:`Corrupt` for a field of the wrong type, naming it."""
    _fields(document, _TOP, "")


def _fields(document: Mapping[str, Any], known: Mapping[str, _Check], where: str) -> None:
    for name, test in known.items():
        value = document.get(name)
        if value is not None:
            test(value, f"{where}{name}")


def _wrong(where: str, wanted: str) -> Corrupt:
    return Corrupt(f"invalid image configuration: {where} is not {wanted}")


def _text(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise _wrong(where, "a string")


def _flag(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise _wrong(where, "true or false")


def _number(value: Any, where: str) -> None:
    if type(value) is not int or not -(1 << 63) <= value < 1 << 63:
        raise _wrong(where, "an integer")


def _time(value: Any, where: str) -> None:
    try:
        if isinstance(value, str):
            parse_ns(value)
            return
    except ValueError:
        pass
    raise _wrong(where, "a time")


def _texts(value: Any, where: str) -> None:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(where, "a list of strings")


def _text_map(value: Any, where: str) -> None:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise _wrong(where, "a map of strings")


def _set(value: Any, where: str) -> None:
    if not isinstance(value, dict) or not all(item is None or isinstance(item, dict) for item in value.values()):
        raise _wrong(where, "a map of empty objects")


def _object(known: Mapping[str, _Check]) -> _Check:
    def test(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(where, "an object")
        _fields(value, known, f"{where}.")

    return test


def _history(value: Any, where: str) -> None:
    if not isinstance(value, list):
        raise _wrong(where, "a list")
    for index, entry in enumerate(value):
        _object(_HISTORY)(entry, f"{where}[{index}]")


_HEALTHCHECK: Mapping[str, _Check] = {
    "Test": _texts, "Interval": _number, "Timeout": _number, "StartPeriod": _number, "Retries": _number,
}
_CONFIG: Mapping[str, _Check] = {
    "User": _text, "ExposedPorts": _set, "Env": _texts, "Entrypoint": _texts, "Cmd": _texts, "Volumes": _set,
    "WorkingDir": _text, "Labels": _text_map, "StopSignal": _text, "ArgsEscaped": _flag, "OnBuild": _texts,
    "Shell": _texts, "Healthcheck": _object(_HEALTHCHECK), "Hostname": _text, "Domainname": _text, "Image": _text,
}
_HISTORY: Mapping[str, _Check] = {
    "created": _time, "created_by": _text, "author": _text, "comment": _text, "empty_layer": _flag,
}
_TOP: Mapping[str, _Check] = {
    "created": _time, "author": _text, "architecture": _text, "variant": _text, "os": _text, "os.version": _text,
    "os.features": _texts, "config": _object(_CONFIG), "history": _history, "comment": _text,
    "rootfs": _object({"type": _text}),
}
