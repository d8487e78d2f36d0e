"""``wherry volume``: everything but listing and inspecting."""

from __future__ import annotations

import sys

from wherry.cli.containers_prune import confirm
from wherry.cli.containers_stop import seconds
from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import filters, finish
from wherry.errors import IN_USE, NOT_FOUND, NoSuchVolume, WherryError, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.call import Call

CREATE = (
    Flag("driver", "d", default="local", metavar="driver", help="Driver of the volume"),
    Flag("gid", kind="int", default="0", metavar="gid", help="Group that owns the volume"),
    Flag("ignore", kind="bool", help="Do not fail if the volume exists"),
    Flag("label", "l", many=True, metavar="label", help="Attach a label to the volume (key=value)"),
    Flag("opt", "o", many=True, metavar="option", help="Option of the driver (type=, device=, o=)"),
    Flag("uid", kind="int", default="0", metavar="uid", help="User that owns the volume"),
)
EXPORT = (Flag("output", "o", metavar="file", help="Write to this file instead of standard output"),)
PRUNE = (
    Flag("filter", many=True, metavar="filter", help="Remove only volumes that match this condition (key=value)"),
    Flag("force", "f", "bool", "Do not ask"),
)
RM = (
    Flag("all", "a", "bool", "Remove all volumes"),
    Flag("force", "f", "bool", "Remove the containers that use the volume as well"),
    Flag("time", "t", "int", "Seconds to wait before a running container is killed", default="10", metavar="seconds"),
)


def create(call: Call) -> int:
    """Create a volume and print its name."""
    from wherry.engine.volume_options import read
    from wherry.spec.parse_environment import labels

    flags = call.flags
    volume = call.runtime.volumes.create(
        call.args[0] if call.args else "",
        driver=flags.text("driver"),
        options=read(flags.many("opt")),
        labels=labels(flags.many("label")),
        uid=flags.number("uid") if flags.given("uid") else None,
        gid=flags.number("gid") if flags.given("gid") else None,
        exist_ok=flags.on("ignore"),
    )
    call.out(volume.name + "\n")
    return 0


def exists(call: Call) -> int:
    """0 when there is such a volume, 1 when not."""
    return 0 if call.runtime.volumes.exists(call.args[0]) else 1


def export(call: Call) -> int:
    """Write a volume's content as a tar archive."""
    import os

    path = call.flags.text("output")
    volume = call.runtime.volumes.get(call.args[0])
    if not path:
        if os.isatty(1):
            raise UsageError("refusing to export to terminal. Use -o flag or redirect", see=False)
        for piece in volume.export():
            sys.stdout.buffer.write(piece)
        return 0
    try:
        with open(path, "wb") as file:
            for piece in volume.export():
                file.write(piece)
    except OSError as error:
        raise from_os_error(error, "writing the archive") from None
    return 0


def import_volume(call: Call) -> int:
    """Unpack a tar archive over a volume's content."""
    name, path = call.args
    volume = call.runtime.volumes.get(name)
    if path == "-":
        volume.import_tar(sys.stdin.buffer)
        return 0
    try:
        with open(path, "rb") as file:
            volume.import_tar(file)
    except OSError as error:
        raise from_os_error(OSError(error.errno, error.strerror), f"open {path}") from None
    return 0


def mount(call: Call) -> int:
    """Mount a volume and print where."""
    call.out(call.runtime.volumes.get(call.args[0]).mount() + "\n")
    return 0


def unmount(call: Call) -> int:
    """Undo one ``volume mount``."""
    volume = call.runtime.volumes.get(call.args[0])
    volume.unmount()
    call.out(volume.name + "\n")
    return 0


def prune(call: Call) -> int:
    """Remove the volumes no container uses, after asking; prints their names."""
    chosen = filters(call)
    if not call.flags.on("force"):
        found = call.runtime.volumes.prunable(chosen)
        warning = (
            "WARNING! This will remove all volumes not used by at least one container. "
            "The following volumes will be removed:"
        )
        if not found:
            call.out(warning + "\nNo dangling volumes found\n")
            return 0
        if not confirm(call, "\n".join([warning, *(volume.name for volume in found)])):
            return 0
    for name in call.runtime.volumes.prune(chosen):
        call.out(name + "\n")
    return 0


def reload(call: Call) -> int:
    """Compare the database with the volume plugins."""
    added, removed, errors = call.runtime.volumes.reload()
    for title, names in (("Added", added), ("Removed", removed)):
        if names:
            call.out(f"{title}:\n" + "".join(name + "\n" for name in names))
    return finish(errors)


def rm(call: Call) -> int:
    """Remove volumes."""
    flags = call.flags
    everything, force = flags.on("all"), flags.on("force")
    if bool(call.args) == everything:
        raise UsageError("choose either one or more volumes or all", see=False)
    collection = call.runtime.volumes
    names = [volume.name for volume in collection.list()] if everything else call.args
    errors: list[WherryError] = []
    for name in names:
        try:
            collection.get(name).remove(force=force, timeout=seconds(call))
        except NoSuchVolume as error:
            if not force:
                errors.append(error)
        except WherryError as error:
            errors.append(error)
        else:
            call.out(name + "\n")
    return finish(errors, exit_code)


def exit_code(errors: Sequence[WherryError]) -> int:
    """1 if any volume was missing, else 2 if any was in use, else 125."""
    kinds = {error.kind for error in errors}
    if NOT_FOUND in kinds:
        return 1
    return 2 if IN_USE in kinds else 125
