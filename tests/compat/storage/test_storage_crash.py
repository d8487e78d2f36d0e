"""kill -9 at every step, a full disk, a read-only disk: what is left is good for us and for Podman."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest
from tests.compat.storage.conftest import NAME, mounts_below
from tests.helpers.images import MadeImage, make_image, random_tar
from tests.helpers.podman import Tools
from tests.helpers.stores import add, store_at

import wherry
from wherry.errors import NoSpace, ReadOnly
from wherry.model.ids import generate_id
from wherry.storage.store import Store

pytestmark = pytest.mark.compat

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
PYTHONPATH = f"{os.path.dirname(os.path.dirname(wherry.__file__))}:{ROOT}"

OPERATIONS = {
    "create and mount": "store.create_and_mount('c' * 64, name='new', image_id=image.id, image_name='x')",
    "mount": "store.mount_container(ours)",
    "unmount": "store.unmount_container(mounted)",
    "delete": "store.delete_container(mounted)",
    "add layer": "store.add_layer(image.layer, io.BytesIO(extra))",
    "delete image": "store.delete_image(other.id)",
}
#: System calls of which every single one is once the last.
CALLS = "mkdir rename symlink unlink unlinkat rmdir mount umount2 pwrite64".split()

SCRIPT = """
import io, os, sys
from tests.helpers.images import files_tar
from tests.helpers.stores import store_at
store = store_at(sys.argv[1])
image = store.find_image("localhost/busybox:1")
other = store.find_image("localhost/other:1")
ours = store.container("ours").id
mounted = store.container("mounted").id
extra = files_tar({"x/y": b"1", "x/z": b"2"})
"""


def build(base: str, made: MadeImage) -> Store:
    store = store_at(base)
    image = add(store, made, NAME)
    add(store, make_image([made.layers[0], random_tar(1000), random_tar(1000)]), "localhost/other:1")
    for name in ("ours", "mounted"):
        store.create_container(generate_id(), name=name, image_id=image.id, image_name=NAME)
    store.mount_container(store.container("mounted").id)
    return store


def killed_at(base: str, operation: str, call: str, nth: int) -> bool:
    """Let a process do the operation and kill it at its *nth* such system call; False when it got through."""
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
         "-e", f"inject={call}:signal=KILL:when={nth}", sys.executable, "-c", SCRIPT + OPERATIONS[operation], base],
        env={**os.environ, "PYTHONPATH": PYTHONPATH}, capture_output=True, text=True, check=False,
    )
    assert done.returncode in (0, -9, 137), done.stderr
    return done.returncode != 0


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_kill_anywhere(operation: str, base: str, made: MadeImage) -> None:
    """Killed by a signal at system calls, so that nothing of Python's cleaning up runs."""
    killed = 0
    for call in CALLS:
        for nth in range(1, 100):
            here = f"{base}/{call}{nth}"
            build(here, made)
            if not killed_at(here, operation, call, nth):
                break
            killed += 1
            still_good(here, podman_first=killed % 4 == 1)
            Tools(here).clean_up()
    assert killed > 2


def still_good(base: str, *, podman_first: bool) -> None:
    store, tools = store_at(base), Tools(base)
    if podman_first:
        # Podman opens the store first: it must neither fail nor take away what is whole.
        listed = {row["Id"] for row in tools.json("ps", "-a", "--external", "--format", "json")}
        assert listed == {container.id for container in store.containers()}
        tools.podman("images")
    store.delete_layer(store.add_layer("", io.BytesIO(random_tar(10))).id)
    damages = store.check()
    assert all(damage.repairable for damage in damages), damages
    assert store.repair(damages) == []
    assert store.check(full=True) == []
    image = store.find_image(NAME)
    _, path = store.create_and_mount(generate_id(), name="after", image_id=image.id, image_name=NAME)
    assert os.path.isfile(f"{path}/bin/busybox")
    if podman_first:
        assert tools.podman("mount", "after") == path
    for left in store.containers():
        store.delete_container(left.id)
    assert mounts_below(f"{base}/g/overlay") == []


@pytest.fixture
def small_disk(base: str) -> str:
    """A file system of 8 MB."""
    directory = f"{base}/small"
    os.mkdir(directory)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "none", directory], check=True)
    return directory


