"""``wherry image prune``."""

from __future__ import annotations

from wherry.cli.containers_prune import confirm
from wherry.cli.flags import Flag
from wherry.cli.targets import filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

PRUNE = (
    Flag("all", "a", "bool", "Remove every image no container uses, not only nameless ones"),
    Flag("build-cache", kind="bool", help="Remove what builds keep; there is nothing yet"),
    Flag("external", kind="bool", help="Remove other engines' unused containers first"),
    Flag("filter", many=True, metavar="filters", help="Remove only images that match this condition (key=value)"),
    Flag("force", "f", "bool", "Do not ask"),
)


def prune(call: Call) -> int:
    """Remove images nobody uses, after asking; prints their ids."""
    flags = call.flags
    chosen = filters(call)
    what = "all images without at least one container associated with them" if flags.on("all") else (
        "all dangling images"
    )
    if not flags.on("force") and not confirm(call, f"WARNING! This command removes {what}."):
        return 0
    for gone in call.runtime.images.prune(all=flags.on("all"), external=flags.on("external"), filters=chosen):
        call.out(gone.id + "\n")
    return 0
