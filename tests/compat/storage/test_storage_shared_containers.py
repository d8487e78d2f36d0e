"""Containers and mounts of one engine are respected by the other, at every moment."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.compat.storage.conftest import NAME, mounts_below
from tests.helpers.images import MadeImage, files_tar, make_image
from tests.helpers.podman import Tools
from tests.helpers.stores import add, store_at

import wherry
from wherry.errors import ImageInUse, NameInUse
from wherry.model.ids import generate_id
from wherry.model.mount import IDMap
from wherry.storage.records import ContainerRecord, ImageRecord
from wherry.storage.store import Store

pytestmark = pytest.mark.compat

MAPS = [IDMap(container_id=0, host_id=100000, size=65536)]


@pytest.fixture
def image(store: Store, made: MadeImage) -> ImageRecord:
    return add(store, made, NAME)


def create(store: Store, image: ImageRecord, name: str = "ours", **options: object) -> ContainerRecord:
    return store.create_container(
        generate_id(), name=name, image_id=image.id, image_name=NAME, **options  # type: ignore[arg-type]
    )


def count(store: Store, container: ContainerRecord) -> int:
    mounted = store.mounted().get(container.layer)
    return mounted.count if mounted is not None else 0


def test_podman_lists_our_container_as_external(store: Store, image: ImageRecord, tools: Tools) -> None:
    container = create(store, image)
    assert tools.json("ps", "-a", "--format", "json") == []
    (listed,) = tools.json("ps", "-a", "--external", "--format", "json")
    assert (listed["Id"], listed["Names"], listed["Image"], listed["ImageID"]) == (
        container.id, ["ours"], NAME, image.id,
    )
    store.rename_container(container.id, "renamed")
    (listed,) = tools.json("ps", "-a", "--external", "--format", "json")
    assert listed["Names"] == ["renamed"]
    store.delete_container(container.id)
    assert tools.json("ps", "-a", "--external", "--format", "json") == []


def test_the_records_are_those_podman_writes(store: Store, image: ImageRecord, tools: Tools, base: str) -> None:
    create(store, image, "plain")
    tools.podman("create", "--name", "theirs", NAME, "true")
    create(store, image, "volatile", volatile=True)
    tools.podman("create", "--rm", "--name", "theirs-volatile", NAME, "true")
    rows = json.load(open(f"{base}/g/overlay-containers/containers.json"))
    for ours, theirs in ((rows[0], rows[1]), (rows[2], rows[3])):
        assert list(ours) == list(theirs)
        assert ours["flags"] == theirs["flags"]
        assert ours["image"] == theirs["image"]
        assert list(json.loads(ours["metadata"])) == list(json.loads(theirs["metadata"]))
    layers = {row["id"]: row for row in json.load(open(f"{base}/g/overlay-layers/layers.json"))}
    ours, theirs = (layers[row["layer"]] for row in rows[:2])
    assert (list(ours), ours["names"], theirs["names"]) == (list(theirs), ["plain-layer"], ["theirs-layer"])
    shapes = []
    for row in rows[:2]:
        directory = f"{base}/g/overlay/{row['layer']}"
        shapes.append({
            name: (oct(os.lstat(f"{directory}/{name}").st_mode), os.lstat(f"{directory}/{name}").st_uid)
            for name in os.listdir(directory)
        })
        shapes[-1]["lower"] += (open(f"{directory}/lower").read(),)  # type: ignore[operator]
        for root in ("g", "r"):
            assert os.stat(f"{base}/{root}/overlay-containers/{row['id']}/userdata").st_mode & 0o777 == 0o700
    assert shapes[0] == shapes[1]


def test_names_belong_to_whoever_took_them_first(store: Store, image: ImageRecord, tools: Tools) -> None:
    container = create(store, image)
    assert "already in use" in tools.podman("create", "--name", "ours", NAME, "true", fails=True)
    created = tools.podman("create", "--name", "theirs", NAME, "true")
    with pytest.raises(NameInUse, match=f'the container name "theirs" is already in use by {created}'):
        create(store, image, "theirs")
    store.delete_container(container.id)
    tools.podman("create", "--name", "ours", NAME, "true")


def test_images_are_in_use_for_both(store: Store, image: ImageRecord, tools: Tools) -> None:
    container = create(store, image)
    assert f"image used by {container.id}" in tools.podman("rmi", NAME, fails=True)
    store.delete_container(container.id)
    for engine in (tools.podman, tools.buildah):
        if engine == tools.podman:
            theirs = tools.podman("create", "--name", "theirs", NAME, "true")
        else:
            theirs = tools.buildah("from", "--pull-never", NAME)
            theirs = json.loads(tools.buildah("inspect", theirs))["ContainerID"]
        with pytest.raises(ImageInUse) as caught:
            store.delete_image(image.id)
        assert str(caught.value) == (
            f"image used by {theirs}: image is in use by a container: consider listing external containers and "
            "force-removing image"
        )
        engine("rm", theirs)
    store.delete_image(image.id)
    assert store.check() == []


def test_mount_counts_agree(store: Store, image: ImageRecord, tools: Tools) -> None:
    container = create(store, image)
    path = store.mount_container(container.id)
    assert tools.podman("mount", "ours") == path
    assert count(store, container) == 2
    assert store.mount_container(container.id) == path
    assert count(store, container) == 3
    tools.podman("umount", "ours")
    assert count(store, container) == 2
    assert not store.unmount_container(container.id)
    assert os.path.isdir(f"{path}/bin")
    assert store.unmount_container(container.id)
    assert count(store, container) == 0
    assert not store.unmount_container(container.id)
    assert path not in mounts_below(os.path.dirname(path))
    assert tools.podman("mount", "ours") == path
    assert store.unmount_container(container.id)
    assert store.check() == []


def test_podman_coming_and_going_neither_hides_nor_unmounts(store: Store, image: ImageRecord, tools: Tools) -> None:
    container = create(store, image)
    root = store.mount_container(container.id)
    with open(f"{root}/ours", "w") as file:
        file.write("x")
    for command in (["ps"], ["images"], ["ps", "-a", "--external"], ["info"]):
        tools.podman(*command)
        assert os.path.exists(f"{root}/ours"), command
    tools.podman("create", "--name", "theirs", NAME, "true")
    tools.podman("mount", "theirs")
    tools.podman("umount", "theirs")
    tools.podman("rm", "theirs")
    tools.buildah("rm", tools.buildah("from", "--pull-never", NAME))
    assert os.path.exists(f"{root}/ours")
    assert store.unmount_container(container.id)


def test_our_mount_is_seen_by_a_podman_that_started_before(store: Store, image: ImageRecord, tools: Tools) -> None:
    """A long-lived service has its own idea of the driver's directory; both must use the same mount."""
    service = tools.start("system", "service", "--time", "0", f"unix://{tools.base}/socket")
    try:
        deadline = 200
        while not os.path.exists(f"{tools.base}/socket") and deadline:
            deadline -= 1
            subprocess.run(["sleep", "0.05"], check=True)
        container = create(store, image)
        path = store.mount_container(container.id)
        assert tools.podman("mount", "ours") == path
        assert count(store, container) == 2
        tools.podman("umount", "ours")
        store.delete_container(container.id)
    finally:
        service.terminate()
        service.communicate(timeout=20)
    assert store.check() == []


