"""Registries as people run them: with a password, with a private CA, with a token service; and layers Skopeo made."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.images import busybox_image, make_image, write_docker_archive
from tests.helpers.podman import Tools
from tests.system.images.conftest import real_registry

pytestmark = pytest.mark.system
PLAIN = "--tls-verify=false"


def _helper(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"images_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


token_server = _helper("token_server")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Any]:
    """A registry with a token service: (registry, service)."""
    base = tmp_path / "guarded"
    base.mkdir()
    service = token_server.TokenServer(tmp_path)
    options = {
        "realm": service.realm, "service": token_server.SERVICE, "issuer": token_server.ISSUER,
        "rootcertbundle": str(service.bundle),
    }
    try:
        with real_registry().RealRegistry(base, token=options) as server:
            yield server, service
    finally:
        service.close()


def same_error(wherry: Any, tools: Tools, *words: str) -> str:
    """Both refuse in the same words; Podman retries some of it aloud."""
    ours = wherry.fails(*words).splitlines()[-1]
    theirs = tools.podman(*words, fails=True).splitlines()[-1]
    # 4.3.1 says "manifest unknown: manifest unknown"; later releases leave the repetition out.
    assert ours == theirs.replace("manifest unknown: manifest unknown", "manifest unknown")
    return str(ours)


def test_a_password(tools: Tools, wherry: Any, loaded: str, locked_registry: Any, tmp_path: Path) -> None:
    host = locked_registry.host
    name = f"{host}/team/app:1"
    file = str(tmp_path / "auth.json")
    assert "authentication required" in wherry.fails("push", "-q", PLAIN, loaded, name)
    same_error(wherry, tools, "login", PLAIN, "--authfile", file, "-u", "me", "-p", "wrong", host)
    same_error(wherry, tools, "pull", "-q", PLAIN, name)
    wherry.ok("secret", "create", "pw", "-", input="secret")
    assert wherry.ok("login", PLAIN, "--authfile", file, "-u", "me", "--secret", "pw", host) == "Login Succeeded!"
    assert tools.podman("login", "--authfile", file, "--get-login", host) == "me"
    wherry.ok("push", "-q", PLAIN, "--authfile", file, loaded, name)
    assert "TAG" in wherry.ok("search", "--list-tags", PLAIN, "--authfile", file, f"{host}/team/app")
    wherry.ok("rmi", loaded)
    wherry.ok("pull", "-q", PLAIN, "--creds", "me:secret", name)
    same_error(wherry, tools, "pull", "-q", PLAIN, "--creds", "me:no", name)
    assert wherry.ok("logout", "--authfile", file, host) == f"Removed login credentials for {host}"
    said = wherry.fails("login", "--secret", "pw", "-p", "x", host)
    assert "--secret can not be used with --password options" in said
    assert "no such secret" in wherry.fails("login", "--secret", "nope", host)
    wherry.ok("secret", "rm", "pw")


def test_a_private_authority(tools: Tools, wherry: Any, loaded: str, tmp_path: Path) -> None:
    base = tmp_path / "tls"
    base.mkdir()
    certificates = token_server.private_authority(tmp_path)
    with real_registry().RealRegistry(base, tls=certificates) as registry:
        name = f"{registry.host}/team/app:1"
        said = wherry.fails("push", "-q", "--retry", "0", loaded, name)
        assert "x509: certificate signed by unknown authority" in said
        trusted = tmp_path / "certs"
        trusted.mkdir()
        shutil.copy(certificates / "ca.crt", trusted)
        wherry.ok("push", "-q", "--cert-dir", str(trusted), loaded, name)
        wherry.ok("pull", "-q", PLAIN, name)
        # The user's certs.d, which is found without being named.
        where = Path(tools.environment["HOME"], ".config/containers/certs.d", registry.host)
        where.mkdir(parents=True)
        shutil.copy(certificates / "ca.crt", where)
        wherry.ok("pull", "-q", name)
        wherry.ok("search", "--list-tags", f"{registry.host}/team/app")
        wherry.ok("rmi", "-a", "-f")
        tools.podman("pull", "-q", name)


def test_a_token_service(tools: Tools, wherry: Any, loaded: str, guarded: Any) -> None:
    registry, service = guarded
    mine, public = f"{registry.host}/team/app:1", f"{registry.host}/open/app:1"
    assert "denied" in wherry.fails("push", "-q", PLAIN, loaded, mine)
    assert "who are you" in wherry.fails("push", "-q", PLAIN, "--creds", "me:no", loaded, mine)
    wherry.ok("push", "-q", PLAIN, "--creds", "me:secret", loaded, mine)
    wherry.ok("push", "-q", PLAIN, "--creds", "me:secret", loaded, public)
    assert "repository:team/app:pull,push" in service.asked
    wherry.ok("rmi", loaded)
    wherry.ok("pull", "-q", PLAIN, public)
    assert "requested access to the resource is denied" in wherry.fails("pull", "-q", PLAIN, mine)
    same_error(wherry, tools, "pull", "-q", PLAIN, "--creds", "me:no", mine)
    wherry.ok("pull", "-q", PLAIN, "--creds", "me:secret", mine)


def test_what_is_not_there(tools: Tools, wherry: Any, registry: Any, loaded: str) -> None:
    wherry.ok("push", "-q", PLAIN, loaded, f"{registry.host}/app:1")
    for name in (f"{registry.host}/app:2", f"{registry.host}/nope:1", f"{registry.host}/app@sha256:{'ab' * 32}"):
        assert "manifest unknown" in same_error(wherry, tools, "pull", "-q", PLAIN, name)
    assert "server gave HTTP response to HTTPS client" in wherry.fails(
        "pull", "-q", "--retry", "0", f"{registry.host}/app:1"
    )


@pytest.mark.parametrize("form", ["zstd", "zstd:chunked"])
def test_zstd_layers_made_by_skopeo(tools: Tools, wherry: Any, registry: Any, tmp_path: Path, form: str) -> None:
    # Skopeo's chunked form leaves out what follows the two blocks that end a tar, so these have nothing there.
    made = make_image([layer.rstrip(b"\0") for layer in busybox_image().layers])
    made = make_image([layer + bytes(-len(layer) % 512 + 1024) for layer in made.layers])
    archive = write_docker_archive(str(tmp_path / "a.tar"), [(made, ["localhost/a:1"])])
    tools.skopeo(
        "copy", "-q", "--format", "oci", "--dest-compress-format", form, "--dest-compress",
        "--dest-tls-verify=false", f"docker-archive:{archive}", f"docker://{registry.host}/zstd:1",
    )
    raw = json.loads(tools.skopeo("inspect", "--raw", PLAIN, f"docker://{registry.host}/zstd:1"))
    assert {layer["mediaType"] for layer in raw["layers"]} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    wherry.ok("pull", "-q", PLAIN, f"{registry.host}/zstd:1")
    ours = json.loads(wherry.ok("image", "inspect", f"{registry.host}/zstd:1"))[0]
    wherry.ok("rmi", "-a")
    tools.podman("pull", "-q", PLAIN, f"{registry.host}/zstd:1")
    theirs = tools.json("image", "inspect", f"{registry.host}/zstd:1")[0]
    assert ours["RootFS"] == theirs["RootFS"] and ours["Digest"] == theirs["Digest"] and ours["Id"] == theirs["Id"]


def test_all_tags(wherry: Any, registry: Any, loaded: str) -> None:
    for tag in ("1", "2", "latest"):
        wherry.ok("push", "-q", PLAIN, loaded, f"{registry.host}/app:{tag}")
    wherry.ok("rmi", loaded)
    wherry.ok("pull", "-q", "-a", PLAIN, f"{registry.host}/app")
    assert set(wherry.ok("images", "--format", "{{.Repository}}:{{.Tag}}").split()) == {
        f"{registry.host}/app:{tag}" for tag in ("1", "2", "latest")
    }
