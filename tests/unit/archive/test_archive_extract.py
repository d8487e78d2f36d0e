"""Applying layers as an ordinary user: content, names, failures. Owners and devices are the system tests' part."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from tests.helpers.images import digest_of, directory, files_tar, hardlink, regular, symlink, tar_of, whiteout

from wherry.archive import unpack
from wherry.archive.extract import PLAIN, REMOVE, Applied, ExtractOptions, SizeLimitExceeded, apply
from wherry.archive.tarsplit import reassemble
from wherry.errors import Corrupt, InvalidArgument, NoSpace, NotFound, Unsupported, WherryError
from wherry.model.mount import IDMap

ME = (os.getuid(), os.getgid())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def options(**changes: object) -> ExtractOptions:
    """Options under which nobody needs to be root."""
    return ExtractOptions(**{"ignore_chown_errors": True, "userxattr": True, "in_userns": True, **changes})


def extract(tar: bytes, root: Path, **changes: object) -> Applied:
    return apply(io.BytesIO(tar), str(root), options(**changes))


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_what_is_reported(root: Path) -> None:
    tar = tar_of([
        directory("d", uid=5, gid=6), (regular("d/f", uid=1000, gid=7), b"x"), whiteout("gone"),
        symlink("s", "x"), regular("d/.wh.other", uid=99, gid=99), directory("d/.wh.dir/", uid=98),
    ])
    for data, name in ((tar, "none"), (gzip.compress(tar), "gzip")):
        result = extract(data, root)
        assert result == Applied(
            diff_id=digest_of(tar), size=len(tar), uids=[0, 5, 1000], gids=[0, 6, 7], compression=name
        )


def test_files_and_links(root: Path) -> None:
    extract(tar_of([
        directory("d", 0o750), (regular("d/f", 0o640), b"content"), hardlink("d/h", "d/f"), symlink("s", "/d"),
        (regular("s/through"), b"y" * 3_000_000),
    ]), root)
    assert names(root) == ["d", "d/f", "d/h", "d/through", "s"]
    assert (root / "d/f").read_bytes() == b"content"
    assert (root / "d/through").read_bytes() == b"y" * 3_000_000
    assert (root / "d/h").samefile(root / "d/f")
    assert os.readlink(root / "s") == "/d"
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o750
    assert stat.S_IMODE((root / "d/f").stat().st_mode) == 0o644     # a hard link's own mode is the last word


def test_times(root: Path) -> None:
    records = {"mtime": "1234567890.123456789", "atime": "1.5"}
    extract(tar_of([
        directory("d", pax_headers=records), regular("d/f", pax_headers=records), symlink("d/s", "x"),
        regular("before", mtime=-1), regular("later", pax_headers={"mtime": "1", "atime": "9.5"}),
        regular("never", pax_headers={"mtime": "99999999999999999"}),
    ]), root)
    for name in ("d", "d/f"):
        assert (root / name).stat().st_mtime_ns == 1234567890123456789
        assert (root / name).stat().st_atime_ns >= 1234567890123456789       # never before the modification
    assert (root / "before").stat().st_mtime_ns == 0
    assert (root / "never").stat().st_mtime_ns == 0
    assert (root / "later").stat().st_atime_ns == 9_500_000_000


def test_missing_parents_are_made_by_the_umask(root: Path) -> None:
    umask = os.umask(0o27)
    try:
        extract(tar_of([(regular("a/b/c"), b"")]), root)
    finally:
        os.umask(umask)
    assert stat.S_IMODE((root / "a/b").stat().st_mode) == 0o750


def test_what_is_there_is_replaced_unless_both_are_directories(root: Path) -> None:
    (root / "dir/inside").mkdir(parents=True)
    (root / "kept/inside").mkdir(parents=True)
    (root / "file").write_text("old")
    (root / "target").mkdir()
    (root / "link").symlink_to("target")
    extract(tar_of([
        (regular("dir"), b"now a file"), directory("kept", 0o700), directory("file"), (regular("link"), b"no link"),
    ]), root)
    assert (root / "dir").read_bytes() == b"now a file"
    assert names(root) == ["dir", "file", "kept", "kept/inside", "link", "target"]
    assert (root / "file").is_dir()
    assert not (root / "link").is_symlink()
    assert stat.S_IMODE((root / "kept").stat().st_mode) == 0o700


def test_a_replaced_directory_is_found_under_its_new_meaning(root: Path) -> None:
    """Descriptors of directories are kept; they must not outlive the directory's name."""
    extract(tar_of([
        directory("a"), (regular("a/one"), b"1"), directory("b"), symlink("alias", "a"),
        symlink("x/../a/", "b"), (regular("a/two"), b"2"), (regular("alias/three"), b"3"),
    ]), root)
    assert names(root) == ["a", "alias", "b", "b/three", "b/two"]


