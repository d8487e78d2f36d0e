"""policy.json (containers-policy.json(5)): what images must fulfil to be used.

The file decides over trust, so it is read as strictly as containers/image reads it: an unknown or doubled key, or one
that does not belong to its kind, makes the whole policy invalid.
"""

from __future__ import annotations

import os

from wherry.config import places as config_places
from wherry.config.policy_rules import ACCEPT, REJECT, SIGNED_BY, SIGSTORE, check_requirements, check_scope
from wherry.errors import InvalidArgument
from wherry.model.record import EMPTY, Record
from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.config.places import Places
    from wherry.model.reference import Reference

__all__ = ["ACCEPT", "REJECT", "SIGNED_BY", "SIGSTORE", "Policy", "file_scopes", "load_policy", "policy_path", "scopes"]

#: Transports whose images are files, and which a scope can name by their path.
_PATHS = ("dir", "oci", "oci-archive")


class Policy(Record):
    """What may be used. Requirements are as written, checked for form."""

    path: str = ""
    default: Sequence[Mapping[str, Any]] = ()
    transports: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]] = EMPTY

    def requirements(self, transport: str, scopes: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """What an image must fulfil; *scopes* are the names it goes by, the most specific first."""
        table = self.transports.get(transport, EMPTY)
        for scope in (*scopes, ""):
            if scope in table:
                found: Sequence[Mapping[str, Any]] = table[scope]
                return found
        return self.default


def policy_path(places: Places | None = None) -> str:
    """The file that applies: the user's if there is one, else the host's."""
    where = places or config_places.current()
    own = f"{where.config_home}/containers/policy.json"
    return own if where.config_home and os.path.exists(own) else f"{where.etc}/policy.json"


def load_policy(path: str = "", places: Places | None = None) -> Policy:
    """Read *path*, or the policy of user and host. Raises :class:`InvalidArgument` when it is missing or wrong."""
    path = path or policy_path(places)
    text = try_read_text(path)
    if text is None:
        raise InvalidArgument(f"open {path}: no such file or directory")
    try:
        return _parsed(path, text)
    except InvalidArgument as error:
        raise InvalidArgument(f'invalid policy in "{path}": {error.message}') from None


def _parsed(path: str, text: str) -> Policy:
    data = _document(text)
    if not isinstance(data, dict):
        raise InvalidArgument("not a JSON object")
    unknown = set(data) - {"default", "transports"}
    if unknown:
        raise InvalidArgument(f'Unknown key "{min(unknown)}"')
    if "default" not in data:
        raise InvalidArgument("Default policy is missing")
    check_requirements(data["default"])
    transports = data.get("transports") or {}
    if not isinstance(transports, dict) or not all(isinstance(table, dict) for table in transports.values()):
        raise InvalidArgument('"transports" is not an object of objects')
    for transport, table in transports.items():
        for scope, requirements in table.items():
            if scope:
                check_scope(transport, scope, _PATHS)
            check_requirements(requirements)
    return Policy(path=path, default=data["default"], transports=transports)


def _document(text: str) -> Any:
    import json

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise InvalidArgument(f'Duplicate key "{key}"')
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(str(error)) from None


def scopes(reference: Reference) -> list[str]:
    """The scopes of a docker reference: itself, its repository, every parent of that, ``*.`` of parent domains."""
    found = [str(reference)]
    name = reference.repository
    while name:
        found.append(name)
        name = name.rpartition("/")[0]
    host = reference.domain.partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        found.append("*." + host)
    return found


def file_scopes(transport: str, path: str) -> list[str]:
    """The scopes of an image in a file: its path and every directory above, but for ``/``.

    Only the general scope applies to transports that have no others (docker-archive, tarball).
    """
    if transport not in _PATHS:
        return []
    found = []
    name = os.path.realpath(path)
    while name != "/":
        found.append(name)
        name = os.path.dirname(name)
    return found
