"""Certificates with sigstore signatures: those of Fulcio (keyless signing), and of a private PKI.

Sources: containers-policy.json(5) ("fulcio", "pki"); sigstore's "Fulcio OIDs" for the issuer's extension.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wherry.errors import InvalidArgument
from wherry.registry.sigstore_keys import pem_blocks

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_ISSUER_V1 = "1.3.6.1.4.1.57264.1.1"        # the issuer as bare bytes
_ISSUER_V2 = "1.3.6.1.4.1.57264.1.8"        # the issuer as a DER UTF8String
_LONGEST_CHAIN = 8


def load(data: bytes, what: str) -> list[Certificate]:
    """The certificates in PEM *data*, at least one. Raises :class:`InvalidArgument`."""
    from cryptography import x509

    try:
        found = [x509.load_pem_x509_certificate(block) for block in pem_blocks(data, "CERTIFICATE")]
    except ValueError as error:
        raise InvalidArgument(f"parsing {what}: {error}") from None
    if not found:
        raise InvalidArgument(f"parsing {what}: no certificate found")
    return found


def check_fulcio(rule: Mapping[str, Any], roots: bytes, leaf: Certificate, chain: bytes, signed_at: int) -> None:
    """Was *leaf* issued to the person the policy wants, and valid when the signature was logged (Unix time)?

    *roots* are the CA's certificates, *chain* further ones that came with the signature, both PEM.
    """
    moment = datetime.fromtimestamp(signed_at, UTC)
    _check_chain(leaf, _intermediates(chain), load(roots, "CA certificates"), leaf.not_valid_before_utc)
    if not leaf.not_valid_before_utc <= moment <= leaf.not_valid_after_utc:
        raise InvalidArgument(f"the signature was made at {moment.isoformat()}, when its certificate was not valid")
    issuer = _oidc_issuer(leaf)
    if issuer != rule["oidcIssuer"]:
        raise InvalidArgument(f'Unexpected Fulcio OIDC issuer "{issuer}"')
    _check_email(leaf, rule["subjectEmail"])


def check_pki(rule: Mapping[str, Any], roots: bytes, more: bytes, leaf: Certificate, chain: bytes) -> None:
    """Was *leaf* issued by the policy's PKI to the subject it wants, and is it valid now?"""
    intermediates = [*_intermediates(more), *_intermediates(chain)]
    now = datetime.now(UTC)
    _check_chain(leaf, intermediates, load(roots, "CA certificates"), now)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise InvalidArgument("the certificate of the signature is not valid now")
    if rule.get("subjectEmail"):
        _check_email(leaf, rule["subjectEmail"])
    if rule.get("subjectHostname"):
        names = _alternative_names(leaf, "DNSName")
        if rule["subjectHostname"] not in names:
            raise InvalidArgument(f"Unexpected subject: hostname {rule['subjectHostname']} not found (got {names})")


def _intermediates(data: bytes) -> list[Certificate]:
    return load(data, "certificate chain") if data.strip() else []


def _check_chain(
    leaf: Certificate, intermediates: Sequence[Certificate], roots: Sequence[Certificate], moment: datetime
) -> None:
    """Is there a way from *leaf* to one of *roots*, every certificate valid at *moment* and allowed to issue?"""
    _check_usage(leaf)
    pending: list[tuple[Certificate, int]] = [(leaf, 0)]
    seen = {leaf.tbs_certificate_bytes}
    while pending:
        current, depth = pending.pop()
        if any(_issued(current, root, moment, depth) for root in roots):
            return
        for other in intermediates if depth < _LONGEST_CHAIN else ():
            if other.tbs_certificate_bytes not in seen and _issued(current, other, moment, depth):
                seen.add(other.tbs_certificate_bytes)
                pending.append((other, depth + 1))
    raise InvalidArgument("verifying leaf certificate failed: certificate signed by unknown authority")


def _issued(certificate: Certificate, issuer: Certificate, moment: datetime, below: int) -> bool:
    """Did *issuer*, a CA, issue *certificate*, which has *below* CA certificates under it?"""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        may_sign = True
    else:
        may_sign = usage.key_cert_sign
    fits = constraints.path_length is None or below <= constraints.path_length
    return constraints.ca and may_sign and fits and issuer.not_valid_before_utc <= moment <= issuer.not_valid_after_utc


def _check_usage(leaf: Certificate) -> None:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usages: Iterable[Any] = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        raise InvalidArgument("the certificate of the signature is not one for code signing") from None
    if not {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usages):
        raise InvalidArgument("the certificate of the signature is not one for code signing")


def _oidc_issuer(leaf: Certificate) -> str:
    from cryptography import x509

    values = {
        extension.oid.dotted_string: extension.value.value
        for extension in leaf.extensions if isinstance(extension.value, x509.UnrecognizedExtension)
    }
    old = values.get(_ISSUER_V1)
    new = values.get(_ISSUER_V2)
    if new is not None:
        new = _utf8_string(new)
        if old is not None and old != new:
            raise InvalidArgument("the certificate names two different OIDC issuers")
    found = new if new is not None else old
    if found is None:
        raise InvalidArgument("Fulcio certificate is missing the issuer extension")
    return found.decode(errors="replace")


def _utf8_string(data: bytes) -> bytes:
    """The content of a DER UTF8String of at most 127 bytes, or with a one-byte long length."""
    if len(data) >= 2 and data[0] == 0x0C and data[1] == len(data) - 2 < 0x80:
        return data[2:]
    if len(data) >= 3 and data[0] == 0x0C and data[1] == 0x81 and data[2] == len(data) - 3 >= 0x80:
        return data[3:]
    raise InvalidArgument("the certificate's issuer extension is damaged")


def _alternative_names(leaf: Certificate, kind: str) -> list[str]:
    from cryptography import x509

    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name) for name in names.get_values_for_type(getattr(x509, kind))]


def _check_email(leaf: Certificate, wanted: str) -> None:
    names = _alternative_names(leaf, "RFC822Name")
    if wanted not in names:
        raise InvalidArgument(f'Required email "{wanted}" not found (got {names})')