def test_attributes_may_be_empty(root: Path) -> None:
    """Podman 4 loses them, 5 does not."""
    extract(tar_of([regular("f", pax_headers={"SCHILY.xattr.user.a": "", "SCHILY.xattr.user.b": "x\0y"})]), root)
    assert {name: os.getxattr(root / "f", name) for name in os.listxattr(root / "f")} == {
        "user.a": b"", "user.b": b"x\0y"
    }


def test_the_root_entry(root: Path) -> None:
    root.chmod(0o555)
    extract(tar_of([directory("./", 0o700)]), root)
    assert stat.S_IMODE(root.stat().st_mode) == 0o555
    extract(tar_of([directory("/", 0o711)]), root)
    assert stat.S_IMODE(root.stat().st_mode) == 0o711
    extract(tar_of([directory("./", 0o750)]), root, whiteouts=REMOVE)
    assert stat.S_IMODE(root.stat().st_mode) == 0o750


def test_the_root_cannot_be_replaced(root: Path) -> None:
    for name in ("/", "..", "a/../.."):
        with pytest.raises(Corrupt, match="the root directory cannot be replaced"):
            extract(tar_of([symlink(name, "/etc")]), root)


class TestOverlayWhiteouts:
    def is_opaque(self, path: Path) -> bool:
        return "user.overlay.opaque" in os.listxattr(path)

    def test_marks(self, root: Path) -> None:
        extract(tar_of([whiteout("a/gone"), regular("b/.wh..wh..opq"), (regular("b/new"), b"x")]), root)
        info = (root / "a/gone").lstat()
        assert stat.S_ISCHR(info.st_mode)
        assert (info.st_rdev, stat.S_IMODE(info.st_mode)) == (0, 0)
        assert self.is_opaque(root / "b")
        assert names(root) == ["a", "a/gone", "b", "b/new"]

    def test_below_a_whiteout(self, root: Path) -> None:
        extract(tar_of([whiteout("a"), whiteout("a/b"), regular("a/.wh..wh..opq"), whiteout("a/b/c")]), root)
        assert names(root) == ["a"]

    def test_beside_what_they_hide(self, root: Path) -> None:
        """Only lower layers are meant; podman refuses such layers."""
        new = [(regular("file"), b"new"), (regular("dir/f"), b"new")]
        extract(tar_of([*new, whiteout("file"), whiteout("dir")]), root)
        assert (root / "file").read_bytes() == b"new"
        assert (root / "dir/f").read_bytes() == b"new"
        assert self.is_opaque(root / "dir")

    def test_then_something_new(self, root: Path) -> None:
        extract(tar_of([whiteout("a"), (regular("a"), b"new"), whiteout("d"), directory("d")]), root)
        assert (root / "a").read_bytes() == b"new"
        assert (root / "d").is_dir()

    @pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."])
    def test_of_nothing(self, root: Path, name: str) -> None:
        with pytest.raises(Corrupt, match="whiteout of nothing"):
            extract(tar_of([directory("d"), regular(name)]), root)

    def test_the_kernels_own_attributes_do_not_come_from_archives(self, root: Path) -> None:
        records = {
            "SCHILY.xattr.user.overlay.redirect": "/etc", "SCHILY.xattr.trusted.overlay.metacopy": "",
            "SCHILY.xattr.user.fine": "x",
        }
        extract(tar_of([directory("d", pax_headers=records)]), root)
        assert os.listxattr(root / "d") == ["user.fine"]


def test_plain_whiteouts(root: Path) -> None:
    extract(tar_of([whiteout("gone"), regular("d/.wh..wh..opq")]), root, whiteouts=PLAIN)
    assert names(root) == [".wh.gone", "d", "d/.wh..wh..opq"]


class TestRemovingWhiteouts:
    def lower(self, root: Path) -> None:
        extract(files_tar(dict.fromkeys(("a/b/c", "a/d", "e", "f/g"), b"lower")), root, whiteouts=REMOVE)

    def apply(self, root: Path, *members: tarfile.TarInfo) -> list[str]:
        self.lower(root)
        extract(tar_of(list(members)), root, whiteouts=REMOVE)
        return names(root)

    def test_files_and_trees_go(self, root: Path) -> None:
        assert self.apply(root, whiteout("a"), whiteout("e"), whiteout("missing"), whiteout("f/g")) == ["f"]

    def test_what_the_layer_brings_stays(self, root: Path) -> None:
        opaque = regular("a/.wh..wh..opq")
        found = self.apply(root, regular("a/new/file"), opaque, whiteout("e"), regular("e"), whiteout("f"))
        assert found == ["a", "a/new", "a/new/file", "e"]

    def test_hiding_a_directory_the_layer_brings_empties_it_of_lower_things(self, root: Path) -> None:
        assert self.apply(root, regular("a/b/new"), whiteout("a")) == ["a", "a/b", "a/b/new", "e", "f", "f/g"]

    def test_book_keeping_of_aufs_is_ignored(self, root: Path) -> None:
        found = self.apply(root, directory(".wh..wh.plnk"), regular(".wh..wh.plnk/5.7"), regular(".wh..wh.aufs"))
        assert found == ["a", "a/b", "a/b/c", "a/d", "e", "f", "f/g"]

    @pytest.mark.parametrize("name", [".wh...", "a/.wh..", "a/.wh..."])
    def test_of_nothing(self, root: Path, name: str) -> None:
        with pytest.raises(Corrupt, match="whiteout of nothing"):
            self.apply(root, regular(name))
        assert "e" in names(root)


