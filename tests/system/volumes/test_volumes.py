"""Volumes with real containers: first use, options, drivers' mounts, sharing, archives."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator

import pytest
from tests.helpers.leaks import mounts_below
from tests.system.fixtures.engine import IMAGE

from wherry.engine.runtime import Runtime
from wherry.engine.volume import Volume
from wherry.errors import InvalidArgument, NoSuchVolume, VolumeExists, VolumeInUse, WherryError

pytestmark = pytest.mark.system


@pytest.fixture
def volume(rt: Runtime) -> Iterator[Volume]:
    with rt.volumes.create("data", labels={"a": "b"}) as made:
        yield made
    assert rt.volumes.list() == []
    assert not os.listdir(rt.paths.volumes)


def sh(rt: Runtime, script: str, **options: object) -> str:
    """The output of a shell script in a container that is gone afterwards."""
    result = rt.containers.run(IMAGE, ["sh", "-c", script], remove=True, network="none", **options)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_content_outlives_containers(rt: Runtime, volume: Volume) -> None:
    sh(rt, "echo kept > /data/file", volumes=["data:/data"])
    assert sh(rt, "cat /data/file", volumes=["data:/data"]) == "kept\n"


def test_names_are_unique_and_prefixes_do(rt: Runtime, volume: Volume) -> None:
    with pytest.raises(VolumeExists, match="volume with name data already exists: volume already exists"):
        rt.volumes.create("data")
    assert rt.volumes.create("data", exist_ok=True).name == "data"
    assert rt.volumes.get("dat").name == "data"
    with pytest.raises(NoSuchVolume, match='no volume with name "other" found: no such volume'):
        rt.volumes.get("other")


def test_first_use_copies_what_the_image_has(rt: Runtime, volume: Volume) -> None:
    assert "index.html" in sh(rt, "ls /www", volumes=["data:/www"])
    assert os.path.exists(f"{volume.mount_point}/index.html")


def test_nothing_is_copied_over_data(rt: Runtime, volume: Volume) -> None:
    """CVE-2020-1726."""
    with open(f"{volume.mount_point}/mine", "w", encoding="ascii") as file:
        file.write("x")
    assert sh(rt, "ls /www", volumes=["data:/www"]) == "mine\n"


def test_nocopy(rt: Runtime, volume: Volume) -> None:
    assert sh(rt, "ls /www", volumes=["data:/www:nocopy"]) == ""


def test_a_new_volume_belongs_to_the_user_of_its_first_container(rt: Runtime, volume: Volume) -> None:
    assert sh(rt, "stat -c %u:%g /data", volumes=["data:/data"], user="33:44") == "33:44\n"
    assert volume.inspect()["UID"] == 33


def test_asked_owner_stays(rt: Runtime) -> None:
    with rt.volumes.create("owned", uid=7, gid=8):
        assert sh(rt, "stat -c %u:%g /data", volumes=["owned:/data"], user="33:44") == "7:8\n"


def test_chown_option_reaches_all_files_and_no_link(rt: Runtime, volume: Volume, tmp_path: os.PathLike[str]) -> None:
    outside = f"{tmp_path}/outside"
    with open(outside, "w", encoding="ascii"):
        pass
    os.mkdir(f"{volume.mount_point}/sub")
    os.symlink(outside, f"{volume.mount_point}/sub/link")
    sh(rt, "true", volumes=["data:/data:U"], user="33")
    assert os.lstat(f"{volume.mount_point}/sub/link").st_uid == 33
    assert os.stat(outside).st_uid == 0


def test_tmpfs_volume_is_mounted_while_it_is_used(rt: Runtime) -> None:
    with rt.volumes.create("ram", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}) as volume:
        with rt.containers.start_detached(IMAGE, ["sleep", "100"], network="none", volumes=["ram:/ram"]) as first:
            with rt.containers.start_detached(IMAGE, ["sleep", "100"], network="none", volumes=["ram:/ram"]):
                assert "1.0M" in first.exec(["df", "-h", "/ram"]).stdout
            assert volume.mount_point in mounts_below(rt.paths.volumes)
        assert mounts_below(rt.paths.volumes) == []
        assert volume.mount() == volume.mount_point
        assert volume.inspect()["MountCount"] == 1
        volume.unmount()
        assert mounts_below(rt.paths.volumes) == []


def test_bind_volume_is_left_whole_when_removed(rt: Runtime, tmp_path: os.PathLike[str]) -> None:
    with open(f"{tmp_path}/precious", "w", encoding="ascii"):
        pass
    with rt.volumes.create("bound", options={"type": "none", "o": "bind", "device": str(tmp_path)}) as volume:
        assert sh(rt, "ls /b", volumes=["bound:/b"]) == "precious\n"
        volume.mount()
    assert os.listdir(tmp_path) == ["precious"]
    assert mounts_below(rt.paths.volumes) == []


@pytest.mark.parametrize(("options", "message"), [
    ({"foo": "bar"}, "invalid mount option foo for driver 'local': invalid argument"),
    ({"o": "size=10m"}, "volume options size and inodes not supported"),
    ({"o": "uid=x"}, "cannot convert UID x to integer"),
    ({"type": "bind", "device": "/nonexistent"}, "invalid volume option device"),
])
def test_bad_options_leave_nothing(rt: Runtime, options: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        rt.volumes.create("bad", options=options)
    assert not rt.volumes.exists("bad")


def test_anonymous_volumes_go_with_their_container(rt: Runtime) -> None:
    container = rt.containers.create(IMAGE, ["true"], network="none", volumes=["/data"])
    (made,) = rt.volumes.list()
    assert made.config.is_anonymous
    assert made.users() == [container.id]
    container.remove(volumes=True)
    assert rt.volumes.list() == []


def test_named_volumes_stay(rt: Runtime, volume: Volume) -> None:
    rt.containers.create(IMAGE, ["true"], network="none", volumes=["data:/d"]).remove(volumes=True)
    assert rt.volumes.exists("data")


def test_used_volumes_are_not_removed_without_force(rt: Runtime) -> None:
    volume = rt.volumes.create("used")
    container = rt.containers.start_detached(IMAGE, ["sleep", "100"], network="none", volumes=["used:/d"])
    with pytest.raises(VolumeInUse, match=f"following container.s.: {container.id}: volume is being used"):
        volume.remove()
    volume.remove(force=True, timeout=0)
    assert not rt.containers.exists(container.id)


def test_subpath_stays_inside_the_volume(rt: Runtime, volume: Volume) -> None:
    os.mkdir(f"{volume.mount_point}/sub")
    os.symlink("/etc", f"{volume.mount_point}/evil")
    mount = "type=volume,src=data,dst=/s,subpath=/{}"
    sh(rt, "touch /s/file", mounts=[mount.format("sub")])
    assert os.path.exists(f"{volume.mount_point}/sub/file")
    with pytest.raises(InvalidArgument, match="subpath"):
        sh(rt, "true", mounts=[mount.format("evil")])


def test_overlay_volumes_drop_changes(rt: Runtime, volume: Volume, tmp_path: os.PathLike[str]) -> None:
    with open(f"{tmp_path}/file", "w", encoding="ascii") as file:
        file.write("old")
    sh(rt, "echo new > /o/file; echo x > /v/file", volumes=[f"{tmp_path}:/o:O", "data:/v:O"])
    with open(f"{tmp_path}/file", encoding="ascii") as file:
        assert file.read() == "old"
    assert os.listdir(volume.mount_point) == []


def test_image_volumes(rt: Runtime) -> None:
    plain = f"type=image,src={IMAGE},dst=/i"
    assert "bin" in sh(rt, "ls /i; touch /i/x && exit 1 || true", mounts=[plain])
    sh(rt, "touch /i/x", mounts=[f"{plain},rw=true"])
    assert sh(rt, "ls /i", mounts=[f"{plain},subpath=/www"]).split() == ["index.html"]


def test_volumes_from(rt: Runtime, volume: Volume) -> None:
    with rt.containers.create(IMAGE, ["true"], network="none", name="giver", volumes=["data:/d"]):
        sh(rt, "echo hi > /d/x", volumes_from=["giver"])
    assert os.listdir(volume.mount_point) == ["x"]


def test_export_and_import(rt: Runtime, volume: Volume) -> None:
    sh(rt, "mkdir /d/a; echo hi > /d/a/b; ln -s /etc /d/link", volumes=["data:/d"])
    data = b"".join(volume.export())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert {member.name.rstrip("/") for member in archive} >= {"a", "a/b", "link"}
    with rt.volumes.create("copy") as copy:
        copy.import_tar(io.BytesIO(data))
        with open(f"{copy.mount_point}/a/b", encoding="ascii") as file:
            assert file.read() == "hi\n"


def test_import_writes_nothing_outside(rt: Runtime, volume: Volume) -> None:
    """The class of CVE-2023-0778: a link in the volume must not lead the archive's members out of it."""
    os.mkdir(f"{volume.mount_point}/tmp")
    os.symlink("/tmp", f"{volume.mount_point}/link")
    stream = io.BytesIO()
    name = f"wherry-escape-{os.getpid()}"
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(f"link/{name}"))
        archive.addfile(tarfile.TarInfo(f"../../{name}"))
    stream.seek(0)
    volume.import_tar(stream)
    assert os.listdir(f"{volume.mount_point}/tmp") == [name]
    assert not os.path.exists(f"/tmp/{name}")
    assert not os.path.exists(f"{rt.paths.volumes}/{name}")


