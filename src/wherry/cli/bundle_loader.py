"""Importing wherry's modules from one file; this module's code is itself stored at the head of that file.

Finding and reading a module the usual way takes a dozen system calls and twice the time unmarshalling takes; a command
imports sixty to eighty.  The file is made by :mod:`wherry.cli.bundle` when wherry is installed.  The launcher uses it
only as long as the installed package is the one it was made from.
"""

from __future__ import annotations

import sys
from _frozen_importlib import ModuleSpec
from marshal import loads
from posix import close, fstat, pread
from posix import open as open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

#: O_RDONLY | O_CLOEXEC: the number saves importing os.
FLAGS = 0o2000000


class BundleLoader:
    """Finder and loader for the modules of one bundle.

    The file is opened for each module rather than kept open: no descriptor of ours stands between those a user passes
    on.  If it has been replaced meanwhile (an upgrade under a long-running process), modules come from their sources.
    """

    def __init__(
        self, path: str, inode: int, start: int, directory: str, index: dict[str, tuple[int, int, bool]]
    ) -> None:
        self.path = path
        self.inode = inode
        self.start = start              # of the first module in the file
        self.directory = directory      # that holds the package
        self.index = index              # module -> (offset, size, is it a package)

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        entry = self.index.get(name)
        if entry is None:
            return None
        source = self.get_filename(name)
        spec = ModuleSpec(name, self, origin=source, is_package=entry[2])  # type: ignore[arg-type]
        if entry[2]:
            spec.submodule_search_locations = [source.rpartition("/")[0]]
        spec.has_location = True
        spec.cached = ""        # else the import system works out a path nobody asks for
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """The import system makes the module."""

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code(module.__name__), module.__dict__)

    def get_code(self, name: str) -> Any:
        """The code object of a module."""
        offset, size, _package = self.index[name]
        try:
            fd = open_file(self.path, FLAGS)
        except OSError:
            return _from_source(name, self.get_filename(name))
        try:
            if fstat(fd).st_ino != self.inode:
                return _from_source(name, self.get_filename(name))
            return loads(pread(fd, size, self.start + offset))
        finally:
            close(fd)

    def is_package(self, name: str) -> bool:
        return self.index[name][2]

    def get_filename(self, name: str) -> str:
        tail = "/__init__.py" if self.index[name][2] else ".py"
        return f"{self.directory}/{name.replace('.', '/')}{tail}"


def _from_source(name: str, source: str) -> Any:
    from _frozen_importlib_external import SourceFileLoader

    return SourceFileLoader(name, source).get_code(name)


def install(path: str, inode: int, start: int, directory: str, index: dict[str, tuple[int, int, bool]]) -> None:
    """Let every import of the package below *directory* come from the bundle at *path*."""
    sys.meta_path.insert(0, BundleLoader(path, inode, start, directory, index))