class TestTarSplit:
    def test_the_tar_comes_back(self, root: Path, tmp_path: Path) -> None:
        split = str(tmp_path / "split")
        hidden = regular(".wh.gone")
        tar = tar_of([
            directory("./"), (regular("f"), b"x" * 5000), hardlink("h", "f"), (hidden, b"content nobody sees"),
            (regular("g"), os.urandom(2_000_000)), whiteout("z"),
        ]) + b"after the end" * 1000
        result = extract(gzip.compress(tar), root, tar_split_path=split)
        assert b"".join(reassemble(split, [str(root)])) == tar
        assert result.diff_id == digest_of(tar)

    def test_no_members(self, root: Path, tmp_path: Path) -> None:
        for number, tar in enumerate((b"", bytes(1024), bytes(10240))):
            split = str(tmp_path / f"split{number}")
            assert extract(tar, root, tar_split_path=split).diff_id == digest_of(tar)
            assert b"".join(reassemble(split, [str(root)])) == tar

    def test_two_members_of_one_name(self, root: Path, tmp_path: Path) -> None:
        tar = tar_of([(regular("a"), b"1"), (regular("./a"), b"2")])
        with pytest.raises(Corrupt, match="duplicates of file paths not supported"):
            extract(tar, root, tar_split_path=str(tmp_path / "split"))
        assert not (tmp_path / "split").exists()
        extract(tar, root)
        assert (root / "a").read_bytes() == b"2"

    def test_a_failure_leaves_none(self, root: Path, tmp_path: Path) -> None:
        tar = tar_of([(regular("a"), b"1" * 5000)])
        with pytest.raises(Corrupt, match="unexpected EOF"):
            extract(tar[:3000], root, tar_split_path=str(tmp_path / "split"))
        assert not (tmp_path / "split").exists()


def entry_of_type(kind: bytes) -> bytes:
    info = regular("odd")
    info.type = kind
    return tar_of([info])


@pytest.mark.parametrize("kind", [b"7", b"S", b"V", b"Z", b"s"])
def test_unknown_types_are_refused(root: Path, kind: bytes) -> None:
    with pytest.raises(Unsupported, match=f"odd: unhandled tar header type {kind[0]}"):
        extract(entry_of_type(kind), root)


@pytest.mark.parametrize("records", [
    {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "5"}, {"GNU.sparse.map": "0,1"},
])
def test_sparse_files_are_refused(root: Path, records: dict[str, str]) -> None:
    with pytest.raises(Unsupported, match="f: sparse files"):
        extract(tar_of([regular("f", pax_headers=records)]), root)


@pytest.mark.parametrize(("members", "message"), [
    ([hardlink("a", "missing")], "a: no such file or directory"),
    ([symlink("s", "nowhere"), regular("s/f")], "s/f: no such file or directory"),
    ([whiteout("w"), regular("w/f")], "w/f: not a directory"),
    ([regular("n" * 300)], "file name too long"),
])
def test_what_cannot_be_made(root: Path, members: list[tarfile.TarInfo], message: str) -> None:
    with pytest.raises(WherryError) as failure:
        extract(tar_of(members), root)
    assert str(failure.value).startswith("unpacking layer:")
    assert message.split(": ")[-1] in str(failure.value)


def test_names_in_messages_are_readable(root: Path) -> None:
    with pytest.raises(NotFound) as failure:
        extract(tar_of([hardlink("bad-\udcff", "missing")]), root)
    assert str(failure.value) == r"unpacking layer: bad-\xff: no such file or directory"


def test_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        extract(tar_of([]), tmp_path / "missing")


def test_a_full_disk_is_said_to_be_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if threading.current_thread() is threading.main_thread():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    monkeypatch.setattr(unpack.os, "write", write)
    with pytest.raises(NoSpace, match="unpacking layer: f"):
        extract(tar_of([(regular("f"), b"x")]), root)


