"""Signatures of what is pushed."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.registry.copy import Copied
    from wherry.registry.destination import ImageDestination
    from wherry.registry.progress import Reporter
    from wherry.registry.signing import Signer
    from wherry.registry.transports import Location


class SigningOptions(Record):
    """Who signs; empty: nobody. Several may."""

    sign_by: str = ""                           # a GPG key
    sign_by_sigstore: str = ""                  # a parameter file (containers-sigstore-signing-params.yaml(5))
    sign_by_sigstore_private_key: str = ""      # a file
    sign_by_sq_fingerprint: str = ""            # a key of Sequoia
    passphrase_file: str = ""
    passphrase: str | None = None
    ask: Callable[[], str] | None = None        # called for the passphrase of a sigstore key when none is given

    @property
    def wanted(self) -> bool:
        return bool(
            self.sign_by or self.sign_by_sigstore or self.sign_by_sigstore_private_key or self.sign_by_sq_fingerprint
        )


def signers(options: SigningOptions, location: Location) -> list[Signer]:
    """Those who sign what is written to *location*; keys are read and checked now, before anything is sent.

    Raises ``InvalidArgument``.
    """
    if not options.wanted:
        return []
    from wherry.registry import signing, signing_params

    if options.passphrase_file and options.sign_by and options.sign_by_sigstore_private_key:
        raise InvalidArgument(
            "only one of --sign-by and sign-by-sigstore-private-key can be used with --sign-passphrase-file"
        )
    passphrase = options.passphrase
    if options.passphrase_file:
        passphrase = signing_params.passphrase_of(options.passphrase_file)
    if location.transport != "docker":
        raise InvalidArgument(f"Cannot determine canonical Docker reference for destination {location}")

    def asked() -> str:
        if passphrase is not None:
            return passphrase
        return options.ask() if options.ask is not None else ""

    found: list[Signer] = []
    if options.sign_by:
        found.append(signing.GPGSigner(options.sign_by, passphrase))
    if options.sign_by_sq_fingerprint:
        found.append(signing.SequoiaSigner(options.sign_by_sq_fingerprint, passphrase))
    if options.sign_by_sigstore:
        found.append(signing_params.signer(options.sign_by_sigstore, asked))
    if options.sign_by_sigstore_private_key:
        found.append(signing.key_signer(options.sign_by_sigstore_private_key, asked()))
    return found


def put(
    destination: ImageDestination, location: Location, written: Copied, kept: Sequence[bytes],
    signing: Sequence[Signer], reporter: Reporter, *, instance: bool = False,
) -> None:
    """Store the signatures *kept* of the manifest *written*, and those made now."""
    made = []
    if signing:
        reporter.message("Signing manifest")
        made = [signer.sign(str(location.reference), written.digest) for signer in signing]
    if kept or made:
        reporter.message("Storing signatures")
        destination.put_signatures(written.digest, [*kept, *made], instance=instance)
