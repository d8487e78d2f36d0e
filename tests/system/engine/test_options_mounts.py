"""Options of create and run as the container feels them: file systems, volumes, namespaces, names."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers import images
from tests.system.engine.conftest import IMAGE, open_runtime
from tests.system.engine.recovering import until
from tests.system.engine.test_options import run

from wherry import errors
from wherry.engine.runtime import Runtime

pytestmark = pytest.mark.system


def mount_options(table: str, where: str) -> list[str]:
    """Options of the (last) mount at *where* in the text of /proc/self/mounts."""
    lines = [line.split() for line in table.splitlines()]
    return next(line[3].split(",") for line in reversed(lines) if line[1] == where)


# -- mounts ------------------------------------------------------------------------------------------------------------

def test_bind_mount(with_runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host\n")
    command = "cat /x/file; echo new > /x/other; cat /proc/self/mounts"
    text = run(with_runtime, "sh", "-c", command, volumes=[f"{tmp_path}:/x"])
    assert text.startswith("of the host\n")
    assert "rw" in mount_options(text, "/x")
    assert (tmp_path / "other").read_text() == "new\n"
    (tmp_path / "other").unlink()
    command = "touch /x/other 2>&1; cat /proc/self/mounts"
    for options in ({"volumes": [f"{tmp_path}:/x:ro"]}, {"mounts": [f"type=bind,src={tmp_path},dst=/x,ro=true"]}):
        text = run(with_runtime, "sh", "-c", command, **options)
        assert "Read-only file system" in text
        assert "ro" in mount_options(text, "/x")
    assert not (tmp_path / "other").exists()


def test_bind_mount_of_a_file(rt: Runtime, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host\n")
    assert run(rt, "cat", "/etc/new", volumes=[f"{tmp_path}/file:/etc/new:ro"]) == "of the host\n"


def test_mount_flags(rt: Runtime, tmp_path: Path) -> None:
    text = run(rt, "cat", "/proc/self/mounts", volumes=[f"{tmp_path}:/x:noexec,nosuid,nodev"])
    assert {"noexec", "nosuid", "nodev"} <= set(mount_options(text, "/x"))


@pytest.mark.parametrize(("how", "seen"), [("rprivate", False), ("rslave", True), ("rshared", True)])
def test_propagation(with_runtime: Runtime, tmp_path: Path, how: str, seen: bool) -> None:
    """What is mounted on the host while the container runs appears in it, or does not."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path], check=True)
    try:
        subprocess.run(["mount", "--make-shared", tmp_path], check=True)
        (tmp_path / "sub").mkdir()
        with with_runtime.containers.start_detached(
            IMAGE, ["sleep", "1000"], network="none", volumes=[f"{tmp_path}:/x:{how}"]
        ) as container:
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "sub"], check=True)
            try:
                (tmp_path / "sub/late").touch()
                assert (container.exec(["ls", "/x/sub"]).stdout == "late\n") is seen
            finally:
                subprocess.run(["umount", tmp_path / "sub"], check=True)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_tmpfs(with_runtime: Runtime) -> None:
    command = "stat -c %a /x; touch /x/y; cat /proc/self/mounts"
    text = run(with_runtime, "sh", "-c", command, tmpfs=["/x:size=1m,mode=1770"])
    assert text.startswith("1770\n")
    assert {"size=1024k", "nosuid", "nodev"} <= set(mount_options(text, "/x"))
    text = run(
        with_runtime, "sh", "-c", "ls /www; cat /proc/self/mounts",
        mounts=["type=tmpfs,dst=/www,tmpfs-size=2m,notmpcopyup"],
    )
    assert not text.startswith("index.html")
    assert "size=2048k" in mount_options(text, "/www")
    assert run(with_runtime, "ls", "/www", tmpfs=["/www"]) == "index.html\n"       # copied up


def test_shared_memory_size(with_runtime: Runtime) -> None:
    # 65536k by default, where k is 1000 as in Podman.
    assert "size=64000k" in mount_options(run(with_runtime, "cat", "/proc/self/mounts"), "/dev/shm")
    text = run(with_runtime, "cat", "/proc/self/mounts", shm_size="3m")
    assert "size=3072k" in mount_options(text, "/dev/shm")


