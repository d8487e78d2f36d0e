"""Damage is found, said, and repaired where that loses nothing."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers.images import files_tar, make_image
from tests.helpers.stores import add, store_at

from wherry.errors import Corrupt, InUse
from wherry.model.ids import generate_id
from wherry.storage import check
from wherry.storage.store import Store

LAYERS = [files_tar({"a": b"12345"}), files_tar({"b": b"123"})]
STRAY = "9" * 64


class World:
    """A store with an image and a container, and where everything of it is."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.store = store_at(base)
        self.made = make_image(LAYERS)
        self.image = add(self.store, self.made, "localhost/x:1")
        self.container = self.store.create_container(
            generate_id(), name="c", image_id=self.image.id, image_name="localhost/x:1"
        )
        self.top, self.bottom = (layer.id for layer in self.store.layer_chain(self.image.layer))

    def edit(self, name: str, change: Callable[[list[dict[str, object]]], object]) -> None:
        path = self.base / "g" / name
        rows = json.loads(path.read_text())
        change(rows)
        path.write_text(json.dumps(rows))
        (self.base / "g" / name.replace(".json", ".lock")).write_bytes(b"")

    def overlay(self, *parts: str) -> Path:
        return self.base.joinpath("g/overlay", *parts)

    def link(self, layer: str) -> Path:
        return self.overlay("l", self.overlay(layer, "link").read_text())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def kinds(damages: list[check.Damage]) -> list[tuple[str, bool]]:
    return [(damage.kind, damage.repairable) for damage in damages]


def flag_incomplete(world: World) -> None:
    def change(rows: list[dict[str, object]]) -> None:
        rows.append({"id": STRAY, "created": "2024-01-01T00:00:00Z", "flags": {"incomplete": True}})

    world.overlay(STRAY, "diff").mkdir(parents=True)
    world.edit("overlay-layers/layers.json", change)


def unreferenced(world: World) -> None:
    world.edit("overlay-containers/containers.json", lambda rows: rows.clear())
    shutil.rmtree(world.base / "g/overlay-containers" / world.container.id)
    shutil.rmtree(world.base / "r/overlay-containers" / world.container.id)


def lost_mapped_layer(world: World) -> None:
    world.edit("overlay-images/images.json", lambda rows: rows[0].update({"mapped-layers": [STRAY]}))


def stale_count(world: World) -> None:
    (world.base / "r/overlay-layers").mkdir(exist_ok=True)
    rows = [{"id": world.top, "path": "/nowhere", "count": 2}]
    (world.base / "r/overlay-layers/mountpoints.json").write_text(json.dumps(rows))


def old_unused_layer(world: World) -> None:
    layer = world.store.add_layer("", io.BytesIO(files_tar({"z": b""})))

    def change(rows: list[dict[str, object]]) -> None:
        next(row for row in rows if row["id"] == layer.id)["created"] = "2020-01-01T00:00:00Z"

    world.edit("overlay-layers/layers.json", change)


def lose_link_file_and_symlink(world: World) -> None:
    world.link(world.bottom).unlink()
    world.overlay(world.bottom, "link").unlink()


REPAIRABLE: list[tuple[str, Callable[[World], object]]] = [
    (check.LAYER_INCOMPLETE, flag_incomplete),
    (check.LAYER_FILES, lambda world: world.link(world.top).unlink()),
    (check.LAYER_FILES, lambda world: world.overlay(world.top, "link").unlink()),
    (check.LAYER_FILES, lambda world: world.overlay(world.top, "lower").unlink()),
    (check.LAYER_FILES, lose_link_file_and_symlink),
    (check.LAYER_UNREFERENCED, unreferenced),
    (check.LAYER_UNREFERENCED, old_unused_layer),
    (check.IMAGE_LAYER, lost_mapped_layer),
    (check.IMAGE_DATA, lambda world: (world.base / f"g/overlay-images/{world.image.id}/manifest").write_text("{}")),
    (check.IMAGE_DATA, lambda world: (world.base / f"g/overlay-images/{world.image.id}/manifest").unlink()),
    (check.MOUNT_STALE, stale_count),
    (check.ORPHAN_LAYER, lambda world: world.overlay(STRAY, "diff").mkdir(parents=True)),
    (check.ORPHAN_LINK, lambda world: os.symlink(f"../{STRAY}/diff", world.overlay("l", "X" * 26))),
    (check.ORPHAN_FILE, lambda world: (world.base / f"g/overlay-layers/{STRAY}.tar-split.gz").touch()),
    (check.ORPHAN_FILE, lambda world: (world.base / f"g/overlay-layers/{STRAY}").mkdir()),
    (check.ORPHAN_FILE, lambda world: (world.base / "g/overlay-layers/.tmp-layers.json123").touch()),
    (check.ORPHAN_FILE, lambda world: (world.base / "g/overlay-images/.tmp-images.json123").touch()),
    (check.ORPHAN_FILE, lambda world: (world.base / "g/overlay-containers/.tmp-containers.json1").touch()),
    (check.ORPHAN_IMAGE, lambda world: (world.base / f"g/overlay-images/{STRAY}").mkdir()),
    (check.ORPHAN_CONTAINER, lambda world: (world.base / f"g/overlay-containers/{STRAY}").mkdir()),
    (check.ORPHAN_CONTAINER, lambda world: (world.base / f"r/overlay-containers/{STRAY}/userdata").mkdir(parents=True)),
]


