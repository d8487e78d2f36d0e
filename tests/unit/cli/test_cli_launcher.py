"""The launcher script and the bundle of modules it imports from."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import wherry
from wherry.cli import bundle, launcher

PACKAGE = Path(wherry.__file__).parent
INTERPRETER = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
#: Prints the version, and where the module that did it came from.
WHO = "\nimport wherry.cli.main as m; print(type(m.__spec__.loader).__name__, m.__file__)\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(script: Path, *words: str) -> str:
    return subprocess.run([script, *words], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package in a directory of its own, with its bundle."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE, site / "wherry", ignore=shutil.ignore_patterns("__pycache__"))
    bundle.build(str(site / "wherry"), str(site / "bundle.bin"))
    return site


def asking(script: str) -> str:
    """*script*, saying where its modules come from instead of running a command."""
    return script.replace("from wherry.cli.main import console\nconsole()\n", WHO)


def test_the_script_runs_wherry(tmp_path: Path) -> None:
    script = write(tmp_path / "wherry", launcher.script(INTERPRETER, [str(PACKAGE.parent)]))
    assert script.read_text().splitlines()[0] == f"#!{INTERPRETER} -ISXutf8"
    assert run(script, "--version") == f"wherry version {wherry.__version__}\n"


def test_a_link_called_podman_changes_the_name(tmp_path: Path) -> None:
    write(tmp_path / "wherry", launcher.script(INTERPRETER, [str(PACKAGE.parent)]))
    (tmp_path / "podman").symlink_to("wherry")
    assert run(tmp_path / "podman", "--version") == f"podman version {wherry.__version__}\n"


def test_an_interpreter_with_an_odd_path_is_reached_through_the_shell(tmp_path: Path) -> None:
    odd = tmp_path / "it's an odd place"
    odd.mkdir()
    (odd / "python").symlink_to(INTERPRETER)
    for interpreter in (str(odd / "python"), "/" + "/".join(["." * 1] * 60) + INTERPRETER):
        script = write(tmp_path / "wherry", launcher.script(interpreter, [str(PACKAGE.parent)]))
        assert script.read_text().startswith("#!/bin/sh\n")
        assert run(script, "--version") == f"wherry version {wherry.__version__}\n"


def test_modules_come_from_the_bundle(installed: Path, tmp_path: Path) -> None:
    text = launcher.script(INTERPRETER, [str(installed)], str(installed / "bundle.bin"))
    assert run(write(tmp_path / "wherry", text), "--version") == f"wherry version {wherry.__version__}\n"
    assert run(write(tmp_path / "ask", asking(text))) == f"BundleLoader {installed}/wherry/cli/main.py\n"


def test_a_changed_package_is_not_served_from_an_old_bundle(installed: Path, tmp_path: Path) -> None:
    text = asking(launcher.script(INTERPRETER, [str(installed)], str(installed / "bundle.bin")))
    script = write(tmp_path / "ask", text)
    marker = installed / "wherry" / "__init__.py"
    before = marker.stat()
    os.utime(marker, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert run(script).startswith("SourceFileLoader")
    os.utime(marker, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(script).startswith("BundleLoader")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_a_damaged_bundle_is_no_obstacle(damage: str, installed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle.bin"
    shutil.copy(installed / "bundle.bin", copy)
    script = write(tmp_path / "ask", asking(launcher.script(INTERPRETER, [str(installed)], str(copy))))
    if damage == "missing":
        copy.unlink()
    else:
        copy.write_bytes(b"" if damage == "empty" else copy.read_bytes()[:100])
    assert run(script).startswith("SourceFileLoader")


def test_a_bundle_replaced_under_a_running_process_is_not_mixed_with_it(installed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle.bin"
    shutil.copy(installed / "bundle.bin", copy)
    replace = f"import os, shutil; p = {str(copy)!r}; shutil.copy(p, p + 'x'); os.replace(p + 'x', p)"
    text = launcher.script(INTERPRETER, [str(installed)], str(copy)).replace(
        "from wherry.cli.main import console\nconsole()\n",
        f"import wherry.errors; {replace}\nimport wherry.cli.units as u; print(u.human_size(5))\n",
    )
    assert run(write(tmp_path / "ask", text)) == "5B\n"


def test_lean_code_behaves_the_same(tmp_path: Path) -> None:
    source = tmp_path / "m.py"
    source.write_text(
        '"""Doc."""\nfrom __future__ import annotations\nTYPE_CHECKING = False\n'
        "if TYPE_CHECKING:\n    import nothing\nelse:\n    found = 1\n"
        'class C:\n    """Doc."""\n    x: int = 3\n    def f(self, a: Missing, *b: Missing, **c: Missing) -> Missing:\n'
        '        """Doc."""\n\nclass Empty:\n    """Doc."""\n'
    )
    scope: dict[str, object] = {"__name__": "m"}
    exec(bundle.compile_lean(str(source)), scope)
    made = scope["C"]
    assert scope["found"] == 1
    assert "annotations" not in scope
    assert made.__annotations__ == {"x": "int"}  # type: ignore[attr-defined]
    assert made.__doc__ is None
    assert made().f(1) is None  # type: ignore[operator]
    assert made.f.__annotations__ == {}  # type: ignore[attr-defined]


def test_every_module_is_in_the_bundle() -> None:
    names = {name for name, _path in bundle.modules(str(PACKAGE))}
    assert {"wherry", "wherry.cli", "wherry.cli.main", "wherry.errors"} <= names
    for _name, path in bundle.modules(str(PACKAGE)):
        ast.parse(Path(path).read_text(encoding="utf-8"))


def test_the_launcher_itself_starts_wherry() -> None:
    words = [sys.executable, "-I", launcher.__file__, "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"wherry version {wherry.__version__}\n"