def fill(directory: str, leave: int) -> str:
    """Leave only *leave* bytes free."""
    path = f"{directory}/ballast"
    space = os.statvfs(directory)
    with open(path, "wb") as file:
        file.write(b"\0" * max(0, space.f_bavail * space.f_frsize - leave))
    return path


def tree_names(directory: str) -> set[str]:
    return {
        os.path.relpath(os.path.join(path, name), directory)
        for path, names, files in os.walk(directory) for name in (*names, *files)
    }


def attempts(store: Store, image_id: str, layer: str) -> list[Callable[[], object]]:
    other = make_image([], config={"Labels": {"x": "y" * 9000}})
    return [
        lambda: store.create_container(generate_id(), name="new", image_id=image_id, image_name=NAME),
        lambda: store.create_and_mount(generate_id(), name="new", image_id=image_id, image_name=NAME),
        lambda: store.add_layer(layer, io.BytesIO(random_tar(200_000))),
        lambda: store.add_image(config=other.config, manifest=other.manifest, layer=layer, names=["localhost/new:1"]),
        lambda: store.add_names(image_id, [f"localhost/{'long' * 20}{number}:1" for number in range(200)]),
    ]


@pytest.mark.parametrize("free", [0, 4096, 8192, 16384, 32768, 65536])
def test_a_full_disk(small_disk: str, made: MadeImage, free: int) -> None:
    store = store_at(small_disk)
    image = add(store, made, NAME)
    store.create_container(generate_id(), name="ours", image_id=image.id, image_name=NAME)
    for attempt in attempts(store, image.id, image.layer):
        before = tree_names(f"{small_disk}/g")
        ballast = fill(small_disk, free)
        try:
            attempt()
            worked = True
        except NoSpace as error:
            assert "no space left on device" in str(error)
            worked = False
        os.unlink(ballast)
        assert store.check() == []
        if not worked:
            assert tree_names(f"{small_disk}/g") - before <= {"overlay-containers", "storage.lock"}
        for container in store.containers():
            if container.names == ["new"]:
                store.delete_container(container.id)
    assert store.check(full=True) == []


def test_deleting_works_on_a_full_disk(small_disk: str, made: MadeImage) -> None:
    """Records have to be rewritten to delete; the little that takes is what a full disk usually still has."""
    store = store_at(small_disk)
    image = add(store, made, NAME)
    container = store.create_container(generate_id(), name="ours", image_id=image.id, image_name=NAME)
    fill(small_disk, 12288)
    store.delete_container(container.id)
    store.delete_image(image.id)
    assert store.layers() == []
    assert store.check() == []


def test_a_read_only_disk(small_disk: str, made: MadeImage) -> None:
    store = store_at(small_disk)
    image = add(store, made, NAME)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for attempt in attempts(store, image.id, image.layer):
        with pytest.raises(ReadOnly, match="read-only file system"):
            attempt()
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert store.check(full=True) == []


def test_someone_elses_store(base: str, made: MadeImage) -> None:
    """Without the right to write, everything is refused with the path that refused it."""
    add(store_at(base), made, NAME)
    os.chmod(base, 0o755)
    code = (
        "import os, sys; from tests.helpers.stores import store_at; from wherry.errors import WherryError;"
        "os.setgid(65534); os.setuid(65534)\n"
        f"for call in ('images()', 'containers()', 'layers()'):\n"
        f"    try: eval('store_at(\"{base}\").' + call)\n"
        "    except WherryError as error: print(error.kind, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": PYTHONPATH}, capture_output=True, text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    assert all(line.startswith("permission locking the store: ") and f"{base}/g" in line for line in lines)


def test_an_additional_store_that_nobody_can_lock_is_empty(small_disk: str, base: str, made: MadeImage) -> None:
    add(store_at(small_disk), made, NAME)
    own = store_at(f"{base}/own", additional_image_stores=[f"{small_disk}/g"])
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert [image.read_only for image in own.images()] == [True]
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    for name in ("layers", "images"):
        os.unlink(f"{small_disk}/g/overlay-{name}/{name}.lock")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert own.images() == []
    assert own.layers() == []