@pytest.mark.parametrize(("kind", "damage"), REPAIRABLE)
def test_repairable(world: World, kind: str, damage: Callable[[World], object]) -> None:
    damage(world)
    found = world.store.check()
    assert kinds(found) == [(kind, True)]
    assert world.store.repair(found) == []
    assert world.store.check(full=True) == []
    assert world.store.image_manifest(world.image.id) == world.made.manifest
    assert len(world.store.layer_dirs(world.top)) == 2


def lose_bottom_record(world: World) -> None:
    world.edit("overlay-layers/layers.json", lambda rows: rows.pop(0))


def remove_image_record(world: World) -> None:
    world.edit("overlay-images/images.json", lambda rows: rows.clear())
    shutil.rmtree(world.base / "g/overlay-images" / world.image.id)


def no_manifest(world: World) -> None:
    def change(rows: list[dict[str, object]]) -> None:
        for column in ("big-data-names", "big-data-sizes", "big-data-digests"):
            entries = rows[0][column]
            entries.remove("manifest") if isinstance(entries, list) else entries.pop("manifest")  # type: ignore

    world.edit("overlay-images/images.json", change)


def no_config(world: World) -> None:
    def change(rows: list[dict[str, object]]) -> None:
        key = f"sha256:{world.image.id}"
        for column in ("big-data-names", "big-data-sizes", "big-data-digests"):
            entries = rows[0][column]
            entries.remove(key) if isinstance(entries, list) else entries.pop(key)  # type: ignore[attr-defined]

    world.edit("overlay-images/images.json", change)


def damage_config(world: World) -> None:
    directory = world.base / "g/overlay-images" / world.image.id
    path = next(path for path in directory.iterdir() if path.read_bytes() == world.made.config)
    path.write_bytes(world.made.config.replace(b"amd64", b"amd65"))


def container_data(world: World) -> None:
    world.edit("overlay-containers/containers.json", lambda rows: rows[0].update({"big-data-names": ["x"]}))


LOSS: list[tuple[list[str], Callable[[World], object]]] = [
    ([check.LAYER_PARENT, check.ORPHAN_LAYER, check.ORPHAN_FILE], lose_bottom_record),
    ([check.LAYER_CONTENT, check.ORPHAN_LINK], lambda world: shutil.rmtree(world.overlay(world.top))),
    (
        [check.LAYER_TAR_SPLIT],
        lambda world: (world.base / f"g/overlay-layers/{world.top}.tar-split.gz").unlink(),
    ),
    ([check.IMAGE_MANIFEST], no_manifest),
    ([check.IMAGE_CONFIG], no_config),
    ([check.IMAGE_DATA], damage_config),
    ([check.CONTAINER_IMAGE], remove_image_record),
    ([check.CONTAINER_DATA], container_data),
]


@pytest.mark.parametrize(("expected", "damage"), LOSS)
def test_losses_are_told_and_nothing_in_use_is_deleted(
    world: World, expected: list[str], damage: Callable[[World], object]
) -> None:
    damage(world)
    found = world.store.check()
    assert sorted({kind for kind, _ in kinds(found)}) == sorted(expected)
    assert not found[0].repairable
    assert all(damage.id in damage.text for damage in found)
    left = world.store.repair(found)
    assert expected[0] in [kind for kind, _ in kinds(left)]
    assert world.container.id in [container.id for container in world.store.containers()]
    assert world.overlay(world.bottom, "diff/a").read_bytes() == b"12345"


