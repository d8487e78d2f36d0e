"""``wherry push``."""

from __future__ import annotations

from wherry.cli import transfer
from wherry.cli.flags import Flag
from wherry.cli.progress import reporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call
    from wherry.cli.flags import Parsed
    from wherry.engine.image_signing import SigningOptions

COMPRESSION = (
    Flag("compression-format", metavar="gzip | zstd | zstd:chunked", help="How to compress layers"),
    Flag("compression-level", kind="int", metavar="level", help="How hard to compress layers"),
    Flag("force-compression", kind="bool", help="Compress again what is compressed in another format"),
)
SIGNING = (
    Flag("remove-signatures", kind="bool", help="Leave out the signatures the image has"),
    Flag("sign-by", metavar="key", help="Sign with this GPG key"),
    Flag("sign-by-sigstore", metavar="param-file", help="Sign as this sigstore parameter file says"),
    Flag("sign-by-sigstore-private-key", metavar="path", help="Sign with this sigstore private key"),
    Flag("sign-by-sq-fingerprint", metavar="fingerprint", help="Sign with this Sequoia key"),
    Flag("sign-passphrase-file", metavar="path", help="File with the passphrase of the signing key"),
)
PUSH = (
    *transfer.ACCESS,
    *COMPRESSION,
    *SIGNING,
    Flag("compress", kind="bool", help="Compress layers when pushing to a dir: directory"),
    Flag("digestfile", metavar="Digestfile", help="Write the digest of the pushed manifest to this file"),
    Flag("disable-content-trust", kind="bool", help="Accepted for Docker's sake; does nothing"),
    Flag("encrypt-layer", kind="int", many=True, split=True, metavar="layer(s)", help="Layers to encrypt"),
    Flag("encryption-key", many=True, metavar="key", help="Key to encrypt the image with"),
    Flag("format", "f", metavar="format", help="Manifest type: oci or v2s2"),
    Flag("quiet", "q", "bool", "Show no progress"),
    transfer.RETRY,
    transfer.RETRY_DELAY,
    transfer.SIGNATURE_POLICY,
)
#: Accepted, but an error when used.
REFUSED = {
    "encrypt-layer": "encrypted images are not supported",
    "encryption-key": "encrypted images are not supported",
}


def push(call: Call) -> int:
    """Push an image to a registry, an archive or a directory."""
    flags = call.flags
    target = call.args[1] if len(call.args) > 1 else ""
    if flags.given("signature-policy"):     # images of the store may always be pushed, but the file must be a policy
        from wherry.config.policy import load_policy

        load_policy(flags.text("signature-policy"))
    pushed = call.runtime.images.push(
        call.args[0], target, progress=reporter(quiet=flags.on("quiet")), compress=flags.on("compress"),
        **options(flags),
    )
    if flags.given("digestfile"):
        from wherry.engine.image_push import write_digest

        write_digest(flags.text("digestfile"), pushed)
    return 0


def options(flags: Parsed) -> dict[str, Any]:
    """The keywords of a push that the flags say."""
    found = transfer.access(flags)
    found["remove_signatures"] = flags.on("remove-signatures")
    found["force_compression"] = flags.on("force-compression")
    for flag, option in (
        ("format", "format"), ("compression-format", "compression_format"),
    ):
        if flags.given(flag):
            found[option] = flags.text(flag)
    found["signing"] = _signing(flags)
    if flags.given("compression-level"):
        found["compression_level"] = flags.number("compression-level")
    return found


def _signing(flags: Parsed) -> SigningOptions:
    from wherry.engine.image_signing import SigningOptions

    return SigningOptions(
        sign_by=flags.text("sign-by"), sign_by_sigstore=flags.text("sign-by-sigstore"),
        sign_by_sigstore_private_key=flags.text("sign-by-sigstore-private-key"),
        sign_by_sq_fingerprint=flags.text("sign-by-sq-fingerprint"),
        passphrase_file=flags.text("sign-passphrase-file"), ask=ask_passphrase,
    )


def ask_passphrase() -> str:
    """The passphrase of a signing key, typed at the terminal."""
    from wherry.errors import InvalidArgument
    from wherry.sys.terminal import is_terminal

    if not is_terminal(0):
        raise InvalidArgument(
            "the passphrase of the signing key cannot be asked for: standard input is not a terminal",
            hint="use --sign-passphrase-file",
        )
    import getpass

    return getpass.getpass("Key Passphrase: ")
