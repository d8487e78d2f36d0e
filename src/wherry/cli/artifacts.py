"""``wherry artifact``: add, extract, pull, push, rm."""

from __future__ import annotations

from wherry.cli import transfer
from wherry.cli.flags import Flag, UsageError
from wherry.cli.progress import reporter
from wherry.cli.targets import finish
from wherry.errors import InvalidArgument, NotFound, WherryError
from wherry.model.digest import encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

ADD = (
    Flag("annotation", many=True, metavar="annotation=value", help="Annotation of the artifact and its files"),
    Flag("append", "a", "bool", "Add the files to an artifact that exists"),
    Flag("file-type", help="Media type of the files, instead of what they look like"),
    Flag("replace", kind="bool", help="Take the place of an artifact of that name"),
    Flag("type", help="Media type of the artifact"),
)
EXTRACT = (
    Flag("digest", metavar="digest", help="Only the file with this digest"),
    Flag("title", metavar="title", help="Only the file with this title"),
)
_TRANSFER = (*transfer.ACCESS, transfer.RETRY, transfer.RETRY_DELAY, Flag("quiet", "q", "bool", "Show no progress"))
PULL = (
    *_TRANSFER,
    Flag("decryption-key", many=True, metavar="key[:passphrase]", help="Key for an encrypted artifact"),
)
PUSH = (
    *_TRANSFER,
    Flag("digestfile", metavar="Digestfile", help="Write the digest of the pushed manifest to this file"),
    Flag("sign-by", metavar="key", help="Sign with this GPG key"),
    Flag("sign-by-sigstore", metavar="param-file", help="Sign as this sigstore parameter file says"),
    Flag("sign-by-sigstore-private-key", metavar="path", help="Sign with this sigstore private key"),
    Flag("sign-by-sq-fingerprint", metavar="fingerprint", help="Sign with this Sequoia key"),
    Flag("sign-passphrase-file", metavar="path", help="File with the passphrase of the signing key"),
    transfer.SIGNATURE_POLICY,
)
RM = (
    Flag("all", "a", "bool", "Remove all artifacts"),
    Flag("ignore", "i", "bool", "Missing artifacts are no error"),
)
#: Accepted, but an error when used.
REFUSED = {
    "decryption-key": "encrypted artifacts are not supported",
    "signature-policy": "a policy other than the host's is not supported for artifacts",
    **dict.fromkeys((
        "sign-by", "sign-by-sigstore", "sign-by-sigstore-private-key", "sign-by-sq-fingerprint",
        "sign-passphrase-file",
    ), "signing artifacts is not supported yet"),
}


def add(call: Call) -> int:
    """Store files as an artifact and print its digest."""
    from wherry.spec.parse_values import pairs

    flags = call.flags
    if flags.on("append") and flags.on("replace"):
        raise UsageError("--append and --replace options cannot be used together", see=False)
    annotations = flags.many("annotation")
    made = call.runtime.artifacts.add(
        call.args[0], call.args[1:], type=flags.text("type"), file_type=flags.text("file-type"),
        annotations=pairs(annotations, "must be formatted as key=value") if annotations else None,
        append=flags.on("append"), replace=flags.on("replace"),
    )
    call.out(encoded(made.digest) + "\n")
    return 0


def extract(call: Call) -> int:
    """Copy files out of an artifact."""
    name, target = call.args
    call.runtime.artifacts.extract(name, target, title=call.flags.text("title"), digest=call.flags.text("digest"))
    return 0


def pull(call: Call) -> int:
    """Fetch an artifact and print its digest."""
    progress = reporter(quiet=call.flags.on("quiet"))
    found = call.runtime.artifacts.pull(call.args[0], progress=progress, **transfer.access(call.flags))
    call.out(encoded(found.digest) + "\n")
    return 0


def push(call: Call) -> int:
    """Copy an artifact to its registry."""
    flags = call.flags
    digest = call.runtime.artifacts.push(
        call.args[0], progress=reporter(quiet=flags.on("quiet")), **transfer.access(flags)
    )
    if flags.given("digestfile"):
        from wherry.engine.image_push import write_digest

        write_digest(flags.text("digestfile"), digest)
    return 0


def rm(call: Call) -> int:
    """Remove artifacts and print their digests."""
    everything = call.flags.on("all")
    if everything and call.args:
        raise InvalidArgument("when using the --all switch, you may not pass any artifact names or digests")
    if not everything and not call.args:
        raise UsageError("a single argument must be specified", see=False)
    artifacts = call.runtime.artifacts
    errors: list[WherryError] = []
    for name in [one.name or one.digest for one in artifacts.list()] if everything else call.args:
        try:
            call.out(encoded(artifacts.remove(name).digest) + "\n")
        except NotFound as error:
            if not call.flags.on("ignore"):
                errors.append(error)
        except WherryError as error:
            errors.append(error)
    return finish(errors)
