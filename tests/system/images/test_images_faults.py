"""Pull and push through a proxy that cuts, truncates, corrupts, stalls and refuses; Debian's registry behind it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.fault_proxy import Fault, FaultProxy
from tests.helpers.images import MadeImage, files_tar, make_image, write_oci_layout
from tests.helpers.podman import Tools

from wherry import Runtime
from wherry.errors import Corrupt, NoSpace, NoSuchImage, RegistryError
from wherry.registry import http

pytestmark = pytest.mark.system

MIB = 1 << 20
#: Settings of the pulls and pushes here: pauses as short as can be.
QUICK = {"tls_verify": False, "retry_delay": 0.05}


@pytest.fixture(scope="module")
def large() -> MadeImage:
    """Three layers of random bytes, about 2 MiB each, and one small one."""
    layers = [files_tar({f"data{number}": os.urandom(2 * MIB)}) for number in range(3)]
    return make_image([*layers, files_tar({"small": b"small"})], compressed=True)


@pytest.fixture
def proxy(registry: Any, large: MadeImage, tools: Tools, tmp_path: Path) -> Iterator[FaultProxy]:
    """In front of a registry that has ``team/app:1``."""
    layout = write_oci_layout(str(tmp_path / "layout"), [(large, "1")])
    tools.skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:1", f"docker://{registry.host}/team/app:1")
    with FaultProxy(registry.host) as made:
        yield made


def blob_sizes(image: MadeImage) -> dict[str, int]:
    return {digest: len(data) for digest, data in image.blobs.items()}


def check_whole(tools: Tools, image: MadeImage) -> None:
    """Podman has the image, mounts it and finds what is in it."""
    assert tools.json("image", "inspect", image.id)[0]["RootFS"]["Layers"] == image.diff_ids
    path = tools.podman("image", "mount", image.id)
    try:
        assert Path(path, "small").read_bytes() == b"small"
    finally:
        tools.podman("image", "unmount", image.id)


def check_nothing_left(runtime: Runtime) -> None:
    """No layer, image, incomplete record or temporary directory."""
    assert runtime.store.layers() == [] and runtime.store.images() == []
    root = Path(runtime.settings.storage.graph_root)
    assert [name for name in os.listdir(root / "overlay") if len(name) == 64] == []
    ours = [path for path in Path("/var/tmp").glob("wherry-spool-*") if _is_of(path, os.getpid())]
    assert ours == []


def _is_of(path: Path, pid: int) -> bool:
    """Does the process hold the spool open?"""
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(link).startswith(str(path)):
                return True
        except OSError:
            continue
    return False


def test_cut_and_truncated_transfers_go_on_where_they_stopped(
    runtime: Runtime, proxy: FaultProxy, large: MadeImage, tools: Tools
) -> None:
    proxy.faults = [
        Fault("cut", after=random.randrange(MIB), least=MIB), Fault("truncate", after=MIB + 7, least=MIB),
        Fault("cut", after=0, least=MIB), Fault("cut", after=100_000, least=MIB),
        Fault("status", status=503, least=MIB), Fault("status", status=429, headers={"Retry-After": "0"}, least=MIB),
        Fault("cut", path="/manifests/", after=10),
        Fault("status", path="/v2/", status=500),
    ]
    image = runtime.images.pull(f"{proxy.host}/team/app:1", **QUICK)
    assert image.id == large.id and not proxy.faults
    sizes = blob_sizes(large)
    for digest, size in sizes.items():
        received = sum(seen.received for seen in proxy.fetched() if digest in seen.path)
        assert received <= size + 2 * 65536, "what had arrived was fetched again"
    assert any(seen.range for seen in proxy.fetched())
    check_whole(tools, large)


def test_a_stalled_transfer_is_given_up_and_continued(
    runtime: Runtime, proxy: FaultProxy, large: MadeImage, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "READ_TIMEOUT", 0.5)
    proxy.faults = [Fault("stall", after=MIB, least=MIB)]
    assert runtime.images.pull(f"{proxy.host}/team/app:1", **QUICK).id == large.id
    assert any(seen.range.startswith("bytes=") for seen in proxy.fetched())
    check_whole(tools, large)


def test_a_corrupt_blob_is_refused_and_fetched_anew(
    runtime: Runtime, proxy: FaultProxy, large: MadeImage, tools: Tools
) -> None:
    name = f"{proxy.host}/team/app:1"
    proxy.faults = [Fault("corrupt", after=MIB, least=MIB)]
    with pytest.raises(Corrupt, match="Digest did not match|reading gzip data|corrupt"):
        runtime.images.pull(name, **QUICK)
    check_nothing_left(runtime)
    with pytest.raises(NoSuchImage):
        runtime.images.get(name)
    assert runtime.images.pull(name, **QUICK).id == large.id
    check_whole(tools, large)


def test_a_kept_half_that_has_gone_bad_is_fetched_again(
    runtime: Runtime, proxy: FaultProxy, large: MadeImage, tools: Tools
) -> None:
    kept = Path(runtime.settings.state_dir, "blobs")
    kept.mkdir(parents=True, mode=0o700)
    digest = next(digest for digest, data in large.blobs.items() if len(data) > MIB)
    (kept / digest.replace(":", "-")).write_bytes(bytes(MIB))
    assert runtime.images.pull(f"{proxy.host}/team/app:1", **QUICK).id == large.id
    check_whole(tools, large)


def test_attempts_end_in_an_error_that_leaves_nothing(
    runtime: Runtime, proxy: FaultProxy
) -> None:
    proxy.faults = [Fault("cut", after=10, least=MIB) for _ in range(40)]
    with pytest.raises(RegistryError, match="reading blob sha256:"):
        runtime.images.pull(f"{proxy.host}/team/app:1", retry=1, **QUICK)
    check_nothing_left(runtime)


def test_a_full_disk_is_not_kept_full(proxy: FaultProxy, large: MadeImage, tools: Tools) -> None:
    """No image, no layer, no kept blobs; with more room the same pull succeeds."""
    base = Path(tools.base, "small")
    base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", base], check=True)
    name = f"{proxy.host}/team/app:1"
    with Runtime(root=f"{base}/g", runroot=f"{tools.base}/small-run", storage_driver="overlay") as runtime:
        with pytest.raises(NoSpace) as caught:
            runtime.images.pull(name, **QUICK)
        assert caught.value.exit_code == 125
        check_nothing_left(runtime)
        assert list(Path(runtime.settings.state_dir, "blobs").iterdir()) == []
        subprocess.run(["mount", "-o", "remount,size=64m", base], check=True)
        assert runtime.images.pull(name, **QUICK).id == large.id
        assert runtime.store.check(full=True) == []


PULL = """
import sys
from wherry import Runtime
root, run, name = sys.argv[1:]
with Runtime(root=root, runroot=run, storage_driver="overlay") as runtime:
    print(runtime.images.pull(name, tls_verify=False, retry_delay=0.05).id)
