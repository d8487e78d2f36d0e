"""Commit, export, diff and history beside Podman, on one store."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.images import busybox_image, write_docker_archive
from tests.helpers.podman import Tools, missing_tools

from wherry import Runtime

pytestmark = pytest.mark.compat
NAME = "localhost/busybox:1"


@pytest.fixture
def tools() -> Iterator[Tools]:
    if os.geteuid() != 0 or missing_tools():
        pytest.skip("needs root and the real tools")
    found = Tools(tempfile.mkdtemp(prefix="img-", dir="/tmp"))
    yield found
    found.clean_up()


@pytest.fixture
def runtime(tools: Tools, tmp_path: Path) -> Iterator[Runtime]:
    with Runtime(root=tools.graph_root, runroot=tools.run_root, storage_driver="overlay") as made:
        made.images.load(write_docker_archive(str(tmp_path / "b.tar"), [(busybox_image(), [NAME])]))
        yield made


def change(runtime: Runtime, name: str) -> str:
    """A container with a new file, a changed one and one that is gone; its id."""
    container = runtime.containers.create(NAME, ["sleep", "1"], name=name, network="none")
    path = Path(runtime.store.mount_container(container.id))
    (path / "new").write_text("new\n")
    (path / "etc/motd").unlink()
    os.chown(path / "bin/setid", 7, 8)
    runtime.store.unmount_container(container.id)
    return container.id


@pytest.mark.parametrize("format", ["oci", "docker"])
def test_podman_and_buildah_use_a_committed_image(runtime: Runtime, tools: Tools, format: str) -> None:
    container = runtime.containers.get(change(runtime, "c"))
    image = container.commit("localhost/made:1", format=format, author="me", changes=["ENV A=b"])
    shown = tools.json("image", "inspect", "localhost/made:1")[0]
    assert shown["Id"] == image.id and shown["Author"] == "me" and "A=b" in shown["Config"]["Env"]
    assert len(shown["RootFS"]["Layers"]) == 3
    assert {line for line in tools.podman("image", "diff", "localhost/made:1").splitlines() if "/run" not in line} >= {
        "A /new", "D /etc/motd", "C /bin/setid"
    }
    saved = tools.run(
        "podman", "--root", tools.graph_root, "--runroot", tools.run_root, "save", "-q", "-o", f"{tools.base}/s.tar",
        "localhost/made:1",
    )
    assert not saved
    tools.buildah("rm", tools.buildah("from", "--pull-never", "localhost/made:1"))
    container.remove()


def test_the_committed_layer_is_the_one_podman_commits(runtime: Runtime, tools: Tools) -> None:
    """The same change made in a container of each engine gives the same layer."""
    identity = change(runtime, "ours")
    ours = runtime.containers.get(identity).commit("localhost/ours:1")
    tools.podman("create", "--name", "theirs", "--network", "none", NAME, "sleep", "1")
    upper = runtime.store.layer_dirs(runtime.store.container(identity).layer)[0]
    theirs = runtime.store.layer_dirs(runtime.store.container("theirs").layer)[0]
    os.system(f"cp -a {upper}/. {theirs}/")
    tools.podman("commit", "-q", "theirs", "localhost/theirs:1")
    assert members(runtime, ours.id) == members(runtime, runtime.images.get("localhost/theirs:1").id)


def members(runtime: Runtime, image: str) -> list[tuple[object, ...]]:
    """What the top layer's tar says. Podman 4 adds the file type to the mode, Podman 5 and wherry do not."""
    data = b"".join(runtime.store.layer_tar(runtime.store.image(image).layer))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [
            (one.name, one.type, one.mode & 0o7777, one.uid, one.gid, one.mtime, one.linkname, one.size)
            for one in tar
        ]


def test_squash_and_export_hold_the_whole_tree(runtime: Runtime, tools: Tools) -> None:
    container = runtime.containers.get(change(runtime, "c"))
    image = container.commit("localhost/flat:1", squash=True)
    assert len(tools.json("image", "inspect", image.id)[0]["RootFS"]["Layers"]) == 1
    exported = b"".join(container.export())
    names = set(tarfile.open(fileobj=io.BytesIO(exported)).getnames())
    assert {"new", "bin/busybox"} <= names and "etc/motd" not in names
    assert not runtime.store.mounted()


def test_diff_and_history_say_what_podmans_say(runtime: Runtime, tools: Tools) -> None:
    image = runtime.images.get(NAME)
    assert [f"{one.kind} {one.path}" for one in image.diff()] == tools.podman("image", "diff", NAME).splitlines()
    theirs = tools.json("history", "--format", "json", NAME)
    assert [(one.id, one.size, one.created_by) for one in image.history()] == [
        (one["id"], one["size"], one["CreatedBy"]) for one in theirs
    ]


def test_prune_spares_what_containers_of_other_engines_use(runtime: Runtime, tools: Tools) -> None:
    tools.podman("create", "--name", "theirs", NAME, "true")
    runtime.images.get(NAME).untag()
    assert runtime.images.prune() == []
    tools.podman("rm", "theirs")
    assert [gone.id for gone in runtime.images.prune()] == [busybox_image().id]
    assert tools.json("images", "--format", "json") == []