def test_export_takes_nothing_that_is_swapped_in(rt: Runtime, volume: Volume, tmp_path: os.PathLike[str]) -> None:
    """CVE-2023-0778: a container puts a link to the host where a directory was while the export runs."""
    outside = f"{tmp_path}/outside"
    os.mkdir(outside)
    with open(f"{outside}/secret", "w", encoding="ascii") as file:
        file.write("of the host")
    place = f"{volume.mount_point}/swapped"
    os.mkdir(place)
    with open(f"{place}/secret", "w", encoding="ascii") as file:
        file.write("of the volume")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(place, f"{place}.away")
            os.symlink(outside, place)
            os.unlink(place)
            os.rename(f"{place}.away", place)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _turn in range(150):
            try:
                data = b"".join(volume.export())
            except WherryError:
                continue        # a file that is gone when its turn comes
            assert b"of the host" not in data
    finally:
        stop.set()
        thread.join()


def test_prune_and_filters(rt: Runtime) -> None:
    with rt.volumes.create("one", labels={"k": "v"}), rt.volumes.create("two"):
        assert [found.name for found in rt.volumes.list({"label": ["k=v"]})] == ["one"]
        assert [found.name for found in rt.volumes.list({"name": ["^t"], "dangling": ["true"]})] == ["two"]
        with pytest.raises(InvalidArgument, match='"x" is an invalid volume filter'):
            rt.volumes.list({"x": ["y"]})
        assert rt.volumes.prune({"label!": ["k"]}) == ["two"]
        assert rt.volumes.prune() == ["one"]