class TestIdMaps:
    MAPS = (IDMap(container_id=0, host_id=ME[0], size=1),), (IDMap(container_id=0, host_id=ME[1], size=1),)

    def test_owners_are_mapped(self, root: Path) -> None:
        uid_map, gid_map = self.MAPS
        extract(tar_of([(regular("d/f"), b"x")]), root, uid_map=uid_map, gid_map=gid_map, ignore_chown_errors=False)
        assert ((root / "d/f").stat().st_uid, (root / "d").stat().st_gid) == ME

    def test_an_owner_outside_is_an_error(self, root: Path) -> None:
        uid_map, gid_map = self.MAPS
        with pytest.raises(InvalidArgument, match="container UID 5 cannot be mapped to a host UID"):
            extract(tar_of([regular("f", uid=5)]), root, uid_map=uid_map, gid_map=gid_map)


class TestForceMask:
    def override(self, path: Path) -> bytes:
        return os.getxattr(path, "user.containers.override_stat")

    def test_real_attributes_are_recorded(self, root: Path) -> None:
        device = regular("dev", 0o660, devmajor=1, devminor=3, gid=6)
        device.type = tarfile.CHRTYPE
        block = regular("block", 0o600, devmajor=8, devminor=0)
        block.type = tarfile.BLKTYPE
        fifo = regular("fifo", 0o600)
        fifo.type = tarfile.FIFOTYPE
        extract(tar_of([
            directory("./", 0o711, uid=1), directory("d", 0o1777), (regular("d/f", 0o4711, uid=1000, gid=7), b"x"),
            device, block, fifo, symlink("s", "d"), hardlink("h", "d/f"),
        ]), root, force_mask=0o755, whiteouts=PLAIN)
        assert self.override(root) == b"1:0:0711:dir"
        assert self.override(root / "d") == b"0:0:1777:dir"
        assert self.override(root / "d/f") == b"1000:7:4711:file"
        assert self.override(root / "dev") == b"0:6:0660:char-1-3"
        assert self.override(root / "block") == b"0:0:0600:block-8-0"
        assert self.override(root / "fifo") == b"0:0:0600:pipe"
        for name in ("d", "d/f", "dev", "fifo", "h"):
            assert stat.S_IMODE((root / name).stat().st_mode) == 0o755
        assert all((root / name).is_file() for name in ("dev", "block", "fifo"))

    def test_the_root_has_the_attribute_in_any_case(self, root: Path) -> None:
        extract(tar_of([]), root, force_mask=0o700, whiteouts=PLAIN)
        assert self.override(root) == b"0:0:0755:dir"


class TestStreams:
    def test_bombs_are_defused(self, root: Path, tmp_path: Path) -> None:
        """The class of CVE-2017-14992: a small blob that becomes very large (here: zero bytes after the end)."""
        bomb = gzip.compress(tar_of([]) + bytes(30_000_000), 9)
        with pytest.raises(SizeLimitExceeded, match="limit of 1000000 bytes"):
            extract(bomb, root, max_size=1_000_000, tar_split_path=str(tmp_path / "split"))
        assert len(bomb) < 100_000
        assert not (tmp_path / "split").exists()

    def test_exactly_the_limit_is_fine(self, root: Path) -> None:
        tar = tar_of([(regular("f"), b"x" * 5000)])
        assert extract(tar, root, max_size=len(tar)).size == len(tar)
        with pytest.raises(SizeLimitExceeded):
            extract(tar, root, max_size=len(tar) - 1)

    def test_errors_of_the_stream_come_through(self, root: Path) -> None:
        class Broken:
            def __init__(self, error: BaseException) -> None:
                self.error = error
                self.data = io.BytesIO(tar_of([(regular("f"), b"x" * 3_000_000)])[:2_000_000])

            def read(self, size: int) -> bytes:
                data = self.data.read(100_000)
                if not data:
                    raise self.error
                return data

        for error in (KeyError("lost"), Corrupt("digest mismatch")):
            with pytest.raises(type(error)):
                apply(Broken(error), str(root), options())
        with pytest.raises(WherryError, match="reading layer"):
            apply(Broken(OSError(errno.EIO, "I/O error")), str(root), options())

    def test_no_thread_and_no_descriptor_stay_after_a_failure(self, root: Path) -> None:
        before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
        tar = tar_of([regular("bad", uid=5), (regular("rest"), bytes(50_000_000))])
        for _ in range(3):
            with pytest.raises(InvalidArgument):
                extract(tar, root, uid_map=(IDMap(container_id=0, host_id=0, size=1),))
        assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before

    def test_the_stream_is_read_to_its_end(self, root: Path) -> None:
        stream = io.BytesIO(tar_of([]) + bytes(5_000_000) + b"end")
        assert apply(stream, str(root), options()).size == stream.tell()
        assert stream.read() == b""
