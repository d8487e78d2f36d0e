"""``wherry container cleanup``: what conmon runs when a container's process or an exec session has ended.

It is started once per container end, so it decides early whether anything is left to do.
"""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import ALL, LATEST
from wherry.cli.flags import Flag, UsageError
from wherry.errors import NoSuchContainer, NotFound, StateError, WherryError
from wherry.model.ids import is_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

#: Length of a whole id.
FULL = 64

CLEANUP = (
    ALL,
    Flag("exec", metavar="session", help="Clean up this exec session instead"),
    LATEST,
    Flag("rm", kind="bool", help="Remove the container afterwards"),
    Flag("rmi", kind="bool", help="Remove the container and its image afterwards"),
    Flag("stopped-only", kind="bool", hidden=True),
)


def cleanup(call: Call) -> int:
    """Release what ended containers hold. A container that is gone already is fine: the work is done."""
    flags = call.flags
    if flags.given("exec") and (flags.on("all") or flags.on("latest")):
        raise UsageError("--exec can only be used when cleaning up a single container: invalid argument", see=False)
    targets.check(call)
    errors: list[WherryError] = []
    for target in targets.select(call):
        try:
            if flags.given("exec"):
                _session(call, target.text)
            else:
                _container(call, target.text)
        except WherryError as error:
            errors.append(error)
        else:
            call.out(target.shown + "\n")
    return targets.finish(errors)


def _session(call: Call, text: str) -> None:
    from wherry.engine.execs import finish

    try:
        text = call.runtime.containers.get(text).id
    except NotFound:
        pass        # it is gone, but the session's files may not be
    finish(call.runtime, text, call.flags.text("exec"))


def _container(call: Call, text: str) -> None:
    try:
        container = call.runtime.containers.get(text)
        try:
            container.cleanup()
        except StateError:
            if not call.flags.on("stopped-only"):
                raise
        if call.flags.on("rm") or call.flags.on("rmi"):
            image = container.config.rootfs_image_id
            container.remove()
            if call.flags.on("rmi") and image:
                call.runtime.images.remove(image)
    except NoSuchContainer:
        if not (len(text) == FULL and is_hex(text)):
            raise       # not what conmon says of a container that was removed meanwhile
