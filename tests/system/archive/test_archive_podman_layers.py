"""The same layer tars through podman and through us: files, tar-splits and records must agree."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path

import pytest
from podman_layers import PodmanStore, StoredLayer, snapshot
from tests.helpers.images import digest_of

from wherry.archive.extract import REMOVE, Applied, ExtractOptions, apply
from wherry.archive.tarsplit import reassemble

pytestmark = pytest.mark.system

CAPABILITY = bytes.fromhex("0100000200040000" + "00" * 12)      # cap_net_bind_service=ep
LONG = "/".join(["d" * 90] * 3 + ["file"])
STARTED = time.time_ns()
FORMATS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT}


class Layer:
    """A tar put together member by member."""

    def __init__(self, format: int = tarfile.PAX_FORMAT, **options: object) -> None:
        self.file = io.BytesIO()
        self.tar = tarfile.open(
            fileobj=self.file, mode="w", format=format, encoding="utf-8", errors="surrogateescape", **options  # type: ignore[call-overload]
        )

    def add(self, name: str, type: bytes = b"0", data: bytes = b"", **fields: object) -> None:
        member = tarfile.TarInfo(name)
        member.type = type
        member.mode = 0o755 if type == b"5" else 0o644
        member.mtime = 1_700_000_000
        member.size = len(data)
        for key, value in fields.items():
            setattr(member, key, value)
        self.tar.addfile(member, io.BytesIO(data))

    def bytes(self) -> bytes:
        self.tar.close()
        return self.file.getvalue()


def xattr(name: str, value: bytes) -> dict[str, str]:
    return {"SCHILY.xattr." + name: value.decode("utf-8", "surrogateescape")}


def add_types(layer: Layer) -> None:
    layer.add("./", b"5", mode=0o700)
    layer.add("usr/", b"5")
    layer.add("usr/bin/", b"5", mode=0o751, uid=3, gid=4)
    layer.add("usr/bin/tool", data=b"#!/bin/sh\n" * 70, mode=0o4755, uid=1000, gid=1001)
    layer.add("usr/bin/group", data=b"x" * 511, mode=0o2755)
    layer.add("usr/bin/block", data=b"x" * 512)
    layer.add("usr/bin/more", data=b"x" * 513)
    layer.add("usr/bin/large", data=os.urandom(3 << 20))
    layer.add("empty", data=b"")
    layer.add("none", data=b"secret", mode=0)
    layer.add("tmp", b"5", mode=0o1777)
    layer.add("bin", b"2", linkname="usr/bin", mode=0o777)
    layer.add("lib", b"2", linkname="/usr/lib")
    layer.add("escape", b"2", linkname="../../../../etc", uid=5)
    layer.add("loop", b"2", linkname="loop")
    layer.add("bin/through-link", data=b"lands in usr/bin")
    layer.add("hard", b"1", linkname="usr/bin/tool", mode=0o755, uid=7, gid=8)
    layer.add("hard-absolute", b"1", linkname="/usr/bin/block", mode=0o600, mtime=1_600_000_000)
    layer.add("hard-through", b"1", linkname="bin/more", mode=0o640)
    layer.add("hard-to-link", b"1", linkname="bin", mode=0o600, uid=9)
    layer.add("hard-up", b"1", linkname="../../usr/bin/group", mode=0o711)
    layer.add("dev/fifo", b"6", mode=0o620, uid=6)
    layer.add("dev/null", b"3", devmajor=1, devminor=3, mode=0o666)
    layer.add("dev/block", b"4", devmajor=259, devminor=70000, mode=0o660, gid=6)
    layer.add("implicit/parent/file", data=b"parents made on the way")
    layer.add("/absolute", data=b"absolute name")
    layer.add("../up-empty")
    layer.add("../up-parent/empty")
    layer.add("a//b/../c/./d", data=b"cleaned")
    layer.add("old-regular", b"\0", data=b"V7 type")
    layer.add("old-directory/", b"\0", mode=0o750)


def add_names(layer: Layer) -> None:
    layer.add("names", b"5")
    layer.add("names/latin-\udce9\udcff", data=b"not UTF-8")
    layer.add("names/&<>\u2028\u2029\"'\\b\\u", data=b"JSON and HTML")
    layer.add("names/control-\b\f\n\r\t\x01\x7f", data=b"control characters")
    layer.add("names/\u4e2d\u6587-\U0001f600", data=b"UTF-8")
    layer.add("names/link-\udcff", b"2", linkname="target-\udcfe")


def nasty(format: int) -> bytes:
    layer = Layer(format)
    add_types(layer)
    add_names(layer)
    if format != tarfile.USTAR_FORMAT:
        layer.add(LONG, data=b"long name")
        layer.add("long-link", b"2", linkname="/" + LONG)
        layer.add("big-owner", data=b"x", uid=1 << 22, gid=(1 << 31) + 5)
    if format == tarfile.GNU_FORMAT:
        layer.add("before-1970", data=b"x", mtime=-5)
    if format == tarfile.PAX_FORMAT:
        layer.add("times", data=b"x", pax_headers={"mtime": "1234567890.123456789", "atime": "1234567891.5"})
        layer.add("times-directory", b"5", pax_headers={"mtime": "1234567890.000000001"})
        layer.add("times-link", b"2", linkname="x", pax_headers={"mtime": "-1.25"})
        layer.add("times-old", data=b"x", pax_headers={"mtime": "-1.25"})
        layer.add("capable", data=b"x", uid=1000, pax_headers=xattr("security.capability", CAPABILITY))
        layer.add("attributes", b"5", pax_headers={
            **xattr("user.binary", b"\xff\x00\xfe\n="), **xattr("trusted.owner", b"me"),
            **xattr("security.selinux", b"system_u:object_r:bin_t:s0\0"),
        })
        layer.add("link-attributes", b"2", linkname="x", pax_headers=xattr("trusted.link", b"1"))
        layer.add("fifo-attributes", b"6", pax_headers=xattr("trusted.fifo", b"1"))
    return layer.bytes()


def whiteouts(content: bytes = b"") -> bytes:
    """A layer of whiteouts; *content* is that of one of them, which podman's tar-split does not survive."""
    layer = Layer(pax_headers={"comment": "a global header"})
    layer.add("usr/.wh.gone", uid=77, gid=78, mode=0o600)
    layer.add("usr", b"5", mode=0o711)
    layer.add("opaque/.wh..wh..opq")
    layer.add("opaque/kept", data=b"x")
    layer.add("opaque", b"5", mode=0o700, mtime=1_500_000_000)
    layer.add("made/for/.wh..wh..opq")
    layer.add(".wh.tree", b"5")
    layer.add("tree/.wh.below")
    layer.add("tree/deep/.wh.below")
    layer.add(".wh..wh.plnk")
    layer.add(".wh.with-content", data=content, uid=99)
    layer.add(".wh.then-directory")
    layer.add("then-directory", b"5", mode=0o750)
    layer.add("then-directory/file", data=b"x")
    layer.add("new", data=b"x" * 100)
    return layer.bytes()


