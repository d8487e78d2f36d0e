"""Storage-containers: records, layers and directories, without mounting anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.helpers.images import files_tar, make_image
from tests.helpers.stores import add, store_at

from wherry.errors import AlreadyExists, InvalidArgument, NameInUse, NoSuchContainer, NoSuchImage, NoSuchLayer
from wherry.model.ids import generate_id
from wherry.storage.records import ContainerRecord, ImageRecord
from wherry.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return store_at(tmp_path)


@pytest.fixture
def image(store: Store) -> ImageRecord:
    return add(store, make_image([files_tar({"a": b"12345"}), files_tar({"b": b"123"})]), "localhost/x:1")


def create(store: Store, image: ImageRecord, name: str = "c", **options: object) -> ContainerRecord:
    return store.create_container(
        generate_id(), name=name, image_id=image.id, image_name="localhost/x:1", **options  # type: ignore[arg-type]
    )


def test_what_a_container_consists_of(store: Store, image: ImageRecord, tmp_path: Path) -> None:
    container = create(store, image, volatile=True, mount_options=["nodev"])
    row = json.loads((tmp_path / "g/overlay-containers/containers.json").read_text())[0]
    metadata = json.loads(row["metadata"])
    assert list(row) == ["id", "names", "image", "layer", "metadata", "created", "flags"]
    assert row["flags"] == {"MountLabel": "", "ProcessLabel": "", "Volatile": True, "MountOpts": ["nodev"]}
    assert list(metadata) == ["image-name", "image-id", "name", "created-at"]
    assert (metadata["image-name"], metadata["image-id"], metadata["name"]) == ("localhost/x:1", image.id, "c")
    layer = store.layer(container.layer)
    assert (layer.names, layer.parent, layer.diff_digest) == (["c-layer"], image.layer, "")
    for directory in (store.container_dir(container.id), store.container_run_dir(container.id)):
        assert os.stat(directory).st_mode & 0o777 == 0o700
    assert store.container_dir(container.id) == f"{tmp_path}/g/overlay-containers/{container.id}/userdata"
    assert store.container_run_dir(container.id) == f"{tmp_path}/r/overlay-containers/{container.id}/userdata"
    assert os.stat(tmp_path / "g/overlay" / container.layer / "diff").st_mode & 0o777 == 0o555
    assert store.check() == []


def test_looking_up(store: Store, image: ImageRecord) -> None:
    one = create(store, image, "one")
    two = create(store, image, "two")
    for text in (one.id, one.id[:10], "one", one.layer):
        assert store.container(text) == one
    assert [container.id for container in store.containers()] == [one.id, two.id]
    for text in ("", "three", "f" * 64):
        with pytest.raises(NoSuchContainer):
            store.container(text)


def test_names_and_ids_are_taken_once(store: Store, image: ImageRecord) -> None:
    one = create(store, image)
    with pytest.raises(NameInUse) as caught:
        create(store, image)
    assert str(caught.value) == (
        f'creating container storage: the container name "c" is already in use by {one.id}. You have to remove that '
        "container to be able to reuse that name: that name is already in use"
    )
    with pytest.raises(AlreadyExists, match="that ID is already in use"):
        store.create_container(one.id, name="d", image_id=image.id, image_name="x")
    with pytest.raises(InvalidArgument):
        store.create_container("../x", name="e", image_id=image.id, image_name="x")
    assert len(store.containers()) == 1
    assert len(store.layers()) == 3
    assert store.check() == []


def test_an_image_is_needed_if_one_is_named(store: Store, image: ImageRecord) -> None:
    with pytest.raises(NoSuchImage):
        store.create_container(generate_id(), name="c", image_id="f" * 64, image_name="x")
    bare = store.create_container(generate_id(), name="bare", image_id="", image_name="")
    assert (bare.image, store.layer(bare.layer).parent) == ("", "")


def test_an_image_whose_layer_is_gone(store: Store, image: ImageRecord, tmp_path: Path) -> None:
    path = tmp_path / "g/overlay-layers/layers.json"
    rows = [row for row in json.loads(path.read_text()) if row["id"] != image.layer]
    path.write_text(json.dumps(rows))
    with pytest.raises(NoSuchLayer):
        create(store, image)
    assert store.containers() == []


def test_deleting(store: Store, image: ImageRecord, tmp_path: Path) -> None:
    container = create(store, image)
    (Path(store.container_dir(container.id)) / "config.json").write_text("{}")
    store.delete_container(container.id)
    store.delete_container(container.id)
    assert store.containers() == []
    assert len(store.layers()) == 2
    assert sorted(os.listdir(tmp_path / "g/overlay-containers")) == ["containers.json", "containers.lock"]
    assert os.listdir(tmp_path / "r/overlay-containers") == []
    assert len(os.listdir(tmp_path / "g/overlay/l")) == 2
    assert store.check() == []


def test_a_container_without_layer_can_be_deleted(store: Store, image: ImageRecord, tmp_path: Path) -> None:
    container = create(store, image)
    path = tmp_path / "g/overlay-layers/layers.json"
    path.write_text(json.dumps([row for row in json.loads(path.read_text()) if row["id"] != container.layer]))
    store.delete_container(container.id)
    assert store.containers() == []


def test_renaming(store: Store, image: ImageRecord) -> None:
    one, two = create(store, image, "one"), create(store, image, "two")
    with pytest.raises(NameInUse):
        store.rename_container(one.id, "two")
    with pytest.raises(NoSuchContainer):
        store.rename_container("f" * 64, "x")
    assert store.rename_container(one.id, "new").names == ["new"]
    assert store.container("new").id == one.id
    assert json.loads(store.container("new").metadata)["name"] == "new"
    assert store.layer(one.layer).names == ["new-layer"]
    assert create(store, image, "one").names == ["one"]
    assert store.layer(two.layer).names == ["two-layer"]


def test_a_layer_name_somebody_else_has_is_taken_over(store: Store, image: ImageRecord, tmp_path: Path) -> None:
    first = create(store, image, "one")
    path = tmp_path / "g/overlay-layers/layers.json"
    rows = json.loads(path.read_text())
    rows[-1]["names"] = ["two-layer", "other"]
    path.write_text(json.dumps(rows))
    second = create(store, image, "two")
    assert store.layer(second.layer).names == ["two-layer"]
    assert store.layer(first.layer).names == ["other"]


def test_sizes(store: Store, image: ImageRecord, tmp_path: Path) -> None:
    container = create(store, image)
    diff = tmp_path / "g/overlay" / container.layer / "diff"
    diff.chmod(0o755)
    (diff / "file").write_bytes(b"x" * 3000)
    os.link(diff / "file", diff / "same")
    (diff / "link").symlink_to("file")
    (diff / "directory").mkdir()
    assert store.container_size(container.id) == (3004, 8)


def test_a_transient_store_keeps_containers_in_the_run_root(tmp_path: Path) -> None:
    store = store_at(tmp_path, transient_store=True)
    image = add(store, make_image([files_tar({"a": b"1"})]), "localhost/x:1")
    container = create(store, image)
    assert container.is_volatile
    assert json.loads((tmp_path / "r/overlay-containers/volatile-containers.json").read_text())[0]["id"] == container.id
    assert [row["id"] for row in json.loads((tmp_path / "r/overlay-layers/volatile-layers.json").read_text())] == [
        container.layer
    ]
    assert [row["id"] for row in json.loads((tmp_path / "g/overlay-layers/layers.json").read_text())] == [image.layer]
    assert not (tmp_path / "g/overlay-containers/containers.json").exists()
    assert [found.id for found in store_at(tmp_path, transient_store=True).containers()] == [container.id]


def test_volatile_files_of_newer_engines_are_read(store: Store, image: ImageRecord, tmp_path: Path) -> None:
    container = create(store, image)
    for what in ("containers", "layers"):
        base = tmp_path / f"g/overlay-{what}"
        rows = json.loads((base / f"{what}.json").read_text())
        (base / f"volatile-{what}.json").write_text(json.dumps(rows[-1:]))
        (base / f"{what}.json").write_text(json.dumps(rows[:-1]))
    again = store_at(tmp_path)
    assert [found.id for found in again.containers()] == [container.id]
    assert again.layer(container.layer).parent == image.layer
    with pytest.raises(NameInUse):
        create(again, image)
    again.delete_container(container.id)
    assert (tmp_path / "g/overlay-containers/volatile-containers.json").read_text() == "[]"
    assert (tmp_path / "g/overlay-layers/volatile-layers.json").read_text() == "[]"