def test_podman_deletes_our_container_while_it_is_mounted(store: Store, image: ImageRecord, tools: Tools) -> None:
    container = create(store, image)
    path = store.mount_container(container.id)
    tools.podman("rm", "-f", "ours")
    assert store.containers() == []
    assert not os.path.exists(path)
    assert store.check() == []


def test_we_delete_a_container_podman_mounted(store: Store, image: ImageRecord, tools: Tools) -> None:
    theirs = tools.podman("create", "--name", "theirs", NAME, "true")
    path = tools.podman("mount", "theirs")
    store.delete_container(theirs)
    assert not os.path.exists(path)
    assert store.check() == []


def test_a_mount_of_a_dead_process_is_used_again(store: Store, image: ImageRecord, base: str) -> None:
    container = create(store, image)
    script = (
        "import os, sys; from tests.helpers.stores import store_at; "
        "from wherry.storage.mountpoints import Mounts; Mounts._note = lambda *_: os._exit(7); "
        f"store_at({base!r}).mount_container({container.id!r})"
    )
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
    path = f"{os.path.dirname(os.path.dirname(wherry.__file__))}:{root}"
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path}, check=False)
    assert done.returncode == 7
    assert [damage.kind for damage in store.check()] == ["mount-unrecorded"]
    path = store.mount_container(container.id)
    assert mounts_below(base).count(path) == 1
    assert store.unmount_container(container.id)
    assert store.check() == []


def test_a_count_nothing_stands_behind_does_not_hinder(store: Store, image: ImageRecord) -> None:
    container = create(store, image)
    path = store.mount_container(container.id)
    subprocess.run(["umount", path], check=True)
    assert [damage.kind for damage in store.check()] == ["mount-count-stale"]
    assert store.mount_container(container.id) == path
    assert os.path.isdir(f"{path}/bin")
    assert store.unmount_container(container.id, force=True)
    assert store.check() == []