def applied(tar: bytes, base: Path, name: str) -> tuple[Applied, str, str]:
    """Apply *tar* the way the store does; what was learnt, the directory and the tar-split's path."""
    root = base / name
    root.mkdir(mode=0o555)
    split = str(base / f"{name}.tar-split.gz")
    return apply(io.BytesIO(tar), str(root), ExtractOptions(tar_split_path=split)), str(root), split


def comparable(root: str) -> dict[bytes, dict[str, object]]:
    """The tree without the times nobody chose: those of whiteouts and of directories made on the way."""
    found = snapshot(root)
    for facts in found.values():
        if int(str(facts["mtime"])) > STARTED:
            facts["mtime"] = "now"
    return found


def assert_same_layer(stored: StoredLayer, tar: bytes, base: Path, name: str) -> None:
    result, root, split = applied(tar, base, name)
    theirs, ours = comparable(stored.diff), comparable(root)
    assert sorted(ours) == sorted(theirs)
    for path, facts in theirs.items():
        assert ours[path] == facts, path
    assert os.stat(root).st_mode == os.stat(stored.diff).st_mode
    assert result.diff_id == stored.record["diff-digest"] == digest_of(tar)
    assert result.size == stored.record.get("diff-size", 0) == len(tar)
    assert list(result.uids) == stored.record.get("uidset", [])
    assert list(result.gids) == stored.record.get("gidset", [])
    with open(split, "rb") as file:
        assert gzip.decompress(file.read()) == stored.tar_split
    assert digest_of(b"".join(reassemble(split, [root]))) == result.diff_id
    assert digest_of(b"".join(reassemble(stored.tar_split_path, [stored.diff]))) == result.diff_id


