"""The same command lines given to real Podman and to wherry under Podman's name, on one store."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.helpers.images import busybox_image, write_docker_archive
from tests.helpers.podman import Tools

import wherry
from wherry.cli import launcher

SOURCES = str(Path(wherry.__file__).parents[1])


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


class Pair:
    """Podman and wherry, on the same store unless told otherwise."""

    def __init__(self, tools: Tools, script: Path) -> None:
        self.tools = tools
        self._script = script
        self._where = ["--root", tools.graph_root, "--runroot", tools.run_root]

    def podman(self, *words: str, store: bool = True) -> Outcome:
        return self._run("podman", words, store)

    def wherry(self, *words: str, store: bool = True) -> Outcome:
        return self._run(str(self._script), words, store)

    def both(self, *words: str, store: bool = True) -> tuple[Outcome, Outcome]:
        return self.podman(*words, store=store), self.wherry(*words, store=store)

    def _run(self, program: str, words: tuple[str, ...], store: bool) -> Outcome:
        argv = [program, *(self._where if store else ()), *words]
        done = subprocess.run(argv, env=self.tools.environment, capture_output=True, timeout=120, check=False)
        return Outcome(done.returncode, _text(done.stdout), _text(done.stderr))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A store with one image of two names, made by Podman."""
    base = f"/tmp/cli-{os.urandom(6).hex()}"
    tools = Tools(base)
    with open(f"{base}/containers.conf", "a", encoding="utf-8") as conf:
        conf.write(f'[engine]\ntmp_dir = "{base}/tmp"\n')      # /run/libpod is everybody's
    script = tmp_path_factory.mktemp("bin") / "podman"
    where = [SOURCES, sysconfig.get_path("purelib")]
    script.write_text(launcher.script(os.path.realpath(sys.executable), where))
    script.chmod(0o755)
    try:
        archive = write_docker_archive(f"{base}/image.tar", [(busybox_image(), ["localhost/test:v1"])])
        tools.podman("load", "-i", archive)
        tools.podman("tag", "localhost/test:v1", "docker.io/library/other:latest")
        yield Pair(tools, script)
    finally:
        tools.clean_up()


@pytest.fixture(scope="session", autouse=True)
def real_podman() -> None:
    from tests.helpers.podman import missing_tools

    if os.geteuid() != 0:
        pytest.skip("needs root")
    if missing_tools():
        pytest.skip(f"needs {', '.join(missing_tools())}")
