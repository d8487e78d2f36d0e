"""Making the file :mod:`wherry.cli.bundle_loader` imports from: all modules of wherry, compiled and lean.

Layout: sizes of loader and index (4 bytes each, little endian), loader code, index, module codes; the last three
marshalled.  Lean means without docstrings, annotations of functions and what only type checkers read.
"""

from __future__ import annotations
import __future__

import ast
import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType

HEAD = 8


def build(package: str, target: str) -> None:
    """Write the bundle of the package directory *package* to *target*, replacing what is there."""
    index: dict[str, tuple[int, int, bool]] = {}
    codes: list[bytes] = []
    offset = 0
    for name, path in sorted(modules(package)):
        code = marshal.dumps(compile_lean(path))
        index[name] = (offset, len(code), os.path.basename(path) == "__init__.py")
        codes.append(code)
        offset += len(code)
    loader = marshal.dumps(compile_lean(os.path.join(package, "cli", "bundle_loader.py")))
    table = marshal.dumps(index)
    head = len(loader).to_bytes(4, "little") + len(table).to_bytes(4, "little")
    temporary = f"{target}.{os.getpid()}"
    with open(temporary, "wb") as stream:
        stream.write(head + loader + table)
        stream.writelines(codes)
    os.chmod(temporary, 0o644)
    os.replace(temporary, target)


def modules(package: str) -> Iterator[tuple[str, str]]:
    """Name and file of every module below the package directory."""
    root = os.path.dirname(package)
    for directory, _names, files in os.walk(package):
        for file in files:
            if file.endswith(".py"):
                path = os.path.join(directory, file)
                name = os.path.relpath(path, root).removesuffix(".py").replace(os.sep, ".")
                yield name.removesuffix(".__init__"), path


def compile_lean(path: str) -> CodeType:
    """The code object of a source file, behaving as the file does."""
    with open(path, encoding="utf-8") as stream:
        tree = Lean().visit(ast.parse(stream.read(), path))
    flags = __future__.annotations.compiler_flag
    code: CodeType = compile(ast.fix_missing_locations(tree), path, "exec", flags=flags, dont_inherit=True)
    return code


class Lean(ast.NodeTransformer):
    """Drops what a running program does not need."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        return self._body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._body(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        args = node.args
        for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg):
            if arg is not None:
                arg.annotation = None
        return self._body(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse or ast.Pass()
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "__future__" else node

    def _body(self, node: ast.Module | ast.ClassDef | ast.FunctionDef) -> ast.AST:
        """Without its docstring; a body must not be empty."""
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        self.generic_visit(node)
        if not node.body and not isinstance(node, ast.Module):
            node.body.append(ast.Pass())
        return node
