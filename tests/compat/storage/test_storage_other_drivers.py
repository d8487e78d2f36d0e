"""vfs, fuse-overlayfs and user namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from tests.compat.storage.conftest import NAME
from tests.helpers.images import MadeImage, directory, make_image, regular, tar_of, whiteout
from tests.helpers.podman import Tools
from tests.helpers.stores import add, store_at, tree

import wherry
from wherry.errors import Unsupported
from wherry.model.ids import generate_id
from wherry.model.mount import IDMap

pytestmark = pytest.mark.compat

#: So that another interpreter finds the same code as this one.
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{os.path.dirname(os.path.dirname(wherry.__file__))}:{ROOT}"}


class TestVfs:
    def test_our_image_is_podmans(self, base: str, made: MadeImage) -> None:
        store, tools = store_at(base, driver="vfs"), Tools(base, "vfs")
        image = add(store, made, NAME)
        (listed,) = tools.json("images", "--format", "json")
        assert (listed["Id"], listed["Size"]) == (image.id, store.image_size(image.id))
        container = store.create_container(generate_id(), name="ours", image_id=image.id, image_name=NAME)
        path = store.mount_container(container.id)
        assert path == f"{base}/g/vfs/dir/{container.layer}"
        assert open(f"{path}/etc/motd").read() == "hello\n"
        assert not os.path.exists(f"{path}/home/user/note")
        assert tools.podman("mount", "ours") == path
        assert store.mounted()[container.layer].count == 2
        tools.podman("umount", "ours")
        assert store.unmount_container(container.id)
        tools.podman("create", "--name", "theirs", NAME, "true")
        tools.podman("rm", "ours", "theirs")
        tools.podman("rmi", NAME)
        assert os.listdir(f"{base}/g/vfs/dir") == []
        assert store.check(full=True) == []

    def test_podmans_image_is_ours_and_the_same_on_disk(self, base: str, made: MadeImage, archive: str) -> None:
        theirs, tools = store_at(base, driver="vfs"), Tools(base, "vfs")
        tools.podman("load", "-i", archive)
        image = theirs.find_image(NAME)
        ours = store_at(f"{base}/ours", driver="vfs")
        add(ours, made, NAME)
        for layer in theirs.layer_chain(image.layer):
            assert tree(f"{base}/ours/g/vfs/dir/{layer.id}") == tree(f"{base}/g/vfs/dir/{layer.id}")
            if not layer.parent:        # as for Podman, what a layer removed cannot be read back from a copy
                assert b"".join(theirs.layer_tar(layer.id)) == made.layers[0]
        assert theirs.check() == []
        theirs.delete_image(image.id)
        assert theirs.layers() == []

    def test_ids_are_baked_into_the_copies(self, base: str, made: MadeImage) -> None:
        store = store_at(base, driver="vfs")
        image = add(store, made, NAME)
        maps = [IDMap(container_id=0, host_id=100000, size=65536)]
        container, path = store.create_and_mount(
            generate_id(), name="c", image_id=image.id, image_name=NAME, uid_map=maps, gid_map=maps
        )
        assert os.stat(f"{path}/bin/busybox").st_uid == 100000
        assert os.stat(f"{path}/home/user").st_uid == 101000
        assert os.stat(f"{path}/bin/setid").st_mode & 0o7777 == 0o4755
        store.delete_container(container.id)
        assert len(store.delete_image(image.id)) == 3

    def test_mount_options_cannot_be_had(self, base: str, made: MadeImage) -> None:
        store = store_at(base, driver="vfs")
        image = add(store, made, NAME)
        container = store.create_container(
            generate_id(), name="c", image_id=image.id, image_name=NAME, mount_options=["nodev"]
        )
        with pytest.raises(Unsupported, match="nodev"):
            store.mount_container(container.id)


@pytest.mark.skipif(not shutil.which("fuse-overlayfs"), reason="needs fuse-overlayfs")
class TestMountProgram:
    def test_our_store_is_podmans(self, base: str, made: MadeImage) -> None:
        program = str(shutil.which("fuse-overlayfs"))
        store, tools = store_at(base, mount_program=program), Tools(base)
        option = ("--storage-opt", f"overlay.mount_program={program}")
        image = add(store, made, NAME)
        assert open(f"{base}/g/overlay/.has-mount-program").read() == "true"
        assert os.path.isfile(f"{base}/g/overlay/{image.layer}/diff/home/user/.wh.note")
        container, path = store.create_and_mount(generate_id(), name="ours", image_id=image.id, image_name=NAME)
        line = next(line for line in open("/proc/self/mountinfo") if line.split()[4] == path)
        assert "fuse-overlayfs" in line
        assert not os.path.exists(f"{path}/home/user/note")
        with open(f"{path}/x", "w"):
            pass
        assert tools.podman("mount", "ours", options=option) == path
        tools.podman("umount", "ours", options=option)
        assert store.unmount_container(container.id)
        # The store says by itself that it needs the program.
        again = store_at(base)
        assert os.path.exists(f"{again.mount_container(container.id)}/x")
        assert again.unmount_container(container.id)
        again.delete_container(container.id)
        tools.podman("rmi", NAME, options=option)
        assert again.check(full=True) == []


INSIDE = """
import os, sys
from tests.helpers.images import *
from tests.helpers.stores import add, store_at
from wherry.model.ids import generate_id
base = sys.argv[1]
store = store_at(base, rootless=True)
lower = tar_of([directory("d"), (regular("d/old"), b"1"), directory("e"), (regular("e/old"), b"1")])
upper = tar_of([directory("d"), regular("d/.wh..wh..opq"), (regular("d/new"), b"2"), whiteout("e/old")])
image = add(store, make_image([lower, upper]), "localhost/x:1")
diff = f"{base}/g/overlay/{image.layer}/diff"
assert os.getxattr(f"{diff}/d", "user.overlay.opaque") == b"y"
container, path = store.create_and_mount(generate_id(), name="c", image_id=image.id, image_name="x", volatile=True)
assert os.listdir(f"{path}/d") == ["new"], os.listdir(f"{path}/d")
assert os.listdir(f"{path}/e") == []
os.unlink(f"{path}/d/new")
line = next(line for line in open("/proc/self/mountinfo") if line.split()[4] == path)
assert "userxattr" in line, line
assert store.check(full=True) == []
store.delete_container(container.id)
assert store.delete_image(image.id)
assert store.check() == []
print("done")
"""


def test_inside_a_user_namespace(base: str) -> None:
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", INSIDE, base],
        env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )
    assert done.stdout.strip() == "done", done.stderr


def test_opaque_directories_and_devices_reach_the_mount(base: str) -> None:
    store = store_at(base)
    lower = tar_of([directory("d"), (regular("d/old"), b"1"), (regular("f"), b"1")])
    upper = tar_of([directory("d"), regular("d/.wh..wh..opq"), (regular("d/new"), b"2"), whiteout("f")])
    image = add(store, make_image([lower, upper]), NAME)
    path = store.mount_image(image.id)
    assert os.listdir(path) == ["d"]
    assert os.listdir(f"{path}/d") == ["new"]
    store.unmount_image(image.id)
    tools = Tools(base)
    assert json.loads(tools.skopeo("inspect", tools.storage_reference(NAME)))["Layers"]
