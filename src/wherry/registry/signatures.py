"""Verifying signatures: simple signing with OpenPGP keys, and sigstore with public keys.

Formats: containers-signature(5), cosign's "signature spec".  Both sign a JSON payload that names the image and the
digest of its manifest.  ``gpgv`` checks OpenPGP signatures, the ``cryptography`` package those of sigstore.
"""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from wherry.errors import InvalidArgument, PermissionRefused, Unavailable, WherryError, from_os_error
from wherry.model import jsontext
from wherry.model.record import Record
from wherry.model.reference import Reference, normalize
from wherry.sys.files import read_bytes
from wherry.sys.processes import find_program, run

_ATOMIC = "atomic container signature"
_COSIGN = "cosign container image signature"


class Rejected(PermissionRefused):
    """The policy does not allow the image."""


class SigstoreSignature(Record):
    """A signature attached to an image: the signed bytes and the base64 of the signature."""

    payload: bytes = b""
    signature: str = ""


class Candidate(Record):
    """An image about to be used. *signatures* and *attached* are what was found for its manifest."""

    name: str = ""                      # for messages: docker://...
    reference: Reference | None = None
    digest: str = ""
    signatures: Sequence[bytes] = ()
    attached: Sequence[SigstoreSignature] = ()


def check(requirements: Sequence[Mapping[str, Any]], image: Candidate) -> None:
    """Raise :class:`Rejected` unless *image* fulfils every one of the policy's *requirements*."""
    for requirement in requirements:
        kind = requirement["type"]
        if kind == "reject":
            raise Rejected(f"Source image rejected: Running image {image.name} is rejected by policy.")
        if kind == "signedBy":
            _any(image, image.signatures, lambda one, rule=requirement: _check_openpgp(rule, image, one))
        elif kind == "sigstoreSigned":
            if "fulcio" in requirement or "pki" in requirement:
                raise Unavailable(
                    "Source image rejected: keyless sigstore signatures cannot be verified",
                    hint="wherry verifies sigstore signatures made with keys only",
                )
            _any(image, image.attached, lambda one, rule=requirement: _check_sigstore(rule, image, one))


def _any(image: Candidate, signatures: Sequence[Any], verify: Any) -> None:
    """One good signature is enough."""
    if not signatures:
        raise Rejected("Source image rejected: A signature was required, but no signature exists")
    reasons: list[str] = []
    for signature in signatures:
        try:
            verify(signature)
            return
        except WherryError as error:
            reasons.append(str(error))
    if len(reasons) == 1:
        raise Rejected(f"Source image rejected: {reasons[0]}")
    raise Rejected(
        "Source image rejected: None of the signatures were accepted, reasons: " + "; ".join(reasons)
    )


def _check_openpgp(requirement: Mapping[str, Any], image: Candidate, signature: bytes) -> None:
    payload = _gpgv(_key_data(requirement), signature)
    _check_payload(payload, _ATOMIC, requirement, image, "matchRepoDigestOrExact")


def _check_sigstore(requirement: Mapping[str, Any], image: Candidate, signature: SigstoreSignature) -> None:
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    except ImportError:
        raise Unavailable(
            "verifying sigstore signatures is not possible", hint="install the Python package cryptography"
        ) from None
    try:
        raw = base64.b64decode(signature.signature, validate=True)
    except binascii.Error:
        raise InvalidArgument("the signature is not base64") from None
    for data in _key_data(requirement):
        try:
            key = serialization.load_pem_public_key(data)
        except ValueError as error:
            raise InvalidArgument(f"loading public key: {error}") from None
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(raw, signature.payload, ec.ECDSA(hashes.SHA256()))
            elif isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(raw, signature.payload)
            elif isinstance(key, rsa.RSAPublicKey):
                key.verify(raw, signature.payload, padding.PKCS1v15(), hashes.SHA256())
            else:
                raise InvalidArgument("the public key is of a kind that is not supported")
        except InvalidSignature:
            continue
        _check_payload(signature.payload, _COSIGN, requirement, image, "matchRepoDigestOrExact")
        return
    raise InvalidArgument("cryptographic signature verification failed: invalid signature when validating ASN.1 "
                          "encoded signature")