"""


def start_pull(tools: Tools, name: str) -> subprocess.Popen[bytes]:
    source = str(Path(__file__).parents[3] / "src")
    return subprocess.Popen(
        [sys.executable, "-c", PULL, tools.graph_root, tools.run_root, name],
        env={**os.environ, "PYTHONPATH": source}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )


def test_killed_at_any_moment_a_pull_is_continued(
    runtime: Runtime, proxy: FaultProxy, large: MadeImage, tools: Tools
) -> None:
    name = f"{proxy.host}/team/app:1"
    proxy.delay = 0.1           # so slow that no pull comes to its end before it is killed
    choice = random.Random(3)
    kills = 0
    while kills < 4:
        pull = start_pull(tools, name)
        try:
            pull.wait(timeout=0.3 + 0.5 * choice.random())
            break
        except subprocess.TimeoutExpired:
            pull.send_signal(signal.SIGKILL)
            pull.communicate()
            kills += 1
        # The store loads after each of them.
        tools.podman("images", "-q")
    proxy.delay = 0.0
    assert runtime.images.pull(name, **QUICK).id == large.id
    assert kills >= 2
    total = sum(seen.received for seen in proxy.fetched())
    once = sum(blob_sizes(large).values())
    assert total < once * 1.6 + kills * 6 * 3 * 65536, "finished and half-finished blobs were fetched again"
    assert list(Path(runtime.settings.state_dir, "blobs").iterdir()) == []
    assert [damage.text for damage in runtime.store.check(full=True)] == []
    check_whole(tools, large)


def test_concurrent_pulls_fetch_each_blob_once(
    proxy: FaultProxy, large: MadeImage, tools: Tools
) -> None:
    proxy.delay = 0.01
    pulls = [start_pull(tools, f"{proxy.host}/team/app:1") for _ in range(3)]
    for pull in pulls:
        out, errors = pull.communicate(timeout=60)
        assert pull.returncode == 0, errors.decode()
        assert out.decode().strip() == large.id
    config = f"sha256:{large.id}"
    for digest in large.blobs:
        if digest not in (config, large.manifest_digest):
            assert len([seen for seen in proxy.fetched() if digest in seen.path]) == 1, digest
    check_whole(tools, large)


def push_ready(runtime: Runtime, proxy: FaultProxy) -> str:
    """The image is in the store and not in the repository it is going to."""
    runtime.images.pull(f"{proxy.host}/team/app:1", **QUICK)
    proxy.log.clear()
    return f"{proxy.host}/other/app:1"


@pytest.mark.parametrize("fault", [
    Fault("cut-request", "/uploads/", "PATCH", after=MIB, least=MIB),
    Fault("corrupt-request", "/uploads/", "PATCH", after=MIB, least=MIB),
    Fault("stall-request", "/uploads/", "PATCH", after=MIB, least=MIB),
    Fault("status", "/uploads/", "PATCH", status=503),
    Fault("status", "/uploads/", "PUT", status=429, headers={"Retry-After": "0"}),
    Fault("status", "/manifests/", "PUT", status=500),
    Fault("cut", "/blobs/", "HEAD"),
    Fault("status", "/blobs/", "POST", status=502),
], ids=lambda fault: f"{fault.kind}-{fault.method}")
def test_a_push_survives_what_goes_wrong_on_the_way(
    runtime: Runtime, proxy: FaultProxy, large: MadeImage, registry: Any, tools: Tools, fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "READ_TIMEOUT", 2.0)
    name = push_ready(runtime, proxy)
    monkeypatch.setattr("wherry.registry.uploads.Uploader.mount", lambda *_: False)
    proxy.faults = [fault]
    runtime.images.push(f"{proxy.host}/team/app:1", name, compression_format="gzip", force_compression=True, **QUICK)
    assert not proxy.faults
    tools.skopeo("copy", "--src-tls-verify=false", f"docker://{registry.host}/other/app:1", f"dir:{tools.base}/copied")
    assert runtime.images.pull(name, **QUICK).id == large.id


def test_a_push_that_fails_for_good_says_so(runtime: Runtime, proxy: FaultProxy) -> None:
    name = push_ready(runtime, proxy)
    proxy.faults = [Fault("status", "/manifests/", "PUT", status=500) for _ in range(9)]
    with pytest.raises(RegistryError, match="writing manifest: uploading manifest 1 to .*: received unexpected HTTP"):
        runtime.images.push(f"{proxy.host}/team/app:1", name, retry=1, **QUICK)


def test_interrupting_a_pull_leaves_only_what_can_be_continued(
    runtime: Runtime, proxy: FaultProxy, large: MadeImage, tools: Tools
) -> None:
    """Ctrl-C: exit code 130, no image, no layer half made, and the rest is fetched next time."""
    proxy.delay = 0.02
    wherry = [
        sys.executable, "-c", "from wherry.cli.main import console; console()", "--root", tools.graph_root,
        "--runroot", tools.run_root, "--storage-driver", "overlay", "pull", "--tls-verify=false",
        f"{proxy.host}/team/app:1",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    pull = subprocess.Popen(wherry, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 20
    while sum(seen.received for seen in list(proxy.log)) < MIB:
        assert time.monotonic() < deadline and pull.poll() is None
        time.sleep(0.02)
    pull.send_signal(signal.SIGINT)
    _out, errors = pull.communicate(timeout=20)
    assert pull.returncode == 130, errors.decode()
    assert "Traceback" not in errors.decode()
    assert runtime.store.images() == []
    proxy.delay = 0.0
    assert runtime.images.pull(f"{proxy.host}/team/app:1", **QUICK).id == large.id
    check_whole(tools, large)


def test_bars_on_a_terminal_lines_elsewhere_nothing_when_quiet(proxy: FaultProxy, tools: Tools) -> None:
    import pty

    proxy.delay = 0.01
    words = [
        sys.executable, "-c", "from wherry.cli.main import console; console()", "--root", tools.graph_root,
        "--runroot", tools.run_root, "--storage-driver", "overlay", "pull", "--tls-verify=false",
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src"), "TERM": "xterm"}
    master, slave = pty.openpty()
    pull = subprocess.Popen([*words, f"{proxy.host}/team/app:1"], env=environment, stdout=subprocess.PIPE, stderr=slave)
    os.close(slave)
    drawn = b""
    try:
        while data := os.read(master, 1 << 16):
            drawn += data
    except OSError:
        pass        # the other end is closed
    os.close(master)
    out, _ = pull.communicate()
    assert pull.returncode == 0 and len(out.split()) == 1
    assert b"\x1b[" in drawn and b"MiB / 2.0MiB" in drawn and b"/s" in drawn and b" done" in drawn
    again = subprocess.run([*words, f"{proxy.host}/team/app:1"], env=environment, capture_output=True, text=True)
    assert again.stdout == out.decode() and "\x1b" not in again.stderr
    said = again.stderr.splitlines()
    assert said[0] == f"Trying to pull {proxy.host}/team/app:1..."
    assert said[-1] == "Writing manifest to image destination"
    assert len([line for line in said if line.startswith("Copying blob sha256:")]) == 4
    quiet = subprocess.run([*words, "-q", f"{proxy.host}/team/app:1"], env=environment, capture_output=True, text=True)
    assert (quiet.stdout, quiet.stderr) == (out.decode(), "")
