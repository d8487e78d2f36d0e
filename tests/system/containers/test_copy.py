"""cp: what lands where, whose it is, and that nothing leads out of the container or onto the host."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from tests.system.fixtures.engine import IMAGE

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.errors import InvalidArgument, NotFound, WherryError

pytestmark = pytest.mark.system

SLEEP = ["sleep", "1000"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small tree on the host."""
    top = tmp_path / "source"
    (top / "dir" / "sub").mkdir(parents=True)
    (top / "file").write_text("hi\n")
    (top / "file").chmod(0o4755)
    os.chown(top / "file", 7, 8)
    (top / "dir" / "sub" / "deep").write_text("deep\n")
    (top / "dir" / "link").symlink_to("sub")
    (top / "dirlink").symlink_to("dir")
    return top


def shown(container: Container, command: str) -> str:
    return container.exec(["sh", "-c", command], user="0").stdout


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_names_owners_and_modes(rt: Runtime, source: Path, running: bool) -> None:
    with rt.containers.create(IMAGE, SLEEP, network="none", user="1000:1000") as container:
        if running:
            container.start()
        container.copy_in(f"{source}/file", "/tmp/")
        container.copy_in(f"{source}/file", "/tmp/other", own=False)
        container.copy_in(f"{source}/dir", "/tmp/new")
        container.copy_in(f"{source}/dirlink", "/tmp")
        container.copy_in(f"{source}/dir/.", "/tmp/dirlink/sub")
        found = {name: container.stat(f"/tmp/{name}") for name in ("file", "other", "new", "dirlink/sub/sub/deep")}
        owners = [(status.uid, status.gid) for status in found.values()]
        assert owners == [(1000, 1000), (7, 8), (1000, 1000), (1000, 1000)]
        assert stat.S_IMODE(found["file"].mode) == 0o755
        assert found["new"].is_dir
        link = container.stat("/tmp/new/link")
        assert (link.link_target, link.path, link.is_dir) == ("sub", "/tmp/new/sub", True)
        container.start()
        assert shown(container, "cat /tmp/new/sub/deep") == "deep\n"


def test_out_of_a_container(rt: Runtime, tmp_path: Path) -> None:
    with rt.containers.create(IMAGE, SLEEP, network="none") as container:
        container.start()
        shown(container, "mkdir -p /data/x; echo one >/data/x/f; chown 1000 /data/x/f; ln -s /data/x /data/l")
        container.copy_out("/data", str(tmp_path))
        container.copy_out("/data/x/f", f"{tmp_path}/named")
        container.copy_out("/data/l", f"{tmp_path}/linked")
        container.copy_out("/data/x/.", f"{tmp_path}/data")
        assert (tmp_path / "data/x/f").read_text() == (tmp_path / "named").read_text() == "one\n"
        assert (tmp_path / "linked/f").read_text() == (tmp_path / "data/f").read_text() == "one\n"
        assert (tmp_path / "data/l").is_symlink()
        assert (tmp_path / "named").stat().st_uid == os.geteuid()


def test_what_is_missing_or_does_not_fit(rt: Runtime, source: Path, tmp_path: Path) -> None:
    with rt.containers.create(IMAGE, SLEEP, name="box", network="none") as container:
        cases = [
            (f"{source}/file", "/nodir/x", '"/nodir/x" could not be found on container box: no such file or directory'),
            (f"{source}/file", "/tmp/no/", r'"/tmp/no/" could not be found on container box'),
            (f"{source}/nope", "/tmp", r'nope" could not be found on the host: no such file or directory'),
        ]
        for path, target, words in cases:
            with pytest.raises(NotFound, match=words):
                container.copy_in(path, target)
        with pytest.raises(InvalidArgument, match="destination must be a directory when copying a directory"):
            container.copy_in(f"{source}/dir", "/etc/passwd")
        with pytest.raises(NotFound, match='"/nope" could not be found on container box'):
            container.copy_out("/nope", str(tmp_path))
        (tmp_path / "x" / "passwd").mkdir(parents=True)
        with pytest.raises(WherryError, match="cannot overwrite a directory with a file"):
            container.copy_out("/etc/passwd", f"{tmp_path}/x")
        container.copy_out("/etc/passwd", f"{tmp_path}/x", overwrite=True)
        assert (tmp_path / "x" / "passwd").is_file()


def test_volumes_and_bind_mounts_are_those_of_the_container(rt: Runtime, source: Path, tmp_path: Path) -> None:
    bound = tmp_path / "bound"
    bound.mkdir()
    with rt.containers.create(IMAGE, SLEEP, network="none", volumes=["/vol", f"{bound}:/bound:rw"]) as container:
        container.copy_in(f"{source}/file", "/vol")
        container.copy_in(f"{source}/file", "/bound")
        assert (bound / "file").read_text() == "hi\n"
        container.start()
        assert shown(container, "cat /vol/file /bound/file") == "hi\nhi\n"
        container.copy_in(f"{source}/dir", "/bound")
        assert (bound / "dir/sub/deep").exists()
        assert container.copy_from("/vol/file").status.size == 3
        container.stop(timeout=0)
        assert container.stat("/vol/file").size == 3


