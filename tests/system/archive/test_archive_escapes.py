"""Layers that try to reach outside their root, as root: nothing there may be read, changed or removed.

Each test names the published class it stands for.  ``outside`` is watched; ``root`` lies beside it.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import tarfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from podman_layers import describe
from tests.helpers.images import directory, hardlink, regular, symlink, tar_of, whiteout

from wherry.archive.diff import changes, layer_tar, tree_tar
from wherry.archive.extract import OVERLAY, PLAIN, REMOVE, ExtractOptions, apply
from wherry.archive.tarsplit import reassemble
from wherry.archive.tree import Tree
from wherry.errors import Corrupt, WherryError
from wherry.sys import libc

pytestmark = pytest.mark.system

Member = tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]
MODES = pytest.mark.parametrize("whiteouts", [OVERLAY, PLAIN, REMOVE])


class Place:
    """A root to extract into and a neighbour that must not change."""

    def __init__(self, base: Path) -> None:
        self.outside = base / "outside"
        self.root = base / "root"
        for path in (self.outside / "dir", self.root):
            path.mkdir(parents=True)
        (self.outside / "file").write_text("untouched")
        (self.outside / "dir/inner").write_text("untouched")
        self.before = self.state()

    def state(self) -> dict[str, object]:
        paths = [self.outside, *sorted(self.outside.rglob("*"))]
        return {str(path): describe(os.fsencode(path), {}) for path in paths}

    def apply(self, members: Sequence[Member], whiteouts: str = OVERLAY) -> WherryError | None:
        """Extract; an error is as good as a harmless result."""
        try:
            apply(io.BytesIO(tar_of(members)), str(self.root), ExtractOptions(whiteouts=whiteouts))
        except WherryError as error:
            return error
        return None


@pytest.fixture(params=["openat2", "walk"], autouse=True)
def resolver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with the system call and with a kernel that does not have it."""
    def missing(*_: object) -> int:
        raise OSError(errno.ENOSYS, "no such call")

    if request.param == "walk":
        monkeypatch.setattr(libc, "openat2", missing)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture(autouse=True)
def nothing_outside_changes(place: Place) -> object:
    yield
    assert place.state() == place.before


@MODES
@pytest.mark.parametrize("prefix", ["../", "../../../../../../../../../../", "a/../../", "./../", "/../", "/"])
def test_names_with_dots_and_slashes(place: Place, whiteouts: str, prefix: str) -> None:
    """CVE-2001-1267, CVE-2007-4559: names that climb out of the directory."""
    target = str(place.outside).lstrip("/") if prefix.startswith("/") or prefix.count("..") > 5 else "outside"
    where = prefix + target
    error = place.apply([(regular(f"{where}/file"), b"evil"), directory(f"{where}/dir", 0o777)], whiteouts)
    assert error is None
    assert (place.root / target / "file").read_bytes() == b"evil"


@MODES
@pytest.mark.parametrize("absolute", [True, False])
def test_writing_through_a_link(place: Place, whiteouts: str, absolute: bool) -> None:
    """CVE-2014-6407, CVE-2014-9356, CVE-2019-1002101: a link to a directory outside, then a member below it."""
    target = str(place.outside) if absolute else "../outside"
    place.apply([symlink("link", target), (regular("link/file"), b"evil")], whiteouts)
    place.apply([symlink("link", target), (regular("link/new"), b"evil")], whiteouts)
    place.apply([symlink("link", target), directory("link/dir", 0o777)], whiteouts)
    place.apply([symlink("link", target), (regular("link"), b"evil")], whiteouts)
    assert (place.root / "link").read_bytes() == b"evil"


@MODES
def test_a_chain_of_links(place: Place, whiteouts: str) -> None:
    """CVE-2018-15664 without the race: links that are harmless one by one."""
    place.apply([
        symlink("a", "."), symlink("b", "a/.."), symlink("c", "b/.."), symlink("d", "c/outside"),
        (regular("d/file"), b"evil"), (regular("c/outside/file"), b"evil"),
    ], whiteouts)


@MODES
def test_a_directory_replaced_by_a_link_later_on(place: Place, whiteouts: str) -> None:
    """The same, against an extractor that remembers directories."""
    place.apply([
        directory("d"), (regular("d/one"), b"1"), symlink("x/../d", str(place.outside)), (regular("d/file"), b"evil"),
        directory("d/dir", 0o777),
    ], whiteouts)


@MODES
def test_hard_links_to_files_outside(place: Place, whiteouts: str) -> None:
    """CVE-2014-6407: a hard link to a host file, then content or attributes through it."""
    for target in ("../outside/file", str(place.outside / "file"), "link/file"):
        error = place.apply([
            symlink("link", str(place.outside)), hardlink("stolen", target), (regular("stolen"), b"evil"),
        ], whiteouts)
        assert error is not None
    assert (place.outside / "file").stat().st_nlink == 1


@MODES
def test_a_hard_link_to_a_link(place: Place, whiteouts: str) -> None:
    """A hard link's mode and owner go to the link itself, never to what it points at."""
    error = place.apply([
        symlink("link", str(place.outside / "file")), hardlink("again", "link"),
    ], whiteouts)
    assert error is None
    assert os.readlink(place.root / "again") == str(place.outside / "file")


@MODES
def test_attributes_of_links(place: Place, whiteouts: str) -> None:
    """Modes, owners, times and extended attributes of a link are not set on its target."""
    link = symlink("link", str(place.outside / "file"))
    link.uid, link.mode, link.mtime = 1000, 0o6777, 5
    link.pax_headers = {"SCHILY.xattr.trusted.evil": "1", "SCHILY.xattr.security.capability": "\1\0\0\2" + "\0" * 16}
    place.apply([link], whiteouts)


