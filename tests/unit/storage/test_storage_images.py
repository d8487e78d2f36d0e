"""Images and layers of a store."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path

import pytest
from tests.helpers.images import (
    busybox_image,
    digest_of,
    directory,
    files_tar,
    make_image,
    regular,
    tar_of,
    whiteout,
)
from tests.helpers.stores import add, store_at, tree

from wherry.errors import (
    AlreadyExists,
    Corrupt,
    ImageInUse,
    InUse,
    InvalidArgument,
    NoSuchImage,
    NoSuchLayer,
    ReadOnly,
)
from wherry.model.ids import generate_id
from wherry.storage.layers import layer_id_for
from wherry.storage.store import Store

A = files_tar({"a": b"content of a\n"})
B = files_tar({"dir/b": b"content of b\n"})


def image_of(*layers: bytes, **options: object):  # type: ignore[no-untyped-def]
    return make_image(layers or (A, B), **options)


def layer_files(store: Store) -> set[str]:
    """Names of everything kept about layers."""
    base = store._settings.graph_root
    found = set()
    for part in ("overlay", "overlay/l", "overlay-layers"):
        if os.path.isdir(f"{base}/{part}"):
            found |= {f"{part}/{name}" for name in os.listdir(f"{base}/{part}")}
    return found - {
        "overlay/l", "overlay/.has-mount-program", "overlay-layers/layers.json", "overlay-layers/layers.lock",
    }


class TestLayers:
    def test_ids_follow_from_content_and_parent(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        base = store.add_layer("", io.BytesIO(A))
        assert base.id == digest_of(A).partition(":")[2]
        top = store.add_layer(base.id, io.BytesIO(B))
        assert top.id == digest_of(f"{base.id}+{digest_of(B).partition(':')[2]}".encode()).partition(":")[2]
        assert top.id == layer_id_for(base.id, digest_of(B))
        assert [layer.id for layer in store.layer_chain(top.id)] == [top.id, base.id]

    def test_the_record_describes_the_content(self, tmp_path: Path) -> None:
        tar = tar_of([(regular("x", uid=7, gid=8), b"1"), whiteout("gone"), directory("d", uid=0, gid=3)])
        store = store_at(tmp_path)
        layer = store.add_layer("", io.BytesIO(tar))
        assert (layer.diff_digest, layer.diff_size) == (digest_of(tar), len(tar))
        assert (layer.compressed_digest, layer.compressed_size) == (digest_of(tar), len(tar))
        assert (list(layer.uids), list(layer.gids)) == ([0, 7], [3, 8])
        assert layer.compression == 0
        assert not layer.is_incomplete

    def test_a_compressed_blob_is_recorded_as_received(self, tmp_path: Path) -> None:
        blob = gzip.compress(A)
        store = store_at(tmp_path)
        layer = store.add_layer("", io.BytesIO(blob), diff_id=digest_of(A))
        assert (layer.compressed_digest, layer.compressed_size, layer.compression) == (digest_of(blob), len(blob), 2)
        assert store.find_layer_by_blob(digest_of(blob)) == [layer]
        assert store.find_layer_by_blob(digest_of(A)) == [layer]
        assert b"".join(store.layer_tar(layer.id)) == A

    def test_given_digest_and_size_of_the_blob_are_believed(self, tmp_path: Path) -> None:
        layer = store_at(tmp_path).add_layer(
            "", io.BytesIO(gzip.compress(A)), compressed_digest=digest_of(b"x"), compressed_size=5
        )
        assert (layer.compressed_digest, layer.compressed_size) == (digest_of(b"x"), 5)

    def test_an_existing_layer_is_reused_without_reading(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        first = store.add_layer("", io.BytesIO(A))
        stream = io.BytesIO(b"not a tar")
        assert store.add_layer("", stream, diff_id=digest_of(A)) == first
        assert stream.tell() == 0
        assert store.add_layer("", io.BytesIO(A)) == first
        assert [layer.id for layer in store.layers()] == [first.id]
        assert len(layer_files(store)) == 3

    @pytest.mark.parametrize("data", [b"garbage" * 200, A[:515], gzip.compress(A)[:-20]])
    def test_nothing_is_left_of_what_is_no_tar(self, tmp_path: Path, data: bytes) -> None:
        store = store_at(tmp_path)
        with pytest.raises(Corrupt):
            store.add_layer("", io.BytesIO(data), diff_id=digest_of(A))
        with pytest.raises(Corrupt):
            store.add_layer("", io.BytesIO(data))
        assert store.layers() == []
        assert layer_files(store) == set()

    def test_nothing_is_left_of_content_with_another_digest(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        with pytest.raises(Corrupt, match=f"digest {digest_of(B)}, expected {digest_of(A)}"):
            store.add_layer("", io.BytesIO(B), diff_id=digest_of(A))
        assert layer_files(store) == set()
        assert store.check() == []

    def test_a_stream_that_fails_leaves_nothing_and_its_error_comes_through(self, tmp_path: Path) -> None:
        class Broken:
            def read(self, _size: int) -> bytes:
                raise RuntimeError("connection lost")

        store = store_at(tmp_path)
        with pytest.raises(RuntimeError, match="connection lost"):
            store.add_layer("", Broken())
        assert layer_files(store) == set()

    def test_parents_must_exist_and_belong_to_no_container(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        with pytest.raises(NoSuchLayer):
            store.add_layer("f" * 64, io.BytesIO(A))
        image = add(store, image_of(), "localhost/x:1")
        container = store.create_container(generate_id(), name="c", image_id=image.id, image_name="x")
        with pytest.raises(InUse, match="container"):
            store.add_layer(container.layer, io.BytesIO(A))

    def test_a_chosen_id(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        assert store.add_layer("", io.BytesIO(A), layer_id="5" * 64).id == "5" * 64
        with pytest.raises(AlreadyExists):
            store.add_layer("", io.BytesIO(B), layer_id="5" * 64, diff_id=digest_of(B))
        with pytest.raises(InvalidArgument):
            store.add_layer("", io.BytesIO(B), layer_id="../../etc")
        found = store.find_layer("", digest_of(A))
        assert found is not None
        assert found.id == "5" * 64

    def test_the_same_content_on_another_parent(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        a, b = store.add_layer("", io.BytesIO(A)), store.add_layer("", io.BytesIO(gzip.compress(B)))
        copy = store.copy_layer(b.id, a.id)
        assert copy.id == layer_id_for(a.id, digest_of(B))
        assert (copy.compressed_digest, copy.compressed_size) == (b.compressed_digest, b.compressed_size)
        assert b"".join(store.layer_tar(copy.id)) == B
        assert store.find_layer(a.id, digest_of(B)) == copy
        assert store.find_layer("", digest_of(B)) == b
        assert store.find_layer(b.id, digest_of(A)) is None

    def test_look_up(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        layer = store.add_layer("", io.BytesIO(A))
        assert store.layer(layer.id) == store.layer(layer.id[:7]) == layer
        for missing in ("", "no", "f" * 64):
            with pytest.raises(NoSuchLayer):
                store.layer(missing)

    def test_deleting_needs_that_nothing_uses_it(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        image = add(store, image_of(), "localhost/x:1")
        container = store.create_container(generate_id(), name="c", image_id=image.id, image_name="x")
        top, base = store.layer_chain(image.layer)
        for layer, why in ((top.id, "children"), (base.id, "children"), (container.layer, "container")):
            with pytest.raises(InUse, match=why):
                store.delete_layer(layer)
        store.delete_container(container.id)
        with pytest.raises(InUse, match="image"):
            store.delete_layer(top.id)
        extra = store.add_layer("", io.BytesIO(files_tar({"z": b""})))
        before = layer_files(store)
        store.delete_layer(extra.id)
        store.delete_layer(extra.id)
        assert len(before - layer_files(store)) == 3

    def test_directories_of_a_layer_are_those_of_the_format(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        base = store.add_layer("", io.BytesIO(A))
        top = store.add_layer(base.id, io.BytesIO(B))
        overlay = tmp_path / "g" / "overlay"
        link = (overlay / base.id / "link").read_text()
        assert len(link) == 26
        assert set(link) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        assert os.readlink(overlay / "l" / link) == f"../{base.id}/diff"
        assert sorted(os.listdir(overlay / base.id)) == ["diff", "empty", "link", "merged", "work"]
        assert sorted(os.listdir(overlay / top.id)) == ["diff", "link", "lower", "merged", "work"]
        assert (overlay / top.id / "lower").read_text() == f"l/{link}"
        assert (overlay / base.id / "diff").stat().st_mode & 0o777 == 0o555
        assert (overlay / base.id).stat().st_mode & 0o777 == 0o700
        assert (overlay / ".has-mount-program").read_text() == "false"
        assert tree(str(overlay / top.id / "diff")).keys() == {"dir", "dir/b"}


class TestImages:
    def test_an_image_has_the_digest_of_its_configuration_as_id(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        made = image_of()
        image = add(store, made, "localhost/x:1")
        assert image.id == made.id
        assert image.digest == made.manifest_digest
        assert image.created == "2024-01-02T03:04:05.000000006Z"
        assert store.image_config(image.id)["config"]["Cmd"] == ["/bin/sh"]
        assert store.image_manifest(image.id) == made.manifest
        assert store.image_data(image.id, f"manifest-{made.manifest_digest}") == made.manifest
        assert list(image.big_data_names) == [
            f"sha256:{made.id}", f"manifest-{made.manifest_digest}", "manifest",
        ]
        with pytest.raises(Corrupt):
            store.image_data(image.id, "nothing")
        with pytest.raises(NoSuchImage):
            store.image_data("f" * 64, "manifest")
        assert store.check(full=True) == []

    def test_its_size_is_that_of_layers_and_documents(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        made = image_of()
        image = add(store, made)
        assert store.image_size(image.id) == len(A) + len(B) + len(made.config) + 2 * len(made.manifest)

    def test_finding(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        image = add(store, image_of(), "localhost/x:1")
        for text in (image.id, "sha256:" + image.id, image.id[:6], "sha256:" + image.id[:6], "localhost/x:1"):
            assert store.find_image(text).id == image.id
        for text in ("localhost/x", "x:1", "", "f" * 64, "0123"):
            with pytest.raises(NoSuchImage, match="image not known"):
                store.find_image(text)
        assert store.image(image.id) == image
        with pytest.raises(NoSuchImage):
            store.image(image.id[:12])

    def test_an_ambiguous_prefix_finds_nothing(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        ids = {}
        number = 0
        while True:
            made = make_image([A], config={"Number": number})
            number += 1
            if made.id[0] in ids:
                break
            ids[made.id[0]] = made
        add(store, made)
        add(store, ids[made.id[0]])
        with pytest.raises(NoSuchImage):
            store.find_image(made.id[0])

    def test_names_move_and_history_remembers(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        one = add(store, image_of(), "localhost/x:1")
        two = add(store, image_of(A), "localhost/x:1", "localhost/y:1")
        assert store.image(one.id).names == ()
        assert store.image(one.id).names_history == ["localhost/x:1"]
        store.add_names(one.id, ["localhost/y:1", "localhost/z:1"])
        assert store.image(two.id).names == ["localhost/x:1"]
        assert store.set_names(one.id, ["localhost/q:1", "localhost/q:1"]).names == ["localhost/q:1"]
        assert store.image(one.id).names_history == [
            "localhost/q:1", "localhost/z:1", "localhost/y:1", "localhost/x:1",
        ]
        assert store.remove_names(one.id, ["localhost/q:1"]).names == ()
        assert "names" not in json.loads((tmp_path / "g/overlay-images/images.json").read_text())[0]
        with pytest.raises(NoSuchImage):
            store.find_image("localhost/q:1")

    def test_another_manifest_of_the_same_configuration(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        plain, packed = image_of(), image_of(compressed=True)
        assert plain.id == packed.id
        first = add(store, plain, "localhost/x:1")
        second = add(store, packed, "localhost/x:2")
        assert second.names == ["localhost/x:2", "localhost/x:1"]
        assert second.digest == first.digest
        assert second.digests() == [plain.manifest_digest, packed.manifest_digest]
        assert store.image_manifest(second.id) == packed.manifest
        assert store.check(full=True) == []

    def test_the_same_configuration_on_another_layer_is_an_error(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        made = image_of()
        add(store, made)
        other = store.add_layer("", io.BytesIO(A), layer_id="6" * 64)
        with pytest.raises(Corrupt, match="layer"):
            store.add_image(config=made.config, manifest=made.manifest, layer=other.id, names=[])
        with pytest.raises(NoSuchLayer):
            store.add_image(config=b"{}", manifest=b"{}", layer="7" * 64, names=[])
        assert store.check() == []

    def test_signatures(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        made = image_of(A)
        layer = store.add_layer("", io.BytesIO(A))
        image = store.add_image(
            config=made.config, manifest=made.manifest, layer=layer.id, names=[], signatures=[b"one", b"three"]
        )
        assert store.image_data(image.id, "signatures") == b"onethree"
        assert store.image_data(image.id, f"signature-{made.manifest_digest[7:]}") == b"onethree"
        assert json.loads(image.metadata) == {
            "signature-sizes": [3, 5], "signatures-sizes": {made.manifest_digest: [3, 5]},
        }

    def test_by_digest(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        made = image_of(A)
        image = add(store, made, "example.com/a/b:1")
        digest = made.manifest_digest
        assert store.find_image_by_digest("example.com/a/b", digest).id == image.id
        for repository, wanted in (("example.com/a", digest), ("example.com/a/b", digest_of(b"x"))):
            with pytest.raises(NoSuchImage):
                store.find_image_by_digest(repository, wanted)
        other = add(store, image_of(B), f"example.com/q@{digest}")
        assert store.find_image_by_digest("example.com/q", digest).id == other.id

    def test_a_list_digest_selects_the_image_for_this_machine(self, tmp_path: Path) -> None:
        from wherry.storage.images import _ARCHITECTURES

        ours = _ARCHITECTURES[os.uname().machine]
        store = store_at(tmp_path)
        made = {arch: image_of(A, architecture=arch) for arch in ("other", ours, "third")}
        document = json.dumps({"manifests": [
            {"digest": image.manifest_digest, "platform": {"os": "linux", "architecture": arch}}
            for arch, image in made.items()
        ]}).encode()
        for arch, image in made.items():
            add(store, image, f"example.com/a:{arch}", manifest_list=document)
        assert store.find_image_by_digest("example.com/a", digest_of(document)).id == made[ours].id

    def test_manifest_lists_are_images_without_layers(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        image = store.add_manifest_list(generate_id(), b'{"manifests":[]}', ["localhost/list:1"])
        assert (image.layer, image.names_history) == ("", ())
        updated = store.set_image_data(image.id, "manifest", b'{"manifests":[1]}')
        assert updated.digest == image.digest
        assert updated.big_data_digests["manifest"] == digest_of(b'{"manifests":[1]}')
        assert store.check() == []
        assert store.delete_image(image.id) == []
        assert set(os.listdir(tmp_path / "g/overlay-images")) == {"images.lock", "images.json"}

    def test_deleting_takes_the_layers_nobody_else_needs(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        one = add(store, image_of(A, B), "localhost/one:1")
        two = add(store, image_of(A), "localhost/two:1")
        assert store.delete_image(one.id) == [one.layer]
        with pytest.raises(NoSuchImage):
            store.delete_image(one.id)
        assert store.delete_image(two.id) == [two.layer]
        assert store.layers() == []
        assert layer_files(store) == set()
        assert set(os.listdir(tmp_path / "g/overlay-images")) == {"images.lock", "images.json"}

    def test_an_image_in_use_stays(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        image = add(store, image_of(), "localhost/x:1")
        container = store.create_container(generate_id(), name="c", image_id=image.id, image_name="x")
        with pytest.raises(ImageInUse) as caught:
            store.delete_image(image.id)
        assert str(caught.value) == (
            f"image used by {container.id}: image is in use by a container: consider listing external containers and "
            "force-removing image"
        )
        store.delete_container(container.id)
        assert len(store.delete_image(image.id)) == 2

    def test_layers_below_a_container_of_a_vanished_image_stay(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        image = add(store, image_of(A), "localhost/x:1")
        other = add(store, image_of(A, B), "localhost/y:1")
        container = store.create_container(generate_id(), name="c", image_id=image.id, image_name="x")
        assert store.delete_image(other.id) == [other.layer]
        assert [layer.id for layer in store.layer_chain(container.layer)] == [container.layer, image.layer]

    def test_busybox_with_whiteouts(self, tmp_path: Path) -> None:
        store = store_at(tmp_path)
        made = busybox_image()
        image = add(store, made, "localhost/busybox:1")
        top, base = store.layer_chain(image.layer)
        assert b"".join(store.layer_tar(top.id)) == made.layers[1]
        assert b"".join(store.layer_tar(base.id)) == made.layers[0]
        assert len(store.layer_dirs(top.id)) == 2


class TestAdditionalStores:
    @pytest.fixture
    def stores(self, tmp_path: Path) -> tuple[Store, Store]:
        other = store_at(tmp_path / "other")
        return store_at(tmp_path / "own", additional_image_stores=[f"{tmp_path}/other/g"]), other

    def test_their_images_are_seen_and_never_changed(self, stores: tuple[Store, Store]) -> None:
        own, other = stores
        image = add(other, image_of(), "localhost/x:1")
        assert [(found.id, found.read_only) for found in own.images()] == [(image.id, True)]
        assert own.find_image("localhost/x:1").read_only
        assert own.image_config(image.id)["os"] == "linux"
        assert own.image_size(image.id) == other.image_size(image.id)
        assert [layer.id for layer in own.layer_chain(image.layer)] == [
            layer.id for layer in other.layer_chain(image.layer)
        ]
        assert b"".join(own.layer_tar(image.layer)) == B
        with pytest.raises(ReadOnly):
            own.delete_image(image.id)
        with pytest.raises(ReadOnly):
            own.delete_layer(image.layer)

    def test_tagging_makes_a_record_of_our_own_with_all_documents(self, stores: tuple[Store, Store]) -> None:
        own, other = stores
        made = image_of()
        image = add(other, made, "localhost/x:1")
        own.add_names(image.id, ["localhost/y:1"])
        assert other.image(image.id).names == ["localhost/x:1"]
        ours = own.find_image("localhost/y:1")
        assert (ours.id, ours.read_only, ours.digest) == (image.id, False, image.digest)
        assert own.image_manifest(image.id) == made.manifest
        assert [found.read_only for found in own.images()] == [False, True]
        assert own.delete_image(image.id) == []
        assert own.find_image("localhost/x:1").read_only

    def test_their_layers_are_parents_of_ours(self, stores: tuple[Store, Store], tmp_path: Path) -> None:
        own, other = stores
        base = other.add_layer("", io.BytesIO(A))
        top = own.add_layer(base.id, io.BytesIO(B))
        link = (tmp_path / f"other/g/overlay/{base.id}/link").read_text()
        assert (tmp_path / f"own/g/overlay/{top.id}/lower").read_text() == f"l/{link}"
        assert own.layer_dirs(top.id) == [
            f"{tmp_path}/own/g/overlay/{top.id}/diff", f"{tmp_path}/other/g/overlay/l/{link}",
        ]
        assert own.add_layer("", io.BytesIO(b""), diff_id=digest_of(A)) == base

    def test_a_second_store_for_images(self, tmp_path: Path) -> None:
        store = store_at(tmp_path / "own", image_store=f"{tmp_path}/images")
        image = add(store, image_of(), "localhost/x:1")
        container = store.create_container(generate_id(), name="c", image_id=image.id, image_name="x")
        assert os.path.isdir(tmp_path / "images/overlay" / image.layer)
        assert os.path.isdir(tmp_path / "own/g/overlay" / container.layer)
        assert [layer["id"] for layer in json.loads((tmp_path / "own/g/overlay-layers/layers.json").read_text())] == [
            container.layer
        ]
        assert store.find_image("localhost/x:1").id == image.id
        assert store.check(full=True) == []
        store.delete_container(container.id)
        assert len(store.delete_image(image.id)) == 2
        assert store.layers() == []
