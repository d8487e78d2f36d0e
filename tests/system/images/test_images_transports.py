"""Every transport both ways, bit for bit, judged by skopeo and podman; streams, compressed inputs, URLs."""

from __future__ import annotations

import bz2
import functools
import gzip
import hashlib
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.images import (
    MadeImage,
    directory,
    files_tar,
    hardlink,
    make_image,
    regular,
    symlink,
    tar_of,
    whiteout,
    write_docker_archive,
    write_oci_layout,
)
from tests.helpers.podman import Tools

from wherry import Runtime
from wherry.archive import compression
from wherry.errors import InvalidArgument, NoSuchImage, WherryError

pytestmark = pytest.mark.system

CAPABILITY = bytes.fromhex("0100000200040000" + "00" * 12)      # cap_net_bind_service=ep
LONG = "/".join(["d" * 90] * 3)
SOURCE = str(Path(__file__).parents[3] / "src")


def node(name: str, kind: bytes, major: int = 0, minor: int = 0) -> tarfile.TarInfo:
    return regular(name, 0o600, type=kind, devmajor=major, devminor=minor)


def attributes(**values: bytes) -> dict[str, str]:
    return {
        f"SCHILY.xattr.{name.replace('_', '.', 1)}": value.decode("utf-8", "surrogateescape")
        for name, value in values.items()
    }


@pytest.fixture(scope="module")
def nasty() -> MadeImage:
    """Whatever a layer may hold: links, long names, attributes, capabilities, devices, sparse content, whiteouts."""
    hole = bytes(3 << 20) + b"end"
    lower = tar_of([
        *(directory(name) for name in ("bin", "dev", "opaque", "gone")),
        (regular("bin/tool", 0o4755, uid=1000, gid=1001), b"#!/bin/sh\n" * 70),
        hardlink("bin/same", "bin/tool"),
        symlink("link", "/bin/tool"),
        (regular("bin/capable", 0o755, pax_headers=attributes(security_capability=CAPABILITY)), b"x" * 513),
        (regular("note", pax_headers=attributes(user_note=b"value\xff\x00")), b""),
        *(directory("/".join([*["d" * 90] * depth])) for depth in (1, 2, 3)),
        (regular(f"{LONG}/{'f' * 120}"), b"deep"),
        (regular("\u00e4\u00f6 \u4e2d"), b"name"),
        (regular("sparse"), hole),
        node("dev/null", tarfile.CHRTYPE, 1, 3), node("dev/loop", tarfile.BLKTYPE, 7, 0),
        node("fifo", tarfile.FIFOTYPE),
        (regular("gone/a"), b"a"), (regular("opaque/below"), b"below"),
    ])
    upper = tar_of([
        directory("gone"), whiteout("gone/a"), directory("opaque"), regular("opaque/.wh..wh..opq"),
        (regular("opaque/new"), b"new"),
        directory("bin"), (regular("bin/same", 0o755), b"replaced"), whiteout("note"),
    ])
    return make_image([lower, upper])


@pytest.fixture
def layout(nasty: MadeImage, tmp_path: Path) -> str:
    return write_oci_layout(str(tmp_path / "made"), [(nasty, "nasty")])


def diff_ids(path: Path) -> list[str]:
    """Digests of the uncompressed layers of the ``dir:`` image at *path*."""
    manifest = json.loads((path / "manifest.json").read_text())
    found = []
    for layer in manifest["layers"]:
        with (path / layer["digest"].partition(":")[2]).open("rb") as file:
            stream, _ = compression.reader(file)
            hashed = hashlib.sha256()
            while data := stream.read(1 << 16):
                hashed.update(data)
        found.append(f"sha256:{hashed.hexdigest()}")
    return found


def config_digest(path: Path) -> str:
    return str(json.loads((path / "manifest.json").read_text())["config"]["digest"])


TARGETS = {
    "oci": "oci:{base}/out:tag", "oci-archive": "oci-archive:{base}/out:tag", "dir": "dir:{base}/out",
    "docker-archive": "docker-archive:{base}/out:localhost/nasty:1", "docker": "docker://{host}/nasty/app:1",
}


