"""Commit, export, diff and history beside Podman, on one store."""

from __future__ import annotations

import io
import json
import os
import subprocess
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


#: Everything a layer can hold: links, devices, a fifo, set-id, capabilities, odd owners, times and names, holes,
#: whiteouts, a directory that replaces one.
MANY_CHANGES = r"""
mkdir -p a/b && echo hi > a/b/f && ln a/b/f a/hard && ln -s /x a/sym && mknod a/dev c 1 3 && mkfifo a/fifo
rm bin/cat && rm -r home && mkdir home && echo new > home/x && cp bin/busybox a/cap && setcap cap_net_raw+ep a/cap
truncate -s 3M a/sparse && printf end >> a/sparse && chmod 4755 a/b/f && echo u > a/\303\274ml && echo 1 >> etc/passwd
long=a/$(printf 'd%.0s' $(seq 100)) && mkdir -p $long && echo x > $long/$(printf 'f%.0s' $(seq 120))
touch -d '2001-01-01 01:01:01.7' a/nsec && chown 70000:80000 a/nsec && touch -h -d 1960-01-01 a/sym
"""


def test_committed_layers_and_exports_are_podmans_byte_for_byte(runtime: Runtime, tools: Tools) -> None:
    """The same changes made in a container of each engine."""
    ours = runtime.containers.create(NAME, ["sleep", "1"], name="ours", network="none")
    path = runtime.store.mount_container(ours.id)
    subprocess.run(["sh", "-ec", MANY_CHANGES], cwd=path, check=True)
    runtime.store.unmount_container(ours.id)
    tools.podman("create", "--name", "theirs", "--network", "none", NAME, "sleep", "1")
    upper = runtime.store.layer_dirs(runtime.store.container(ours.id).layer)[0]
    theirs = runtime.store.layer_dirs(runtime.store.container("theirs").layer)[0]
    subprocess.run(["cp", "-a", "--preserve=all", f"{upper}/.", f"{theirs}/"], check=True)
    made = ours.commit("localhost/ours:1")
    tools.podman("commit", "-q", "theirs", "localhost/theirs:1")
    layers = [
        b"".join(runtime.store.layer_tar(runtime.store.image(image).layer))
        for image in (made.id, runtime.images.get("localhost/theirs:1").id)
    ]
    assert comparable(layers[0]) == comparable(layers[1])
    tools.podman("export", "-o", f"{tools.base}/e.tar", "theirs")
    exported = Path(tools.base, "e.tar").read_bytes()
    assert comparable(b"".join(ours.export())) == comparable(exported)
    # What Podman saves of our image is the layer as it was committed.
    tools.podman("save", "-q", "--format", "docker-dir", "-o", f"{tools.base}/d", "localhost/ours:1")
    assert Path(tools.base, "d", made.inspect()["RootFS"]["Layers"][-1][7:]).read_bytes() == layers[0]


def comparable(data: bytes) -> bytes:
    """A tar without what Podman 4 and Podman 5 write differently, wherry being with the latter: the type of the file
    in the mode and the names of owners.
    """
    cleaned = bytearray(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            head = member.offset_data - tarfile.BLOCKSIZE
            cleaned[head + 100:head + 108] = b"%07o\0" % (member.mode & 0o7777)
            cleaned[head + 148:head + 156] = bytes(8)       # checksum
            cleaned[head + 265:head + 329] = bytes(64)      # uname, gname
    return bytes(cleaned)


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


@pytest.mark.parametrize("flags", [
    [], ["-f", "docker", "-m", "why", "-a", "me"], ["--include-volumes", "-c", "CMD=/x", "-c", 'ENTRYPOINT=["/e"]'],
    ["-c", "EXPOSE=99", "-c", "LABEL=q=r", "-c", "USER=5", "-c", "WORKDIR=/w", "-c", "VOLUME=/v2", "-c",
     "STOPSIGNAL=9", "-a", "me"],
])
def test_the_configuration_is_the_one_podman_commits(runtime: Runtime, tools: Tools, flags: list[str]) -> None:
    runtime.containers.create(
        NAME, ["sleep", "5"], name="ours", network="none", volumes=["/vol"], environment={"A": "1"},
        labels={"lab": "el"}, user="1000", workdir="/tmp",
    )
    tools.podman("create", "--name", "theirs", "--network", "none", "-v", "/vol", "-e", "A=1", "-l", "lab=el", "--user",
                 "1000", "-w", "/tmp", NAME, "sleep", "5")
    tools.podman("commit", "-q", *flags, "theirs", "localhost/theirs:1")
    runtime.containers.get("ours").commit("localhost/ours:1", **commit_options(flags))

    def document(name: str) -> str:
        config = runtime.images.get(name).config()
        for one in (config, *config["history"][-1:]):
            one.pop("created")
        config.pop("container", None)
        for inner in (config["config"], config.get("container_config", {})):
            # Podman 4 sets TERM, which Podman 5 does not; both list variables in any order.
            inner["Env"] = sorted(one for one in inner.get("Env", ()) if one != "TERM=xterm")
        return json.dumps(config, indent=1)

    assert document("localhost/ours:1") == document("localhost/theirs:1")
    runtime.containers.get("ours").remove(volumes=True)
    tools.podman("rm", "-v", "theirs")


def commit_options(flags: list[str]) -> dict[str, object]:
    """The keywords for the command line's words."""
    names = {"-f": "format", "-m": "message", "-a": "author"}
    found: dict[str, object] = {names[flag]: flags[at + 1] for at, flag in enumerate(flags) if flag in names}
    found["changes"] = [flags[at + 1] for at, flag in enumerate(flags) if flag == "-c"]
    found["include_volumes"] = "--include-volumes" in flags
    return found
