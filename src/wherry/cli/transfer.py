"""Flags shared by the commands that talk to registries, and what they mean."""

from __future__ import annotations

from wherry.cli.flags import Flag
from wherry.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.flags import Parsed

AUTHFILE = Flag("authfile", metavar="path", help="File with the credentials for registries")
CERT_DIR = Flag("cert-dir", metavar="path", help="Directory with certificates for the registry")
CREDS = Flag("creds", metavar="[username[:password]]", help="Credentials for the registry")
TLS_VERIFY = Flag("tls-verify", kind="bool", default="true", help="Insist on HTTPS and valid certificates")
RETRY = Flag("retry", kind="uint", default="3", metavar="attempts", help="How often to try again")
RETRY_DELAY = Flag("retry-delay", metavar="duration", help="Time between two attempts")
ACCESS = (AUTHFILE, CERT_DIR, CREDS, TLS_VERIFY)
SIGNATURE_POLICY = Flag("signature-policy", hidden=True, help="Signature policy file")
#: Hidden in Podman, kept for its scripts: the opposite of --tls-verify.
INSECURE = Flag("insecure", kind="bool", hidden=True, help="Do without HTTPS and valid certificates")

_TEXTS = (("authfile", "authfile"), ("cert-dir", "cert_dir"), ("creds", "credentials"))


def access(flags: Parsed) -> dict[str, Any]:
    """The keywords ``authfile cert_dir credentials tls_verify retry retry_delay`` that were given.

    Raises :class:`NotFound` for an authfile that is not there, in Podman's words.
    """
    found: dict[str, Any] = {
        option: flags.text(flag) for flag, option in _TEXTS if flags.flags.owns(flag) and flags.given(flag)
    }
    if found.get("authfile"):
        check_authfile(found["authfile"])
    if flags.given("tls-verify"):
        found["tls_verify"] = flags.on("tls-verify")
    if flags.given("insecure"):
        found["tls_verify"] = not flags.on("insecure")
    if flags.given("retry"):
        found["retry"] = flags.number("retry")
    if flags.given("retry-delay"):
        found["retry_delay"] = delay(flags.text("retry-delay"))
    return found


def check_authfile(path: str) -> None:
    """An authfile that is named must be there."""
    import os

    if not os.path.exists(path):
        raise NotFound(f"credential file is not accessible: faccessat {path}: no such file or directory")


def delay(text: str) -> float:
    """``--retry-delay`` in seconds."""
    from wherry.spec.parse_values import duration

    try:
        return duration(text) / 1e9
    except InvalidArgument as error:
        raise InvalidArgument(f'parsing value for "retry-delay" flag: {error.message}') from None