@pytest.mark.parametrize("transport", TARGETS)
def test_what_is_pushed_is_what_was_pulled(
    runtime: Runtime, registry: Any, tools: Tools, other: Tools, nasty: MadeImage, layout: str, tmp_path: Path,
    transport: str,
) -> None:
    image = runtime.images.pull(f"oci:{layout}:nasty")
    assert image.id == nasty.id
    target = TARGETS[transport].format(base=tmp_path, host=registry.host)
    runtime.images.push(image.id, target, tls_verify=False)
    copied = tmp_path / "copied"
    tools.skopeo("copy", "-q", "--src-tls-verify=false", target, f"dir:{copied}")
    assert diff_ids(copied) == nasty.diff_ids
    # Whatever the manifest's form, the configuration is the one that names the image.
    assert config_digest(copied) == f"sha256:{nasty.id}" or transport == "docker-archive"
    # And back again, into an empty store: by wherry and by Podman the same files.
    runtime.images.remove(image.id, force=True)
    again = runtime.images.pull(target, tls_verify=False)
    assert runtime.store.check(full=True) == []
    assert tools.json("image", "inspect", again.id)[0]["RootFS"]["Layers"] == nasty.diff_ids
    other.podman("pull", "-q", "--tls-verify=false", target)
    assert [list(lines(tools, again.id)), again.id] == [list(lines(other, again.id)), again.id]


def lines(tools: Tools, image: str) -> Iterator[str]:
    """What is in the mounted image, one line a file: all that stat and attributes tell."""
    path = tools.podman("image", "mount", image)
    try:
        found = tools.run(
            "find", path, "-mindepth", "1", "-printf", "%P|%M|%U:%G|%s|%T@|%l|%n\n"
        ).splitlines()
        yield from sorted(found)
        assert os.getxattr(f"{path}/bin/capable", "security.capability") == CAPABILITY
        assert Path(path, "bin/same").read_bytes() == b"replaced" and not Path(path, "gone/a").exists()
        assert os.listdir(f"{path}/opaque") == ["new"]
    finally:
        tools.podman("image", "unmount", image)


@pytest.mark.parametrize("form", ["gzip", "zstd"])
def test_compressed_layers_made_by_skopeo(
    runtime: Runtime, tools: Tools, nasty: MadeImage, layout: str, tmp_path: Path, form: str
) -> None:
    packed = f"oci:{tmp_path}/packed:x"
    tools.skopeo("copy", "-q", "--dest-compress-format", form, f"oci:{layout}:nasty", packed)
    image = runtime.images.pull(packed)
    assert [layer.diff_digest for layer in runtime.store.layer_chain(image.record.layer)[::-1]] == nasty.diff_ids
    assert runtime.store.check(full=True) == []
    runtime.images.push(image.id, f"dir:{tmp_path}/out")
    assert diff_ids(tmp_path / "out") == nasty.diff_ids


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress,
    "zstd": lambda data: subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout,
    "none": bytes,
}


@pytest.mark.parametrize("form", PACKERS)
def test_inputs_are_recognised_by_their_content(
    runtime: Runtime, tools: Tools, nasty: MadeImage, tmp_path: Path, form: str
) -> None:
    """An archive and a root file system, compressed as a whole, by path and on standard input."""
    plain = Path(write_docker_archive(str(tmp_path / "plain"), [(nasty, ["localhost/nasty:1"])])).read_bytes()
    packed = tmp_path / "archive.dat"
    packed.write_bytes(PACKERS[form](plain))
    assert runtime.images.load(str(packed)) == ["localhost/nasty:1"]
    assert runtime.images.get("localhost/nasty:1").id == nasty.id
    runtime.images.remove("localhost/nasty:1")
    out = wherry(tools, "load", "-q", stdin=packed.read_bytes())
    assert out.strip() == "Loaded image: localhost/nasty:1"
    rootfs = tmp_path / "root.dat"
    rootfs.write_bytes(PACKERS[form](nasty.layers[0]))
    image = runtime.images.import_(str(rootfs), name="rootfs:1", changes=["CMD /bin/tool"])
    assert runtime.store.layer_chain(image.record.layer)[0].diff_digest == nasty.diff_ids[0]
    piped = wherry(tools, "import", "-q", "-", "piped:1", stdin=rootfs.read_bytes()).strip().removeprefix("sha256:")
    assert runtime.images.get("piped:1").id == piped
    assert runtime.store.image(piped).layer == image.record.layer