def _check_payload(
    payload: bytes, kind: str, requirement: Mapping[str, Any], image: Candidate, default: str
) -> None:
    try:
        critical = jsontext.loads(payload)["critical"]
        signed_kind, digest = critical["type"], critical["image"]["docker-manifest-digest"]
        identity = critical["identity"]["docker-reference"]
    except (ValueError, KeyError, TypeError):
        raise InvalidArgument("the signature's payload is malformed") from None
    if signed_kind != kind:
        raise InvalidArgument(f"Unrecognized signature type {signed_kind}")
    rule = requirement.get("signedIdentity") or {"type": default}
    if not isinstance(identity, str) or not identity_matches(rule, image.reference, identity):
        raise InvalidArgument(f"Signature for identity {identity} is not accepted")
    if digest != image.digest:
        raise InvalidArgument(f"Signature for digest {digest} does not match")


def identity_matches(rule: Mapping[str, Any], wanted: Reference | None, signed: str) -> bool:
    """Does the name *signed* in a signature stand for the image *wanted* (``signedIdentity`` of the policy)?"""
    try:
        found = normalize(signed)
    except InvalidArgument:
        return False
    kind = rule["type"]
    if kind == "exactReference":
        return str(found) == str(normalize(str(rule.get("dockerReference", ""))))
    if kind == "exactRepository":
        return found.repository == normalize(str(rule.get("dockerRepository", ""))).repository
    if wanted is None:
        return False
    if kind == "remapIdentity":
        wanted = _remapped(wanted, str(rule.get("prefix", "")), str(rule.get("signedPrefix", "")))
        kind = "matchRepoDigestOrExact"
    if kind == "matchRepository" or (kind == "matchRepoDigestOrExact" and wanted.digest):
        return found.repository == wanted.repository
    return bool(found.tag or found.digest) and str(found) == str(wanted)


def _remapped(wanted: Reference, prefix: str, signed_prefix: str) -> Reference:
    name = str(wanted)
    if name == prefix or (name.startswith(prefix) and name[len(prefix):len(prefix) + 1] in ("/", ":", "@")):
        return normalize(signed_prefix + name[len(prefix):])
    return wanted


def _key_data(requirement: Mapping[str, Any]) -> list[bytes]:
    paths = requirement.get("keyPaths") or ([requirement["keyPath"]] if "keyPath" in requirement else [])
    encoded = requirement.get("keyDatas") or ([requirement["keyData"]] if "keyData" in requirement else [])
    try:
        return [read_bytes(path) for path in paths] + [base64.b64decode(text, validate=True) for text in encoded]
    except OSError as error:
        raise from_os_error(error, "reading key") from None
    except (binascii.Error, TypeError):
        raise InvalidArgument("the key in the policy is not base64") from None


def _gpgv(keys: Sequence[bytes], signature: bytes) -> bytes:
    """What *signature* signs, if one of *keys* made it."""
    program = find_program("gpgv")
    if not program:
        raise Unavailable("OpenPGP signatures cannot be verified: gpgv is missing", hint="install the package gpgv")
    with tempfile.TemporaryDirectory(prefix="wherry-keys-") as directory:
        argv = [program, "--status-fd", "1", "--homedir", directory]
        for number, key in enumerate(keys):
            path = os.path.join(directory, f"{number}.gpg")
            _write(path, _dearmored(key))
            argv += ["--keyring", path]
        signed, payload = os.path.join(directory, "signature"), os.path.join(directory, "payload")
        _write(signed, signature)
        done = run([*argv, "--output", payload, signed])
        words = [line.split()[1] for line in done.stdout.decode(errors="replace").splitlines()
                 if line.startswith("[GNUPG:] ") and len(line.split()) > 1]
        bad = {"EXPSIG", "EXPKEYSIG", "REVKEYSIG", "BADSIG", "ERRSIG"} & set(words)
        if done.returncode or bad or words.count("VALIDSIG") != 1 or "GOODSIG" not in words:
            raise InvalidArgument(f"Invalid GPG signature: {', '.join(sorted(bad)) or 'no valid signature'}")
        return read_bytes(payload)


def _write(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)


def _dearmored(key: bytes) -> bytes:
    """An OpenPGP key without ASCII armor (RFC 9580, section 6)."""
    if not key.lstrip().startswith(b"-----BEGIN PGP"):
        return key
    out = b""
    for block in key.split(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")[1:]:
        lines = [line.strip() for line in block.partition(b"-----END")[0].strip(b"\r\n").splitlines()]
        body = lines[lines.index(b"") + 1:] if b"" in lines else lines
        text = b"".join(line for line in body if line and not line.startswith(b"="))
        try:
            out += base64.b64decode(text, validate=True)
        except binascii.Error:
            raise InvalidArgument("the OpenPGP key is damaged") from None
    return out
