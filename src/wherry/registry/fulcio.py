"""Fulcio, the certificate authority of keyless signing: a certificate for whom an OpenID Connect token names.

Source: Fulcio's HTTP API version 1 (``/api/v1/signingCert``).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from wherry.errors import InvalidArgument, RegistryError, Unavailable
from wherry.model import jsontext
from wherry.registry import sigstore_keys

_MAX_ANSWER = 1 << 20


class Fulcio:
    """The authority at *url*; *token* gives the identity token when it is needed."""

    def __init__(self, url: str, token: Callable[[], str]) -> None:
        self._url = url.rstrip("/")
        self._token = token

    def certificate(self, key: Any) -> tuple[bytes, bytes]:
        """A certificate for the private *key*'s public half, and the chain above it, in PEM.

        Raises :class:`RegistryError`.
        """
        from wherry.registry.http import HTTPClient

        token = self._token()
        proof = sigstore_keys.sign(key, subject_of(token).encode())
        public = b"".join(sigstore_keys.public_pem(key).splitlines()[1:-1]).decode()
        body = jsontext.dumps({
            "publicKey": {"content": public, "algorithm": "ecdsa"},
            "signedEmailAddress": base64.b64encode(proof).decode(),
        }).encode()
        http = HTTPClient()
        try:
            response = http.request("POST", f"{self._url}/api/v1/signingCert", body=body, headers={
                "Content-Type": "application/json", "Authorization": f"Bearer {token}",
            })
            answer = response.read_all(_MAX_ANSWER)
        finally:
            http.close()
        if response.status != 201:
            said = answer[:200].decode(errors="replace")
            raise RegistryError(f"asking Fulcio at {self._url} for a certificate: status {response.status}: {said}")
        found = sigstore_keys.pem_blocks(answer, "CERTIFICATE")
        if not found:
            raise RegistryError(f"asking Fulcio at {self._url} for a certificate: it sent none")
        return found[0], b"".join(found[1:])


def subject_of(token: str) -> str:
    """Whom an identity token (RFC 7519) is about: its verified e-mail address, else its subject."""
    try:
        body = token.split(".")[1]
        claims = jsontext.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        if claims.get("email"):
            if claims.get("email_verified") not in (True, "true"):
                raise InvalidArgument("the identity token's e-mail address is not verified by its issuer")
            return str(claims["email"])
        return str(claims["sub"])
    except (IndexError, ValueError, KeyError, AttributeError, binascii.Error):
        raise InvalidArgument("the OIDC identity token is damaged") from None


def interactive_token(issuer: str, client: str, secret: str) -> str:
    """Let the person at the machine sign in with a browser. Needs the extra ``wherry[keyless]``."""
    try:
        from sigstore.oidc import Issuer
    except ImportError:
        raise Unavailable(
            "keyless signing with a browser (oidcMode: interactive) is not possible: the Python package sigstore is "
            "missing", hint="install wherry[keyless], or use oidcMode: staticToken"
        ) from None
    return str(Issuer(issuer).identity_token(client_id=client, client_secret=secret))
