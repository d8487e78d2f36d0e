"""What a container changed: our tar and our list of the same upper directory against podman's commit and diff."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from podman_layers import PodmanStore, snapshot
from tests.helpers.images import busybox_tar, directory, files_tar, regular, tar_of, whiteout

from wherry.archive.diff import changes, layer_tar, tree_changes, tree_tar
from wherry.archive.extract import ExtractOptions, apply
from wherry.archive.tarsplit import reassemble
from wherry.archive.tarstream import TarReader

pytestmark = pytest.mark.system

CAPABILITY = bytes.fromhex("0100000200040000" + "00" * 12)      # cap_net_bind_service=ep
LOWER = files_tar({"old/deep/file": b"1", "old/other": b"2", "data/one": b"3", "data/two": b"4", "swap/inside": b"5"})
MIDDLE = tar_of([whiteout("data/two"), directory("data"), (regular("data/three"), b"6"), whiteout("swap")])


@dataclass
class Container:
    """A podman container's directories; nothing runs in it."""

    merged: str
    upper: str
    lowers: list[str]


@pytest.fixture
def container(podman_store: PodmanStore) -> Iterator[Container]:
    image = podman_store.load([busybox_tar(), LOWER, MIDDLE])
    podman_store.podman("create", "--name", "changed", "localhost/nasty:latest", "sh")
    merged = podman_store.podman("mount", "changed").strip()
    yield Container(merged, os.path.dirname(merged) + "/diff", [layer.diff for layer in reversed(image)])
    podman_store.podman("umount", "changed")
    podman_store.podman("rm", "changed")


def change_everything(root: str) -> None:
    """Changes of every kind, through the mount."""
    with open(f"{root}/etc/passwd", "a") as file:
        file.write("new:x:5:5::/:/bin/sh\n")
    os.unlink(f"{root}/bin/ls")
    os.unlink(f"{root}/old/deep/file")
    os.rmdir(f"{root}/old/deep")
    os.mkdir(f"{root}/old/deep")                # over a directory: opaque, with something to hide
    os.mkdir(f"{root}/swap")                    # over a whiteout: opaque, with nothing to hide
    os.mkdir(f"{root}/data/two")
    for number in range(3):
        with open(f"{root}/data/two/gone-{number}", "w") as file:
            file.write("x")
    os.makedirs(f"{root}/new/" + "/".join(["n" * 80] * 4))
    os.link(f"{root}/etc/group", f"{root}/new/hard")
    os.symlink("../old", f"{root}/new/link")
    os.link(f"{root}/new/link", f"{root}/new/link-again", follow_symlinks=False)
    os.mkfifo(f"{root}/new/fifo", 0o600)
    os.mknod(f"{root}/new/device", 0o20600, os.makedev(1, 3))
    os.mknod(f"{root}/new/socket", 0o140600)
    attributes = os.fsencode(f"{root}/new/") + b"attributes-\xff"
    with open(attributes, "wb") as content:
        content.write(b"y" * 700)
    os.setxattr(attributes, "user.some", b"\x00\xff=\n")
    os.setxattr(attributes, "trusted.not-exported", b"1")
    os.chown(attributes, 1 << 22, 1234)
    os.chmod(attributes, 0o4711)
    os.setxattr(attributes, "security.capability", CAPABILITY)
    os.utime(attributes, ns=(0, 1_234_567_890_987_654_321))
    os.chmod(f"{root}/home/user", 0o700)
    os.utime(f"{root}/new/fifo", (-1, -1))


def change_one_file(root: str) -> None:
    with open(f"{root}/home/user/note", "w") as file:
        file.write("changed")


def change_metadata(root: str) -> None:
    os.chmod(f"{root}/old", 0o700)
    os.chown(f"{root}/data/one", 3, 4)
    os.utime(f"{root}/var", (5, 5))


CASES = [change_everything, change_one_file, change_metadata]


