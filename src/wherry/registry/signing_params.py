"""The parameter file of ``--sign-by-sigstore`` (containers-sigstore-signing-params.yaml(5))."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wherry.errors import InvalidArgument, Unsupported, from_os_error
from wherry.registry import signing, sigstore_keys
from wherry.registry.fulcio import Fulcio, interactive_token
from wherry.sys.files import read_text

_KEYS = {"privateKeyFile", "privateKeyPassphraseFile", "fulcio", "rekorURL"}
_FULCIO = {"fulcioURL", "oidcMode", "oidcIssuerURL", "oidcClientID", "oidcClientSecret", "oidcIDToken"}


def signer(path: str, ask_passphrase: Callable[[], str]) -> signing.SigstoreSigner:
    """The signer *path* describes; *ask_passphrase* is called when it names a key but no passphrase file.

    Raises :class:`InvalidArgument`.
    """
    table = _table(path)
    rekor = str(table.get("rekorURL") or "")
    key, fulcio = table.get("privateKeyFile"), table.get("fulcio")
    if bool(key) == bool(fulcio):
        raise InvalidArgument(f"{path}: exactly one of privateKeyFile and fulcio must be specified")
    if key:
        file = table.get("privateKeyPassphraseFile")
        return signing.key_signer(str(key), passphrase_of(str(file)) if file else ask_passphrase(), rekor)
    if not rekor:
        raise InvalidArgument(f"{path}: rekorURL must be specified with fulcio")
    return signing.SigstoreSigner(sigstore_keys.ephemeral(), rekor=rekor, fulcio=_fulcio(path, fulcio))


def passphrase_of(path: str) -> str:
    """The first line of the file *path*."""
    try:
        return read_text(path).partition("\n")[0].removesuffix("\r")
    except OSError as error:
        raise from_os_error(OSError(error.errno, error.strerror), f"open {path}") from None


def _table(path: str) -> dict[str, Any]:
    import yaml

    try:
        table = yaml.safe_load(read_text(path))
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from None
    except yaml.YAMLError as error:
        raise InvalidArgument(f"parsing {path}: {error}") from None
    if not isinstance(table, dict):
        raise InvalidArgument(f"parsing {path}: not a mapping")
    _check_known(path, table, _KEYS)
    return table


def _fulcio(path: str, table: Any) -> Fulcio:
    if not isinstance(table, dict):
        raise InvalidArgument(f"parsing {path}: fulcio is not a mapping")
    _check_known(path, table, _FULCIO)
    if not table.get("fulcioURL"):
        raise InvalidArgument(f"{path}: fulcio: fulcioURL must be specified")
    mode = table.get("oidcMode")
    if mode == "staticToken":
        if not table.get("oidcIDToken"):
            raise InvalidArgument(f"{path}: fulcio: oidcIDToken must be specified with oidcMode: staticToken")
        return Fulcio(str(table["fulcioURL"]), lambda: str(table["oidcIDToken"]))
    if mode == "interactive":
        for key in ("oidcIssuerURL", "oidcClientID"):
            if not table.get(key):
                raise InvalidArgument(f"{path}: fulcio: {key} must be specified with oidcMode: interactive")
        return Fulcio(str(table["fulcioURL"]), lambda: interactive_token(
            str(table["oidcIssuerURL"]), str(table["oidcClientID"]), str(table.get("oidcClientSecret") or "")
        ))
    if mode == "deviceGrant":
        raise Unsupported(f"{path}: fulcio: oidcMode: deviceGrant is not supported, use interactive or staticToken")
    raise InvalidArgument(f'{path}: fulcio: unknown oidcMode "{mode or ""}"')


def _check_known(path: str, table: dict[str, Any], known: set[str]) -> None:
    unknown = set(table) - known
    if unknown:
        raise InvalidArgument(f"parsing {path}: unknown key {min(map(str, unknown))!r}")
