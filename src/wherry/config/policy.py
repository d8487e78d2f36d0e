"""policy.json (containers-policy.json(5)) and registries.d (containers-registries.d(5))."""

from __future__ import annotations

import os

from wherry.config import places as config_places
from wherry.errors import InvalidArgument
from wherry.model import jsontext
from wherry.model.record import EMPTY, Record
from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.config.places import Places
    from wherry.model.reference import Reference

ACCEPT = "insecureAcceptAnything"
REJECT = "reject"
SIGNED_BY = "signedBy"
SIGSTORE = "sigstoreSigned"
_KEYS = {
    ACCEPT: {"type"},
    REJECT: {"type"},
    SIGNED_BY: {"type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"},
    SIGSTORE: {
        "type", "keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki", "rekorPublicKeyPath",
        "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas", "signedIdentity",
    },
}
_IDENTITIES = (
    "matchExact", "matchRepoDigestOrExact", "matchRepository", "exactReference", "exactRepository", "remapIdentity",
)


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
        data = jsontext.loads(text)
    except jsontext.JSONError as error:
        raise InvalidArgument(f"invalid policy in {path!r}: {error}") from None
    if not isinstance(data, dict) or set(data) - {"default", "transports"}:
        raise InvalidArgument(f"invalid policy in {path!r}: unknown key")
    if "default" not in data:
        raise InvalidArgument(f"invalid policy in {path!r}: Default policy is missing")
    transports = data.get("transports") or {}
    if not isinstance(transports, dict) or not all(isinstance(table, dict) for table in transports.values()):
        raise InvalidArgument(f"invalid policy in {path!r}: transports")
    for requirements in (data["default"], *(one for table in transports.values() for one in table.values())):
        _check(path, requirements)
    return Policy(path=path, default=data["default"], transports=transports)


def _check(path: str, requirements: Any) -> None:
    if not isinstance(requirements, list) or not requirements:
        raise InvalidArgument(f"invalid policy in {path!r}: List of verification policy requirements must not be empty")
    for one in requirements:
        kind = one.get("type") if isinstance(one, dict) else None
        if kind not in _KEYS:
            raise InvalidArgument(f"invalid policy in {path!r}: Unknown policy requirement type {kind!r}")
        unknown = set(one) - _KEYS[kind]
        if unknown:
            raise InvalidArgument(f"invalid policy in {path!r}: Unknown key {min(unknown)!r}")
        if kind == SIGNED_BY and one.get("keyType") != "GPGKeys":
            raise InvalidArgument(f"invalid policy in {path!r}: keyType must be GPGKeys")
        keys = [key for key in ("keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki") if key in one]
        if kind in (SIGNED_BY, SIGSTORE) and len(keys) != 1:
            raise InvalidArgument(f"invalid policy in {path!r}: exactly one of keyPath, keyPaths and keyData is needed")
        identity = one.get("signedIdentity")
        if identity is not None and (not isinstance(identity, dict) or identity.get("type") not in _IDENTITIES):
            raise InvalidArgument(f"invalid policy in {path!r}: unknown signedIdentity")


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


class SignatureStore(Record):
    """Where the signatures of a repository are: a lookaside URL (empty: none), and whether attachments are used."""

    lookaside: str = ""
    attachments: bool = False


def signature_store(reference: Reference, places: Places | None = None) -> SignatureStore:
    """What registries.d says of *reference*. Raises :class:`InvalidArgument` naming a file that is wrong."""
    where = places or config_places.current()
    tables: dict[str, Any] = {}
    default: dict[str, Any] = {}
    for path in _yaml_files(where):
        data = _yaml(path)
        if isinstance(data.get("default-docker"), dict):
            default = data["default-docker"]
        docker = data.get("docker")
        if isinstance(docker, dict):
            tables |= {scope: table for scope, table in docker.items() if isinstance(table, dict)}
    chosen = next((tables[scope] for scope in scopes(reference) if scope in tables), EMPTY)
    lookaside, attachments = "", False
    for table in (chosen, default):
        lookaside = lookaside or str(table.get("lookaside") or table.get("sigstore") or "")
    for table in (default, chosen):
        if "use-sigstore-attachments" in table:
            attachments = table["use-sigstore-attachments"] is True
    return SignatureStore(lookaside=lookaside or _default_lookaside(where), attachments=attachments)


def _default_lookaside(where: Places) -> str:
    home = where.data_home if where.rootless else f"{where.var}/lib"
    return f"file://{home}/containers/sigstore"


def _yaml_files(where: Places) -> list[str]:
    own = f"{where.config_home}/containers/registries.d"
    directory = own if where.config_home and os.path.isdir(own) else f"{where.etc}/registries.d"
    try:
        return sorted(f"{directory}/{name}" for name in os.listdir(directory) if name.endswith(".yaml"))
    except OSError:
        return []


def _yaml(path: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise InvalidArgument(f"reading {path}: the Python package PyYAML is missing") from None
    try:
        data = yaml.safe_load(try_read_text(path) or "")
    except yaml.YAMLError as error:
        raise InvalidArgument(f"parsing {path}: {error}") from None
    return data if isinstance(data, dict) else {}
