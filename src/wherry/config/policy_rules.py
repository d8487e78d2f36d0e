"""The form of policy requirements: which keys each kind has, and what may be in them (containers-policy.json(5))."""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument
from wherry.model.reference import normalize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

ACCEPT = "insecureAcceptAnything"
REJECT = "reject"
SIGNED_BY = "signedBy"
SIGSTORE = "sigstoreSigned"

_TEXT = (str,)
_LIST = (list,)
_KINDS: dict[str, dict[str, tuple[type, ...]]] = {
    ACCEPT: {},
    REJECT: {},
    SIGNED_BY: {"keyType": _TEXT, "keyPath": _TEXT, "keyPaths": _LIST, "keyData": _TEXT, "signedIdentity": (dict,)},
    SIGSTORE: {
        "keyPath": _TEXT, "keyPaths": _LIST, "keyData": _TEXT, "keyDatas": _LIST, "fulcio": (dict,), "pki": (dict,),
        "rekorPublicKeyPath": _TEXT, "rekorPublicKeyPaths": _LIST, "rekorPublicKeyData": _TEXT,
        "rekorPublicKeyDatas": _LIST, "signedIdentity": (dict,),
    },
}
_REKOR = ("rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas")
_SOURCES = {
    SIGNED_BY: ("keyPath", "keyPaths", "keyData"),
    SIGSTORE: ("keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki"),
}
_FULCIO = ("caPath", "caData", "oidcIssuer", "subjectEmail")
_PKI = ("caRootsPath", "caRootsData", "caIntermediatesPath", "caIntermediatesData", "subjectEmail", "subjectHostname")
_KEY_TYPES = ("GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs")


def check_requirements(requirements: Any) -> None:
    """Raise :class:`InvalidArgument` unless this is a list of well-formed requirements."""
    if not isinstance(requirements, list) or not requirements:
        raise InvalidArgument("List of verification policy requirements must not be empty")
    for one in requirements:
        _check(one)


def _check(one: Any) -> None:
    kind = one.get("type") if isinstance(one, dict) else None
    if kind not in _KINDS:
        raise InvalidArgument(f'Unknown policy requirement type "{kind or ""}"')
    _check_keys(one, _KINDS[kind])
    if kind in (ACCEPT, REJECT):
        return
    if kind == SIGNED_BY and one.get("keyType") not in _KEY_TYPES:
        raise InvalidArgument(f'invalid keyType "{one.get("keyType", "")}"')
    _exactly_one(one, _SOURCES[kind])
    if kind == SIGSTORE:
        _check_sigstore(one)
    if "signedIdentity" in one:
        _check_identity(one["signedIdentity"])


def _check_keys(one: Mapping[str, Any], known: Mapping[str, tuple[type, ...]]) -> None:
    for key, value in one.items():
        if key == "type":
            continue
        if key not in known:
            raise InvalidArgument(f'Unknown key "{key}"')
        texts = isinstance(value, list) and value and all(isinstance(item, str) for item in value)
        if not isinstance(value, known[key]) or (known[key] is _LIST and not texts):
            raise InvalidArgument(f'the value of "{key}" is not of the right type')


def _exactly_one(one: Mapping[str, Any], keys: Sequence[str]) -> None:
    present = sum(key in one for key in keys)
    if present != 1:
        names = f"{', '.join(keys[:-1])} and {keys[-1]}"
        found = "more than one" if present else "none"
        raise InvalidArgument(f"Exactly one of {names} must be specified, {found} of them present")


def _check_sigstore(one: Mapping[str, Any]) -> None:
    rekor = sum(key in one for key in _REKOR)
    if rekor > 1:
        raise InvalidArgument(f"at most one of {', '.join(_REKOR[:-1])} and {_REKOR[-1]} can be specified")
    if "fulcio" in one:
        table = one["fulcio"]
        _check_keys(table, dict.fromkeys(_FULCIO, _TEXT))
        _exactly_one(table, ("caPath", "caData"))
        for key in ("oidcIssuer", "subjectEmail"):
            if not table.get(key):
                raise InvalidArgument(f"fulcio: {key} not specified")
        if not rekor:
            raise InvalidArgument("at least one of rekorPublicKeyPath, rekorPublicKeyPaths, rekorPublicKeyData and "
                                  "rekorPublicKeyDatas must be specified if fulcio is used")
    if "pki" in one:
        _check_keys(one["pki"], dict.fromkeys(_PKI, _TEXT))
        if rekor:
            raise InvalidArgument("rekorPublicKeyPath and its kin are not supported for pki")


def _check_identity(one: Mapping[str, Any]) -> None:
    kind = one.get("type")
    wanted: tuple[str, ...] = ()
    if kind == "exactReference":
        wanted = ("dockerReference",)
    elif kind == "exactRepository":
        wanted = ("dockerRepository",)
    elif kind == "remapIdentity":
        wanted = ("prefix", "signedPrefix")
    elif kind not in ("matchExact", "matchRepoDigestOrExact", "matchRepository"):
        raise InvalidArgument(f'Unknown policy reference match type "{kind or ""}"')
    _check_keys(one, dict.fromkeys(wanted, _TEXT))
    for key in wanted:
        if not one.get(key):
            raise InvalidArgument(f'{kind}: "{key}" is missing')
        _NAMES[key](one[key])


def _check_reference(text: str) -> None:
    named = _named("exactReference", text)
    if not named.tag and not named.digest:
        raise InvalidArgument(f'dockerReference "{text}" contains neither a tag nor digest')


def _check_repository(text: str) -> None:
    named = _named("exactRepository", text)
    if named.tag or named.digest:
        raise InvalidArgument(f'dockerRepository "{text}" contains a tag or digest')


def _check_prefix(text: str) -> None:
    # A host alone, with or without a port, would read as a name.
    whole = text if "/" in text else f"{text}/x" if ":" in text else f"{text}:1/x"
    named = _named("remapIdentity", whole)
    if named.tag or named.digest or not whole.startswith(named.repository):
        raise InvalidArgument(f'prefix "{text}" is not a fully expanded repository or registry')


def _named(kind: str, text: str) -> Any:
    try:
        return normalize(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"{kind}: invalid format of {text!r}: {error.message}") from None


_NAMES: dict[str, Callable[[str], None]] = {
    "dockerReference": _check_reference, "dockerRepository": _check_repository,
    "prefix": _check_prefix, "signedPrefix": _check_prefix,
}


def check_scope(transport: str, scope: str, paths: Sequence[str]) -> None:
    """Raise :class:`InvalidArgument` for a scope no image of *transport* can have; *paths*: transports of files."""
    if transport in ("docker-archive", "tarball"):
        raise InvalidArgument(f'{transport} does not support any scopes except the default "" one')
    if transport not in paths:
        return
    if not scope.startswith("/"):
        raise InvalidArgument(f"Invalid scope {scope}: must be an absolute path")
    if scope == "/":
        raise InvalidArgument('Invalid scope "/": Use the generic default scope ""')
    clean = os.path.normpath(scope)
    if clean != scope:
        raise InvalidArgument(f'Invalid scope {scope}: Uses non-canonical format, perhaps try "{clean}"')