@pytest.mark.parametrize("change", CASES)
def test_the_tar_is_what_podman_commits(
    change: Callable[[str], None], container: Container, podman_store: PodmanStore
) -> None:
    change(container.merged)
    ours = b"".join(layer_tar(container.upper, container.lowers))
    podman_store.podman("commit", "-q", "changed", "localhost/committed")
    stored = newest_layer(podman_store, "localhost/committed")
    theirs = b"".join(reassemble(stored[0], [stored[1]]))
    assert as_newer_podmans_write(theirs) == ours


@pytest.mark.parametrize("change", CASES)
def test_the_list_is_what_podman_diff_shows(
    change: Callable[[str], None], container: Container, podman_store: PodmanStore
) -> None:
    change(container.merged)
    ours = [{"kind": line.kind, "path": line.path} for line in changes(container.upper, container.lowers)]
    shown = json.loads(podman_store.podman("diff", "--format", "json", "changed"))
    theirs = [
        {"kind": kind, "path": path}
        for word, kind in (("changed", "C"), ("added", "A"), ("deleted", "D")) for path in shown.get(word) or ()
    ]
    plain = [line for line in ours if "\udcff" not in line["path"]]
    assert [line for line in ours if line not in plain] in ([], [{"kind": "A", "path": "/new/attributes-\udcff"}])
    assert sorted(plain, key=str) == sorted((line for line in theirs if "\ufffd" not in line["path"]), key=str)


def test_the_order_is_podman_diffs(container: Container, podman_store: PodmanStore) -> None:
    change_one_file(container.merged)
    os.unlink(f"{container.merged}/old/other")
    os.mkdir(f"{container.merged}/added")
    lines = [f"{line.kind} {line.path}" for line in changes(container.upper, container.lowers)]
    assert lines == podman_store.podman("diff", "changed").splitlines()


@pytest.mark.parametrize("change", CASES)
def test_comparing_the_mounted_trees_makes_the_same_layer(
    change: Callable[[str], None], container: Container, podman_store: PodmanStore, tmp_path: Path
) -> None:
    """Applied to a copy of the lower tree, the naive tar and the native one give the same files."""
    base = podman_store.podman("image", "mount", "localhost/nasty:latest").strip()
    change(container.merged)
    results = []
    for number, tar in enumerate((tree_tar(container.merged, base), layer_tar(container.upper, container.lowers))):
        root = tmp_path / str(number)
        root.mkdir()
        for data in (b"".join(tree_tar(base)), b"".join(tar)):
            apply(_Bytes(data), str(root), ExtractOptions(whiteouts="remove"))
        files = snapshot(str(root))
        # A link made to a file that did not change otherwise is a copy to whoever compares trees.
        files[b"new/hard"] = {**files.get(b"new/hard", {}), "same inode as": b""}
        results.append(files)
    lines = tree_changes(container.merged, base)
    podman_store.podman("image", "umount", "localhost/nasty:latest")
    assert results[0] == results[1]
    native = {line.path for line in changes(container.upper, container.lowers)} - {"/etc/group"}     # only linked to
    assert {line.path for line in lines} >= native


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, size: int) -> bytes:
        part, self.data = self.data[:size], self.data[size:]
        return part


def newest_layer(store: PodmanStore, name: str) -> tuple[str, str, str]:
    """The tar-split, the directory and the diff id of an image's top layer."""
    config = json.loads(store.podman("image", "inspect", name))[0]
    diff_id = config["RootFS"]["Layers"][-1]
    with open(store.root / "overlay-layers/layers.json", encoding="utf-8") as file:
        [record] = [item for item in json.load(file) if item.get("diff-digest") == diff_id]
    layer = store.stored(record)
    return layer.tar_split_path, layer.diff, diff_id


def as_newer_podmans_write(tar: bytes) -> bytes:
    """*tar* without two habits of podman 4.3: file type bits in the mode field, which later ones leave out, and in a
    whiteout's header the link name of an earlier whiteout of the same inode."""
    out = []
    reader = TarReader(_Bytes(tar))
    for entry in reader:
        block = bytearray(entry.raw[-512:])
        block[100:108] = b"%07o\0" % (entry.mode & 0o7777)
        if b"/.wh." in b"/" + entry.name:
            block[157:257] = bytes(100)
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        out += [entry.raw[:-512], bytes(block), reader.read()]
    return b"".join([*out, *reader.trailing()])