def test_fifty_containers_share_a_volume(rt: Runtime, volume: Volume) -> None:
    made = [rt.containers.create(IMAGE, ["true"], network="none", volumes=["data:/d"]) for _ in range(50)]
    assert sorted(volume.users()) == sorted(container.id for container in made)
    for container in made:
        container.remove()
    assert volume.users() == []


def test_running_containers_share_a_mounted_volume(rt: Runtime) -> None:
    """It is mounted once, and unmounted with the last of them."""
    with rt.volumes.create("ram", options={"type": "tmpfs", "device": "tmpfs"}) as volume:
        words = ["sh", "-c", "touch /d/$HOSTNAME; sleep 100"]
        made = [rt.containers.start_detached(IMAGE, words, network="none", volumes=["ram:/d"]) for _ in range(12)]
        deadline = time.monotonic() + 20
        while len(os.listdir(volume.mount_point)) < 12 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(os.listdir(volume.mount_point)) == 12
        assert mounts_below(rt.paths.volumes) == [volume.mount_point]
        for container in made[:-1]:
            container.remove(force=True, timeout=0)
        assert mounts_below(rt.paths.volumes) == [volume.mount_point]
        made[-1].remove(force=True, timeout=0)
        assert mounts_below(rt.paths.volumes) == []


@pytest.mark.parametrize(("options", "wanted", "unwanted"), [
    ("", {"rw", "nosuid", "nodev"}, {"noexec"}),
    ("ro", {"ro"}, {"rw"}),
    ("exec,dev,suid", {"rw"}, {"noexec", "nodev", "nosuid"}),
    ("noexec", {"noexec"}, set()),
])
def test_mount_options(rt: Runtime, volume: Volume, options: str, wanted: set[str], unwanted: set[str]) -> None:
    line = sh(rt, "grep ' /d ' /proc/self/mountinfo", volumes=[f"data:/d:{options}".rstrip(":")])
    found = set(line.split()[5].split(","))
    assert wanted <= found
    assert not unwanted & found


@pytest.mark.parametrize(("option", "shared"), [("rshared", True), ("rslave", False), ("rprivate", False)])
def test_propagation(rt: Runtime, tmp_path: os.PathLike[str], option: str, shared: bool) -> None:
    top = f"{tmp_path}/top"
    os.makedirs(f"{top}/sub")
    subprocess.run(["mount", "--bind", top, top], check=True)
    subprocess.run(["mount", "--make-shared", top], check=True)
    try:
        with rt.containers.start_detached(
            IMAGE, ["sleep", "100"], network="none", volumes=[f"{top}:/d:{option}"], privileged=True
        ) as container:
            assert container.exec(["mount", "-t", "tmpfs", "tmpfs", "/d/sub"]).exit_code == 0
            assert (f"{top}/sub" in mounts_below(top)) is shared
    finally:
        subprocess.run(["umount", "-R", "-l", top], check=True)


def test_ids_are_mapped(rt: Runtime, tmp_path: os.PathLike[str]) -> None:
    with open(f"{tmp_path}/file", "w", encoding="ascii"):
        pass
    mount = f"{tmp_path}:/d:idmap=uids=0-100-10;gids=0-100-10"
    assert sh(rt, "stat -c %u:%g /d/file", volumes=[mount]) == "100:100\n"
    assert os.stat(f"{tmp_path}/file").st_uid == 0


def test_network_file_systems_get_their_words(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """What mount(8) needs for them is handed on, and its error is ours."""
    from wherry.sys import processes

    asked: list[list[str]] = []

    def run(words: list[str], **_options: object) -> processes.Completed:
        asked.append(words)
        return processes.Completed(returncode=32, stderr=b"mount.nfs: Connection refused\n")

    options = {"type": "nfs", "device": "127.0.0.1:/nothing", "o": "addr=127.0.0.1,soft,vers=4"}
    with rt.volumes.create("remote", options=options) as volume:
        assert volume.inspect()["Options"] == options
        monkeypatch.setattr(processes, "run", run)
        with pytest.raises(WherryError, match="mounting volume remote: mount.nfs: Connection refused"):
            volume.mount()
        monkeypatch.undo()
        assert asked[0][1:] == ["-o", options["o"], "-t", "nfs", "--", options["device"], volume.mount_point]
