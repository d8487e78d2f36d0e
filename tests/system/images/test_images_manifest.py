"""Manifest lists: artifacts, subjects, several compressed forms; read back by Skopeo and Podman from a registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.images import digest_of
from tests.helpers.podman import Tools

pytestmark = pytest.mark.system
LIST = "localhost/list:1"
PLAIN = "--tls-verify=false"


def entries(wherry: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(wherry.ok("manifest", "inspect", LIST))["manifests"]
    return found


def raw(tools: Tools, name: str) -> Any:
    return json.loads(tools.skopeo("inspect", "--raw", PLAIN, f"docker://{name}"))


def test_artifacts(tools: Tools, wherry: Any, loaded: str, registry: Any, tmp_path: Path) -> None:
    (tmp_path / "sbom.json").write_text('{"a": 1}\n')
    (tmp_path / "note").write_text("some text\n")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "config.json").write_text('{"c": 1}')
    wherry.ok("manifest", "create", LIST, loaded)
    files = [str(tmp_path / name) for name in ("sbom.json", "note", "binary")]
    wherry.ok("manifest", "add", "--artifact", "--artifact-type", "application/x.test", "--annotation", "a=b", LIST,
              *files)
    wherry.ok(
        "manifest", "add", "--artifact", "--artifact-config", str(tmp_path / "config.json"), "--artifact-layer-type",
        "text/x-any", "--artifact-exclude-titles", "--artifact-subject", loaded, "--os", "linux", "--arch", "amd64",
        LIST, files[1],
    )
    name = f"{registry.host}/list:1"
    wherry.ok("manifest", "push", "-q", PLAIN, LIST, name)
    pushed = raw(tools, name)
    assert pushed["manifests"][1:] == entries(wherry)[1:]
    first, second = pushed["manifests"][1:]
    assert first["artifactType"] == "application/x.test" and first["annotations"] == {"a": "b"}
    assert second["platform"] == {"architecture": "amd64", "os": "linux"}
    one = raw(tools, f"{registry.host}/list@{first['digest']}")
    assert one["artifactType"] == "application/x.test"
    assert one["config"]["mediaType"] == "application/vnd.oci.empty.v1+json" and one["config"]["data"] == "e30="
    assert [layer["mediaType"] for layer in one["layers"]] == [
        "application/json", "text/plain", "application/octet-stream"
    ]
    assert [layer["annotations"]["org.opencontainers.image.title"] for layer in one["layers"]] == [
        "sbom.json", "note", "binary"
    ]
    two = raw(tools, f"{registry.host}/list@{second['digest']}")
    assert two["artifactType"] == "application/vnd.unknown.artifact.v1"
    assert two["config"]["digest"] == digest_of(b'{"c": 1}')
    assert two["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert two["layers"] == [{"mediaType": "text/x-any", "digest": digest_of(b"some text\n"), "size": 10}]
    assert two["subject"]["digest"] == json.loads(wherry.ok("image", "inspect", loaded))[0]["Digest"]
    assert registry.blob_file(digest_of(bytes(range(256)))).read_bytes() == bytes(range(256))
    # A file that changed is not pushed as what it was.
    (tmp_path / "note").write_text("other tex\n")
    assert "Digest did not match" in wherry.fails("manifest", "push", "-q", PLAIN, LIST, f"{registry.host}/other:1")
    # Podman reads the list, and pulls the image from among the artifacts.
    wherry.ok("rmi", loaded)
    tools.podman("pull", "-q", PLAIN, name)
    tools.podman("rmi", name)
    wherry.ok("pull", "-q", PLAIN, name)
    wherry.ok("manifest", "remove", LIST, first["digest"])
    assert len(entries(wherry)) == 2
    wherry.ok("manifest", "rm", LIST)


def test_what_artifacts_cannot_be(wherry: Any) -> None:
    wherry.ok("manifest", "create", LIST)
    for words, reason in (
        (["--artifact", LIST, "/nope"], "open /nope: no such file or directory"),
        (["--artifact", "--artifact-config", "/nope", LIST, "/etc/hostname"], "/nope"),
        (["--artifact-type", "x", LIST, "busybox"], "--artifact-type can only be used with --artifact"),
        (["--artifact", "--artifact-subject", "containers-storage:nope", LIST, "/etc/hostname"], "image not known"),
    ):
        assert reason in wherry.fails("manifest", "add", *words)
    assert entries(wherry) == []


def test_subject(tools: Tools, wherry: Any, loaded: str, registry: Any) -> None:
    wherry.ok("manifest", "create", LIST)
    wherry.ok("manifest", "annotate", "--subject", loaded, "--annotation", "k=v", LIST)
    name = f"{registry.host}/about:1"
    wherry.ok("manifest", "push", "-q", PLAIN, LIST, name)
    pushed = raw(tools, name)
    assert pushed["annotations"] == {"k": "v"}
    assert pushed["subject"]["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert pushed["subject"]["digest"] == json.loads(wherry.ok("image", "inspect", loaded))[0]["Digest"]


def test_several_compressed_forms(tools: Tools, wherry: Any, loaded: str, registry: Any) -> None:
    wherry.ok("manifest", "create", LIST, loaded)
    name = f"{registry.host}/forms:1"
    wherry.ok("manifest", "push", "-q", PLAIN, "--format", "oci", "--add-compression", "gzip,zstd", LIST, name)
    first, second = raw(tools, name)["manifests"]
    kinds = [
        {layer["mediaType"].rpartition("+")[2] for layer in image["layers"]}
        for image in (raw(tools, f"{registry.host}/forms@{one['digest']}") for one in (first, second))
    ]
    assert kinds == [{"gzip"}, {"zstd"}]
    assert "annotations" not in first
    assert second["annotations"] == {"io.github.containers.compression.zstd": "true"}
    assert first["platform"] == second["platform"]
    wherry.ok("rmi", loaded)
    wherry.ok("pull", "-q", PLAIN, name)
    assert json.loads(wherry.ok("image", "inspect", name))[0]["Digest"] == second["digest"]
    tools.podman("pull", "-q", PLAIN, name)
    assert "is not a known compression" in wherry.fails("manifest", "push", "--add-compression", "xz", LIST, name)
