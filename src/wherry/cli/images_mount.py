"""``wherry image mount`` and ``wherry image unmount``."""

from __future__ import annotations

from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import finish
from wherry.errors import InvalidArgument, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call
    from wherry.engine.image import Image

MOUNT = (
    Flag("all", "a", "bool", "Mount all images"),
    Flag("format", metavar="format", help="Show as json"),
)
UNMOUNT = (
    Flag("all", "a", "bool", "Unmount all images"),
    Flag("force", "f", "bool", "Unmount whatever the number of users"),
)


def mount(call: Call) -> int:
    """Mount images and print where; without arguments show what is mounted."""
    flags = call.flags
    if call.args and flags.on("all"):
        raise UsageError("when using the --all switch, you may not pass any images names or IDs", see=False)
    if flags.text("format") not in ("", "json"):
        raise InvalidArgument(f'unknown --format argument: "{flags.text("format")}"')
    images = call.runtime.images
    errors: list[WherryError] = []
    if not call.args and not flags.on("all"):
        found = images.mounted()
    else:
        chosen = images.list(all=True) if flags.on("all") else [images.get(text) for text in call.args]
        found = []
        for image in chosen:
            try:
                found.append((image, image.mount()))
            except WherryError as error:
                errors.append(error)
    if flags.text("format"):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty([_json(image, path) for image, path in found], 1) + "\n")
    elif len(found) == 1 and call.args:
        call.out(found[0][1] + "\n")
    elif found:
        from wherry.cli.tables import table

        call.out(table([(image.names[0] if image.names else image.id, path) for image, path in found]))
    return finish(errors)


def _json(image: Image, path: str) -> dict[str, Any]:
    return {"id": image.id, "Names": [image.digest], "Repositories": image.names, "mountpoint": path}


def unmount(call: Call) -> int:
    """Take mounts of images away and print the images' ids."""
    flags = call.flags
    everything = flags.on("all")
    if call.args and everything:
        raise UsageError("when using the --all switch, you may not pass any images names or IDs", see=False)
    if not call.args and not everything:
        raise UsageError("image name or ID must be specified", see=False)
    images = call.runtime.images
    chosen = [image for image, _path in images.mounted()] if everything else [images.get(text) for text in call.args]
    errors: list[WherryError] = []
    for image in chosen:
        try:
            image.unmount(force=flags.on("force"))
        except WherryError as error:
            errors.append(error)
        else:
            call.out(image.id + "\n")
    return finish(errors)
