"""Bad archives, layouts and references: a clear error, exit code 125, nothing half made, and Podman reads the store."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.images import (
    MadeImage,
    digest_of,
    directory,
    files_tar,
    make_image,
    regular,
    symlink,
    tar_of,
    write_docker_archive,
    write_oci_layout,
)
from tests.helpers.podman import Tools

from wherry import Runtime
from wherry.archive import extract
from wherry.errors import Corrupt, WherryError
from wherry.storage import layer_add

pytestmark = pytest.mark.system
MIB = 1 << 20


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Runtime, Tools]]:
    """One store for all of them: each must leave it as it was."""
    tools = Tools(tempfile.mkdtemp(prefix="img-", dir="/tmp"))
    with Runtime(root=tools.graph_root, runroot=tools.run_root, storage_driver="overlay") as runtime:
        yield runtime, tools
    tools.clean_up()


def two_of_one_name() -> bytes:
    return tar_of([(regular("a"), b"1"), (regular("./a"), b"2")])


def negative_size() -> bytes:
    tar = bytearray(tar_of([(regular("a"), b"x" * 600)]))
    tar[124:136] = b"\xff" * 12
    return with_checksum(tar)


def endless_size() -> bytes:
    tar = bytearray(tar_of([(regular("a"), b"x" * 600)]))
    tar[124:136] = b"\x80" + (1 << 62).to_bytes(11, "big")
    return with_checksum(tar)


def with_checksum(tar: bytearray) -> bytes:
    tar[148:156] = b" " * 8
    tar[148:156] = b"%06o\0 " % sum(tar[:512])
    return bytes(tar)


def device_out_of_range() -> bytes:
    tar = bytearray(tar_of([regular("d", type=tarfile.CHRTYPE, devmajor=1, devminor=3)]))
    tar[329:337] = b"\x80" + (1 << 40).to_bytes(7, "big")
    return with_checksum(tar)


def owner_out_of_range() -> bytes:
    tar = bytearray(tar_of([(regular("a"), b"1")]))
    tar[108:116] = b"\x80" + (1 << 40).to_bytes(7, "big")
    return with_checksum(tar)


TARS: dict[str, Callable[[], bytes]] = {
    "not a tar": lambda: b"this is no tar archive" * 100,
    "cut in a header": lambda: files_tar({"a": b"x" * 2000})[:300],
    "cut in content": lambda: files_tar({"a": b"x" * 20000})[:6000],
    "two of one name": two_of_one_name,
    "negative size": negative_size,
    "endless size": endless_size,
    "device out of range": device_out_of_range,
    "owner out of range": owner_out_of_range,
    "unknown type": lambda: tar_of([(regular("a", type=b"Z"), b"")]),
    "root replaced": lambda: tar_of([symlink("/", "/etc")]),
    "hard link to nothing": lambda: tar_of([regular("a", type=tarfile.LNKTYPE, linkname="../../../etc/passwd.none")]),
    "name with NUL in pax": lambda: tar_of([(regular("a", pax_headers={"path": "a\0b"}), b"")]),
    "sparse": lambda: tar_of([(regular("a", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}), b"0\n")]),
    "name of 5000 bytes": lambda: tar_of([(regular("x" * 5000), b"")]),
}


@pytest.mark.parametrize("name", TARS)
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_bad_layers(world: tuple[Runtime, Tools], tmp_path: Path, name: str, compressed: bool) -> None:
    runtime, _tools = world
    good, bad = files_tar({"good": b"1"}), TARS[name]()
    layout = write_oci_layout(str(tmp_path / "layout"), [(make_image([good, bad], compressed=compressed), "x")])
    refused(runtime, lambda: runtime.images.load(layout))


def refused(runtime: Runtime, what: Callable[[], object]) -> WherryError:
    """*what* raises, with exit code 125, and nothing is left."""
    before = sorted(os.listdir("/var/tmp"))
    with pytest.raises(WherryError) as caught:
        what()
    assert caught.value.exit_code == 125 and str(caught.value)
    assert runtime.images.list(all=True) == [] and runtime.store.layers() == []
    root = Path(runtime.settings.storage.graph_root)
    assert [path for path in root.glob("overlay/*") if len(path.name) == 64] == []
    assert list(root.glob("overlay-layers/*.gz")) == [] and list(root.glob("overlay-images/*/")) == []
    ours = {path for path in set(os.listdir("/var/tmp")) - set(before) if path.startswith("wherry-spool-")}
    assert not any(is_mine(f"/var/tmp/{path}") for path in ours)
    assert runtime.store.check(full=True) == []
    return caught.value


def is_mine(path: str) -> bool:
    """Spools of other processes come and go."""
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return any(os.path.realpath(link).startswith(path) for link in links)


def changed(image: MadeImage, manifest: Callable[[dict[str, Any]], object] | None = None,
            config: Callable[[dict[str, Any]], object] | None = None) -> MadeImage:
    """The image with other documents."""
    raw = image.config
    if config is not None:
        document = json.loads(raw)
        config(document)
        raw = json.dumps(document).encode()
    listing = json.loads(image.manifest)
    listing["config"] |= {"digest": digest_of(raw), "size": len(raw)}
    if manifest is not None:
        manifest(listing)
    data = json.dumps(listing).encode()
    return MadeImage(image.layers, raw, data, {**image.blobs, digest_of(raw): raw, digest_of(data): data})


DOCUMENTS: dict[str, Callable[[MadeImage], MadeImage]] = {
    "digest too short": lambda image: changed(image, lambda one: one["layers"][0].update(digest="sha256:12")),
    "digest with a path": lambda image: changed(
        image, lambda one: one["layers"][0].update(digest="sha256:../../../../etc/passwd")),
    "digest of nothing": lambda image: changed(image, lambda one: one["layers"][0].update(digest="sha256:" + "0" * 64)),
    "negative size": lambda image: changed(image, lambda one: one["layers"][0].update(size=-5)),
    "wrong size": lambda image: changed(image, lambda one: one["layers"][0].update(size=5)),
    "layers missing": lambda image: changed(image, lambda one: one.update(layers=[])),
    "layers no list": lambda image: changed(image, lambda one: one.update(layers={"a": 1})),
    "manifests too": lambda image: changed(image, lambda one: one.update(manifests=[])),
    "another schema": lambda image: changed(image, lambda one: one.update(schemaVersion=7, mediaType="text/plain")),
    "wrong diff id": lambda image: changed(
        image, config=lambda one: one["rootfs"].update(diff_ids=["sha256:" + "1" * 64])),
    "too many diff ids": lambda image: changed(
        image, config=lambda one: one["rootfs"].update(diff_ids=one["rootfs"]["diff_ids"] * 2)),
    "environment no list": lambda image: changed(image, config=lambda one: one["config"].update(Env=5)),
    "history no list": lambda image: changed(image, config=lambda one: one.update(history="x")),
    "config no object": lambda image: changed(image, config=lambda one: one.update(config=[1])),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_bad_documents(world: tuple[Runtime, Tools], tmp_path: Path, name: str) -> None:
    runtime, _tools = world
    image = DOCUMENTS[name](make_image([files_tar({"a": b"1"})]))
    layout = write_oci_layout(str(tmp_path / "layout"), [(image, "x")])
    refused(runtime, lambda: runtime.images.pull(f"oci:{layout}:x"))


def test_an_archive_cut_anywhere(world: tuple[Runtime, Tools], tmp_path: Path) -> None:
    """At every block of it, and in the middle of some."""
    runtime, tools = world
    whole = Path(write_docker_archive(str(tmp_path / "whole"), [(make_image([files_tar({"a": b"1" * 700})]), ["x:1"])]))
    data = whole.read_bytes().rstrip(b"\0")
    path = tmp_path / "cut"
    for size in [*range(0, len(data) - 512, 512), 100, 700, 2000]:
        path.write_bytes(data[:size])
        refused(runtime, lambda: runtime.images.load(str(path)))
    assert tools.podman("images", "-q") == ""


def test_decompression_bombs(
    world: tuple[Runtime, Tools], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, tools = world
    monkeypatch.setattr(layer_add, "LARGEST_ANYHOW", MIB)
    plain = files_tar({"zeros": bytes(64 * MIB)})
    layout = write_oci_layout(str(tmp_path / "layout"), [(make_image([plain]), "x")])
    tools.skopeo("copy", "-q", "--dest-compress-format", "zstd", f"oci:{layout}:x", f"oci:{tmp_path}/bomb:x")
    error = refused(runtime, lambda: runtime.images.pull(f"oci:{tmp_path}/bomb:x"))
    assert "larger than the limit" in str(error)
    # What is uncompressed, or compressed as much as gzip can, is no bomb.
    assert runtime.images.pull(f"oci:{layout}:x").remove(force=True)


def test_a_flood_of_members(world: tuple[Runtime, Tools], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, _tools = world
    monkeypatch.setattr(extract, "MAX_MEMBERS", 1000)
    flood = tar_of([regular(f"d{number}", type=tarfile.CHRTYPE, devmajor=1, devminor=number) for number in range(1500)])
    layout = write_oci_layout(str(tmp_path / "layout"), [(make_image([flood]), "x")])
    assert "more than 1000 members" in str(refused(runtime, lambda: runtime.images.pull(f"oci:{layout}:x")))


def test_nothing_is_written_outside(world: tuple[Runtime, Tools], tmp_path: Path) -> None:
    """Path escapes are no error, for Podman neither: they end inside."""
    runtime, tools = world
    marker = f"/tmp/wherry-escaped-{os.getpid()}"
    evil = tar_of([
        (regular("../../../../../.." + marker), b"1"),
        symlink("out", "/tmp"), (regular("out" + marker[4:] + "2"), b"2"),
        directory("d"), symlink("d/up", "../../../../../.."), (regular("d/up" + marker + "3"), b"3"),
    ])
    layout = write_oci_layout(str(tmp_path / "layout"), [(make_image([evil]), "x")])
    image = runtime.images.pull(f"oci:{layout}:x")
    assert [name for name in os.listdir("/tmp") if name.startswith(os.path.basename(marker))] == []
    assert runtime.store.check(full=True) == []
    path = tools.podman("image", "mount", image.id)
    assert len([name for name in os.listdir(f"{path}/tmp") if name.startswith("wherry-escaped")]) == 3
    tools.podman("image", "unmount", image.id)
    image.remove(force=True)


REFERENCES = (
    "", "UPPER/case", "a//b", "a:b:c", "x@sha256:12", "x@md5:" + "0" * 32, "-x", "x:" + "t" * 129, "http://x/y", "a b",
    "x:\u00e4", "localhost:99999999/x", "../x", "x" * 300,
)


@pytest.mark.parametrize("text", REFERENCES)
def test_bad_references(world: tuple[Runtime, Tools], text: str) -> None:
    """Refused by both, with the same exit code, before anything is asked of a registry."""
    _runtime, tools = world
    command = [
        sys.executable, "-c", "from wherry.cli.main import console; console()", "--root", tools.graph_root,
        "--runroot", tools.run_root, "--storage-driver", "overlay", "pull", "--tls-verify=false", "--", text,
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 125 and "Error: " in done.stderr
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr
    tools.podman("pull", "--", text, fails=True)


def test_in_the_end_podman_reads_the_store(world: tuple[Runtime, Tools], tmp_path: Path) -> None:
    runtime, tools = world
    archive = write_docker_archive(str(tmp_path / "good"), [(make_image([files_tar({"a": b"1"})]), ["localhost/x:1"])])
    runtime.images.load(archive)
    assert tools.podman("images", "--format", "{{.Repository}}:{{.Tag}}") == "localhost/x:1"
    with pytest.raises(Corrupt):
        runtime.store.add_layer("", io.BytesIO(b"x" * 600))
    assert len(runtime.store.layers()) == 1
