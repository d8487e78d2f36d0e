"""Rekor, the transparency log of sigstore: entries of type ``hashedrekord`` and the promise to include them.

Sources: sigstore's "Rekor types" and cosign's bundle format; the promise (SET) is an ECDSA signature of the entry's
canonical JSON (RFC 8785).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

from wherry.errors import InvalidArgument, RegistryError
from wherry.model import jsontext
from wherry.registry import sigstore_keys

_MAX_ANSWER = 1 << 20
_FIELDS = {"body", "integratedTime", "logIndex", "logID"}


def logged_at(bundle: str, logs: Sequence[bytes], signer: bytes, signature: str, payload: bytes) -> int:
    """When (Unix time) the log whose public key (PEM) is one of *logs* noted *signature* of *payload*.

    *signer* is the PEM the entry must name: a public key or a certificate.  Raises :class:`InvalidArgument`.
    """
    try:
        document = jsontext.loads(bundle)
        entry = document["Payload"]
        promise = base64.b64decode(document["SignedEntryTimestamp"], validate=True)
        if set(entry) != _FIELDS or not isinstance(entry["integratedTime"], int):
            raise ValueError
        body = jsontext.loads(base64.b64decode(entry["body"], validate=True))
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise InvalidArgument("parsing Rekor SET: the bundle is damaged") from None
    signed = jsontext.dumps(entry, sort_keys=True).encode()
    if not any(sigstore_keys.is_signed_by(sigstore_keys.load_public(key), signed, promise) for key in logs):
        raise InvalidArgument("cryptographic signature verification of Rekor SET failed")
    _check_body(body, signer, signature, payload)
    return int(entry["integratedTime"])


def _check_body(body: Any, signer: bytes, signature: str, payload: bytes) -> None:
    try:
        if body["kind"] != "hashedrekord" or body["apiVersion"] != "0.0.1":
            raise InvalidArgument(f"unsupported Rekor entry {body['kind']} {body['apiVersion']}")
        spec = body["spec"]
        logged_signature = base64.b64decode(spec["signature"]["content"], validate=True)
        logged_key = base64.b64decode(spec["signature"]["publicKey"]["content"], validate=True)
        hashed = spec["data"]["hash"]
        same_hash = hashed["algorithm"] == "sha256" and hashed["value"] == hashlib.sha256(payload).hexdigest()
    except (KeyError, TypeError, binascii.Error):
        raise InvalidArgument("the Rekor entry is damaged") from None
    if logged_signature != base64.b64decode(signature):
        raise InvalidArgument("signature in Rekor SET does not match the signature of the image")
    if b"".join(logged_key.split()) != b"".join(signer.split()):
        raise InvalidArgument("publicKey in Rekor SET does not match")
    if not same_hash:
        raise InvalidArgument("digest in Rekor SET does not match the signed payload")


def upload(url: str, signer: bytes, signature: str, payload: bytes) -> str:
    """Log *signature*; returns the bundle that proves it. Raises :class:`RegistryError`."""
    from wherry.registry.http import HTTPClient

    entry = {
        "apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
            "signature": {"content": signature, "publicKey": {"content": base64.b64encode(signer).decode()}},
        },
    }
    http = HTTPClient()
    try:
        response = http.request(
            "POST", f"{url.rstrip('/')}/api/v1/log/entries", body=jsontext.dumps(entry).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        data = response.read_all(_MAX_ANSWER)
    finally:
        http.close()
    if response.status != 201:
        said = data[:200].decode(errors="replace")
        raise RegistryError(f"uploading the signature to Rekor at {url}: status {response.status}: {said}")
    try:
        (found,) = jsontext.loads(data).values()
        promise = found["verification"]["signedEntryTimestamp"]
        entry = {key: found[key] for key in sorted(_FIELDS)}
        return jsontext.dumps({"SignedEntryTimestamp": promise, "Payload": entry})
    except (ValueError, KeyError, TypeError):
        raise RegistryError(f"uploading the signature to Rekor at {url}: the answer is damaged") from None
