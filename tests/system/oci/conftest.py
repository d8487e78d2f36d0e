"""Real containers from a busybox root, with every runtime the host can be made to take, checked for leaks."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wherry.oci import attach, bundle, conmon
from wherry.oci.attach import Attachment
from wherry.oci.conmon import Created, Launch
from wherry.oci.exits import Exit, ExitWatch
from wherry.oci.runtime import OciRuntime
from wherry.sys import cgroups, libc, mounts, processes

CONMON = processes.find_program("conmon")
BUSYBOX = processes.find_program("busybox")
APPLETS = ("sh", "true", "sleep", "echo", "cat", "seq", "ls", "mkdir", "id", "stty", "kill", "wc", "env")
HUGETLB = "/sys/fs/cgroup/hugetlb"


@pytest.fixture(scope="package", autouse=True)
def clean_hybrid() -> Iterator[None]:
    """On a hybrid host have hugetlb mounted as a version 1 controller: while the cgroup2 tree owns it, crun refuses.

    The mount is made in a mount namespace of our own: nobody else sees it come, or makes it go.
    """
    if os.geteuid() != 0 or cgroups.layout().mode != cgroups.HYBRID:
        yield
        return
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    directory = os.getcwd()
    try:
        os.makedirs(HUGETLB, exist_ok=True)
        libc.unshare(libc.CLONE_NEWNS)
        mounts.make_private("/", recursive=True)
        if "hugetlb" not in cgroups.layout().controllers:
            mounts.mount("cgroup", HUGETLB, "cgroup", 0, "hugetlb")
        try:
            yield
        finally:
            mounts.unmount(HUGETLB, libc.MNT_DETACH)
            libc.setns(home, libc.CLONE_NEWNS)
            os.chdir(directory)
    finally:
        os.close(home)


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system of busybox and nothing else."""
    if not BUSYBOX or not CONMON:
        pytest.skip("needs a static busybox and conmon")
    root = tmp_path_factory.mktemp("rootfs")
    root.chmod(0o755)
    for name in ("bin", "proc", "dev", "tmp", "directory"):
        (root / name).mkdir()
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in APPLETS:
        (root / "bin" / name).symlink_to("busybox")
    (root / "plain").write_text("not a program\n")
    return root


@pytest.fixture(params=["crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> OciRuntime:
    path = processes.find_program(request.param)
    if not path:
        pytest.skip(f"{request.param} is not installed")
    return OciRuntime(request.param, path)


@pytest.fixture
def crun() -> OciRuntime:
    path = processes.find_program("crun")
    if not path:
        pytest.skip("crun is not installed")
    return OciRuntime("crun", path)


class Box:
    """One container: its spec, its launch, and everything a test does to it."""

    def __init__(self, runtime: OciRuntime, directory: Path, rootfs: Path) -> None:
        self.runtime = runtime
        self.id = f"wherrytest{os.getpid()}"
        self.cgroup = f"/{self.id}"
        self.bundle = directory / "bundle"
        self.run_dir = directory / "run"
        for made in (self.bundle, self.run_dir):
            made.mkdir()
        self.launch = Launch(
            id=self.id, name="box", bundle=str(self.bundle), run_dir=str(self.run_dir),
            log_path=f"{self.run_dir}/ctr.log", exit_dir=f"{directory}/exits",
            persist_dir=f"{directory}/persist/{self.id}",
        )
        self.spec: dict[str, Any] = {
            "ociVersion": "1.0.2",
            "process": {
                "args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
                "noNewPrivileges": True,
            },
            "root": {"path": str(rootfs)},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"]},
            ],
            "linux": {
                "cgroupsPath": self.cgroup,
                "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")],
            },
        }
        self.created: Created | None = None

    def command(self, *args: str, **process: Any) -> Box:
        self.spec["process"] = {**self.spec["process"], "args": list(args), **process}
        return self

    def create(self, **launch: Any) -> Created:
        if launch:
            self.launch = self.launch.replace(**launch)
        bundle.write(str(self.bundle), self.spec)
        self.created = conmon.create(CONMON, self.runtime, self.launch)
        return self.created

    def watch(self) -> ExitWatch:
        assert self.created is not None
        made = self.created
        return ExitWatch(
            self.launch.exit_dir, self.id, str(self.bundle), pid=made.pid, pid_start=made.pid_start,
            conmon_pid=made.conmon_pid, conmon_start=made.conmon_start, persist_dir=self.launch.persist_dir,
        )

    def attach(self) -> Attachment:
        return attach.connect(str(self.bundle))

    def start(self) -> None:
        self.runtime.start(self.id)

    def wait(self, timeout: float | None = 30) -> Exit:
        with self.watch() as watch:
            found = watch.wait(timeout)
        assert found is not None, "the container did not end in time"
        return found

    def run(self, data: bytes | None = None, **launch: Any) -> tuple[Exit, bytes, bytes]:
        """Create, attach, start, collect, wait, delete."""
        self.create(**launch)
        with self.attach() as attachment:
            self.start()
            out, err = attachment.collect(data)
        found = self.wait()
        self.runtime.delete(self.id)
        return found, out, err

    def log(self) -> str:
        return Path(self.launch.log_path).read_text()


@pytest.fixture
def box(runtime: OciRuntime, tmp_path: Path, rootfs: Path) -> Iterator[Box]:
    """A container to be; whatever the test does, nothing of it may be left in the end."""
    descriptors = len(os.listdir("/proc/self/fd"))
    made = Box(runtime, tmp_path, rootfs)
    try:
        yield made
        conmon.remove_files(made.launch)
        assert_nothing_left(made, tmp_path)
        assert len(os.listdir("/proc/self/fd")) <= descriptors
    finally:
        sweep(made)


def assert_nothing_left(box: Box, directory: Path) -> None:
    """Processes that are about to end get a moment."""
    deadline = time.monotonic() + 5
    while found := leftovers(box, directory):
        assert time.monotonic() < deadline, "left behind:\n" + "\n".join(found)
        time.sleep(0.02)


def leftovers(box: Box, directory: Path) -> list[str]:
    found = [f"process {pid}: {line}" for pid, line in processes_of(box.id)]
    found += [f"state {path}" for path in (f"/run/crun/{box.id}", f"/run/runc/{box.id}") if os.path.exists(path)]
    layout = cgroups.layout()
    for mount_point in layout.hierarchies():
        path = layout.directory(mount_point, box.cgroup)
        found += [f"cgroup {path}"] if os.path.exists(path) else []
    found += [f"mount {entry.target}" for entry in mounts.mount_table() if entry.target.startswith(f"{directory}/")]
    return found


def processes_of(text: str) -> list[tuple[int, str]]:
    """Processes with *text* in their command line."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if text in line:
                found.append((int(name), line))
    return found


def sweep(box: Box) -> None:
    """After a failure: leave the host as it was."""
    for pid, _ in processes_of(box.id):
        try:
            os.kill(pid, processes.SIGKILL)
        except ProcessLookupError:
            pass
    box.runtime.delete(box.id, force=True)
