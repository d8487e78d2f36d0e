"""The ``wherry`` script: how wherry is started, and how it starts itself again.

A console script made by pip starts the virtual environment's interpreter, which reads ``pyvenv.cfg``, imports
:mod:`site` and every ``.pth`` file; that costs more than most commands.  The script written here names the base
interpreter with ``-I -S`` and puts the directories wherry needs on the path itself.  UTF-8 mode makes argument and
stream encoding independent of the locale.

Run as a program, this file starts wherry from wherever it lies: the fallback of :func:`wherry.sys.program.command`,
which tells how wherry is started again.
"""

from __future__ import annotations

import os
import sys

#: One word: the kernel passes everything behind the interpreter's path as a single argument.
FLAGS = "-ISXutf8"
#: Longest ``#!`` line every kernel in use accepts.
MAX_SHEBANG = 127

_BODY = """\
import sys
sys.path[len(sys.path):] = {directories!r}
from wherry.cli.main import console
console()
"""


def script(interpreter: str, directories: list[str]) -> str:
    """The text of the script. An interpreter the kernel could not be told is reached through ``/bin/sh``."""
    first = f"#!{interpreter} {FLAGS}\n"
    if len(first) > MAX_SHEBANG or any(char.isspace() for char in interpreter):
        quoted = interpreter.replace("'", "'\\''")
        # To the shell the second line is exec, to Python a string.
        first = f"#!/bin/sh\n'''exec' '{quoted}' {FLAGS} \"$0\" \"$@\"\n' '''\n"
    return first + _BODY.format(directories=directories)


def install(path: str) -> None:
    """Write the script for this installation of wherry to *path*, replacing what is there."""
    interpreter = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(script(interpreter, directories()))
    os.chmod(temporary, 0o755)
    os.replace(temporary, path)


def directories() -> list[str]:
    """Where wherry itself and its dependencies are."""
    import sysconfig

    found = [os.path.dirname(_package())]
    for name in ("purelib", "platlib"):
        path = sysconfig.get_path(name)
        if path not in found:
            found.append(path)
    return found


def _package() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main() -> None:
    """As a program: ``launcher.py WORDS...`` runs wherry."""
    sys.path.append(os.path.dirname(_package()))
    from wherry.cli.main import console

    console()


if __name__ == "__main__":
    main()
