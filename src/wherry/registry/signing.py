"""Making signatures: who signs, with which key, and what comes out."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from wherry.errors import InvalidArgument, Unavailable, from_os_error
from wherry.registry import openpgp, signature_formats, sigstore_keys
from wherry.registry.signature_formats import SigstoreSignature
from wherry.sys.files import read_bytes
from wherry.sys.processes import find_program, run

if TYPE_CHECKING:
    from wherry.registry.fulcio import Fulcio


class Signer:
    """Signs manifests."""

    def sign(self, identity: str, digest: str) -> bytes:
        """A signature, as it is stored, that says that *identity* (a docker reference) is the manifest *digest*."""
        raise NotImplementedError


class GPGSigner(Signer):
    """Simple signing with a secret key of the user's key ring; *passphrase* None: gpg's agent knows, or asks."""

    def __init__(self, key: str, passphrase: str | None = None) -> None:
        if not openpgp.has_secret_key(key):
            raise InvalidArgument(f"signing with key {key}: no such secret key")
        self._key = key
        self._passphrase = passphrase

    def sign(self, identity: str, digest: str) -> bytes:
        payload = signature_formats.make_payload(signature_formats.ATOMIC, identity, digest)
        return openpgp.signed(payload, self._key, self._passphrase)


class SequoiaSigner(Signer):
    """Simple signing with ``sq``, the tool of Sequoia-PGP, and a key of its key store."""

    def __init__(self, fingerprint: str, passphrase: str | None = None) -> None:
        self._program = find_program("sq")
        if not self._program:
            raise Unavailable(
                f"signing with key {fingerprint}: sq, the tool of Sequoia-PGP, is missing",
                hint="install the package sq",
            )
        if passphrase is not None:
            raise InvalidArgument("sq asks for passphrases itself: --sign-passphrase-file cannot be used with it")
        self._fingerprint = fingerprint

    def sign(self, identity: str, digest: str) -> bytes:
        payload = signature_formats.make_payload(signature_formats.ATOMIC, identity, digest)
        done = run([self._program, "sign", "--binary", "--signer", self._fingerprint, "--message", "-"], input=payload)
        if done.returncode or not done.stdout:
            said = [line for line in done.stderr.decode(errors="replace").splitlines() if line]
            raise InvalidArgument(f"signing with key {self._fingerprint}: {said[-1] if said else 'sq failed'}")
        return done.stdout


class SigstoreSigner(Signer):
    """Signing with a key pair; *rekor* is the URL of a log to note the signature in, or empty."""

    def __init__(self, key: Any, *, rekor: str = "", fulcio: Fulcio | None = None) -> None:
        self._key = key
        self._rekor = rekor
        self._fulcio = fulcio

    def sign(self, identity: str, digest: str) -> bytes:
        payload = signature_formats.make_payload(signature_formats.COSIGN, identity, digest)
        encoded = base64.b64encode(sigstore_keys.sign(self._key, payload)).decode()
        notes = {signature_formats.SIGNATURE: encoded}
        signer = sigstore_keys.public_pem(self._key)
        if self._fulcio is not None:
            signer, chain = self._fulcio.certificate(self._key)
            notes[signature_formats.CERTIFICATE] = signer.decode()
            if chain:
                notes[signature_formats.CHAIN] = chain.decode()
        if self._rekor:
            from wherry.registry import rekor

            notes[signature_formats.BUNDLE] = rekor.upload(self._rekor, signer, encoded, payload)
        return signature_formats.encode(SigstoreSignature(payload=payload, annotations=notes))


def key_signer(path: str, passphrase: str, rekor: str = "") -> SigstoreSigner:
    """A signer with the private key in the file *path*, encrypted with *passphrase*."""
    try:
        data = read_bytes(path)
    except OSError as error:
        raise from_os_error(error, "reading private key") from None
    return SigstoreSigner(sigstore_keys.load_private(data, passphrase), rekor=rekor)