def wherry(tools: Tools, *words: str, stdin: bytes = b"", fails: bool = False) -> str:
    """Run the command line; its standard output (and error, when it is to fail)."""
    done = subprocess.run(
        [sys.executable, "-c", "from wherry.cli.main import console; console()", "--root", tools.graph_root,
         "--runroot", tools.run_root, "--storage-driver", tools.driver, *words],
        env={**os.environ, "PYTHONPATH": SOURCE}, input=stdin, capture_output=True, check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr.decode()
    return (done.stderr if fails else done.stdout).decode()


def test_streams_between_wherry_and_podman(
    runtime: Runtime, tools: Tools, other: Tools, nasty: MadeImage, layout: str
) -> None:
    runtime.images.pull(f"oci:{layout}:nasty")
    runtime.images.get(nasty.id).tag("localhost/nasty:1")
    saved = subprocess.run(
        [sys.executable, "-c", "from wherry.cli.main import console; console()", "--root", tools.graph_root,
         "--runroot", tools.run_root, "--storage-driver", "overlay", "save", "-q", "localhost/nasty:1"],
        env={**os.environ, "PYTHONPATH": SOURCE}, capture_output=True, check=True,
    ).stdout
    path = Path(other.base, "stream.tar")
    path.write_bytes(saved)
    assert "localhost/nasty:1" in other.podman("load", "-q", "-i", str(path))
    assert other.json("image", "inspect", nasty.id)[0]["RootFS"]["Layers"] == nasty.diff_ids
    back = Path(other.base, "back.tar")
    other.podman("save", "-q", "-o", str(back), "localhost/nasty:1")
    runtime.images.remove(nasty.id, force=True)
    assert wherry(tools, "load", "-q", stdin=back.read_bytes()).strip() == "Loaded image: localhost/nasty:1"
    assert runtime.images.get("localhost/nasty:1").id == nasty.id


def test_the_lines_are_podmans(tools: Tools, other: Tools, nasty: MadeImage, tmp_path: Path) -> None:
    """Progress of load, save and import where standard error is no terminal (4.3.1 ends with one line more)."""
    archive = write_docker_archive(str(tmp_path / "archive"), [(nasty, ["localhost/nasty:1"])])
    root = tmp_path / "root.tar"
    root.write_bytes(nasty.layers[0])
    for words in (["load", "-i", archive], ["save", "-o", f"{tmp_path}/ONE", "localhost/nasty:1"],
                  ["import", str(root), "imported:1"]):
        ours = progress_lines([
            sys.executable, "-c", "from wherry.cli.main import console; console()", "--root", tools.graph_root,
            "--runroot", tools.run_root, "--storage-driver", "overlay", *words,
        ])
        theirs = progress_lines(["podman", "--root", other.graph_root, "--runroot", other.run_root,
                                 "--storage-driver", "overlay", *(word.replace("ONE", "TWO") for word in words)])
        # An import's configuration holds the time; save asks for no signatures, and Podman does not say it does.
        changing = "Copying config" if words[0] == "import" else "Getting image source signatures"
        assert [one for one in ours if changing not in one] == [one for one in theirs if changing not in one]


def progress_lines(command: list[str]) -> list[str]:
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": SOURCE}, capture_output=True, text=True, check=True)
    # Podman copies several layers at once, in any order.
    return sorted(line for line in done.stderr.splitlines() if line.startswith(("Getting", "Copying", "Writing")))


def test_a_killed_save_leaves_no_file(runtime: Runtime, tools: Tools, layout: str, tmp_path: Path) -> None:
    runtime.images.pull(f"oci:{layout}:nasty")
    name = f"localhost{layout}:latest"
    target = tmp_path / "out"
    target.mkdir()
    code = (
        "import os\nfrom wherry.engine import image_files\n"
        "image_files.Output.commit = lambda self: os.kill(os.getpid(), 9)\n"
        "from wherry.cli.main import console; console()"
    )
    words = ["--root", tools.graph_root, "--runroot", tools.run_root, "--storage-driver", "overlay", "save", "-q"]
    for format in ("docker-archive", "oci-archive"):
        done = subprocess.run(
            [sys.executable, "-c", code, *words, "--format", format, "-o", str(target / "saved"), name],
            env={**os.environ, "PYTHONPATH": SOURCE}, check=False,
        )
        assert done.returncode == -9 and os.listdir(target) == []
    runtime.images.save(name, str(target / "saved"))
    assert os.listdir(target) == ["saved"] and (target / "saved").stat().st_mode & 0o777 == 0o644


class _Files(BaseHTTPRequestHandler):
    def __init__(self, data: bytes, *args: Any) -> None:
        self.data = data
        super().__init__(*args)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        found = self.path == "/root.tar.gz"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(self.data) if found else 0))
        self.end_headers()
        if found:
            self.wfile.write(self.data)


