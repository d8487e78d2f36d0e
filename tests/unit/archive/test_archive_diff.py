"""Tars and lists of changes, as an ordinary user; podman's opinion of them is the system tests' part."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from wherry.archive import pack
from wherry.archive.diff import PackOptions, changes, layer_tar, tree_changes, tree_tar
from wherry.errors import Corrupt, InvalidArgument, NotFound, PermissionRefused, Unsupported
from wherry.model.mount import IDMap

USER = PackOptions(userxattr=True)


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    return made(tmp_path / "upper")


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    return made(tmp_path / "lower")


def made(path: Path) -> Path:
    path.mkdir()
    return path


def put(path: Path, content: str = "x", mtime: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (mtime, mtime))
    return path


def hide(path: Path) -> None:
    """A whiteout in the kernel's notation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(path, stat.S_IFCHR, 0)


def make_opaque(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    os.setxattr(path, "user.overlay.opaque", b"y")


def members(pieces: Iterable[bytes]) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        return archive.getmembers()


def names(pieces: Iterable[bytes]) -> list[str]:
    return [member.name + "/" * member.isdir() for member in members(pieces)]


def listed(upper: Path, *lowers: Path) -> list[str]:
    found = changes(str(upper), [str(lower) for lower in lowers], userxattr=True)
    return [f"{change.kind} {change.path}" for change in found]


class TestLayerTar:
    def test_order_is_that_of_names_within_a_directory(self, upper: Path) -> None:
        for name in ("a/x", "a-b", "a.b", "B"):
            put(upper / name)
        assert names(layer_tar(str(upper))) == ["B", "a/", "a/x", "a-b", "a.b"]

    def test_fields(self, upper: Path) -> None:
        os.utime(put(upper / "file", "content"), ns=(0, 5_999_999_999))
        (upper / "file").chmod(0o4711)
        os.setxattr(upper / "file", "user.kept", b"\0\xff")
        os.setxattr(upper / "file", "user.overlay.private", b"")
        (upper / "link").symlink_to("/target")
        os.mkfifo(upper / "pipe")
        file, link, pipe = members(layer_tar(str(upper)))
        assert (file.mode, file.mtime, file.size, file.uname, file.gname) == (0o4711, 5, 7, "", "")
        assert (file.uid, file.gid) == (os.getuid(), os.getgid())
        assert [key for key in file.pax_headers if "xattr" in key] == ["SCHILY.xattr.user.kept"]
        assert (link.type, link.linkname) == (tarfile.SYMTYPE, "/target")
        assert pipe.type == tarfile.FIFOTYPE

    def test_hard_links_by_inode(self, upper: Path) -> None:
        os.link(put(upper / "b", "content"), upper / "a")
        os.link(upper / "a", upper / "c")
        first, *links = members(layer_tar(str(upper)))
        assert (first.name, first.size) == ("a", 7)
        assert [(link.name, link.type, link.linkname, link.size) for link in links] == [
            ("b", tarfile.LNKTYPE, "a", 0), ("c", tarfile.LNKTYPE, "a", 0)
        ]

    def test_sockets_are_left_out(self, upper: Path) -> None:
        os.mknod(upper / "socket", stat.S_IFSOCK | 0o600)
        put(upper / "z")
        assert names(layer_tar(str(upper))) == ["z"]

    def test_whiteouts_are_empty_files_even_when_linked_to_each_other(self, upper: Path) -> None:
        hide(upper / "d/one")
        os.link(upper / "d/one", upper / "d/two")
        first, second = members(layer_tar(str(upper)))[1:]
        for member, name in ((first, "d/.wh.one"), (second, "d/.wh.two")):
            assert (member.name, member.type, member.mode, member.size, member.linkname) == (name, b"0", 0, 0, "")

    def test_opaque_directories(self, upper: Path, lower: Path, tmp_path: Path) -> None:
        bottom = made(tmp_path / "bottom")
        for name in ("seen", "new", "hidden", "below/hidden", "file", "beside/a-file"):
            make_opaque(upper / name)
        put(lower / "seen/x")
        hide(lower / "hidden")
        hide(lower / "below")
        put(lower / "beside", "a file where the upper has a directory")
        for name in ("hidden/x", "below/hidden/x", "beside/a-file/x"):
            put(bottom / name)
        put(bottom / "file")
        found = members(layer_tar(str(upper), [str(lower), str(bottom)], USER))
        marks = [member for member in found if member.name.endswith(".wh..wh..opq")]
        assert [mark.name for mark in marks] == ["file/.wh..wh..opq", "seen/.wh..wh..opq"]
        assert (marks[1].mode, marks[1].mtime, marks[1].type) == (0o755, 0, b"0")
        assert "seen/.wh..wh..opq" not in names(layer_tar(str(upper), [], USER))

    def test_a_lower_link_to_outside_is_not_followed(self, upper: Path, lower: Path, tmp_path: Path) -> None:
        """The class of CVE-2024-9676: a link in an image must not make the engine look at the host's files."""
        make_opaque(upper / "link/host")
        made(tmp_path / "host")
        (lower / "link").symlink_to(tmp_path)
        assert names(layer_tar(str(upper), [str(lower)], USER)) == ["link/", "link/host/"]
        assert listed(upper, lower) == ["C /link", "A /link/host"]

    @pytest.mark.parametrize("name", ["user.overlay.metacopy", "user.overlay.redirect"])
    def test_incomplete_uppers_are_refused(self, upper: Path, name: str) -> None:
        os.setxattr(put(upper / "f"), name, b"")
        with pytest.raises(Unsupported, match="metacopy or redirect"):
            list(layer_tar(str(upper)))

    def test_owners_are_mapped_back(self, upper: Path) -> None:
        put(upper / "f")
        options = PackOptions(
            uid_map=(IDMap(container_id=7, host_id=os.getuid(), size=1),),
            gid_map=(IDMap(container_id=8, host_id=os.getgid(), size=1),),
        )
        [member] = members(layer_tar(str(upper), (), options))
        assert (member.uid, member.gid) == (7, 8)

    def test_an_owner_outside_the_map_is_an_error_but_for_whiteouts(self, upper: Path) -> None:
        options = PackOptions(uid_map=(IDMap(container_id=0, host_id=os.getuid() + 1, size=1),))
        hide(upper / "gone")
        assert names(layer_tar(str(upper), (), options)) == [".wh.gone"]
        put(upper / "f")
        with pytest.raises(InvalidArgument, match="cannot be mapped"):
            list(layer_tar(str(upper), (), options))

    def test_undecodable_names(self, upper: Path) -> None:
        Path(os.fsdecode(os.fsencode(upper) + b"/\xff\xfe")).write_text("x")
        data = b"".join(layer_tar(str(upper)))
        assert b"path=\xff\xfe\n" in data
        assert listed(upper) == ["A /\udcff\udcfe"]

    def test_a_file_that_grows_or_vanishes(self, upper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(upper / "a", "1234")
        put(upper / "b")
        pieces = layer_tar(str(upper))
        head = next(pieces)
        with open(upper / "a", "a") as file:
            file.write("more")
        (upper / "b").unlink()
        with tarfile.open(fileobj=io.BytesIO(head + b"".join(pieces))) as archive:
            [member] = archive.getmembers()
            assert archive.extractfile(member).read() == b"1234"       # type: ignore[union-attr]

    def test_a_file_that_shrinks_is_an_error(self, upper: Path) -> None:
        put(upper / "a", "1234")
        pieces = layer_tar(str(upper))
        next(pieces)
        put(upper / "a", "1")
        with pytest.raises(Corrupt, match="a: file shrank while it was read"):
            list(pieces)

    def test_as_deep_as_a_path_can_be(self, upper: Path) -> None:
        deep = upper
        for _ in range(600):
            deep /= "d"
        deep.mkdir(parents=True)
        assert len(members(layer_tar(str(upper)))) == 600

    def test_it_is_deterministic_and_streams(self, upper: Path) -> None:
        put(upper / "large", "x" * 5_000_000)
        first = list(layer_tar(str(upper)))
        assert first == list(layer_tar(str(upper)))
        assert max(len(piece) for piece in first) <= 1 << 20

    def test_closing_early_closes_the_files(self, upper: Path) -> None:
        before = len(os.listdir("/proc/self/fd"))
        put(upper / "large", "x" * 5_000_000)
        pieces: Iterator[bytes] = layer_tar(str(upper))
        next(pieces)
        next(pieces)
        pieces.close()      # type: ignore[attr-defined]
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_missing_directory(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            list(layer_tar(str(tmp_path / "missing")))


class TestChanges:
    def test_kinds_and_parents(self, upper: Path, lower: Path) -> None:
        put(lower / "etc/passwd")
        put(lower / "etc/old")
        put(lower / "same/deep/f")
        put(upper / "etc/passwd", "changed")
        hide(upper / "etc/old")
        put(upper / "same/deep/new")
        for path in ("etc", "same", "same/deep"):
            os.utime(lower / path, (5, 5))
            os.utime(upper / path, (5, 5))
        assert listed(upper, lower) == [
            "C /etc", "D /etc/old", "C /etc/passwd", "C /same", "C /same/deep", "A /same/deep/new"
        ]

    def test_a_changed_file_does_not_make_its_directory_changed(self, upper: Path, lower: Path) -> None:
        for base in (upper, lower):
            put(base / "d/f")
            os.utime(base / "d", (5, 5))
        assert listed(upper, lower) == ["C /d/f"]

    def test_a_directory_with_other_attributes_is_changed(self, upper: Path, lower: Path) -> None:
        for base in (upper, lower):
            (base / "d").mkdir()
            os.utime(base / "d", (5, 5))
        (upper / "d").chmod(0o700)
        assert listed(upper, lower) == ["C /d"]

    def test_whiteouts_below_hide_what_is_further_down(self, upper: Path, lower: Path, tmp_path: Path) -> None:
        bottom = made(tmp_path / "bottom")
        put(bottom / "a")
        put(bottom / "d/b")
        hide(lower / "a")
        hide(lower / "d")
        put(upper / "a")
        put(upper / "d/b")
        assert listed(upper, lower, bottom) == ["A /a", "A /d", "A /d/b"]

    def test_an_opaque_directory_is_deleted_and_filled(self, upper: Path, lower: Path) -> None:
        put(lower / "d/old")
        make_opaque(upper / "d")
        put(upper / "d/new")
        make_opaque(upper / "fresh")
        assert listed(upper, lower) == ["D /d", "A /d/new", "A /fresh"]

    def test_no_lower_layers(self, upper: Path) -> None:
        put(upper / "d/f")
        assert listed(upper) == ["A /d", "A /d/f"]


class TestTrees:
    @pytest.fixture
    def old(self, tmp_path: Path) -> Path:
        base = made(tmp_path / "old")
        for name in ("same", "content", "mode", "times", "gone/deep/f", "kept/f", "to-dir", "from-dir/f"):
            put(base / name)
        (base / "link").symlink_to("one")
        return base

    @pytest.fixture
    def new(self, tmp_path: Path) -> Path:
        base = made(tmp_path / "new")
        for name in ("same", "mode", "kept/f", "from-dir", "to-dir/f", "added/f"):
            put(base / name)
        put(base / "content", "other")
        put(base / "times", mtime=2000)
        (base / "mode").chmod(0o600)
        (base / "link").symlink_to("two")
        os.setxattr(base / "kept", "user.new", b"1")
        return base

    @pytest.fixture(autouse=True)
    def same_times(self, old: Path, new: Path) -> None:
        """Directories and links do not differ by the moment of this test."""
        for base in (old, new):
            for path in base.rglob("*"):
                if path.is_dir() or path.is_symlink():
                    os.utime(path, (5, 5), follow_symlinks=False)

    def test_kinds(self, old: Path, new: Path) -> None:
        assert [f"{change.kind} {change.path}" for change in tree_changes(str(new), str(old))] == [
            "A /added", "A /added/f", "C /content", "C /from-dir", "D /gone", "C /kept", "C /link", "C /mode",
            "C /times", "C /to-dir", "A /to-dir/f",
        ]

    def test_a_change_deep_down_changes_the_directories_above(self, old: Path, new: Path) -> None:
        put(old / "x/y/f", "1")
        put(new / "x/y/f", "22")
        for base in (old, new):
            for path in ("x", "x/y"):
                os.utime(base / path, (5, 5))
        found = [f"{change.kind} {change.path}" for change in tree_changes(str(new), str(old))]
        assert found[-3:] == ["C /x", "C /x/y", "C /x/y/f"]

    def test_times_without_a_fraction_agree_with_times_that_have_one(self, old: Path, new: Path) -> None:
        os.utime(new / "same", ns=(0, 1000 * 10**9 + 5))
        paths = [change.path for change in tree_changes(str(new), str(old))]
        assert "/same" not in paths
        os.utime(old / "same", ns=(0, 1000 * 10**9 + 6))
        assert "/same" in [change.path for change in tree_changes(str(new), str(old))]

    def test_the_tar(self, old: Path, new: Path) -> None:
        assert names(tree_tar(str(new), str(old))) == [
            "added/", "added/f", "content", "from-dir", ".wh.gone", "kept/", "link", "mode", "times", "to-dir/",
            "to-dir/f",
        ]

    def test_the_tar_of_all(self, new: Path) -> None:
        assert names(tree_tar(str(new)))[:4] == ["added/", "added/f", "content", "from-dir"]

    def test_no_difference(self, old: Path) -> None:
        assert tree_changes(str(old), str(old)) == []
        assert members(tree_tar(str(old), str(old))) == []


def test_an_unreadable_attribute_is_an_error(upper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.setxattr(put(upper / "f"), "user.a", b"1")

    def refuse(*_: object, **__: object) -> bytes:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(pack.os, "getxattr", refuse)
    with pytest.raises(PermissionRefused, match="reading layer"):
        list(layer_tar(str(upper)))
