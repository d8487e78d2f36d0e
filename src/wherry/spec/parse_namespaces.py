"""The words of the namespace options: host, private, ``container:NAME``, ``ns:PATH`` and what each allows besides."""

from __future__ import annotations

from wherry.errors import InvalidArgument


def namespace(text: str) -> str:
    """``--pid``, ``--uts``, ``--cgroupns``: host, private, pod, ``ns:PATH``, ``container:NAME``."""
    if text in ("pod", "host", "private"):
        return text
    if not text:
        return "private"
    kind, colon, value = text.partition(":")
    if colon and kind in ("ns", "container"):
        if not value:
            mode = "path" if kind == "ns" else kind
            raise InvalidArgument(f"invalid config provided: namespace mode {mode} requires a value")
        return text
    raise InvalidArgument(f"unrecognized namespace mode {text} passed")


def ipc_namespace(text: str) -> str:
    """``--ipc``: as the others, and shareable or none."""
    if text in ("shareable", "none"):
        return text
    return namespace(text) if text else "shareable"


def user_namespace(text: str) -> str:
    """``--userns``: as the others, and ``auto[:..]``, ``keep-id[:..]``, ``nomap``; empty is host."""
    if text in ("auto", "keep-id", "nomap") or text.startswith(("auto:", "keep-id:")):
        return text
    return namespace(text) if text else "host"
