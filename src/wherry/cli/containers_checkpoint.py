"""``wherry container checkpoint`` and ``container restore``: their words are known, what they do is not there yet."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import ALL, LATEST
from wherry.cli.flags import Flag
from wherry.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

_BOTH = (
    ALL,
    Flag("file-locks", kind="bool", help="Handle file locks"),
    Flag("ignore-rootfs", kind="bool", help="Leave changes of the root file system out"),
    Flag("ignore-volumes", kind="bool", help="Leave volumes out"),
    Flag("keep", "k", "bool", "Keep all temporary files"),
    LATEST,
    Flag("print-stats", kind="bool", help="Show how long it took"),
    Flag("tcp-established", kind="bool", help="Handle open TCP connections"),
)
CHECKPOINT = (
    *_BOTH,
    Flag("compress", "c", default="zstd", metavar="zstd | none | gzip", help="How to compress the archive"),
    Flag("create-image", metavar="image", help="Make an image of the checkpoint"),
    Flag("export", "e", metavar="archive", help="Write the checkpoint to an archive"),
    Flag("leave-running", "R", "bool", "Let the container go on"),
    Flag("pre-checkpoint", "P", "bool", "Copy memory only, the container goes on"),
    Flag("with-previous", kind="bool", help="Complete a pre-checkpoint"),
)
RESTORE = (
    *_BOTH,
    Flag("ignore-static-ip", kind="bool", help="Do not insist on the address"),
    Flag("ignore-static-mac", kind="bool", help="Do not insist on the MAC address"),
    Flag("import", "i", metavar="file", help="Restore from an archive"),
    Flag("import-previous", metavar="file", help="Archive of the pre-checkpoint"),
    Flag("name", "n", metavar="name", help="Name of the container made from an archive"),
    Flag("pod", metavar="name", help="Restore into this pod"),
    Flag("publish", "p", many=True, split=True, metavar="port", help="Publish these ports instead"),
    Flag("tcp-close", kind="bool", help="Close open TCP connections"),
)


def checkpoint(call: Call) -> int:
    """Freeze containers to disk."""
    return _unsupported(call, "checkpointing")


def restore(call: Call) -> int:
    """Bring frozen containers back."""
    return _unsupported(call, "restoring")


def _unsupported(call: Call, what: str) -> int:
    if not call.flags.given("import"):
        targets.check(call)
        for target in targets.select(call):
            call.runtime.containers.get(target.text)
    raise Unsupported(f"{what} containers is not supported yet: not yet implemented")
