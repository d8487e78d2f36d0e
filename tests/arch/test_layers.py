"""Imports point down the layers of ARCHITECTURE.md; some things are done in one package only."""

from __future__ import annotations

import ast

from tests.arch.sources import files, imports, module_name, shown, tree

#: Package -> layer. A package may import from lower layers and from itself, never from another of its own layer.
LAYERS = {
    "errors": 0,
    "model": 1,
    "sys": 2,
    "config": 3,
    "archive": 4,
    "spec": 4,
    "storage": 5,
    "registry": 5,
    "network": 5,
    "oci": 5,
    "state": 5,
    "events": 5,
    "logs": 5,
    "secrets": 5,
    "health": 5,
    "engine": 6,
    "testing": 7,
    "build": 7,
    "kube": 7,
    "systemd": 7,
    "update": 7,
    "cli": 8,
    "service": 8,
    "__main__": 9,
}


def package_of(module: str) -> str:
    """The part of the name that has a layer; empty for wherry itself."""
    return module.split(".")[1] if "." in module else ""


def may_import(importer: str, imported: str) -> bool:
    """May a module of package *importer* import from package *imported*?"""
    if importer == imported or not importer or not imported:
        return True
    return LAYERS[imported] < LAYERS[importer]


def test_every_package_has_a_layer() -> None:
    found = {package_of(module_name(path)) for path in files()} - {""}
    assert found <= LAYERS.keys()


#: What a runtime offers although it is made above the engine: named for the type's sake, loaded by name when used.
NOUNS_ABOVE = frozenset((("wherry.engine.runtime", "wherry.update.auto_update"),))


def test_imports_point_down() -> None:
    wrong = []
    for path in files():
        importer = package_of(module_name(path))
        for line, imported in imports(path):
            if imported.startswith("wherry.") and package_of(imported) in LAYERS:
                target = package_of(imported)
                if not may_import(importer, target) and (module_name(path), imported) not in NOUNS_ABOVE:
                    wrong.append(f"{shown(path, line)}: {importer} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_the_rule_itself() -> None:
    assert may_import("cli", "engine")
    assert may_import("engine", "storage")
    assert not may_import("storage", "registry")
    assert not may_import("spec", "archive")
    assert not may_import("model", "sys")
    assert not may_import("engine", "cli")


#: Ways to the environment.
ENVIRONMENT = frozenset(("environ", "environb", "getenv", "getenvb", "putenv"))
#: Not reading it: what starts a process hands it on as it is.
HANDS_ON = frozenset(("wherry.sys.processes",))


def test_only_config_reads_the_environment() -> None:
    wrong = []
    for path in files():
        name = module_name(path)
        if package_of(name) == "config" or name in HANDS_ON:
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
                if isinstance(node.value, ast.Name) and node.value.id in ("os", "posix"):
                    wrong.append(f"{shown(path, node.lineno)}: os.{node.attr}")
            elif isinstance(node, ast.ImportFrom) and node.module in ("os", "posix"):
                names = [alias.name for alias in node.names if alias.name in ENVIRONMENT]
                wrong += [f"{shown(path, node.lineno)}: {name}" for name in names]
    assert not wrong, "\n".join(wrong)


def test_only_sys_calls_the_c_library() -> None:
    wrong = [
        f"{shown(path, line)}: {imported}"
        for path in files()
        if package_of(module_name(path)) != "sys"
        for line, imported in imports(path)
        if imported.split(".")[0] in ("ctypes", "_ctypes", "cffi")
    ]
    assert not wrong, "\n".join(wrong)