def test_root_of_ones_own(with_runtime: Runtime, tmp_path: Path) -> None:
    """``--rootfs``: a directory instead of an image; it stays when the container goes."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/busybox").write_bytes(Path(images.BUSYBOX).read_bytes())
    (tmp_path / "bin/busybox").chmod(0o755)
    for name in ("dev", "etc", "proc", "sys", "tmp"):
        (tmp_path / name).mkdir()
    result = with_runtime.containers.run(
        str(tmp_path), ["/bin/busybox", "sh", "-c", "echo here > /made; busybox ls /"], rootfs=True, network="none",
        remove=True,
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert "made" in result.stdout.split()
    assert (tmp_path / "made").read_text() == "here\n"
    with with_runtime.containers.create(
        str(tmp_path), ["/bin/busybox", "sleep", "1000"], rootfs=True, network="none", name="rooted"
    ) as container:
        container.start()
        assert container.exec(["/bin/busybox", "cat", "/made"]).stdout == "here\n"
        assert container.inspect()["Rootfs"] == str(tmp_path)
    assert (tmp_path / "bin/busybox").exists()


def test_missing_root(rt: Runtime) -> None:
    with pytest.raises(errors.WherryError, match="/nonexistent") as caught:
        rt.containers.run("/nonexistent", ["true"], rootfs=True, network="none", remove=True)
    assert caught.value.exit_code in (125, 126)


# -- volumes -----------------------------------------------------------------------------------------------------------

@pytest.fixture
def declaring(base: Path, tmp_path: Path) -> Iterator[str]:
    """An image that declares a volume where it has files.

    It must be named before ``rt`` among the arguments of a test, because ``rt`` counts layers.
    """
    tar = images.tar_of([
        *(images.directory(name) for name in ("bin", "dev", "etc", "proc", "sys")),
        (images.regular("bin/busybox", 0o755), Path(images.BUSYBOX).read_bytes()),
        *(images.symlink(f"bin/{name}", "busybox") for name in ("sh", "ls", "stat", "cat", "grep", "mount", "true")),
        images.directory("data", 0o750, uid=1000, gid=1000),
        (images.regular("data/given", 0o640, uid=1000, gid=1000), b"by the image\n"),
    ])
    name = "localhost/test/declaring:latest"
    made = images.make_image([tar], config={"Volumes": {"/data": {}}})
    with open_runtime(base) as runtime:
        runtime.images.load(images.write_docker_archive(str(tmp_path / "image.tar"), [(made, [name])]))
        yield name
        runtime.images.remove(name)


def test_declared_volume(declaring: str, with_runtime: Runtime) -> None:
    result = with_runtime.containers.run(
        declaring, ["sh", "-c", "cat /data/given; stat -c '%u:%g %a' /data /data/given; mount | grep -c ' /data '"],
        network="none", remove=True,
    )
    assert (result.stdout, result.stderr) == ("by the image\n1000:1000 750\n1000:1000 640\n1\n", "")
    assert with_runtime.state.volumes() == []


def test_declared_volume_survives_its_container_without_rm(declaring: str, rt: Runtime) -> None:
    container = rt.containers.create(declaring, ["sh", "-c", "echo more >> /data/given"], network="none")
    container.start()
    assert container.wait(timeout=20) == 0
    ((config, _state),) = rt.state.volumes()
    assert config.is_anonymous
    assert len(config.name) == 64
    assert Path(config.mount_point, "given").read_text() == "by the image\nmore\n"
    container.start()       # no second copy
    container.wait(timeout=20)
    assert Path(config.mount_point, "given").read_text() == "by the image\nmore\nmore\n"
    container.remove()
    assert len(rt.state.volumes()) == 1
    rt.volumes.get(config.name).remove()


def test_two_containers_have_volumes_of_their_own(declaring: str, rt: Runtime) -> None:
    made = [rt.containers.create(declaring, ["true"], network="none", volumes=["/more"]) for _ in range(2)]
    assert len({config.name for config, _state in rt.state.volumes()}) == 4
    for container in made:
        container.remove(volumes=True)
    assert rt.state.volumes() == []


def test_image_volume_mode(declaring: str, rt: Runtime) -> None:
    command = ["sh", "-c", "mount | grep -c ' /data type tmpfs ' ; ls /data"]
    for mode, said in (("tmpfs", ["1", "given"]), ("ignore", ["0", "given"])):
        result = rt.containers.run(declaring, command, network="none", remove=True, image_volume=mode)
        assert result.stdout.split() == said
    assert rt.state.volumes() == []


def test_named_volume_is_shared(with_runtime: Runtime) -> None:
    run(with_runtime, "sh", "-c", "echo kept > /v/file", volumes=["mine:/v"])
    assert run(with_runtime, "cat", "/w/file", volumes=["mine:/w:ro"]) == "kept\n"
    text = run(with_runtime, "sh", "-c", "ls /www; cat /www/file", volumes=["mine:/www"])
    assert text == "file\nkept\n"       # nothing is copied up into a volume that has content
    with with_runtime.containers.create(IMAGE, ["true"], network="none", volumes=["mine:/v"]), \
            pytest.raises(errors.VolumeInUse):
        with_runtime.volumes.get("mine").remove()
    with_runtime.volumes.get("mine").remove()


# -- namespaces --------------------------------------------------------------------------------------------------------

def test_shared_namespaces(with_runtime: Runtime) -> None:
    with with_runtime.containers.start_detached(
        IMAGE, ["sleep", "1000"], name="first", network="none", ipc="shareable", hostname="box"
    ) as first:
        first.exec(["sh", "-c", "echo common > /dev/shm/note"])
        mode = {"ipc": "container:first", "pid": "container:first", "uts": "container:first"}
        assert run(with_runtime, "cat", "/dev/shm/note", **mode) == "common\n"
        assert run(with_runtime, "hostname", **mode) == "box\n"
        assert "sleep" in run(with_runtime, "cat", "/proc/1/comm", **mode)
        run(with_runtime, "sh", "-c", "echo back > /dev/shm/note", **mode)
        assert first.exec(["cat", "/dev/shm/note"]).stdout == "back\n"
        first.stop(timeout=0)
        with with_runtime.containers.create(IMAGE, ["true"], network="none", ipc="container:first"), \
                pytest.raises(errors.AlreadyExists, match="has dependent containers which must be removed before it"):
            first.remove()


def test_private_ipc_is_not_shared(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["sleep", "1000"], name="first", network="none", ipc="private"), \
            pytest.raises(errors.WherryError, match="non-shareable IPC"):
        rt.containers.create(IMAGE, ["true"], network="none", ipc="container:first")


def test_dependencies_are_started(rt: Runtime) -> None:
    with rt.containers.create(IMAGE, ["sleep", "1000"], name="first", network="none") as first:
        assert run(rt, "true", network="container:first") == ""
        assert first.status == "running"


@pytest.mark.parametrize("kind", ["pid", "ipc", "uts"])
def test_namespaces_of_the_host(with_runtime: Runtime, kind: str) -> None:
    found = run(with_runtime, "readlink", f"/proc/self/ns/{kind}", **{kind: "host"}).strip()
    assert found == os.readlink(f"/proc/self/ns/{kind}")


def test_processes_of_a_container_without_pid_namespace_end_with_it(with_runtime: Runtime) -> None:
    with with_runtime.containers.start_detached(
        IMAGE, ["sh", "-c", "sleep 1234 & sleep 1235 & wait"], network="none", pid="host"
    ) as container:
        pid = container.state().pid
        listed = Path(f"/proc/{pid}/task/{pid}/children")
        until(lambda: len(listed.read_text().split()) == 2)
        children = listed.read_text().split()
        container.stop(timeout=0)
        assert not [child for child in children if Path(f"/proc/{child}/cmdline").exists()
                    and b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes()]


# -- names -------------------------------------------------------------------------------------------------------------

def test_hosts_and_name_servers(rt: Runtime) -> None:
    text = run(
        rt, "sh", "-c", "cat /etc/hosts; echo; cat /etc/resolv.conf", hostname="box", name="named",
        network="bridge",
        extra_hosts=["one;two:192.0.2.1", "six:2001:db8::1"], dns=["192.0.2.53"], dns_search=["example.org"],
        dns_options=["ndots:3"],
    )
    hosts, _, resolv = text.partition("\n\n")
    lines = [line.split() for line in hosts.splitlines()]
    assert ["192.0.2.1", "one", "two"] in lines or {("192.0.2.1", "one"), ("192.0.2.1", "two")} <= {
        tuple(line) for line in lines
    }
    assert ["2001:db8::1", "six"] in lines
    assert resolv.splitlines() == ["search example.org", "nameserver 192.0.2.53", "options ndots:3"]


def test_no_hosts(rt: Runtime) -> None:
    result = rt.containers.run(IMAGE, ["cat", "/etc/hosts"], network="none", remove=True, no_hosts=True)
    assert result.exit_code == 1


def test_files_of_a_container_are_its_own(rt: Runtime) -> None:
    with rt.containers.start_detached(IMAGE, ["sleep", "1000"], network="none") as one, \
            rt.containers.start_detached(IMAGE, ["sleep", "1000"], network="none") as other:
        one.exec(["sh", "-c", "echo 192.0.2.7 mine >> /etc/hosts"])
        assert "mine" in one.exec(["cat", "/etc/hosts"]).stdout
        assert "mine" not in other.exec(["cat", "/etc/hosts"]).stdout


def test_specification_is_what_runtimes_take(with_runtime: Runtime) -> None:
    """The bundle is complete: the runtime's own validation passed, and the file can be read by others."""
    with with_runtime.containers.start_detached(IMAGE, ["sleep", "1000"], network="none") as container:
        spec = json.loads(Path(container.inspect()["OCIConfigPath"]).read_text())
        assert spec["ociVersion"].startswith("1.")
        assert {entry["type"] for entry in spec["linux"]["namespaces"]} >= {"pid", "ipc", "uts", "mount", "network"}
