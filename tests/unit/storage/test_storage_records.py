"""Records have the shape other engines write and read."""

from __future__ import annotations

from wherry.model.mount import IDMap
from wherry.storage.records import ContainerRecord, ImageRecord, LayerRecord

ID = "a" * 64


def test_unset_fields_are_left_out_but_created_and_the_references_of_containers_are_not() -> None:
    assert LayerRecord(id=ID).to_json() == {"id": ID, "created": "0001-01-01T00:00:00Z"}
    assert ContainerRecord(id=ID).to_json() == {
        "id": ID, "image": "", "layer": "", "created": "0001-01-01T00:00:00Z",
    }


def test_keys_come_in_the_order_other_engines_write() -> None:
    layer = LayerRecord(
        id=ID, names=["n"], parent="p", created="c", compressed_digest="d", compressed_size=1, diff_digest="e",
        diff_size=2, compression=2, uids=[0], gids=[0], flags={"incomplete": True},
    )
    assert list(layer.to_json()) == [
        "id", "names", "parent", "created", "compressed-diff-digest", "compressed-size", "diff-digest", "diff-size",
        "compression", "uidset", "gidset", "flags",
    ]


def test_id_maps_keep_their_zeros() -> None:
    record = ContainerRecord(id=ID, uid_map=[IDMap(container_id=0, host_id=100000, size=65536)])
    assert record.to_json()["uidmap"] == [{"container_id": 0, "host_id": 100000, "size": 65536}]
    assert ContainerRecord.from_json(record.to_json()) == record


def test_a_record_of_podman_survives_being_read_and_written() -> None:
    row = {
        "id": ID, "names": ["c2"], "image": "i", "layer": "l", "metadata": '{"name":"c2"}',
        "created": "2026-11-21T23:49:17.271330083Z",
        "uidmap": [{"container_id": 0, "host_id": 100000, "size": 65536}],
        "gidmap": [{"container_id": 0, "host_id": 100000, "size": 65536}],
        "flags": {"MountLabel": "", "ProcessLabel": "", "Volatile": True},
    }
    record = ContainerRecord.from_json(row)
    assert record.to_json() == row
    assert record.is_volatile
    assert record.mount_options is None
    assert ContainerRecord(flags={"MountOpts": ["nodev"]}).mount_options == ["nodev"]


def test_flags_are_set_and_removed_one_by_one() -> None:
    layer = LayerRecord(id=ID, flags={"other": [1]}).flagged("incomplete", True)
    assert layer.is_incomplete
    assert layer.to_json()["flags"] == {"other": [1], "incomplete": True}
    layer = layer.flagged("incomplete", None)
    assert layer.to_json()["flags"] == {"other": [1]}
    assert "flags" not in LayerRecord(id=ID).flagged("incomplete", None).to_json()


def test_the_digests_of_an_image_are_its_own_and_those_of_all_manifests() -> None:
    image = ImageRecord(
        digest="sha256:1",
        big_data_digests={"manifest": "sha256:2", "manifest-sha256:3": "sha256:3", "sha256:c": "sha256:c"},
    )
    assert image.digests() == ["sha256:1", "sha256:2", "sha256:3"]
