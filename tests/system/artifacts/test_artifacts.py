"""OCI artifacts: in the store, in containers, in a registry, and seen by Skopeo."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.fixtures.engine import IMAGE, open_runtime
from tests.system.registry.real_registry import RealRegistry, skopeo

from wherry import errors
from wherry.engine.artifacts import ArtifactExists, FileExistsInArtifact, NoSuchArtifact
from wherry.engine.runtime import Runtime

pytestmark = pytest.mark.system

NAME = "localhost/test/things"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "text").write_text("some text\n")
    (tmp_path / "data").write_bytes(os.urandom(3000))
    return [tmp_path / "text", tmp_path / "data"]


@pytest.fixture
def store(rt: Runtime) -> Iterator[Runtime]:
    """The engine; afterwards no artifact and no blob is left."""
    yield rt
    for artifact in rt.artifacts.list():
        rt.artifacts.remove(artifact.name)
    assert blobs(rt) == []


def blobs(rt: Runtime) -> list[str]:
    return sorted(os.listdir(f"{rt.artifacts.path}/blobs/sha256"))


def test_files_come_out_as_they_went_in(store: Runtime, files: list[Path], tmp_path: Path) -> None:
    made = store.artifacts.add(NAME, files, type="application/x-things", annotations={"key": "value"})
    assert (made.name, made.size) == (NAME + ":latest", 3010)
    assert [layer["mediaType"] for layer in made.layers] == ["text/plain; charset=utf-8", "application/octet-stream"]
    assert made.manifest["artifactType"] == "application/x-things"
    assert made.manifest["annotations"]["key"] == "value"
    (tmp_path / "out").mkdir()
    store.artifacts.extract(NAME, str(tmp_path / "out"))
    for file in files:
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()
    store.artifacts.extract(made.digest[7:20], str(tmp_path / "one"), title="data")
    assert (tmp_path / "one").read_bytes() == files[1].read_bytes()
    with pytest.raises(errors.InvalidArgument, match="several blobs"):
        store.artifacts.extract(NAME, str(tmp_path / "one"))
    with pytest.raises(errors.InvalidArgument, match='no blob with the title "nope"'):
        store.artifacts.extract(NAME, str(tmp_path / "one"), title="nope")


def test_names_and_files_are_taken_once(store: Runtime, files: list[Path]) -> None:
    first = store.artifacts.add(NAME, files[:1])
    with pytest.raises(ArtifactExists):
        store.artifacts.add(NAME, files[1:])
    with pytest.raises(FileExistsInArtifact):
        store.artifacts.add(NAME, files, append=True)
    second = store.artifacts.add(NAME, files[1:], append=True)
    assert len(second.layers) == 2
    assert [one.digest for one in store.artifacts.list()] == [second.digest]
    assert first.digest[7:] not in blobs(store)
    third = store.artifacts.add(NAME, files[1:], replace=True)
    assert [layer["annotations"]["org.opencontainers.image.title"] for layer in third.layers] == ["data"]
    assert len(blobs(store)) == 3       # manifest, configuration, one file
    with pytest.raises(errors.InvalidArgument, match="repository name must be canonical"):
        store.artifacts.add("short", files)
    with pytest.raises(errors.NotFound):
        store.artifacts.add("localhost/test/other", ["/nonexistent"])
    with pytest.raises(NoSuchArtifact):
        store.artifacts.remove("localhost/test/other")


def test_blobs_are_shared_and_kept_while_needed(store: Runtime, files: list[Path]) -> None:
    store.artifacts.add(NAME + ":one", files)
    store.artifacts.add(NAME + ":two", files[:1])
    assert store.artifacts.remove(NAME + ":one").name == NAME + ":one"
    assert [name for name, _path in store.artifacts.get(NAME + ":two").chosen()] == ["text"]
    assert len(blobs(store)) == 3


def test_titles_lead_nowhere(store: Runtime, files: list[Path], tmp_path: Path) -> None:
    """A pulled artifact's titles are somebody else's words."""
    store.artifacts.add(NAME, files[:1], annotations={"org.opencontainers.image.title": "../../escaped"})
    (tmp_path / "out").mkdir()
    with pytest.raises(errors.InvalidArgument, match="cannot contain /"):
        store.artifacts.extract(NAME, str(tmp_path / "out"))
    with pytest.raises(errors.InvalidArgument, match="cannot contain /"):
        store.containers.run(IMAGE, ["true"], network="none", remove=True, mounts=[f"type=artifact,src={NAME},dst=/x"])


def test_mounted(store: Runtime, files: list[Path]) -> None:
    store.artifacts.add(NAME, files)

    def run(mount: str, *command: str) -> str:
        result = store.containers.run(
            IMAGE, command, network="none", remove=True, mounts=[f"type=artifact,src={NAME},{mount}"]
        )
        return result.stdout + result.stderr

    assert run("dst=/x", "sh", "-c", "ls /x; cat /x/text") == "data\ntext\nsome text\n"
    assert run("dst=/etc/passwd,title=text", "cat", "/etc/passwd") == "some text\n"
    assert run("dst=/x,name=given", "ls", "/x") == "given-0\ngiven-1\n"
    assert "Read-only" in run("dst=/x", "sh", "-c", "echo y > /x/text")
    with pytest.raises(errors.InvalidArgument, match="contains more than one blob"):
        run("dst=/etc/passwd", "true")


def test_two_at_once(store: Runtime, base: Path, files: list[Path]) -> None:
    def add(number: int) -> None:
        with open_runtime(base) as runtime:
            runtime.artifacts.add(f"{NAME}:{number}", files)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.name for one in store.artifacts.list()} == {f"{NAME}:{number}" for number in range(6)}


def test_skopeo_reads_the_layout(store: Runtime, files: list[Path]) -> None:
    made = store.artifacts.add(NAME, files)
    assert json.loads(skopeo("inspect", "--raw", f"oci:{store.artifacts.path}:{made.name}")) == made.manifest


@pytest.mark.skipif(not shutil.which("docker-registry"), reason="docker-registry is not installed")
def test_through_a_registry(store: Runtime, files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    with RealRegistry(tmp_path / "registry") as registry:
        name = f"{registry.host}/test/things:v1"
        made = store.artifacts.add(name, files)
        assert store.artifacts.push(name, tls_verify=False) == made.digest
        store.artifacts.remove(name)
        found = store.artifacts.pull(name, tls_verify=False)
        assert (found.digest, found.raw) == (made.digest, made.raw)
        store.artifacts.extract(name, str(tmp_path / "out"), title="data")
        assert (tmp_path / "out").read_bytes() == files[1].read_bytes()
        store.artifacts.remove(name)
        registry.blob_file(made.layers[1]["digest"]).write_bytes(b"tampered")
        with pytest.raises(errors.WherryError):
            store.artifacts.pull(name, tls_verify=False, retry=0)
        assert store.artifacts.list() == []
        for number in blobs(store):         # what came whole stays for the next try
            os.unlink(f"{store.artifacts.path}/blobs/sha256/{number}")
