"""image trust: showing and changing policy.json."""

from __future__ import annotations

from wherry.config.policy import ACCEPT, REJECT, SIGNED_BY, SIGSTORE, load_policy, policy_path
from wherry.errors import InvalidArgument, from_os_error
from wherry.model import jsontext
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.config.registries_d import RegistriesD

#: What people call the kinds of requirements.
KINDS = {"accept": ACCEPT, "insecureAcceptAnything": ACCEPT, "reject": REJECT, "signedBy": SIGNED_BY,
         "sigstoreSigned": SIGSTORE}
_SHOWN = {ACCEPT: "accept", REJECT: "reject", SIGNED_BY: "signed", SIGSTORE: "sigstoreSigned"}


class TrustRow(Record):
    """A line of ``image trust show``."""

    transport: str = ""
    name: str = ""
    repository: str = ""        # as in the policy
    keys: Sequence[str] = ()
    kind: str = ""
    gpg_id: str = ""
    store: str = ""             # lookaside of registries.d


def raw_policy(path: str = "") -> str:
    """The policy file's text."""
    from wherry.sys.files import read_text

    file = path or policy_path()
    try:
        return read_text(file)
    except OSError as error:
        raise from_os_error(OSError(error.errno, error.strerror), f"open {file}") from None


def rows(path: str = "", registries: str = "") -> list[TrustRow]:
    """The policy line by line; *path* and *registries* stand in for the host's policy.json and registries.d."""
    from wherry.config.registries_d import load

    policy = load_policy(path)
    stores = load(registries)
    found = [_row(one, stores, transport="all", name="* (default)", repository="default") for one in policy.default]
    for transport in sorted(policy.transports):
        shown = "repository" if transport == "docker" else transport
        for scope, requirements in sorted(policy.transports[transport].items()):
            found += [
                _row(one, stores, transport=shown, name=scope, repository=scope) for one in requirements
            ]
    return found


def _row(requirement: Mapping[str, Any], stores: RegistriesD, **where: str) -> TrustRow:
    kind = requirement["type"]
    table = stores.docker.get(where["repository"]) or {}
    default = stores.default
    lookaside = next((
        str(one[key]) for one in (table, default) for key in ("lookaside", "sigstore") if one.get(key)
    ), "")
    identity = ""
    if kind == SIGNED_BY:
        identity = ", ".join(_owners(requirement))
    elif kind == SIGSTORE:
        identity = "N/A"
    return TrustRow(kind=_SHOWN[kind], gpg_id=identity, store=lookaside, **where)


def _owners(requirement: Mapping[str, Any]) -> list[str]:
    from wherry.errors import WherryError
    from wherry.registry import openpgp, signatures
    from wherry.sys import log

    try:
        return [name for data in signatures.data_of(requirement, "key") for name in openpgp.key_names(data)]
    except WherryError as error:
        log.error(f"Getting key identity: {error}")
        return []


def set_trust(scope: str, kind: str, keys: Sequence[str], path: str = "") -> None:
    """Store what *scope* (a registry, a repository, ``default``) must fulfil: one of :data:`KINDS`.

    Raises ``InvalidArgument``.
    """
    if kind not in KINDS:
        raise InvalidArgument(f"invalid choice: {kind} (choose from 'accept', 'reject', 'signedBy', 'sigstoreSigned')")
    if not scope or set(scope) & set(' \t\n"\\'):
        raise InvalidArgument(f"invalid image uri: {scope}")
    wants_keys = KINDS[kind] in (SIGNED_BY, SIGSTORE)
    if wants_keys and not keys:
        raise InvalidArgument(f"at least one public key must be defined for type '{kind}'")
    if keys and not wants_keys:
        raise InvalidArgument(f"{len(keys)} public keys unexpectedly provided for trust type {kind}")
    file = path or policy_path()
    document = _document(file)
    if scope != "default" and "default" not in document:
        raise InvalidArgument("default trust policy must be set")
    requirements: list[dict[str, str]] = [{"type": KINDS[kind]}]
    if wants_keys:
        key_type = {"keyType": "GPGKeys"} if KINDS[kind] == SIGNED_BY else {}
        requirements = [{"type": KINDS[kind], **key_type, "keyPath": key} for key in keys]
    if scope == "default":
        document["default"] = requirements
    else:
        document.setdefault("transports", {}).setdefault("docker", {})[scope] = requirements
    _write(file, document)


def _document(file: str) -> dict[str, Any]:
    from wherry.sys.files import try_read_text

    text = try_read_text(file)
    if text is None:
        return {}
    load_policy(file)
    document: dict[str, Any] = jsontext.loads(text)
    return document


def _write(file: str, document: dict[str, Any]) -> None:
    import os

    from wherry.sys.files import atomic_write, make_dirs

    try:
        make_dirs(os.path.dirname(os.path.abspath(file)), 0o755)
        atomic_write(file, (jsontext.dumps_pretty(document, 4) + "\n").encode(), 0o644)
    except OSError as error:
        raise from_os_error(error, "writing policy") from None
