"""Does an image fulfil the policy: simple signing with OpenPGP keys, and sigstore with keys or certificates."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from wherry.errors import InvalidArgument, PermissionRefused, Unavailable, WherryError, from_os_error
from wherry.model.record import Record
from wherry.model.reference import Reference
from wherry.registry import identities, openpgp, signature_formats, sigstore_keys
from wherry.registry.signature_formats import SigstoreSignature
from wherry.sys.files import read_bytes


class Rejected(PermissionRefused):
    """The policy does not allow the image."""


class Candidate(Record):
    """An image about to be used. *signatures* are what was found for its manifest, each as it is stored."""

    name: str = ""                      # for messages: docker://...
    reference: Reference | None = None
    digest: str = ""
    signatures: Sequence[bytes] = ()


def check(requirements: Sequence[Mapping[str, Any]], image: Candidate) -> None:
    """Raise :class:`Rejected` unless *image* fulfils every one of the policy's *requirements*."""
    for requirement in requirements:
        kind = requirement["type"]
        if kind == "reject":
            raise Rejected(f"Source image rejected: Running image {image.name} is rejected by policy.")
        if kind == "signedBy":
            simple = [blob for blob in image.signatures if not blob.startswith(b"\0")]
            _any(simple, partial(_check_openpgp, requirement, image))
        elif kind == "sigstoreSigned":
            decoded = [signature_formats.decode(blob) for blob in image.signatures]
            attached = [one for one in decoded if one is not None]
            _any(attached, partial(_check_sigstore, requirement, image))


def _any(signatures: Sequence[Any], verify: Callable[[Any], None]) -> None:
    """One good signature is enough."""
    if not signatures:
        raise Rejected("Source image rejected: A signature was required, but no signature exists")
    reasons: list[str] = []
    for signature in signatures:
        try:
            verify(signature)
            return
        except Unavailable:
            raise
        except WherryError as error:
            reasons.append(str(error))
    if len(reasons) == 1:
        raise Rejected(f"Source image rejected: {reasons[0]}")
    raise Rejected(
        "Source image rejected: None of the signatures were accepted, reasons: " + "; ".join(reasons)
    )


def _check_openpgp(requirement: Mapping[str, Any], image: Candidate, signature: bytes) -> None:
    kind = requirement["keyType"]
    if kind != "GPGKeys":
        raise InvalidArgument(f'Unimplemented "keyType" value "{kind}"')
    payload = openpgp.verified(data_of(requirement, "key"), signature)
    _check_payload(payload, signature_formats.ATOMIC, requirement, image)


def _check_sigstore(requirement: Mapping[str, Any], image: Candidate, signature: SigstoreSignature) -> None:
    encoded = signature.annotations.get(signature_formats.SIGNATURE, "")
    if signature.media_type != signature_formats.SIMPLE_SIGNING or not encoded:
        raise InvalidArgument("missing dev.cosignproject.cosign/signature annotation")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise InvalidArgument("the signature is not base64") from None
    for key in _signers(requirement, signature, encoded):
        if sigstore_keys.is_signed_by(key, signature.payload, raw):
            _check_payload(signature.payload, signature_formats.COSIGN, requirement, image)
            return
    raise InvalidArgument("cryptographic signature verification failed: invalid signature when validating ASN.1 "
                          "encoded signature")


def _signers(requirement: Mapping[str, Any], signature: SigstoreSignature, encoded: str) -> list[Any]:
    """The public keys the requirement accepts for this signature."""
    logs = data_of(requirement, "rekorPublicKey")
    if "fulcio" in requirement or "pki" in requirement:
        return [_certified(requirement, signature, encoded, logs)]
    keys = data_of(requirement, "key")
    if not logs:
        return [sigstore_keys.load_public(key) for key in keys]
    return [sigstore_keys.load_public(_logged_key(keys, signature, encoded, logs))]


def _logged_key(keys: Sequence[bytes], signature: SigstoreSignature, encoded: str, logs: Sequence[bytes]) -> bytes:
    """The one of *keys* the log's entry names."""
    from wherry.registry import rekor

    bundle = signature.annotations.get(signature_formats.BUNDLE, "")
    if not bundle:
        raise InvalidArgument(f"missing {signature_formats.BUNDLE} annotation")
    reason: WherryError | None = None
    for key in keys:
        try:
            rekor.logged_at(bundle, logs, key, encoded, signature.payload)
            return key
        except InvalidArgument as error:
            reason = error
    assert reason is not None
    raise reason


def _certified(
    requirement: Mapping[str, Any], signature: SigstoreSignature, encoded: str, logs: Sequence[bytes]
) -> Any:
    """The key of the certificate that came with the signature, when the policy trusts it."""
    from wherry.registry import rekor, sigstore_certificates

    notes = signature.annotations
    text = notes.get(signature_formats.CERTIFICATE, "").encode()
    if not text:
        raise InvalidArgument(f"missing {signature_formats.CERTIFICATE} annotation")
    leaf = sigstore_certificates.load(text, "certificate")[0]
    chain = notes.get(signature_formats.CHAIN, "").encode()
    if "pki" in requirement:
        rule = requirement["pki"]
        roots, more = data_of(rule, "caRoots"), data_of(rule, "caIntermediates")
        sigstore_certificates.check_pki(rule, b"".join(roots), b"".join(more), leaf, chain)
        return leaf.public_key()
    bundle = notes.get(signature_formats.BUNDLE, "")
    if not bundle:
        raise InvalidArgument(f"missing {signature_formats.BUNDLE} annotation")
    logged = rekor.logged_at(bundle, logs, text, encoded, signature.payload)
    rule = requirement["fulcio"]
    sigstore_certificates.check_fulcio(rule, b"".join(data_of(rule, "ca")), leaf, chain, logged)
    return leaf.public_key()


def _check_payload(data: bytes, kind: str, requirement: Mapping[str, Any], image: Candidate) -> None:
    payload = signature_formats.parse_payload(data)
    if payload.kind != kind:
        raise InvalidArgument(f"Unrecognized signature type {payload.kind}")
    rule = requirement.get("signedIdentity") or {"type": "matchRepoDigestOrExact"}
    if not identities.matches(rule, image.reference, payload.identity):
        raise InvalidArgument(f"Signature for identity {payload.identity} is not accepted")
    if payload.digest != image.digest:
        raise InvalidArgument(f"Signature for digest {payload.digest} does not match")


def data_of(table: Mapping[str, Any], name: str) -> list[bytes]:
    """What the keys *name*\\ Path, Paths, Data and Datas of a policy's table hold, files read and base64 decoded."""
    paths = [*table.get(f"{name}Paths", ()), *([table[f"{name}Path"]] if f"{name}Path" in table else ())]
    encoded = [*table.get(f"{name}Datas", ()), *([table[f"{name}Data"]] if f"{name}Data" in table else ())]
    try:
        return [read_bytes(path) for path in paths] + [base64.b64decode(text, validate=True) for text in encoded]
    except OSError as error:
        raise from_os_error(error, "reading key") from None
    except binascii.Error:
        raise InvalidArgument(f"{name} in the policy is not base64") from None
