"""Name resolution beneath a root, through openat2(2) and step by step."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.archive.tree import Tree, beneath, clean, walk
from wherry.sys import libc


@pytest.fixture(params=["openat2", "walk"], autouse=True)
def resolver(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs with the system call and with a kernel that does not have it."""
    if request.param == "walk":
        def missing(*_: object) -> int:
            raise OSError(errno.ENOSYS, "no such call")

        monkeypatch.setattr(libc, "openat2", missing)
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """``root/`` with links of all kinds, and a file outside that nothing may reach."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    top = tmp_path / "root"
    (top / "usr/bin").mkdir(parents=True)
    (top / "usr/bin/tool").write_text("tool")
    (top / "bin").symlink_to("usr/bin")
    (top / "absolute").symlink_to("/usr/bin")
    (top / "up").symlink_to("../../../../usr")
    (top / "chain").symlink_to("up/../absolute")
    (top / "outside").symlink_to(tmp_path / "outside")
    (top / "relative-outside").symlink_to("../outside")
    (top / "dangling").symlink_to("nowhere/at/all")
    (top / "loop").symlink_to("loop")
    (top / "tool-link").symlink_to("/usr/bin/tool")
    (top / "magic").symlink_to("/proc/self/fd")
    return top


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    with Tree(str(root)) as opened:
        yield opened


def read(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


@pytest.mark.parametrize("path", [
    b"usr/bin/tool", b"bin/tool", b"absolute/tool", b"up/bin/tool", b"chain/tool", b"tool-link", b"up/../usr/bin/tool",
    b"../../usr/bin/tool", b"/usr/bin/tool", b"usr/bin/../../../usr/bin/tool",
])
def test_links_are_followed_inside(tree: Tree, path: bytes) -> None:
    assert read(tree.open(path, os.O_RDONLY)) == b"tool"


@pytest.mark.parametrize(("path", "number"), [
    (b"outside/secret", errno.ENOENT), (b"relative-outside/secret", errno.ENOENT), (b"../outside/secret", errno.ENOENT),
    (b"dangling/x", errno.ENOENT), (b"loop/x", errno.ELOOP), (b"loop", errno.ELOOP), (b"magic/0", errno.ENOENT),
    (b"usr/bin/tool/x", errno.ENOTDIR), (b"missing", errno.ENOENT),
])
def test_nothing_outside_is_reached(tree: Tree, path: bytes, number: int) -> None:
    with pytest.raises(OSError) as failure:
        tree.open(path, os.O_RDONLY)
    assert failure.value.errno == number


def test_magic_links_are_refused(tree: Tree, root: Path) -> None:
    """A /proc inside the tree offers links that lead anywhere, whatever the root is."""
    with Tree("/proc/self") as process, pytest.raises(OSError):
        process.open(b"root/etc", os.O_RDONLY)


def test_without_following_a_link_on_the_way_is_no_directory(root: Path) -> None:
    with Tree(str(root), follow=False) as tree:
        assert read(tree.open(b"usr/bin/tool", os.O_RDONLY)) == b"tool"
        for path in (b"bin/tool", b"absolute/tool", b"tool-link"):
            with pytest.raises(NotADirectoryError):
                tree.open(path, os.O_RDONLY)
        os.close(tree.open(b"bin", os.O_PATH | os.O_NOFOLLOW))


def test_flags_of_the_last_part(tree: Tree) -> None:
    with pytest.raises(OSError) as failure:
        tree.open(b"tool-link", os.O_RDONLY | os.O_NOFOLLOW)
    assert failure.value.errno == errno.ELOOP
    with pytest.raises(NotADirectoryError):
        tree.open(b"bin/tool", os.O_RDONLY | os.O_DIRECTORY)
    fd = tree.open(b"bin", os.O_RDONLY | os.O_DIRECTORY)
    assert os.listdir(fd) == ["tool"]
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_directories_are_kept_open_and_forgotten(tree: Tree, root: Path) -> None:
    first = tree.directory(b"bin")
    assert tree.directory(b"bin") == first
    (root / "bin").unlink()
    (root / "bin").symlink_to("/up")
    tree.forget()
    assert os.path.samestat(os.fstat(tree.directory(b"bin")), os.stat(root / "usr"))


def test_many_directories_need_few_descriptors(tree: Tree, root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(300):
        (root / f"d{number}").mkdir()
        assert tree.directory(b"d%d" % number) >= 0
    assert len(os.listdir("/proc/self/fd")) - before <= 64


def make(directory: int, name: bytes) -> None:
    os.mkdir(name, dir_fd=directory)


def test_missing_directories_are_made(tree: Tree, root: Path) -> None:
    fd, base = tree.locate(b"absolute/new/deeper/file", make)
    assert base == b"file"
    assert os.path.samestat(os.fstat(fd), os.stat(root / "usr/bin/new/deeper"))


def test_as_deep_as_a_path_can_be(tree: Tree, root: Path) -> None:
    deep = b"/".join([b"d"] * 1500)
    assert tree.directory(deep, make) > 0
    assert tree.status(deep).st_nlink == 2
    tree.remove(b"d")
    assert not (root / "d").exists()


@pytest.mark.parametrize("path", [b"dangling/new", b"dangling"])
def test_a_dangling_link_is_not_made_a_directory(tree: Tree, path: bytes) -> None:
    with pytest.raises(FileNotFoundError):
        tree.directory(path, make)


def test_something_else_in_the_way_is_an_error(tree: Tree) -> None:
    with pytest.raises(NotADirectoryError):
        tree.directory(b"usr/bin/tool/x", make)


def test_regular_files_only(tree: Tree, root: Path) -> None:
    os.mkfifo(root / "fifo")
    assert read(tree.open_regular(b"bin/tool")) == b"tool"
    for path in (b"fifo", b"tool-link", b"usr", b"missing", b""):
        with pytest.raises(FileNotFoundError):
            tree.open_regular(path)


def test_removing(tree: Tree, root: Path, tmp_path: Path) -> None:
    tree.remove(b"outside")
    tree.remove(b"missing/x")
    tree.remove(b"usr/bin/tool/x")
    tree.remove(b"absolute/tool")
    assert not (root / "usr/bin/tool").exists()
    tree.remove(b"usr")
    assert not (root / "usr").exists()
    assert (tmp_path / "outside/secret").read_text() == "secret"


def test_status_does_not_follow_the_last_part(tree: Tree, root: Path) -> None:
    assert os.path.samestat(tree.status(b"tool-link"), os.lstat(root / "tool-link"))
    assert os.path.samestat(tree.status(b""), os.stat(root))


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with Tree(str(root)) as tree:
        for path in (b"chain/tool", b"loop/x", b"dangling", b"outside/secret", b"usr/bin/tool/x"):
            for follow in (True, False):
                try:
                    os.close(walk(tree.fd, path, os.O_RDONLY, follow=follow))
                except OSError:
                    pass
            try:
                tree.directory(path, make)
            except OSError:
                pass
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize(("name", "cleaned", "path"), [
    (b"", b".", b""), (b".", b".", b""), (b"./", b".", b""), (b"/", b"/", b""), (b"//", b"/", b""), (b"..", b"..", b""),
    (b"a", b"a", b"a"), (b"./a/", b"a", b"a"), (b"a//b/./c/../d", b"a/b/d", b"a/b/d"), (b"/a/b/", b"/a/b", b"a/b"),
    (b"../../a", b"../../a", b"a"), (b"a/../../b", b"../b", b"b"), (b"/../a", b"/a", b"a"), (b"/..", b"/", b""),
    (b"..a/.b", b"..a/.b", b"..a/.b"), (b"a/..", b".", b""), (b"a/../..", b"..", b""), (b"../..", b"../..", b""),
    (b"a/", b"a", b"a"), (b"a///", b"a", b"a"),
])
def test_names_are_cleaned_as_in_go(name: bytes, cleaned: bytes, path: bytes) -> None:
    assert clean(name) == cleaned
    assert beneath(cleaned) == path
