"""push and save, judged by skopeo and podman."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.images import MadeImage
from tests.helpers.podman import Tools

from wherry import Runtime
from wherry.archive import compression
from wherry.config.auth import Credentials
from wherry.engine import login
from wherry.errors import InvalidArgument, RegistryError, Unauthorized

pytestmark = pytest.mark.system


def raw(tools: Tools, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tools.skopeo("inspect", "--raw", "--tls-verify=false", reference))
    return found


def plain_digest(path: Path) -> str:
    with path.open("rb") as file:
        stream, _ = compression.reader(file)
        hashed = hashlib.sha256()
        while data := stream.read(1 << 16):
            hashed.update(data)
    return f"sha256:{hashed.hexdigest()}"


@pytest.mark.parametrize(("options", "manifest_type", "ending"), [
    ({}, "application/vnd.docker.distribution.manifest.v2+json", "gzip"),
    ({"format": "oci"}, "application/vnd.oci.image.manifest.v1+json", "+gzip"),
    ({"compression_format": "zstd"}, "application/vnd.oci.image.manifest.v1+json", "+zstd"),
])
def test_layers_in_a_registry_are_the_original_tars(
    runtime: Runtime, loaded: str, registry: Any, tools: Tools, made: MadeImage, options: dict[str, str],
    manifest_type: str, ending: str,
) -> None:
    name = f"docker://{registry.host}/team/app:1"
    digest = runtime.images.push(loaded, name, tls_verify=False, **options)
    manifest = raw(tools, name)
    assert manifest["mediaType"] == manifest_type
    assert all(layer["mediaType"].endswith(ending) for layer in manifest["layers"])
    assert [plain_digest(registry.blob_file(layer["digest"])) for layer in manifest["layers"]] == made.diff_ids
    assert json.loads(tools.skopeo("inspect", "--tls-verify=false", name))["Digest"] == digest


def test_a_pulled_image_keeps_its_digest_and_is_mounted_across_repositories(
    runtime: Runtime, loaded: str, registry: Any
) -> None:
    first = runtime.images.push(loaded, f"{registry.host}/a/app:1", tls_verify=False)
    log: list[str] = []
    second = runtime.images.push(loaded, f"{registry.host}/b/app:1", tls_verify=False, progress=log.append)
    assert second == first
    runtime.images.remove(loaded)
    runtime.images.pull(f"{registry.host}/b/app:1", tls_verify=False)
    assert runtime.images.push(f"{registry.host}/b/app:1", f"{registry.host}/c/app:1", tls_verify=False) == first


@pytest.mark.parametrize("format", ["docker-archive", "oci-archive", "oci-dir", "docker-dir"])
def test_podman_loads_what_was_saved(
    runtime: Runtime, loaded: str, other: Tools, made: MadeImage, tmp_path: Path, format: str
) -> None:
    path = tmp_path / "saved"
    runtime.images.save(loaded, str(path), format=format)
    name = other.podman("load", "-q", "-i", str(path)).rpartition("Loaded image: ")[2].removeprefix("sha256:")
    assert other.json("image", "inspect", name)[0]["RootFS"]["Layers"] == made.diff_ids


def test_several_images_share_an_archive(runtime: Runtime, loaded: str, tmp_path: Path) -> None:
    runtime.images.get(loaded).tag("localhost/other:2")
    path = str(tmp_path / "many.tar")
    runtime.images.save([loaded, "localhost/other:2"], path, multi_image=True)
    with tarfile.open(path) as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        listing = json.load(member)
    assert [item["RepoTags"] for item in listing] == [["localhost/busybox:1", "localhost/other:2"]]
    with pytest.raises(InvalidArgument, match="doesn't support modifying existing images"):
        runtime.images.save(loaded, path)


def test_conversion_makes_the_bytes_skopeo_makes(
    runtime: Runtime, loaded: str, tools: Tools, tmp_path: Path
) -> None:
    """Schema 2 to OCI: config and manifest digests agree, so both tools name the same image."""
    runtime.images.push(loaded, f"oci:{tmp_path}/ours:x")
    tools.skopeo("copy", f"dir:{_saved_dir(runtime, loaded, tmp_path)}", f"oci:{tmp_path}/theirs:x")

    def config(layout: str) -> str:
        index = json.loads((tmp_path / layout / "index.json").read_text())
        digest = index["manifests"][0]["digest"].partition(":")[2]
        manifest = json.loads((tmp_path / layout / "blobs/sha256" / digest).read_text())
        return str(manifest["config"]["digest"])

    assert config("ours") == config("theirs")


def _saved_dir(runtime: Runtime, name: str, base: Path) -> str:
    runtime.images.push(name, f"dir:{base}/dir")
    return f"{base}/dir"


def test_a_registry_that_wants_a_login(
    runtime: Runtime, loaded: str, locked_registry: Any, tmp_path: Path
) -> None:
    host = locked_registry.host
    options = login.LoginOptions(authfile=str(tmp_path / "auth.json"), tls_verify=False)
    with pytest.raises(Unauthorized, match=f'logging into "{host}": invalid username/password'):
        login.login(runtime, host, Credentials(username="me", password="wrong"), options)
    assert not (tmp_path / "auth.json").exists()
    with pytest.raises(RegistryError, match="unauthorized"):
        runtime.images.push(loaded, f"{host}/x/y:1", tls_verify=False)
    login.login(runtime, host, Credentials(username="me", password="secret"), options)
    assert (tmp_path / "auth.json").stat().st_mode & 0o777 == 0o600
    podman = subprocess.run(
        ["podman", "login", "--get-login", "--authfile", options.authfile, host], capture_output=True, text=True
    )
    assert podman.stdout.strip() == "me"
    runtime.images.push(loaded, f"{host}/x/y:1", tls_verify=False, authfile=options.authfile)
    login.logout(runtime, host, options)
    with pytest.raises(Unauthorized, match=f"not logged into {host}"):
        login.logout(runtime, host, options)


def test_a_manifest_list_and_its_images(
    runtime: Runtime, loaded: str, registry: Any, tools: Tools, tmp_path: Path
) -> None:
    from wherry.engine import manifest_lists
    from wherry.engine.image_push import PushOptions
    from wherry.engine.manifest_push import ListPushOptions, push_list
    from wherry.registry.progress import Reporter

    made = manifest_lists.create(runtime, "multi", [loaded])
    made.annotate(made.entries[0]["digest"], manifest_lists.Annotations(variant="v3", annotations={"k": "v"}))
    made.save()
    shown = json.loads(tools.podman("manifest", "inspect", "multi"))
    assert [entry["platform"]["variant"] for entry in shown["manifests"]] == ["v3"]
    target = f"{registry.host}/m/multi:1"
    push_list(runtime, "multi", target, ListPushOptions(push=PushOptions(tls_verify=False)), Reporter())
    tools.skopeo("copy", "--all", "--src-tls-verify=false", f"docker://{target}", f"dir:{tmp_path}/copied")
    assert raw(tools, f"docker://{target}")["manifests"][0]["annotations"] == {"k": "v"}
    made.remove(made.entries[0]["digest"])
    assert json.loads(tools.podman("manifest", "inspect", "multi"))["manifests"] in (None, [])