def test_a_mounted_file_is_written_in_place(rt: Runtime, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("192.0.2.1 made.up\n")
    with rt.containers.create(IMAGE, SLEEP) as container:
        container.start()
        container.copy_in(f"{tmp_path}/hosts", "/etc/hosts")
        assert shown(container, "cat /etc/hosts") == "192.0.2.1 made.up\n"


def test_archives(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, SLEEP, network="none") as container:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            entry = tarfile.TarInfo("d/f")
            entry.size, entry.uid = 3, 55
            tar.addfile(entry, io.BytesIO(b"abc"))
        container.copy_to("/tmp", out.getvalue(), own=False, rename={"d": "renamed"})
        assert container.stat("/tmp/renamed/f").uid == 55
        back = container.copy_from("/tmp/renamed")
        assert back.status.is_dir
        with tarfile.open(fileobj=io.BytesIO(back.read())) as tar:
            assert tar.getnames() == ["renamed", "renamed/f"]
        with pytest.raises(InvalidArgument, match="destination must be a directory when copying from stdin"):
            container.copy_to("/etc/passwd", out.getvalue())


def test_between_containers(rt: Runtime) -> None:
    from wherry.engine.container_view import ContainerView
    from wherry.engine.copying import ContainerPlace, copy

    with (
        rt.containers.create(IMAGE, SLEEP, network="none", user="1000") as one,
        rt.containers.create(IMAGE, SLEEP, network="none") as two,
    ):
        one.start()
        shown(one, "mkdir /tmp/d; echo x >/tmp/d/f; chown -R 1000 /tmp/d")
        with ContainerView(rt, one.id) as first, ContainerView(rt, two.id) as second:
            copy(ContainerPlace(first, "one"), "/tmp/d", ContainerPlace(second, "two"), "/etc")
        assert (two.stat("/etc/d/f").uid, two.stat("/etc/d/f").size) == (0, 2)


def test_cve_2018_15664_and_2019_10152_links_never_lead_to_the_host(rt: Runtime, source: Path, tmp_path: Path) -> None:
    """CVE-2018-15664, CVE-2019-10152: what links in a container say is looked up in the container."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    with rt.containers.create(IMAGE, SLEEP, network="none") as container:
        container.start()
        shown(container, f"ln -s {secret} /tmp/out; ln -s ../../../../../../../..{secret}/key /tmp/key")
        for running in (True, False):
            if not running:
                container.stop(timeout=0)
            for path in ("/tmp/out/key", "/tmp/key", "/tmp/out/."):
                with pytest.raises(NotFound):
                    container.copy_out(path, f"{tmp_path}/stolen")
            with pytest.raises(NotFound):
                container.copy_in(f"{source}/file", "/tmp/out/planted")
        assert [path.name for path in secret.iterdir()] == ["key"]


def test_cve_2018_15664_a_link_swapped_in_meanwhile_stays_inside(rt: Runtime, source: Path, tmp_path: Path) -> None:
    """CVE-2018-15664: the race of a directory with a symbolic link to a path of the host."""
    outside = tmp_path / "outside"
    outside.mkdir()
    with rt.containers.create(IMAGE, SLEEP, network="none") as container:
        container.start()
        shown(container, f"mkdir -p /swap/a {outside}; echo inside >/swap/a/file")
        loop = f"while :; do mv /swap/a /swap/b; ln -s {outside} /swap/a; rm /swap/a; mv /swap/b /swap/a; done"
        swapper = threading.Thread(target=lambda: container.exec(["sh", "-c", loop]))
        swapper.start()
        try:
            for round in range(60):
                try:
                    container.copy_in(f"{source}/file", "/swap/a/planted")
                except WherryError:
                    pass
                target = tmp_path / f"got{round}"
                try:
                    container.copy_out("/swap/a", str(target))
                except WherryError:
                    pass
        finally:
            container.stop(timeout=0)
            swapper.join()
    assert list(outside.iterdir()) == []


def test_an_archive_cannot_leave_its_directory(rt: Runtime) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        link = tarfile.TarInfo("up")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
        for name in ("../../climbed", "up/followed"):
            entry = tarfile.TarInfo(name)
            tar.addfile(entry)
    with rt.containers.create(IMAGE, SLEEP, network="none") as container:
        container.copy_to("/tmp", out.getvalue())
        assert container.stat("/tmp/climbed").size == 0
        assert container.stat("/etc/followed").size == 0        # a link of the container's, followed in the container
    assert not os.path.exists("/etc/followed")


def test_host_files_get_no_privileges(rt: Runtime, tmp_path: Path) -> None:
    with rt.containers.create(IMAGE, SLEEP, network="none") as container:
        container.start()
        shown(container, "cp /bin/busybox /tmp/su; chmod 6755 /tmp/su; mknod /tmp/null c 1 3")
        container.copy_out("/tmp", f"{tmp_path}/got")
        assert stat.S_IMODE((tmp_path / "got/su").stat().st_mode) == 0o755
        assert not (tmp_path / "got/null").exists()
