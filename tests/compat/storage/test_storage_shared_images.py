"""Images written by one engine are images of the other."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile

import pytest
from tests.helpers.images import MadeImage, busybox_image, digest_of, files_tar, make_image, write_oci_layout
from tests.helpers.podman import Tools
from tests.helpers.stores import add, store_at, tree

from wherry.storage.store import Store

pytestmark = pytest.mark.compat

NAME = "localhost/busybox:1"


def layers_of_archive(path: str) -> dict[str, bytes]:
    """Digest and content of the layers in a docker archive."""
    with tarfile.open(path) as tar:
        entries = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        return {
            digest_of(data): data
            for name in entries[0]["Layers"]
            for data in [tar.extractfile(name).read()]  # type: ignore[union-attr]
        }


def test_podman_lists_inspects_and_saves_our_image(store: Store, tools: Tools, made: MadeImage, base: str) -> None:
    image = add(store, made, NAME)
    (listed,) = tools.json("images", "--format", "json")
    assert (listed["Id"], listed["Names"], listed["Digest"]) == (made.id, [NAME], made.manifest_digest)
    assert listed["Size"] == store.image_size(image.id)
    (inspected,) = tools.json("image", "inspect", NAME)
    assert inspected["RootFS"]["Layers"] == made.diff_ids
    assert inspected["NamesHistory"] == [NAME]
    tools.podman("image", "save", "-o", f"{base}/saved.tar", NAME)
    assert layers_of_archive(f"{base}/saved.tar") == dict(zip(made.diff_ids, made.layers, strict=True))
    assert len(tools.podman("image", "tree", NAME).splitlines()) >= 5
    assert store.check(full=True) == []


def test_skopeo_reads_our_image(store: Store, tools: Tools, made: MadeImage, base: str) -> None:
    add(store, made, NAME)
    inspected = json.loads(tools.skopeo("inspect", tools.storage_reference(NAME)))
    assert inspected["Digest"] == made.manifest_digest
    tools.skopeo("copy", tools.storage_reference(NAME), f"oci:{base}/copy:x")
    manifest = next(
        entry["digest"] for entry in json.load(open(f"{base}/copy/index.json"))["manifests"]
    )
    document = json.load(open(f"{base}/copy/blobs/sha256/{manifest[7:]}"))
    assert document["config"]["digest"] == digest_of(made.config)
    for layer, tar in zip(document["layers"], made.layers, strict=True):
        data = open(f"{base}/copy/blobs/sha256/{layer['digest'][7:]}", "rb").read()
        assert (gzip.decompress(data) if layer["mediaType"].endswith("gzip") else data) == tar


def test_podman_and_buildah_work_on_our_image(store: Store, tools: Tools, made: MadeImage) -> None:
    add(store, made, NAME)
    mounted = tools.podman("image", "mount", NAME)
    assert open(f"{mounted}/etc/motd").read() == "hello\n"
    assert not os.path.exists(f"{mounted}/home/user/note")
    assert os.lstat(f"{mounted}/home/user/same-note").st_uid == 1000
    tools.podman("image", "umount", NAME)
    container = tools.buildah("from", "--pull-never", NAME)
    assert tools.buildah("mount", container)
    tools.buildah("umount", container)
    tools.buildah("rm", container)
    created = tools.podman("create", "--name", "c", NAME, "true")
    root = tools.podman("mount", created)
    assert os.path.isfile(f"{root}/bin/busybox")
    tools.podman("umount", created)
    tools.podman("rm", created)
    assert store.check(full=True) == []


def test_podman_tags_untags_and_deletes_our_image(store: Store, tools: Tools, made: MadeImage, base: str) -> None:
    image = add(store, made, NAME)
    tools.podman("tag", NAME, "localhost/other:2")
    assert store.image(image.id).names == [NAME, "localhost/other:2"]
    tools.podman("untag", NAME, NAME)
    assert store.image(image.id).names == ["localhost/other:2"]
    assert store.image(image.id).names_history == ["localhost/other:2", NAME]
    tools.podman("rmi", "localhost/other:2")
    assert store.images() == []
    assert store.layers() == []
    assert os.listdir(f"{base}/g/overlay/l") == []
    assert store.check() == []


def test_we_read_save_tag_and_delete_an_image_podman_loaded(
    store: Store, tools: Tools, made: MadeImage, archive: str
) -> None:
    tools.podman("load", "-i", archive)
    image = store.find_image(NAME)
    assert image.id == made.id
    assert store.image_config(image.id) == json.loads(made.config)
    (listed,) = tools.json("images", "--format", "json")
    assert listed["Size"] == store.image_size(image.id)
    top, bottom = store.layer_chain(image.layer)
    assert [b"".join(store.layer_tar(layer.id)) for layer in (bottom, top)] == list(made.layers)
    assert store.find_layer("", made.diff_ids[0]) == bottom
    assert store.find_layer(bottom.id, made.diff_ids[1]) == top
    assert store.find_image_by_digest("localhost/busybox", image.digest) == image
    store.add_names(image.id, ["localhost/ours:1"])
    assert tools.podman("images", "-q", "localhost/ours:1")
    assert store.check(full=True) == []
    store.delete_image(image.id)
    assert tools.json("images", "--format", "json") == []
    assert store.check() == []


def test_both_write_the_same_record(tools: Tools, made: MadeImage, archive: str, base: str) -> None:
    """What Podman made of an archive of the image, and what we make of the image it wrote."""
    tools.podman("load", "-i", archive)
    theirs = store_at(base)
    image = theirs.find_image(NAME)
    ours = store_at(f"{base}/ours")
    parent = ""
    for layer in reversed(theirs.layer_chain(image.layer)):
        parent = ours.add_layer(
            parent, io.BytesIO(b"".join(theirs.layer_tar(layer.id))), diff_id=layer.diff_digest
        ).id
    ours.add_image(
        config=theirs.image_data(image.id, f"sha256:{image.id}"), manifest=theirs.image_manifest(image.id),
        layer=parent, names=[NAME],
    )
    for what, differ in (("layers", {"created"}), ("images", set())):
        name = f"overlay-{what}/{what}.json"
        mine, other = (json.load(open(f"{root}/{name}")) for root in (f"{base}/ours/g", f"{base}/g"))
        for one, two in zip(mine, other, strict=True):
            if what == "images":        # old Podman writes an empty signature file
                key = f"signature-{image.digest[7:]}"
                two["big-data-names"].remove(key)
                del two["big-data-sizes"][key], two["big-data-digests"][key]
            assert list(one) == list(two)
            assert {key: one[key] for key in one if key not in differ} == {
                key: two[key] for key in two if key not in differ
            }
    for layer in theirs.layers():
        assert tree(f"{base}/ours/g/overlay/{layer.id}/diff") == tree(f"{base}/g/overlay/{layer.id}/diff")


def test_layers_are_shared_across_engines(store: Store, tools: Tools, made: MadeImage, base: str) -> None:
    """A layer we have is not extracted again by Podman, nor the other way."""
    bottom = store.add_layer("", io.BytesIO(made.layers[0]))
    stamp = os.stat(f"{base}/g/overlay/{bottom.id}/link").st_mtime_ns
    write_oci_layout(f"{base}/layout", [(made, NAME)])
    tools.podman("pull", f"oci:{base}/layout")
    assert os.stat(f"{base}/g/overlay/{bottom.id}/link").st_mtime_ns == stamp
    assert store.find_layer(bottom.id, made.diff_ids[1]) is not None
    assert len(store.layers()) == 2


@pytest.mark.parametrize("compressed", [False, True])
def test_podman_commits_on_our_image_and_we_read_the_result(store: Store, tools: Tools, compressed: bool) -> None:
    add(store, busybox_image(compressed=compressed), NAME)
    tools.podman("create", "--name", "c", NAME, "true")
    root = tools.podman("mount", "c")
    os.unlink(f"{root}/etc/motd")
    with open(f"{root}/new", "w") as file:
        file.write("new\n")
    tools.podman("umount", "c")
    tools.podman("commit", "-q", "c", "localhost/committed:1")
    image = store.find_image("localhost/committed:1")
    top, *below = store.layer_chain(image.layer)
    assert len(below) == 2
    with tarfile.open(fileobj=io.BytesIO(b"".join(store.layer_tar(top.id)))) as tar:
        assert {"new", "etc/.wh.motd"} <= set(tar.getnames())
    assert store.check(full=True) == []


def test_names_move_between_images_of_both(store: Store, tools: Tools, made: MadeImage, archive: str) -> None:
    other = add(store, make_image([files_tar({"a": b""})]), NAME)
    tools.podman("load", "-i", archive)
    assert store.find_image(NAME).id == made.id
    assert store.image(other.id).names == ()
    store.add_names(other.id, [NAME])
    assert tools.podman("images", "-q", "--no-trunc", NAME) == f"sha256:{other.id}"


def test_manifest_lists_of_podman(store: Store, tools: Tools, made: MadeImage) -> None:
    image = add(store, made, NAME)
    tools.podman("manifest", "create", "localhost/list:1")
    tools.podman("manifest", "add", "localhost/list:1", f"containers-storage:{NAME}")
    found = store.find_image("localhost/list:1")
    assert found.layer == ""
    entries = json.loads(store.image_manifest(found.id))["manifests"]
    assert entries[0]["digest"] == image.digest
    assert store.check(full=True) == []


def test_additional_stores_agree_with_podman(base: str, made: MadeImage) -> None:
    other = store_at(f"{base}/other")
    image = add(other, made, NAME)
    own = store_at(f"{base}/own", additional_image_stores=[f"{base}/other/g"])
    tools = Tools(f"{base}/own")
    option = ("--storage-opt", f"overlay.imagestore={base}/other/g")
    (listed,) = tools.json("images", "--format", "json", options=option)
    assert (listed["Id"], listed["ReadOnly"]) == (image.id, True)
    container = own.create_container("a" * 64, name="c", image_id=image.id, image_name=NAME)
    root = own.mount_container(container.id)
    assert open(f"{root}/etc/motd").read() == "hello\n"
    assert tools.podman("mount", "c", options=option) == root
    tools.podman("umount", "c", options=option)
    assert own.unmount_container(container.id)
    own.add_names(image.id, ["localhost/ours:1"])
    assert tools.podman("images", "-q", "localhost/ours:1", options=option)
    own.delete_container(container.id)
    assert own.check(full=True) == []


def test_an_image_of_an_additional_store_is_mounted_in_the_run_root(base: str, made: MadeImage) -> None:
    image = add(store_at(f"{base}/other"), made, NAME)
    own = store_at(f"{base}/own", additional_image_stores=[f"{base}/other/g"])
    path = own.mount_image(image.id)
    assert path == f"{base}/own/r/overlay/{image.layer}/merged"
    assert open(f"{path}/etc/motd").read() == "hello\n"
    with pytest.raises(OSError, match="Read-only"):
        open(f"{path}/x", "w")
    assert own.unmount_image(image.id)
    assert not os.path.exists(path)