def test_changed_content_is_found_by_a_full_check_only(world: World) -> None:
    world.overlay(world.bottom, "diff/a").write_bytes(b"54321")
    assert world.store.check() == []
    assert kinds(world.store.check(full=True)) == [(check.LAYER_DIGEST, False)]
    world.overlay(world.bottom, "diff/a").unlink()
    assert kinds(world.store.check(full=True)) == [(check.LAYER_DIGEST, False)]


def test_a_container_without_layer_cannot_be_used_and_goes(world: World) -> None:
    world.edit("overlay-layers/layers.json", lambda rows: rows.pop())
    found = world.store.check()
    assert (check.CONTAINER_LAYER, False) in kinds(found)
    assert len(world.store.repair(found)) == 2
    shutil.rmtree(world.overlay(world.container.layer))
    found = world.store.check()
    assert (check.CONTAINER_LAYER, True) in kinds(found)
    assert world.store.repair(found) == []
    assert world.store.containers() == []


def test_a_young_unused_image_layer_is_no_damage(world: World) -> None:
    world.store.add_layer("", io.BytesIO(files_tar({"z": b""})))
    assert world.store.check() == []


def test_unreadable_records_are_told(world: World) -> None:
    (world.base / "g/overlay-layers/layers.json").write_text("{")
    assert kinds(store_at(world.base).check()) == [(check.RECORDS, False)]


def test_only_what_was_asked_for_is_repaired(world: World) -> None:
    world.overlay(STRAY, "diff").mkdir(parents=True)
    (world.base / f"g/overlay-images/{STRAY}").mkdir()
    found = world.store.check()
    left = world.store.repair([damage for damage in found if damage.kind == check.ORPHAN_IMAGE])
    assert kinds(left) == [(check.ORPHAN_LAYER, True)]


def test_reserved_directories_of_other_engines_stay(world: World) -> None:
    for name in ("staging", "tempdirs/temp-dir-1/0-addition", "not-an-id"):
        world.overlay(name).mkdir(parents=True)
    assert world.store.check() == []


def test_a_new_store_is_clean(tmp_path: Path) -> None:
    assert Store(store_at(tmp_path / "empty")._settings).check(full=True) == []


def lose_tar_split(world: World) -> None:
    (world.base / f"g/overlay-layers/{world.top}.tar-split.gz").unlink()


def change_a_file(world: World) -> None:
    world.overlay(world.top, "diff", "b").write_bytes(b"456")


DAMAGED: list[Callable[[World], object]] = [
    lambda world: shutil.rmtree(world.overlay(world.top, "diff")),
    lambda world: shutil.rmtree(world.overlay(world.top)),
    lose_tar_split,
    change_a_file,
    lambda world: world.overlay(world.top, "diff", "b").unlink(),
]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_layer_is_made_anew_when_its_image_comes_again(
    world: World, damage: Callable[[World], object]
) -> None:
    damage(world)
    found = [one for one in world.store.check(full=True) if one.id == world.top]
    assert [one.remedy for one in found] == ["pull or load localhost/x:1 again to restore it"]
    assert world.store.is_layer_damaged(world.top) and not world.store.is_layer_damaged(world.bottom)
    with pytest.raises(Corrupt, match="expected sha256:"):
        world.store.refill_layer(world.top, io.BytesIO(LAYERS[0]))
    assert world.store.is_layer_damaged(world.top)
    world.store.refill_layer(world.top, io.BytesIO(LAYERS[1]))
    assert world.store.check(full=True) == []
    assert not world.store.is_layer_damaged(world.top)
    assert b"".join(world.store.layer_tar(world.top)) == LAYERS[1]
    assert len(world.store.layers()) == 3 and world.overlay(world.top, "diff", "b").read_bytes() == b"123"
    assert not (world.base / "g/wherry/damaged-layers").exists()


def test_a_mounted_layer_is_not_exchanged(world: World) -> None:
    change_a_file(world)
    world.store.check(full=True)
    stale_count(world)
    with pytest.raises(InUse, match="stop the containers that use it first"):
        world.store.refill_layer(world.top, io.BytesIO(LAYERS[1]))