@MODES
@pytest.mark.parametrize("name", [
    ".wh..", ".wh...", "d/.wh...", "link/.wh.file", "link/.wh.dir", "link/.wh..wh..opq", ".wh.link",
])
def test_whiteouts_of_things_outside(place: Place, whiteouts: str, name: str) -> None:
    """CVE-2014-6407 by deletion: whiteouts of ``..``, whiteouts and opaque marks below a link to outside."""
    place.apply([directory("d"), symlink("link", str(place.outside)), regular(name)], whiteouts)
    place.apply([regular(name)], whiteouts)


@MODES
def test_times_of_directories_are_set_last_but_not_elsewhere(place: Place, whiteouts: str) -> None:
    """The second pass over directories meets a link where a directory was."""
    place.apply([
        directory("d", mtime=5), directory("d/dir", mtime=5), symlink("x/../d", str(place.outside)),
    ], whiteouts)


@MODES
def test_devices_and_fifos_are_not_opened(place: Place, whiteouts: str) -> None:
    """A hard link to a fifo or a terminal must not make the extractor hang or act on the device."""
    fifo = regular("fifo")
    fifo.type = tarfile.FIFOTYPE
    console = regular("console", devmajor=5, devminor=1)
    console.type = tarfile.CHRTYPE
    links = [hardlink("fifo-again", "fifo"), hardlink("console-again", "console")]
    error = place.apply([fifo, console, *links], whiteouts)
    assert error is None
    assert stat.S_ISFIFO((place.root / "fifo-again").lstat().st_mode)


def test_reading_back_through_links(place: Place, tmp_path: Path) -> None:
    """CVE-2019-10152, CVE-2024-9676: a layer tampered with must not make a save contain host files."""
    members: list[Member] = [directory("d"), (regular("d/file"), b"untouched"), (regular("file"), b"untouched")]
    split = str(tmp_path / "split")
    apply(io.BytesIO(tar_of(members)), str(place.root), ExtractOptions(tar_split_path=split))
    (place.root / "file").unlink()
    (place.root / "file").symlink_to(place.outside / "file")
    with pytest.raises(Corrupt, match="missing"):
        list(reassemble(split, [str(place.root)]))
    (place.root / "file").unlink()
    os.rename(place.root / "d", place.root / "e")
    (place.root / "d").symlink_to(place.outside)
    with pytest.raises(Corrupt, match="missing"):
        list(reassemble(split, [str(place.root)]))


def test_packing_does_not_follow_links(place: Place) -> None:
    """A container's links are packed as links, whatever they point at."""
    (place.root / "link").symlink_to(place.outside)
    (place.root / "file").symlink_to(place.outside / "file")
    for pieces in (layer_tar(str(place.root), [str(place.root)]), tree_tar(str(place.root))):
        data = b"".join(pieces)
        assert b"untouched" not in data
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert [member.type for member in archive] == [tarfile.SYMTYPE] * 2


class Swapper(threading.Thread):
    """Exchanges a directory and a link to outside for each other, over and over."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self.place = place
        self.stopping = threading.Event()

    def run(self) -> None:
        root = self.place.root
        for name, target in (("link-absolute", str(self.place.outside)), ("link-up", "../outside")):
            os.symlink(target, root / name)
        os.makedirs(root / "d", exist_ok=True)
        while not self.stopping.is_set():
            for name in ("link-absolute", "link-up"):
                for _ in range(2):
                    rename_exchange(root / "d", root / name)


def rename_exchange(one: Path, other: Path) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2)


@pytest.mark.parametrize("work", ["extract", "remove", "pack", "list", "resolve"])
def test_racing_against_a_hostile_container(place: Place, work: str) -> None:
    """CVE-2018-15664: the directory is exchanged for a link to outside while we are at it."""
    swapper = Swapper(place)
    swapper.start()
    deeds: dict[str, Callable[[], object]] = {
        "extract": lambda: place.apply([
            directory("d"), (regular("d/file"), b"evil"), directory("d/dir", 0o777), symlink("d/s", "x"),
            hardlink("d/h", "d/file"), whiteout("d/gone"),
        ]),
        "remove": lambda: place.apply([whiteout("d/file"), regular("d/.wh..wh..opq"), whiteout("d/dir")], REMOVE),
        "pack": lambda: packed(place),
        "list": lambda: changes(str(place.root), [str(place.root)]),
        "resolve": lambda: resolved(place),
    }
    try:
        for _ in range(150):
            try:
                deeds[work]()
            except WherryError:
                pass
    finally:
        swapper.stopping.set()
        swapper.join()


def packed(place: Place) -> None:
    assert b"untouched" not in b"".join(layer_tar(str(place.root)))


def resolved(place: Place) -> None:
    with Tree(str(place.root)) as tree:
        for path in (b"d/file", b"link-up/file", b"link-absolute/file"):
            try:
                fd = tree.open_regular(path)
            except OSError:
                continue
            found = os.fstat(fd)
            os.close(fd)
            assert not os.path.samestat(found, os.stat(place.outside / "file"))


def test_a_full_file_system(tmp_path: Path) -> None:
    """Running out of space says so, and leaves no tar-split."""
    root = tmp_path / "small"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], check=True)
    try:
        with pytest.raises(WherryError, match="no space left on device") as failure:
            apply(
                io.BytesIO(tar_of([(regular("large"), bytes(5_000_000))])), str(root),
                ExtractOptions(tar_split_path=str(tmp_path / "split")),
            )
        assert failure.value.kind == "no-space"
        assert not (tmp_path / "split").exists()
    finally:
        subprocess.run(["umount", root], check=True)
