"""Ids and names of containers, pods, volumes and exec sessions."""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument

_HEX = frozenset("0123456789abcdef")
_NAME_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME_REST = _NAME_FIRST | frozenset("_.-")

ID_LENGTH = 64
SHORT_LENGTH = 12


def generate_id() -> str:
    """64 random lowercase hex digits whose first twelve are not all decimal.

    An id whose short form looks like a number is drawn again, so that it is never mistaken for one
    (the rule of containers/storage, ``stringid.GenerateRandomID``).
    """
    while True:
        new = os.urandom(32).hex()
        if not new[:SHORT_LENGTH].isdigit():
            return new


def is_id(text: str) -> bool:
    """Is *text* a full 64-digit id?"""
    return len(text) == ID_LENGTH and _HEX.issuperset(text)


def is_hex(text: str) -> bool:
    """Could *text* be the beginning of an id?"""
    return 0 < len(text) <= ID_LENGTH and _HEX.issuperset(text)


def short(full: str) -> str:
    """The twelve digits shown to people; a ``sha256:`` prefix is dropped."""
    return full.removeprefix("sha256:")[:SHORT_LENGTH]


def is_name(text: str) -> bool:
    """Does *text* match ``[a-zA-Z0-9][a-zA-Z0-9_.-]*``?"""
    return bool(text) and text[0] in _NAME_FIRST and _NAME_REST.issuperset(text)


def check_name(text: str) -> str:
    """Return *text* if it is a valid object name, else raise :class:`InvalidArgument` in Podman's words."""
    if not is_name(text):
        raise InvalidArgument("names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument")
    return text