def test_create_and_mount_at_once(store: Store, image: ImageRecord, tools: Tools) -> None:
    container, path = store.create_and_mount(
        generate_id(), name="ours", image_id=image.id, image_name=NAME, volatile=True
    )
    assert os.path.isdir(f"{path}/bin")
    line = next(line for line in open("/proc/self/mountinfo") if line.split()[4] == path)
    assert "volatile" in line
    assert tools.podman("mount", "ours") == path
    store.delete_container(container.id)
    assert not os.path.exists(path)


def test_a_volatile_mount_is_mounted_again_after_a_crash(store: Store, image: ImageRecord) -> None:
    container = create(store, image, volatile=True)
    path = store.mount_container(container.id)
    with open(f"{path}/x", "w"):
        pass
    subprocess.run(["umount", path], check=True)
    marker = f"{os.path.dirname(path)}/work/work/incompat/volatile"
    os.makedirs(marker, exist_ok=True)
    store.mount_container(container.id)
    assert os.path.exists(f"{path}/x")
    assert store.unmount_container(container.id, force=True)


def test_mount_options(store: Store, image: ImageRecord, base: str) -> None:
    plain = create(store_at(base, mount_options=["nodev", "nosuid"]), image, "plain")
    own = create(store, image, "own", mount_options=["noexec"])
    configured = store_at(base, mount_options=["nodev", "nosuid"])
    for container, expected in ((plain, {"nodev", "nosuid"}), (own, {"noexec"})):
        path = configured.mount_container(container.id)
        line = next(line for line in open("/proc/self/mountinfo") if line.split()[4] == path)
        options = set(line.split()[5].split(","))
        assert options & {"nodev", "nosuid", "noexec"} == expected
        configured.unmount_container(container.id)


def test_many_layers_need_more_than_a_page_of_options(store: Store, tools: Tools) -> None:
    layers = [files_tar({f"file{number}": str(number).encode()}) for number in range(110)]
    image = add(store, make_image(layers), NAME)
    container = create(store, image)
    path = store.mount_container(container.id)
    assert len(os.listdir(path)) == 110
    with open(f"{path}/new", "w"):
        pass
    assert os.path.exists(f"{os.path.dirname(path)}/diff/new")
    assert tools.podman("mount", "ours") == path
    tools.podman("umount", "ours")
    store.unmount_container(container.id)
    shown = tools.podman("mount", "ours")
    assert len(os.listdir(shown)) == 111
    store.unmount_container(container.id)
    path = store.mount_image(image.id)
    assert len(os.listdir(path)) == 110
    assert store.unmount_image(image.id)


def test_a_store_whose_path_has_special_characters(base: str, made: MadeImage) -> None:
    store = store_at(f"{base}/a,b:c\\d e")
    image = add(store, made, NAME)
    container = create(store, image)
    path = store.mount_container(container.id)
    with open(f"{path}/x", "w"):
        pass
    assert os.path.exists(f"{os.path.dirname(path)}/diff/x")
    store.delete_container(container.id)


def test_images_are_mounted_read_only_and_counted_with_podman(
    store: Store, image: ImageRecord, tools: Tools
) -> None:
    path = store.mount_image(image.id)
    with pytest.raises(OSError, match="Read-only"):
        open(f"{path}/x", "w")
    assert tools.podman("image", "mount", NAME) == path
    assert store.mounted()[image.layer].count == 2
    tools.podman("image", "umount", NAME)
    assert store.unmount_image(image.id)
    assert not store.unmount_image(image.id)
    base_only = add(store, make_image([files_tar({"a": b"1"})]), "localhost/base:1")
    path = store.mount_image(base_only.id)
    assert os.listdir(path) == ["a"]
    assert store.unmount_image(base_only.id, force=True)
    assert store.check() == []


def cannot_shift(base: str) -> None:
    """Both engines believe what a probe of the kernel left here."""
    os.makedirs(f"{base}/r/overlay", exist_ok=True)
    with open(f"{base}/r/overlay/idmapped-lower-dir-false", "w"):
        pass


def owners(root: str) -> dict[str, tuple[int, int]]:
    return {
        name: (os.lstat(f"{root}/{name}").st_uid, os.lstat(f"{root}/{name}").st_gid)
        for name in ("bin", "bin/sh", "bin/busybox", "home/user", "home/user/same-note", "bin/setid")
    }


EXPECTED_OWNERS = {
    "bin": (100000, 100000), "bin/sh": (100000, 100000), "bin/busybox": (100000, 100000),
    "home/user": (101000, 101000), "home/user/same-note": (101000, 101000), "bin/setid": (100000, 100000),
}


