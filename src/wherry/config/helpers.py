"""Finding the programs the engine needs."""

from __future__ import annotations

import os
import sys

from wherry.sys.processes import find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.config.settings import Settings

#: Searched after helper_binaries_dir, whatever it says: where distributions install helpers.
_USUAL = ("/usr/lib/podman", "/usr/libexec/podman")


def find(settings: Settings, name: str) -> str:
    """The path of helper *name* (conmon, crun, netavark, aardvark-dns, catatonit, ...), empty when it is missing.

    In order: the paths containers.conf gives for it (``conmon_path``, ``[engine.runtimes]``, ``init_path``),
    ``CONTAINERS_HELPER_BINARY_DIR``, ``helper_binaries_dir``, the usual helper directories, ``PATH``.  An absolute
    path is only checked.
    """
    if name.startswith("/"):
        return find_program(name)
    engine = settings.engine
    if name == "conmon":
        configured = engine.conmon_path
    elif name == "conmonrs":
        configured = engine.conmonrs_path
    elif name == "catatonit":
        configured = (settings.containers.init_path, engine.init_path)
    else:
        configured = engine.runtimes.get(name, ())
    for path in configured:
        if path and find_program(_expand(path)):
            return _expand(path)
    environment = settings.environment
    directories = [
        environment.helper_binary_dir, *engine.helper_binaries_dir, *_USUAL, *environment.path.split(":"),
    ]
    return find_program(name, [_expand(directory) for directory in directories if directory])


def _expand(path: str) -> str:
    """``$BINDIR`` at the start stands for the directory of the running program."""
    if path.startswith("$BINDIR"):
        return os.path.dirname(os.path.realpath(sys.argv[0])) + path[len("$BINDIR"):]
    return path
