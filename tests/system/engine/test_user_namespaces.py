"""Containers in user namespaces of their own: ids, files, network, automatic ranges."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.engine.conftest import IMAGE
from tests.system.engine.test_options import run

from wherry import errors
from wherry.engine import user_ranges
from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.model.mount import IDMap

pytestmark = pytest.mark.system

MAPS = {"uid_map": ["0:100000:65536"], "gid_map": ["0:200000:65536"]}


@pytest.fixture
def box(with_runtime: Runtime) -> Iterator[Container]:
    with with_runtime.containers.start_detached(
        IMAGE, ["sleep", "1000"], network="none", user="user", volumes=["kept:/v"], **MAPS  # type: ignore[arg-type]
    ) as container:
        yield container
    with_runtime.volumes.get("kept").remove()


def test_ids_and_files(with_runtime: Runtime) -> None:
    text = run(
        with_runtime, "sh", "-c", "cat /proc/self/uid_map /proc/self/gid_map; id -u; touch /x; stat -c '%u %g %n' "
        "/bin /x /etc/hosts /etc/hostname /dev/shm", **MAPS,
    )
    assert [line.split() for line in text.splitlines()] == [
        ["0", "100000", "65536"], ["0", "200000", "65536"], ["0"],
        *(["0", "0", name] for name in ("/bin", "/x", "/etc/hosts", "/etc/hostname", "/dev/shm")),
    ]


def test_the_network_belongs_to_the_containers_root(with_runtime: Runtime) -> None:
    command = "ip link set dev eth0 mtu 1234 && ip addr show dev eth0 | grep -c -e 'mtu 1234' -e 'inet '"
    assert run(with_runtime, "sh", "-c", command, network="bridge", cap_add=["net_admin"], **MAPS) == "2\n"


def test_processes_on_the_host(box: Container) -> None:
    text = Path(f"/proc/{box.state().pid}/status").read_text()
    assert [line.split()[1] for line in text.splitlines() if line.startswith(("Uid:", "Gid:"))] == ["101000", "201000"]
    assert list(box.top("user", "huser").rows[0]) == ["user", "101000"]
    assert box.exec(["id", "-u"]).stdout == "1000\n"
    assert box.exec(["id", "-u"], user="0").stdout == "0\n"
    box.exec(["touch", "/v/file"], user="0")
    assert box.exec(["stat", "-c", "%u:%g", "/v/file"]).stdout == "0:0\n"


def test_copies_have_the_containers_ids(box: Container, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host\n")
    box.copy_in(str(tmp_path / "file"), "/tmp/running")
    box.stop(timeout=0)
    box.copy_in(str(tmp_path / "file"), "/tmp/stopped")
    box.start()
    assert box.exec(["stat", "-c", "%u:%g", "/tmp/running", "/tmp/stopped"]).stdout == "1000:1000\n1000:1000\n"
    with tarfile.open(fileobj=io.BytesIO(box.copy_from("/tmp/running").read())) as archive:
        assert [(member.uid, member.gid) for member in archive] == [(1000, 1000)]
    exported = io.BytesIO(b"".join(box.export()))
    with tarfile.open(fileobj=exported) as archive:
        member = archive.getmember("tmp/stopped")
        assert (member.uid, member.gid) == (1000, 1000)
        assert archive.getmember("bin/busybox").uid == 0


def test_an_image_made_of_it_has_the_containers_ids(box: Container, rt: Runtime) -> None:
    box.exec(["touch", "/tmp/mine"])
    image = box.commit("localhost/test/mapped")
    try:
        result = rt.containers.run(
            "localhost/test/mapped", ["stat", "-c", "%u:%g", "/tmp/mine", "/bin"], network="none", remove=True
        )
        assert result.stdout == "1000:1000\n0:0\n"
    finally:
        rt.images.remove(image.id, force=True)


def test_joining_a_user_namespace(box: Container, with_runtime: Runtime) -> None:
    text = run(with_runtime, "sh", "-c", "cat /proc/self/uid_map; stat -c %u /bin", userns=f"container:{box.id}")
    assert text.split() == ["0", "100000", "65536", "0"]


def test_keep_id(rt: Runtime) -> None:
    assert run(rt, "cat", "/proc/self/uid_map", userns="keep-id").split() == ["0", "0", "4294967295"]
    with pytest.raises(errors.InvalidArgument, match="nomap is only supported in rootless mode"):
        run(rt, "true", userns="nomap")


@pytest.fixture
def sub_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids /etc/subuid and /etc/subgid would give the user containers."""
    owned = [IDMap(container_id=0, host_id=500000, size=3000), IDMap(container_id=3000, host_id=600000, size=5000)]
    monkeypatch.setattr(user_ranges, "_owned", lambda kind, user: owned)


def maps(container: Container) -> list[tuple[int, int, int]]:
    text = container.exec(["cat", "/proc/self/uid_map"]).stdout
    return [tuple(map(int, line.split())) for line in text.splitlines()]  # type: ignore[misc]


@pytest.mark.usefixtures("sub_ids")
def test_automatic_ranges_are_disjoint(with_runtime: Runtime) -> None:
    options = {"network": "none", "userns": "auto"}
    with with_runtime.containers.start_detached(IMAGE, ["sleep", "1000"], **options) as one, \
            with_runtime.containers.start_detached(IMAGE, ["sleep", "1000"], **options) as other:
        assert maps(one) == [(0, 500000, 2001)]         # the image's group "extra" has 2000
        assert maps(other) == [(0, 502001, 999), (999, 600000, 1002)]
        assert one.exec(["stat", "-c", "%u", "/bin"]).stdout == "0\n"
        assert one.inspect()["HostConfig"]["UsernsMode"] == "private"
        one.stop(timeout=0)
        one.start()
        assert maps(one) == [(0, 500000, 2001)]
        options["userns"] = "auto:size=3000,uidmapping=10:7:1"
        with with_runtime.containers.start_detached(IMAGE, ["sleep", "1000"], **options) as third:
            assert maps(third) == [(0, 601002, 10), (10, 7, 1), (11, 601012, 2989)]
            with pytest.raises(errors.InvalidArgument, match="could not find enough available IDs"):
                with_runtime.containers.create(IMAGE, ["true"], **options)


def test_without_sub_ids_there_are_no_automatic_ranges(rt: Runtime) -> None:
    if "containers:" in Path("/etc/subuid").read_text():
        pytest.skip("this host has ids for them")
    with pytest.raises(errors.InvalidArgument, match='no subuid ranges found for user "containers" in /etc/subuid'):
        rt.containers.create(IMAGE, ["true"], network="none", userns="auto")


def test_too_large_for_an_automatic_range(rt: Runtime, sub_ids: None) -> None:
    with pytest.raises(errors.InvalidArgument, match="bigger than the maximum value allowed with userns=auto 65536"):
        rt.containers.create(IMAGE, ["true"], network="none", userns="auto", user="70000")
    assert subprocess.run(["ls", rt.paths.locks], capture_output=True, text=True, check=True).stdout == ""
