"""``image scp`` over a real sshd on loopback, to and from a store of Podman's and one of wherry's."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.podman import Tools

pytestmark = pytest.mark.system


class FarEnd:
    """An sshd whose commands find only the programs in ``bin``, which work on the store of *tools*."""

    def __init__(self, tools: Tools, near: Any, base: Path) -> None:
        self.tools, self.near, self.base = tools, near, base
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(base / name)], check=True)
        shutil.copy(base / "user.pub", base / "authorized_keys")
        self.bin = base / "bin"
        self.bin.mkdir()
        (base / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {base}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {base}/authorized_keys\nStrictModes no\nPermitRootLogin yes\n"
            f"SetEnv PATH={self.bin}:/usr/bin:/bin\n"
        )
        near.environment["CONTAINERS_CONF"] = str(base / "containers.conf")
        (base / "containers.conf").write_text(
            f'[engine.service_destinations.far]\nuri = "ssh://root@127.0.0.1:{self.port}/run/podman/podman.sock"\n'
            f'identity = "{base}/user"\n'
        )
        (base / "known_hosts").write_text(
            f"[127.0.0.1]:{self.port} {(base / 'host.pub').read_text()}"
        )

    def serve(self, engine: str, program: str) -> None:
        """Let the far end have the engine *engine*, which is *program*."""
        where = f"--root {self.tools.graph_root} --runroot {self.tools.run_root} --storage-driver overlay"
        exported = " ".join(f"{name}='{value}'" for name, value in self.tools.environment.items() if name != "PATH")
        for name in ("podman", "wherry"):       # whichever is not there must not be found elsewhere
            (self.bin / name).unlink(missing_ok=True)
        script = f'#!/bin/sh\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin {exported}\nexec {program} {where} "$@"\n'
        (self.bin / engine).write_text(script)
        (self.bin / engine).chmod(0o755)

    def scp(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``wherry image scp`` where ssh knows the host: in a mount namespace with another ``~/.ssh``."""
        home = os.path.expanduser("~root")
        store = ["--root", self.near.tools.graph_root, "--runroot", self.near.tools.run_root]
        prepare = (
            f'mkdir -p {home}/.ssh && mount -t tmpfs tmpfs {home}/.ssh && cp {self.base}/known_hosts {home}/.ssh/ '
            '&& exec "$@"'
        )
        argv = ["unshare", "--mount", "sh", "-c", prepare, "sh", str(self.near.program), *store, "image", "scp", *words]
        return subprocess.run(argv, env=self.near.environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def far(other: Tools, wherry: Any) -> Iterator[FarEnd]:
    if not os.path.exists("/usr/sbin/sshd"):
        pytest.skip("needs openssh-server")
    os.makedirs("/run/sshd", exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="ssh-") as base:
        end = FarEnd(other, wherry, Path(base))
        argv = ["/usr/sbin/sshd", "-D", "-e", "-f", f"{base}/sshd_config"]
        server = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                try:
                    socket.create_connection(("127.0.0.1", end.port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield end
        finally:
            server.terminate()
            server.wait()


def test_there_and_back(far: FarEnd, wherry: Any, loaded: str) -> None:
    far.serve("podman", "podman")
    done = far.scp(loaded, "far::")
    assert (done.returncode, done.stdout) == (0, f"Loaded image: {loaded}\n"), done.stderr
    assert far.tools.podman("image", "exists", loaded) == ""
    identity = wherry.ok("images", "--no-trunc", "--quiet")
    wherry.ok("rmi", loaded)
    done = far.scp("--quiet", f"far::{loaded}", "root@localhost::localhost/back:2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Loaded image: localhost/back:2\n", "")
    assert wherry.ok("images", "--no-trunc", "--quiet") == identity
    # With wherry at the far end, and without a connection of that name.
    far.serve("wherry", str(wherry.program))
    done = far.scp("localhost/back:2", "far::localhost/again:3")
    assert (done.returncode, done.stdout) == (0, "Loaded image: localhost/again:3\n"), done.stderr
    assert far.tools.podman("image", "exists", "localhost/again:3") == ""


def test_what_goes_wrong_is_said(far: FarEnd, wherry: Any, loaded: str) -> None:
    far.serve("podman", "podman")
    for words, reason in (
        (["far::localhost/nope:1"], "far: localhost/nope:1: image not known"),
        (["localhost/nope:1", "far::"], "localhost/nope:1: image not known"),
        (["127.0.0.1:1::x"], "127.0.0.1:1: ssh: connect to host 127.0.0.1 port 1: Connection refused"),
        ([f"127.0.0.1:{far.port}::x"], "Permission denied"),
        ([loaded], "must specify a destination: invalid argument"),
        ([loaded, "nouser@localhost::"], "user: unknown user nouser"),
        ([loaded, "elsewhere"], "neither USER@localhost:: nor HOST::"),
        (["::x"], 'names no machine before "::"'),
        (["-oProxyCommand=x::y"], "unknown shorthand flag"),
        (["tcp://127.0.0.1::y"], "is not the address of a machine"),
    ):
        done = far.scp(*words)
        assert done.returncode == 125 and reason in done.stderr, (words, done.stdout, done.stderr)
    assert not [name for name in os.listdir("/var/tmp") if name.startswith("wherry-scp-")]


@pytest.fixture
def somebody(tmp_path: Path) -> Iterator[str]:
    """A user of this machine with sub-ids and a home."""
    name = f"wt{os.getpid()}"
    home = tempfile.mkdtemp(prefix="wherry-home-", dir="/var/tmp")
    subprocess.run(["useradd", "--no-create-home", "--home-dir", home, name], check=True)
    try:
        for kind in ("uids", "gids"):
            subprocess.run(["usermod", f"--add-sub{kind}", "300000-365535", name], check=True)
        subprocess.run(["chown", name, home], check=True)
        yield name
    finally:
        shutil.rmtree(f"/tmp/storage-run-{pwd.getpwnam(name).pw_uid}", ignore_errors=True)
        subprocess.run(["userdel", name], check=True)
        shutil.rmtree(home)


def test_another_user_of_this_machine(wherry: Any, loaded: str, somebody: str) -> None:
    """The far end works with that user's ids alone, in the user's own store; and back again."""
    os.chmod(wherry.tools.base, 0o755)
    identity = wherry.ok("images", "--no-trunc", "--quiet")
    home = Path(os.path.expanduser(f"~{somebody}"))
    assert wherry.ok("image", "scp", "-q", loaded, f"{somebody}@localhost::localhost/theirs:1").endswith("theirs:1")
    store = home / ".local/share/containers/storage"
    files = list(store.rglob("*"))
    assert any(path.name == "busybox" for path in files)
    own = home.stat().st_uid
    owners = {path.lstat().st_uid for path in files}
    assert owners - {own} and all(uid == own or uid >= 100_000 for uid in owners), owners
    wherry.ok("rmi", loaded)
    wherry.ok("image", "scp", "-q", f"{somebody}@localhost::localhost/theirs:1", "root@localhost::")
    assert wherry.ok("images", "--no-trunc", "--quiet") == identity
    said = wherry.fails("image", "scp", "-q", f"{somebody}@localhost::localhost/nope:1", "root@localhost::")
    assert said == f"Error: {somebody}: localhost/nope:1: image not known"