def test_import_from_a_url(runtime: Runtime, tools: Tools, nasty: MadeImage) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, gzip.compress(nasty.layers[0])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        image = wherry(tools, "import", "-q", "-c", "ENV A=b", f"{url}/root.tar.gz", "web:1").split()[-1]
        record = runtime.images.get("web:1").record
        assert image == f"sha256:{record.id}"
        assert runtime.store.layer_chain(record.layer)[0].diff_digest == nasty.diff_ids[0]
        assert "server answered 404" in wherry(tools, "import", f"{url}/other", fails=True)
    finally:
        server.shutdown()
        server.server_close()


def test_names_are_podmans(
    runtime: Runtime, tools: Tools, other: Tools, nasty: MadeImage, layout: str, tmp_path: Path
) -> None:
    """An OCI layout is called by its path, an archive by what it says, a directory by nothing."""
    archive = str(tmp_path / "archive.tar")
    tools.skopeo("copy", "-q", f"oci:{layout}:nasty", f"oci-archive:{archive}:localhost/from/archive:2")
    plain = str(tmp_path / "plain")
    tools.skopeo("copy", "-q", f"oci:{layout}:nasty", f"dir:{plain}")
    small = make_image([files_tar({"a": b"a"})])
    two = write_docker_archive(str(tmp_path / "two.tar"), [
        (nasty, ["localhost/nasty:1", "localhost/nasty:2"]), (small, ["docker.io/x/y:1"]),
    ])
    with pytest.raises(InvalidArgument, match="expected 1 item, got 2"):
        runtime.images.pull(f"docker-archive:{two}")
    assert "expected 1 item, got 2" in other.podman("pull", f"docker-archive:{two}", fails=True)
    for source in (f"oci:{layout}", f"oci-archive:{archive}", f"dir:{plain}",
                   f"docker-archive:{two}:localhost/nasty:2", f"docker-archive:{two}:@1"):
        assert runtime.images.pull(source).id == other.podman("pull", "-q", source)
        listed = [sorted(one.get("Names") or []) for one in sorted_images(other)]
        assert [sorted(one.get("Names") or []) for one in sorted_images(tools)] == listed
        for one in (tools, other):
            one.podman("rmi", "-f", "-a")
    for path in (layout, archive, plain, two):
        assert wherry(tools, "load", "-q", "-i", path) == other.podman("load", "-q", "-i", path) + "\n"


def sorted_images(tools: Tools) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tools.json("images", "--format", "json")
    return sorted(found, key=lambda one: str(one["Id"]))


def test_other_stores(runtime: Runtime, tools: Tools, other: Tools, nasty: MadeImage, layout: str) -> None:
    other.skopeo("copy", "-q", f"oci:{layout}:nasty", other.storage_reference("localhost/nasty:1"))
    place = f"[overlay@{other.graph_root}+{other.run_root}]"
    image = runtime.images.pull(f"containers-storage:{place}localhost/nasty:1")
    assert (image.id, image.names) == (nasty.id, ["localhost/nasty:1"])
    assert runtime.store.check(full=True) == []
    other.podman("rmi", "-f", "-a")
    runtime.images.push("localhost/nasty:1", f"containers-storage:{place}localhost/pushed:2")
    assert other.json("image", "inspect", "localhost/pushed:2")[0]["Id"] == nasty.id
    assert list(lines(tools, nasty.id)) == list(lines(other, nasty.id))
    with pytest.raises(NoSuchImage, match="does not resolve to an image ID"):
        runtime.images.pull(f"containers-storage:{place}localhost/none:1")
    with pytest.raises(InvalidArgument, match="absolute paths"):
        runtime.images.pull("containers-storage:[overlay@here]x")


