"""``wherry rmi``."""

from __future__ import annotations

from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import finish
from wherry.errors import NOT_FOUND, ImageInUse, NoSuchImage, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.call import Call

RM = (
    Flag("all", "a", "bool", "Remove all images"),
    Flag("force", "f", "bool", "Remove containers that use the image as well; missing images are no error"),
    Flag("ignore", "i", "bool", "Missing images are no error"),
    Flag("no-prune", kind="bool", help="Keep nameless parent images"),
)


def rm(call: Call) -> int:
    """Remove images or their names, printing ``Untagged:`` and ``Deleted:`` lines."""
    flags = call.flags
    everything, force = flags.on("all"), flags.on("force")
    if not call.args and not everything:
        raise UsageError("image name or ID must be specified", see=False)
    if call.args and everything:
        raise UsageError("when using the --all switch, you may not pass any images names or IDs", see=False)
    images = call.runtime.images
    # In the order of the store, as Podman does: what it prints depends on it.
    chosen = [record.id for record in call.runtime.store.images()] if everything else call.args
    ignore, keep = force or flags.on("ignore"), flags.on("no-prune")
    errors: list[WherryError] = []
    for text in chosen:
        try:
            lines = _whole(call, text, force) if everything else images.remove(text, force=force, keep_parents=keep)
        except NoSuchImage as error:
            if not ignore and not everything:       # what is built on it may have taken it along
                errors.append(error)
        except WherryError as error:
            errors.append(error)
        else:
            call.out("".join(line + "\n" for line in lines))
    if len(errors) > 1:
        told = "".join(f"\n\t* {error}" for error in errors)
        raise WherryError(f"{len(errors)} errors occurred:{told}", exit_code=exit_code(errors))
    return finish(errors, exit_code)


def _whole(call: Call, image_id: str, force: bool) -> list[str]:
    """Remove an image with all its names; containers that use it protect it unless forced."""
    images = call.runtime.images
    if force:
        return images.remove(image_id, force=True)
    lines: list[str] = []
    for name in images.get(image_id).names[1:]:
        lines += images.remove(name)
    return lines + images.remove(image_id)


def exit_code(errors: Sequence[WherryError]) -> int:
    """2 if any image is in use, 1 if all failures are missing images, else 125."""
    if any(isinstance(error, ImageInUse) for error in errors):
        return 2
    return 1 if {error.kind for error in errors} == {NOT_FOUND} else 125
