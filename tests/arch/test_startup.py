"""What the short commands import: nothing that costs more than the command itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.arch.sources import ROOT

#: Standard modules too slow to import for a command that takes milliseconds.
BANNED = frozenset(
    "typing dataclasses enum re json logging asyncio inspect pathlib subprocess tempfile shutil contextlib datetime "
    "functools hashlib socket sqlite3 ssl tomllib urllib urllib3 ctypes argparse threading random signal selectors "
    "tarfile zipfile gettext collections importlib traceback".split()
)

#: Command -> modules it imports on its usual way, beyond those of every command.
COMMANDS = {
    "version": ("cli.system_version",),
    "ps": ("cli.containers_ps", "cli.tables", "engine.listing"),
    "create": ("cli.containers_create", "engine.create", "engine.host", "spec.resolve", "storage.store"),
    "run": (
        "cli.containers_create", "cli.streams", "engine.create", "engine.host", "engine.foreground", "engine.start",
        "engine.prepare", "engine.attach", "engine.cleanup", "engine.remove", "spec.resolve", "spec.compile",
        "storage.store", "oci.conmon", "oci.attach", "oci.choose",
    ),
    "start": ("cli.containers_start", "engine.start", "engine.prepare", "spec.compile", "storage.store", "oci.conmon"),
    "stop": ("cli.containers_stop", "engine.stop", "engine.cleanup", "oci.choose"),
    "rm": ("cli.containers_rm", "engine.remove", "engine.cleanup", "storage.store"),
    "exec": ("cli.containers_exec", "cli.streams", "engine.execs", "oci.exec", "oci.choose"),
    "inspect": ("cli.inspect", "engine.inspect", "engine.inspect_host", "engine.inspect_network"),
    "logs": ("cli.containers_logs", "engine.container_logs", "logs.copy", "logs.line"),
    "container cleanup": ("cli.containers_cleanup", "engine.exits", "engine.cleanup"),
}
#: Every command but version opens the engine.
ENGINE = ("cli.call", "cli.targets", "engine.runtime", "engine.containers", "config.load", "state.sqlite")


def imported(*modules: str) -> set[str]:
    """The names in ``sys.modules`` of a bare interpreter after importing *modules*."""
    lines = [
        "import sys",
        f"sys.path.append({str(ROOT / 'src')!r})",
        *(f"import {module}" for module in modules),
        "print(' '.join(sys.modules))",
    ]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "\n".join(lines)], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def unavoidable() -> set[str]:
    """What the interpreter itself and its SQLite module bring along."""
    return imported("os", "_sqlite3")


@pytest.mark.parametrize("command", COMMANDS)
def test_command_imports_nothing_heavy(command: str, unavoidable: set[str]) -> None:
    modules = COMMANDS[command] if command == "version" else (*ENGINE, *COMMANDS[command])
    found = imported("wherry.cli.main", *(f"wherry.{module}" for module in modules))
    heavy = {name for name in found - unavoidable if name.split(".")[0] in BANNED}
    assert not heavy, f"{command} imports {', '.join(sorted(heavy))}"


def test_version_opens_no_engine() -> None:
    found = imported("wherry.cli.main", *(f"wherry.{module}" for module in COMMANDS["version"]))
    assert not {name for name in found if name.startswith(("wherry.state", "wherry.storage", "wherry.config"))}
