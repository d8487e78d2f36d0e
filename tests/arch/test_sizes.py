"""Files and functions stay small enough to be read at once."""

from __future__ import annotations

import ast

from tests.arch.sources import PACKAGE, ROOT, files, shown, tree

MOST_LINES = 600
MOST_BODY_LINES = 100


def test_files_are_short() -> None:
    sizes = {path: path.read_text(encoding="utf-8").count("\n") for path in files()}
    assert not {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size > MOST_LINES}


def test_functions_are_short() -> None:
    long = []
    for path in files():
        for node in ast.walk(tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) is not None else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > MOST_BODY_LINES:
                    long.append(f"{shown(path, node.lineno)}: {node.name} has {lines} lines")
    assert not long, "\n".join(long)


def test_modules_say_what_they_own() -> None:
    missing = [shown(path, 1) for path in files() if tree(path).body and not ast.get_docstring(tree(path))]
    assert not missing, "\n".join(missing)


def test_package_markers_import_nothing() -> None:
    """Importing a subpackage must cost nothing: its ``__init__`` holds a docstring only."""
    wrong = []
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent == PACKAGE:
            continue
        for node in tree(path).body:
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                wrong.append(shown(path, node.lineno))
    assert not wrong, "\n".join(wrong)
