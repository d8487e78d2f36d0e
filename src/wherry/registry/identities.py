"""Does the name in a signature stand for the image that is wanted (``signedIdentity``, containers-policy.json(5))?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.errors import InvalidArgument
from wherry.model.reference import Reference, normalize


def matches(rule: Mapping[str, Any], wanted: Reference | None, signed: str) -> bool:
    """*wanted* is the image's reference, None for an image that has none; *signed* the name in the signature."""
    try:
        found = normalize(signed)
    except InvalidArgument:
        return False
    kind = rule["type"]
    if kind == "exactReference":
        return _is_exact(found, normalize(str(rule["dockerReference"])))
    if kind == "exactRepository":
        return found.repository == normalize(str(rule["dockerRepository"])).repository
    if wanted is None:
        return False
    if kind == "remapIdentity":
        wanted = _remapped(wanted, str(rule["prefix"]), str(rule["signedPrefix"]))
        kind = "matchRepoDigestOrExact"
    if kind == "matchRepository" or (kind == "matchRepoDigestOrExact" and wanted.digest):
        return found.repository == wanted.repository
    return _is_exact(found, wanted)


def _is_exact(found: Reference, wanted: Reference) -> bool:
    """A name without tag and digest stands for nothing in particular."""
    return bool(found.tag or found.digest) and str(found) == str(wanted)


def _remapped(wanted: Reference, prefix: str, signed_prefix: str) -> Reference:
    name = str(wanted)
    if name == prefix or (name.startswith(prefix) and name[len(prefix):len(prefix) + 1] in ("/", ":", "@")):
        return normalize(signed_prefix + name[len(prefix):])
    return wanted
