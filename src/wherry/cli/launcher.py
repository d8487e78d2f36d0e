"""The ``wherry`` script: how wherry is started.

A console script made by pip starts the virtual environment's interpreter, which reads ``pyvenv.cfg``, imports
:mod:`site` and every ``.pth`` file; that costs more than most commands.  The script written here names the base
interpreter with ``-I -S`` and puts the directories wherry needs on the path itself.  UTF-8 mode makes argument and
stream encoding independent of the locale.  Modules come from a bundle (:mod:`wherry.cli.bundle_loader`) as long as it
fits the installed package.

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

_PATH = """\
import sys
sys.path[len(sys.path):] = {directories!r}
"""
#: The bundle is used if it was made from the package that is there now and for this Python.
_BUNDLE = """\
if sys.hexversion >> 16 == {version}:
    import marshal, posix
    try:
        s = posix.stat({package!r})
        if (s.st_mtime_ns, s.st_size) == {stamp!r}:
            f = posix.open({bundle!r}, 0o2000000)
            b = posix.pread(f, {head}, 0)
            i = posix.fstat(f).st_ino
            posix.close(f)
            n = 8 + int.from_bytes(b[:4], "little")
            e = n + int.from_bytes(b[4:8], "little")
            d = {{"__name__": "wherry.cli.bundle_loader"}}
            exec(marshal.loads(b[8:n]), d)
            d["install"]({bundle!r}, i, e, {directory!r}, marshal.loads(b[n:e]))
    except (OSError, ValueError, EOFError):
        pass
"""
_START = """\
from wherry.cli.main import console
console()
"""
#: To the shell the second line is exec, to Python a string.
_THROUGH_SHELL = """\
#!/bin/sh
'''exec' '{interpreter}' {flags} "$0" "$@"
' '''
"""


def script(interpreter: str, directories: list[str], bundle: str = "") -> str:
    """The text of the script. An interpreter the kernel could not be told is reached through ``/bin/sh``.

    *bundle* is a file made by :mod:`wherry.cli.bundle` from the package in the first of *directories*.
    """
    text = f"#!{interpreter} {FLAGS}\n"
    if len(text) > MAX_SHEBANG or any(char.isspace() for char in interpreter):
        text = _THROUGH_SHELL.format(interpreter=interpreter.replace("'", "'\\''"), flags=FLAGS)
    text += _PATH.format(directories=directories)
    if bundle:
        text += _from_bundle(directories[0], bundle)
    return text + _START


def _from_bundle(directory: str, bundle: str) -> str:
    package = os.path.join(directory, "wherry", "__init__.py")
    found = os.stat(package)
    with open(bundle, "rb") as stream:
        sizes = stream.read(8)
    return _BUNDLE.format(
        version=sys.hexversion >> 16,
        package=package,
        stamp=(found.st_mtime_ns, found.st_size),
        bundle=bundle,
        directory=directory,
        head=8 + int.from_bytes(sizes[:4], "little") + int.from_bytes(sizes[4:], "little"),
    )


def install(path: str) -> None:
    """Write the script for this installation of wherry to *path*, replacing what is there.

    An installed package (not a source tree, whose files change) also gets its bundle of compiled modules.
    """
    interpreter = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    where = directories()
    bundle = ""
    if os.path.basename(where[0]) in ("site-packages", "dist-packages"):
        from wherry.cli.bundle import build

        bundle = os.path.join(_package(), "bundle.bin")
        build(_package(), bundle)
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(script(interpreter, where, bundle))
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
    # Behind the standard library, before an installed wherry: it is this one that was asked for.
    installed = (
        index for index, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))
    )
    sys.path.insert(next(installed, len(sys.path)), os.path.dirname(_package()))
    from wherry.cli.main import console

    console()


if __name__ == "__main__":
    main()