@pytest.mark.parametrize("format", FORMATS)
def test_every_kind_of_member_lands_as_with_podman(format: str, podman_store: PodmanStore, tmp_path: Path) -> None:
    tar = nasty(FORMATS[format])
    [stored] = podman_store.load([tar])
    assert_same_layer(stored, tar, tmp_path, "ours")


def test_whiteouts_land_as_with_podman(podman_store: PodmanStore, tmp_path: Path) -> None:
    tars = [nasty(tarfile.PAX_FORMAT), whiteouts()]
    for number, stored in enumerate(podman_store.load(tars)):
        assert_same_layer(stored, tars[number], tmp_path, str(number))


def test_whiteouts_remove_in_a_vfs_tree_as_with_podman(podman_store: PodmanStore, tmp_path: Path) -> None:
    base = Layer()
    for name in ("gone", "usr/gone", "tree/a", "opaque/lower", "opaque/deep/lower", "opaque/kept", "merged/lower"):
        base.add(name, data=b"lower")
    upper = Layer()
    upper.add("./", b"5", mode=0o711)
    upper.add(".wh.gone")
    upper.add("usr/.wh.gone")
    upper.add(".wh.tree")
    upper.add("opaque/deep", b"5", mode=0o700)
    upper.add("opaque/kept", data=b"upper")
    upper.add("opaque/.wh..wh..opq")
    upper.add("merged", b"5", mode=0o700)
    upper.add("merged/upper", data=b"upper")
    upper.add(".wh..wh.aufs")
    upper.add("nothing/.wh.here")
    tars = [base.bytes(), upper.bytes()]
    podman_store.driver = "vfs"
    stored = podman_store.load(tars)[-1]
    root = tmp_path / "root"
    root.mkdir()
    for tar in tars:
        apply(io.BytesIO(tar), str(root), ExtractOptions(whiteouts=REMOVE))
    assert comparable(str(root)) == comparable(stored.diff)
    assert os.stat(root).st_mode == os.stat(stored.diff).st_mode


@pytest.mark.parametrize("trailing", [0, 1, 511, 512, 10240, 100_000])
def test_bytes_after_the_end_marker_belong_to_the_layer(
    trailing: int, podman_store: PodmanStore, tmp_path: Path
) -> None:
    tar = nasty(tarfile.USTAR_FORMAT).rstrip(b"\0")
    tar += bytes(-len(tar) % 512 + 1024) + os.urandom(trailing)
    [stored] = podman_store.load([tar])
    result, root, split = applied(tar, tmp_path, "ours")
    assert result.diff_id == stored.record["diff-digest"]
    assert joined_segments(Path(split)) == joined_segments(Path(stored.tar_split_path))
    assert digest_of(b"".join(reassemble(split, [root]))) == result.diff_id


def test_an_empty_stream_is_an_empty_layer(podman_store: PodmanStore, tmp_path: Path) -> None:
    [stored] = podman_store.load([b""])
    assert_same_layer(stored, b"", tmp_path, "ours")


def test_podman_reads_our_tar_split(podman_store: PodmanStore, tmp_path: Path) -> None:
    tars = [nasty_without_absolute_links(), whiteouts(b"content")]
    stored = podman_store.load(tars)
    for number, layer in enumerate(stored):
        _, root, split = applied(tars[number], tmp_path, str(number))
        shutil.rmtree(layer.diff)
        shutil.copyfile(split, layer.tar_split_path)
        os.rename(root, layer.diff)
    saved = tmp_path / "saved.tar"
    podman_store.podman("save", "-q", "-o", str(saved), "localhost/nasty:latest")
    with tarfile.open(saved) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))      # type: ignore[arg-type]
        layers = [archive.extractfile(name).read() for name in manifest[0]["Layers"]]    # type: ignore[union-attr]
    assert layers == tars


def joined_segments(path: Path) -> list[object]:
    """The entries of a tar-split with neighbouring segments made one: how the end is cut up is chance."""
    entries: list[object] = []
    raw = b""
    with gzip.open(path) as file:
        for line in file:
            entry = json.loads(line)
            if entry["type"] == 2:
                raw += base64.b64decode(entry["payload"])
            else:
                entries += [raw, (entry.get("name", entry.get("name_raw")), entry.get("size"), entry["payload"])]
                raw = b""
    return [*entries, raw]


def nasty_without_absolute_links() -> bytes:
    """podman looks files up without a change of root, so members below an absolute link stop its export."""
    layer = Layer()
    add_types(layer)
    add_names(layer)
    return layer.bytes()