def test_ids_are_shifted_when_mounting(store: Store, image: ImageRecord, tools: Tools, base: str) -> None:
    container = create(store, image, uid_map=MAPS, gid_map=MAPS)
    theirs = tools.podman("create", "--name", "theirs", "--uidmap", "0:100000:65536", NAME, "true")
    rows = {row["id"]: row for row in json.load(open(f"{base}/g/overlay-containers/containers.json"))}
    assert {key: rows[container.id][key] for key in ("uidmap", "gidmap", "flags")} == {
        key: rows[theirs][key] for key in ("uidmap", "gidmap", "flags")
    }
    path = store.mount_container(container.id)
    assert owners(path) == EXPECTED_OWNERS
    assert os.stat(f"{path}/bin/setid").st_mode & 0o7777 == 0o4755
    assert os.stat(path).st_uid == 100000
    assert [point for point in mounts_below(base) if "/mapped/" in point] == []
    assert os.stat(store.container_dir(container.id)).st_uid == 100000
    assert os.stat(f"{base}/g").st_mode & 0o001
    assert tools.podman("mount", "ours") == path
    tools.podman("umount", "ours")
    store.unmount_container(container.id)
    assert owners(tools.podman("mount", "ours")) == EXPECTED_OWNERS
    tools.podman("umount", "ours")
    assert len(store.layers()) == 4
    tools.podman("rm", "ours", "theirs")
    assert store.check(full=True) == []


def test_ids_are_baked_into_a_copy_where_the_kernel_cannot_shift(
    store: Store, image: ImageRecord, tools: Tools, base: str
) -> None:
    cannot_shift(base)
    container = create(store, image, uid_map=MAPS, gid_map=MAPS)
    (copy,) = store.image(image.id).mapped_layers
    record = store.layer(copy)
    template = store.layer(image.layer)
    assert (record.parent, record.diff_digest) == (template.parent, template.diff_digest)
    assert store.layer(container.layer).parent == copy
    path = store.mount_container(container.id)
    assert owners(path) == EXPECTED_OWNERS
    assert os.stat(f"{path}/bin/setid").st_mode & 0o7777 == 0o4755
    assert not os.path.exists(f"{path}/home/user/note")
    store.unmount_container(container.id)
    assert owners(tools.podman("mount", "ours")) == EXPECTED_OWNERS
    tools.podman("umount", "ours")
    theirs = tools.podman("create", "--name", "theirs", "--uidmap", "0:100000:65536", NAME, "true")
    assert store.layer(store.container(theirs).layer).parent == copy
    second = create(store, image, "second", uid_map=MAPS, gid_map=MAPS)
    assert store.layer(second.layer).parent == copy
    plain = create(store, image, "plain")
    assert store.layer(plain.layer).parent == image.layer
    made_layers = [b"".join(store.layer_tar(layer)) for layer in (copy, image.layer)]
    assert made_layers[0] == made_layers[1]
    assert store.check(full=True) == []
    for name in ("ours", "theirs", "second", "plain"):
        store.delete_container(store.container(name).id)
    assert sorted(store.delete_image(image.id)) == sorted([copy, image.layer, record.parent])
    assert store.layers() == []
    assert store.check() == []


def test_we_use_a_mapped_copy_podman_made(store: Store, image: ImageRecord, tools: Tools, base: str) -> None:
    cannot_shift(base)
    theirs = tools.podman("create", "--name", "theirs", "--uidmap", "0:100000:65536", NAME, "true")
    (copy,) = store.image(image.id).mapped_layers
    assert store.layer(store.container(theirs).layer).parent == copy
    ours = create(store, image, uid_map=MAPS, gid_map=MAPS)
    assert store.layer(ours.layer).parent == copy
    assert owners(store.mount_container(ours.id)) == EXPECTED_OWNERS
    store.delete_container(ours.id)
    store.delete_container(theirs)
    tools.podman("rmi", NAME)
    assert store.layers() == []
    assert store.check() == []


def test_sizes_agree_with_podman(store: Store, image: ImageRecord, tools: Tools) -> None:
    theirs = tools.podman("create", "--name", "theirs", NAME, "true")
    path = store.mount_container(theirs)
    with open(f"{path}/file", "wb") as file:
        file.write(b"x" * 5000)
    os.link(f"{path}/file", f"{path}/same")
    os.symlink("file", f"{path}/link")
    os.unlink(f"{path}/etc/motd")
    store.unmount_container(theirs)
    (inspected,) = tools.json("inspect", "--size", "theirs")
    assert store.container_size(theirs) == (inspected["SizeRw"], inspected["SizeRootFs"])