def test_an_additional_store(
    registry: Any, tools: Tools, other: Tools, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images are listed, run from, tagged and pulled on top of; nothing in it changes."""
    name = f"{registry.host}/nasty/app:1"
    other.skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:nasty", f"docker://{name}")
    other.podman("pull", "-q", "--tls-verify=false", name)
    before = {path: path.stat().st_mtime_ns for path in Path(other.graph_root, "overlay-layers").iterdir()}
    conf = Path(tools.base, "storage.conf")
    conf.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{tools.graph_root}"\nrunroot = "{tools.run_root}"\n'
        f'[storage.options]\nadditionalimagestores = ["{other.graph_root}"]\n'
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(conf))
    with Runtime() as shared:
        (image,) = shared.images.list()
        assert image.record.read_only and image.names == [name]
        log: list[str] = []
        assert shared.images.pull(name, tls_verify=False, progress=log.append).id == image.id
        assert shared.store.layer_chain(image.record.layer)[0].id
        shared.images.get(name).tag("localhost/ours:1")
        shared.images.push("localhost/ours:1", f"dir:{tools.base}/pushed")
        with pytest.raises(WherryError):
            for _ in range(2):
                shared.images.remove(image.id, force=True)
        assert shared.store.check(full=True) == []
    assert [path for path in Path(tools.graph_root).glob("overlay/*") if len(path.name) == 64] == []
    after = {path: path.stat().st_mtime_ns for path in Path(other.graph_root, "overlay-layers").iterdir()}
    assert {path: time for path, time in after.items() if path.name == "layers.json"} == {
        path: time for path, time in before.items() if path.name == "layers.json"
    }
    assert other.json("image", "inspect", name)[0]["Id"] == image.id


def test_a_damaged_image_is_mended_by_pulling_it_again(
    runtime: Runtime, tools: Tools, nasty: MadeImage, layout: str
) -> None:
    image = runtime.images.pull(f"oci:{layout}:nasty")
    top = image.record.layer
    Path(tools.graph_root, "overlay", top, "diff", "opaque", "new").write_bytes(b"NEW")
    said = wherry(tools, "system", "check", fails=True)
    assert "damage detected: 1 problem" in said and "wipe" not in said and "reset" not in said
    runtime.images.pull(f"oci:{layout}:nasty")
    assert wherry(tools, "system", "check") == ""
    assert list(lines(tools, nasty.id))


def test_memory_does_not_grow_with_the_image(runtime: Runtime, tools: Tools, tmp_path: Path) -> None:
    """Peak memory of load, save and push, for an image of 4 and one of 160 MiB: below 120 MiB, and about the same."""
    peaks: dict[str, list[int]] = {}
    for size in (4, 160):
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as tar:
            member = regular("data", size=size << 20)
            tar.addfile(member, _Zeros())
        image = make_image([layer.getvalue()], compressed=True)
        layout = write_oci_layout(str(tmp_path / f"big{size}"), [(image, "big")])
        del layer, image
        for step, words in (
            ("pull", ["pull", "-q", f"oci:{layout}:big"]),
            ("save", ["save", "-q", "-o", f"{tmp_path}/saved{size}.tar", f"localhost{layout}:latest"]),
            ("push", ["push", "-q", f"localhost{layout}:latest", f"oci:{tmp_path}/pushed{size}:x"]),
            ("load", ["load", "-q", "-i", f"{tmp_path}/saved{size}.tar"]),
        ):
            peaks.setdefault(step, []).append(peak_memory(tools, words))
    for step, (small, large) in peaks.items():
        assert large < 120 << 10, f"{step}: {large} KiB"
        assert large < small + (24 << 10), f"{step}: {small} KiB for a small image, {large} KiB for a large one"


class _Zeros:
    def read(self, size: int) -> bytes:
        return bytes(size)


def peak_memory(tools: Tools, words: list[str]) -> int:
    """KiB of a run of the command line."""
    program = (
        "import os, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "assert done.returncode == 0\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, sys.executable, "-c", "from wherry.cli.main import console; console()",
         "--root", tools.graph_root, "--runroot", tools.run_root, "--storage-driver", "overlay", *words],
        env={**os.environ, "PYTHONPATH": SOURCE}, capture_output=True, text=True, check=True,
    )
    return int(done.stdout)


def test_standard_output_may_be_a_file_without_a_name(wherry: Any, loaded: str) -> None:
    store = ["--root", wherry.tools.graph_root, "--runroot", wherry.tools.run_root]
    with tempfile.TemporaryFile() as output:
        subprocess.run(
            [wherry.program, *store, "save", "-q", loaded],
            stdout=output, env=wherry.environment, check=True, timeout=60,
        )
        output.seek(0)
        with tarfile.open(fileobj=output, mode="r|") as archive:
            assert "manifest.json" in archive.getnames()
