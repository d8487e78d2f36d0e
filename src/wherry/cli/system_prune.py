"""``wherry system prune``, ``reset``, ``renumber`` and ``migrate``."""

from __future__ import annotations

from wherry.cli.containers_prune import confirm
from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import filters, finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

PRUNE = (
    Flag("all", "a", "bool", "Remove every image no container uses, not only nameless ones"),
    Flag("build", kind="bool", help="Remove what builds left behind"),
    Flag("external", kind="bool", help="Remove only what other engines left on the store"),
    Flag("filter", many=True, metavar="filters", help="Remove only what matches this condition (key=value)"),
    Flag("force", "f", "bool", "Do not ask"),
    Flag("volumes", kind="bool", help="Remove volumes no container uses as well"),
)
RESET = (
    Flag("force", "f", "bool", "Do not ask"),
    Flag("images", kind="bool", help="Remove the images no other engine uses as well"),
)
MIGRATE = (
    Flag("migrate-db", kind="bool", help="Accepted for Podman's sake; does nothing"),
    Flag("new-runtime", metavar="runtime", help="Accepted for Podman's sake; does nothing"),
)
_NOTHING = "containers have no lock numbers here and the database migrates itself: there is nothing to {}"


def prune(call: Call) -> int:
    """Remove everything nobody uses, after asking."""
    from wherry.cli.units import human_size
    from wherry.engine.system_prune import prune as prune_all

    flags = call.flags
    if flags.on("external") and (flags.on("all") or flags.on("volumes")):
        raise UsageError("--external cannot be combined with other options", see=False)
    chosen = filters(call)
    if not flags.on("force") and not confirm(call, _warning(call)):
        return 0
    gone = prune_all(
        call.runtime, all=flags.on("all"), volumes=flags.on("volumes"), external=flags.on("external"), filters=chosen
    )
    sections = (
        ("Pods", gone.pods), ("Containers", gone.containers), ("Volumes", gone.volumes), ("Images", gone.images),
        ("Networks", gone.networks),
    )
    for title, names in sections:
        if names:
            call.out(f"Deleted {title}\n" + "".join(name + "\n" for name in names))
    call.out(f"Total reclaimed space: {human_size(gone.reclaimed)}\n")
    return finish(gone.errors)


def _warning(call: Call) -> str:
    flags = call.flags
    if flags.on("external"):
        return "WARNING! This command removes external containers and dangling images."
    images = "all images without at least one container associated with them" if flags.on("all") else (
        "all dangling images"
    )
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if flags.on("volumes"):
        lines.append("all volumes not used by at least one container")
    lines += [images, "all dangling build cache"]
    return "WARNING! This command removes:\n" + "".join(f"\t- {line}\n" for line in lines)


def reset(call: Call) -> int:
    """Remove everything this engine made, after asking; images are shared and stay unless that is wanted too."""
    from wherry.engine.reset import reset as reset_engine

    images = call.flags.on("images")
    if not call.flags.on("force"):
        lines = ["all containers", "all pods", "all volumes", "all secrets", "all networks", "all state of this engine"]
        warning = "WARNING! This will remove:\n" + "".join(f"        - {line}\n" for line in lines)
        settings = call.runtime.settings.storage
        warning += f"from {settings.graph_root}"
        if not confirm(call, warning):
            return 0
        images = images or confirm(call, "Images are shared with other engines. Remove those nobody uses as well?")
    return finish(reset_engine(call.runtime, images=images))


def renumber(call: Call) -> int:
    """Say that there is nothing to do."""
    call.note(_NOTHING.format("renumber"))
    return 0


def migrate(call: Call) -> int:
    """Say that there is nothing to do."""
    call.note(_NOTHING.format("migrate"))
    return 0
