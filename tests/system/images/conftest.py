"""A runtime of its own per test, and Debian's docker-registry on loopback."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.images import MadeImage, busybox_image, write_docker_archive
from tests.helpers.podman import Tools, missing_tools

import wherry as package
from wherry import Runtime
from wherry.cli import launcher

NAME = "localhost/busybox:1"
SOURCES = str(Path(package.__file__).parents[1])


def real_registry() -> Any:
    path = Path(__file__).parents[1] / "registry" / "real_registry.py"
    spec = importlib.util.spec_from_file_location("images_real_registry", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def programs() -> None:
    if missing_tools() or not shutil.which("docker-registry"):
        pytest.skip("needs podman, buildah, skopeo and docker-registry")


@pytest.fixture
def tools() -> Iterator[Tools]:
    """Real tools on the store the runtime uses; Podman wants a short path."""
    # A layout is called by its path, and a part of a name must not end in "_", as what is made up may.
    found = Tools(tempfile.mkdtemp(prefix="img-", suffix="x", dir="/tmp"))
    yield found
    found.clean_up()


@pytest.fixture
def other() -> Iterator[Tools]:
    """Real tools on a store of theirs."""
    found = Tools(tempfile.mkdtemp(prefix="img-", suffix="x", dir="/tmp"))
    yield found
    found.clean_up()


@pytest.fixture
def runtime(tools: Tools) -> Iterator[Runtime]:
    with Runtime(root=tools.graph_root, runroot=tools.run_root, storage_driver="overlay") as made:
        yield made


@pytest.fixture(scope="session")
def made() -> MadeImage:
    return busybox_image()


@pytest.fixture
def loaded(runtime: Runtime, made: MadeImage, tmp_path: Path) -> str:
    """The name of an image in the store."""
    archive = write_docker_archive(str(tmp_path / "busybox.tar"), [(made, [NAME])])
    runtime.images.load(archive)
    return NAME


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Any]:
    base = tmp_path / "registry"
    base.mkdir()
    with real_registry().RealRegistry(base) as server:
        yield server


@pytest.fixture
def locked_registry(tmp_path: Path) -> Iterator[Any]:
    """One that wants user ``me`` with the password ``secret``."""
    base = tmp_path / "locked"
    base.mkdir()
    with real_registry().RealRegistry(base, password=True) as server:
        yield server


class Commands:
    """wherry's command line on the store of *tools*, as a user types it."""

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.environment = dict(tools.environment)
        self.program = Path(tools.base, "wherry")
        where = [SOURCES, sysconfig.get_path("purelib")]
        self.program.write_text(launcher.script(os.path.realpath(sys.executable), where))
        self.program.chmod(0o755)

    def run(self, *words: str, input: str = "") -> subprocess.CompletedProcess[str]:
        store = ["--root", self.tools.graph_root, "--runroot", self.tools.run_root]
        return subprocess.run(
            [str(self.program), *store, *words], env=self.environment, capture_output=True, text=True,
            timeout=120, check=False, input=input or None, stdin=None if input else subprocess.DEVNULL,
        )

    def ok(self, *words: str, input: str = "") -> str:
        """Standard output, stripped; the command must succeed."""
        done = self.run(*words, input=input)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    def fails(self, *words: str, code: int = 125) -> str:
        """Standard error; the command must fail with *code*."""
        done = self.run(*words)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr.strip()


@pytest.fixture
def wherry(tools: Tools) -> Commands:
    return Commands(tools)


class Keys:
    """A GPG home with a secret key of ``me@example.com``, one with the passphrase ``pw`` of ``locked@example.com``."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.public = f"{home}/public.asc"
        for user, passphrase in (("me@example.com", ""), ("locked@example.com", "pw")):
            unlocked = ["--pinentry-mode", "loopback", "--passphrase", passphrase]
            self.gpg(*unlocked, "--quick-gen-key", user, "ed25519", "sign")
        self.gpg("--armor", "--output", self.public, "--export")

    def gpg(self, *words: str, input: bytes = b"") -> bytes:
        argv = ["gpg", "--batch", "--homedir", self.home, *words]
        return subprocess.run(argv, input=input, capture_output=True, check=True).stdout

    def signed(self, data: bytes) -> bytes:
        return self.gpg("--local-user", "me@example.com", "--sign", input=data)


@pytest.fixture(scope="session")
def keys() -> Iterator[Keys]:
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        yield Keys(home)
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"], check=True)
