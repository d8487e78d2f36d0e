"""What is read from manifests and configs, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import fake_registry as fake
import pytest
from fake_registry import FakeImage

from wherry.errors import Corrupt, Unsupported
from wherry.registry import manifests, mediatypes
from wherry.registry.manifests import ImageManifest, ManifestList, diff_ids, parse, parse_image

IMAGE = FakeImage(2)


def changed(**changes: Any) -> bytes:
    document = json.loads(IMAGE.manifest) | changes
    return json.dumps({key: value for key, value in document.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("own", "served", "expected"),
    [
        (mediatypes.OCI_MANIFEST, "", mediatypes.OCI_MANIFEST),
        (mediatypes.DOCKER_MANIFEST, "", mediatypes.DOCKER_MANIFEST),
        (mediatypes.DOCKER_MANIFEST, mediatypes.OCI_MANIFEST, mediatypes.DOCKER_MANIFEST),
        (..., mediatypes.DOCKER_MANIFEST, mediatypes.DOCKER_MANIFEST),
        (..., "text/plain", mediatypes.OCI_MANIFEST),
        (..., "", mediatypes.OCI_MANIFEST),
        ("", "", mediatypes.OCI_MANIFEST),
    ],
)
def test_media_type(own: Any, served: str, expected: str) -> None:
    assert parse(changed(mediaType=own), served).media_type == expected


def test_image() -> None:
    parsed = parse_image(IMAGE.manifest)
    assert parsed.config.digest == fake.digest_of(IMAGE.config)
    assert [(layer.digest, layer.size) for layer in parsed.layers] == [
        (digest, len(blob)) for digest, blob in zip(IMAGE.digests, IMAGE.blobs, strict=True)
    ]


def test_list() -> None:
    entry = {**IMAGE.list_entry(variant="v2"), "annotations": {"a": "b", "c": 5}, "urls": ["https://x"]}
    parsed = parse(json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
    assert isinstance(parsed, ManifestList)
    assert parsed.is_index
    (found,) = parsed.entries
    assert found.platform is not None
    assert str(found.platform) == "linux/amd64/v2"
    assert found.annotations == {"a": "b"}
    assert found.urls == ["https://x"]
    with pytest.raises(Corrupt, match="manifest list instead"):
        parse_image(json.dumps({"manifests": []}).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"manifests": []},
        {"fsLayers": []},
        {"history": []},
        {"mediaType": mediatypes.OCI_INDEX},
        {"mediaType": mediatypes.OCI_INDEX, "manifests": []},
        {"mediaType": mediatypes.DOCKER_LIST, "manifests": [], "config": ...},
    ],
)
def test_two_documents_in_one_cve_2021_41190(changes: dict[str, Any]) -> None:
    with pytest.raises(Corrupt, match="rejecting ambiguous manifest"):
        parse(changed(**changes))


@pytest.mark.parametrize("media_type", [mediatypes.SCHEMA1, mediatypes.SCHEMA1_SIGNED])
def test_schema_1(media_type: str) -> None:
    for data in (b'{"schemaVersion": 1}', b'{"schemaVersion": 1, "fsLayers": [], "history": []}'):
        with pytest.raises(Unsupported, match="schema 1"):
            parse(data, media_type)


def test_unknown_type() -> None:
    with pytest.raises(Unsupported, match='unsupported manifest media type "application/x-other"'):
        parse(changed(mediaType="application/x-other"))


GOOD = {"mediaType": fake.OCI_LAYER, "digest": IMAGE.digests[0], "size": 5}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "is not a descriptor"),
        ([], "is not a descriptor"),
        ({}, "invalid digest"),
        (GOOD | {"digest": 5}, "invalid digest"),
        (GOOD | {"digest": "sha256:abc"}, "invalid digest"),
        (GOOD | {"digest": "md5:" + "0" * 32}, "invalid digest"),
        (GOOD | {"digest": IMAGE.digests[0].upper()}, "invalid digest"),
        (GOOD | {"digest": "sha256:" + "/" * 64}, "invalid digest"),
        (GOOD | {"size": -1}, "invalid size"),
        (GOOD | {"size": "5"}, "invalid size"),
        (GOOD | {"size": 5.0}, "invalid size"),
        (GOOD | {"size": True}, "invalid size"),
        (GOOD | {"size": 1 << 63}, "invalid size"),
        (GOOD | {"size": None}, "invalid size"),
        (GOOD | {"mediaType": 5}, "invalid media type"),
        (GOOD | {"urls": "https://x"}, "invalid urls"),
        (GOOD | {"urls": [5]}, "invalid urls"),
    ],
)
def test_bad_descriptors(value: Any, message: str) -> None:
    with pytest.raises(Corrupt, match=rf"^invalid manifest: layers\[1\] .*{message}|layers\[1\] {message}"):
        parse(changed(layers=[GOOD, value]))
    with pytest.raises(Corrupt, match=message):
        parse(changed(config=value))


@pytest.mark.parametrize("layers", [{}, "x", 5])
def test_layers_that_are_no_list(layers: Any) -> None:
    with pytest.raises(Corrupt, match="layers is not a list"):
        parse(changed(layers=layers))


def test_no_layers_at_all() -> None:
    parsed = parse(changed(layers=None))
    assert isinstance(parsed, ImageManifest)
    assert parsed.layers == []


class TestConfig:
    def test_diff_ids(self) -> None:
        assert diff_ids(IMAGE.config, 2) == IMAGE.diff_ids

    def test_silence(self) -> None:
        assert diff_ids(b"{}", 3) == ["", "", ""]

    @pytest.mark.parametrize(
        ("config", "message"),
        [
            (b"junk", "invalid image configuration"),
            (b"[]", "not a JSON object"),
            (b"[" * 100_000, "invalid image configuration"),
            (b'{"rootfs": 5}', "rootfs is not an object"),
            (b'{"rootfs": {}}', "0 diff IDs for 2 layers"),
            (b'{"rootfs": {"diff_ids": null}}', "0 diff IDs for 2 layers"),
            (b'{"rootfs": {"diff_ids": {}}}', "not a list of digests"),
            (b'{"rootfs": {"diff_ids": ["sha256:x", "sha256:y"]}}', "not a list of digests"),
            (b'{"rootfs": {"diff_ids": [1, 2]}}', "not a list of digests"),
        ],
    )
    def test_malformed(self, config: bytes, message: str) -> None:
        with pytest.raises(Corrupt, match=message):
            diff_ids(config, 2)

    @pytest.mark.parametrize("media_type", [mediatypes.OCI_CONFIG, mediatypes.DOCKER_CONFIG, ""])
    def test_image_configs(self, media_type: str) -> None:
        manifests.check_config_type(parse_image(changed(config=GOOD | {"mediaType": media_type})))
