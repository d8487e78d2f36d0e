"""Room kept for the day the disk is full.

What frees room - stopping a container that fills the disk, removing it or an image - has to write a little before it
can: states, the records of the store (which are replaced, not overwritten), the database's log.  So that is set aside
beforehand, in a file that is given up when one of these verbs finds no room.
"""

from __future__ import annotations

import os

from wherry.errors import NoSpace
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from wherry.engine.runtime import Runtime

    T = TypeVar("T")

#: Enough for the records of some thousand layers and containers.
SIZE = 1 << 20


def keep(runtime: Runtime) -> None:
    """Set the room aside unless it is; where there is none (or a quota) there is no reserve."""
    path = _path(runtime)
    if os.path.exists(path):
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(fd, 0, SIZE)
        except OSError:
            os.unlink(path)
        finally:
            os.close(fd)
    except OSError as error:
        log.debug(f"no reserve for a full disk: {error}")


def spend(runtime: Runtime, work: Callable[[], T]) -> T:
    """Do *work*, which frees room; again with the reserve when there is no room for it."""
    try:
        return work()
    except NoSpace:
        if not _give_up(runtime):
            raise
    result = work()
    keep(runtime)
    return result


def _give_up(runtime: Runtime) -> bool:
    try:
        os.unlink(_path(runtime))
    except OSError:
        return False
    return True


def _path(runtime: Runtime) -> str:
    return runtime.paths.state_dir + "/reserve"
