"""Stand-ins for conmon and the runtime: shell scripts that say and do what a test wants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wherry.oci.conmon import Launch
from wherry.oci.runtime import OciRuntime


class Scripts:
    """Programs in a directory, and a record of how they were called."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls_file = directory / "calls"

    def program(self, name: str, body: str) -> str:
        """A script *name* that notes its arguments and then runs *body*."""
        path = self.directory / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls_file}\n{body}\n')
        path.chmod(0o755)
        return str(path)

    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    def runtime(self, body: str = "", name: str = "crun") -> OciRuntime:
        return OciRuntime(name, self.program(name, body))

    def conmon(self, body: str) -> str:
        """A conmon that writes a pid file for itself (if *body* wants ``$conmon_pid_file``), then runs *body*.

        ``say TEXT`` writes a line to the sync pipe.
        """
        prelude = (
            'say() { echo "$1" > /proc/self/fd/$_OCI_SYNCPIPE; }\n'
            'previous=; for word; do case $previous in --conmon-pidfile) conmon_pid_file=$word;; '
            '--container-pidfile) pid_file=$word;; esac; previous=$word; done\n'
        )
        return self.program("conmon", prelude + body)


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    directory = tmp_path / "bin"
    directory.mkdir()
    return Scripts(directory)


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    for name in ("bundle", "run"):
        (tmp_path / name).mkdir()
    return Launch(
        id="c0ffee", name="web", bundle=f"{tmp_path}/bundle", run_dir=f"{tmp_path}/run",
        log_path=f"{tmp_path}/run/ctr.log", exit_dir=f"{tmp_path}/exits", persist_dir=f"{tmp_path}/persist/c0ffee",
    )


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))
