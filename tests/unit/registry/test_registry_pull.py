"""open_image: mirrors, blocked and insecure registries, credentials, retries, settings."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fake_registry as fake
import pytest
from fake_registry import FakeImage, FakeRegistry

from wherry.config.auth import Credentials
from wherry.config.environment import EnvironmentFacts
from wherry.config.registries import Mirror, Registries, Registry
from wherry.config.settings import EngineSettings, Settings, StorageSettings
from wherry.errors import Cancelled, NotFound, RegistryError, Unauthorized
from wherry.model.reference import parse
from wherry.registry import connect, retry
from wherry.registry.failures import UnknownToRegistry
from wherry.registry.platform import Platform
from wherry.registry.pull import open_image
from wherry.registry.remote import RegistrySource
from wherry.registry.spool import spool_directory

AMD64 = Platform(os="linux", architecture="amd64")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "spool").mkdir()
    return Settings(
        engine=EngineSettings(image_copy_tmp_dir=f"{tmp_path}/spool", retry=0, retry_delay="1ms"),
        environment=EnvironmentFacts(registry_auth_file=f"{tmp_path}/auth.json"),
        home=str(tmp_path),
    )


@pytest.fixture
def second() -> Iterator[FakeRegistry]:
    with FakeRegistry() as server:
        yield server


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(retry.log, "warning", said.append)
    return said


Puller = Callable[..., RegistrySource]


@pytest.fixture
def pull(settings: Settings) -> Iterator[Puller]:
    opened: list[RegistrySource] = []

    def open_it(name: str, registries: Registries | None = None, **options: Any) -> RegistrySource:
        options = {"platform": AMD64, "tls_verify": False, **options}
        source = open_image(settings, registries or Registries(), parse(name), **options)
        opened.append(source)
        return source

    yield open_it
    for source in opened:
        source.close()
    assert os.listdir(settings.engine.image_copy_tmp_dir) == []


def mirrored(registry: FakeRegistry, *mirrors: FakeRegistry | Mirror, **options: Any) -> Registries:
    """*registry* as ``upstream.example``, behind *mirrors*."""
    return Registries(config_file="/etc/r.conf", registries=[Registry(
        prefix="upstream.example",
        location=registry.host,
        insecure=True,
        mirrors=[
            one if isinstance(one, Mirror) else Mirror(location=one.host, insecure=True) for one in mirrors
        ],
        **options,
    )])


def test_names_and_layers(pull: Puller, registry: FakeRegistry, image: FakeImage) -> None:
    source = pull(f"{registry.host}/team/app")
    assert source.reference == f"{registry.host}/team/app:latest"
    assert source.manifest_digest == image.digest
    with source.open_layer(0) as stream:
        assert stream.read() == image.blobs[0]


def test_tag_beside_a_digest_is_dropped(pull: Puller, registry: FakeRegistry, image: FakeImage) -> None:
    source = pull(f"{registry.host}/team/app:other@{image.digest}")
    assert source.reference == f"{registry.host}/team/app@{image.digest}"


def test_default_platform_is_the_hosts(pull: Puller, registry: FakeRegistry) -> None:
    registry.add_list("team/app", "latest", [FakeImage(architecture="pdp11").list_entry()])
    with pytest.raises(NotFound, match=f'OS "{os.uname().sysname.lower()}"'):
        pull(f"{registry.host}/team/app", platform=None)


def test_unknown_manifest(pull: Puller, registry: FakeRegistry) -> None:
    with pytest.raises(UnknownToRegistry) as caught:
        pull(f"{registry.host}/team/app:v9")
    assert str(caught.value) == (
        f"initializing source docker://{registry.host}/team/app:v9: "
        f"reading manifest v9 in {registry.host}/team/app: manifest unknown"
    )


class TestMirrors:
    def test_first_that_has_it(
        self, pull: Puller, registry: FakeRegistry, second: FakeRegistry, image: FakeImage
    ) -> None:
        second.add("team/app", "latest", image)
        source = pull("upstream.example/team/app", mirrored(registry, second))
        assert source.reference == "upstream.example/team/app:latest"
        source.open_layer(0).close()
        assert registry.requests == []

    def test_location_rewritten(self, pull: Puller, registry: FakeRegistry, second: FakeRegistry) -> None:
        image = FakeImage(1)
        second.add("copies/of/team/app", "latest", image)
        mirror = Mirror(location=f"{second.host}/copies/of", insecure=True)
        assert pull("upstream.example/team/app", mirrored(registry, mirror)).manifest_digest == image.digest

    @pytest.mark.parametrize(
        "fault", [fake.status(500), fake.error(404, "MANIFEST_UNKNOWN"), fake.hang_up, fake.body(b"junk")]
    )
    def test_next_one_when_one_fails(
        self, pull: Puller, registry: FakeRegistry, second: FakeRegistry, image: FakeImage, fault: fake.Fault
    ) -> None:
        second.add("team/app", "latest", image)
        second.faults = [("/latest", fault)]
        assert pull("upstream.example/team/app", mirrored(registry, second)).manifest_digest == image.digest
        assert registry.paths("/latest")

    def test_mirror_without_the_config(
        self, pull: Puller, registry: FakeRegistry, second: FakeRegistry, image: FakeImage
    ) -> None:
        second.add("team/app", "latest", image)
        del second.blobs[fake.digest_of(image.config)]
        assert pull("upstream.example/team/app", mirrored(registry, second)).manifest_digest == image.digest

    def test_all_fail(self, pull: Puller, registry: FakeRegistry, second: FakeRegistry) -> None:
        down = Mirror(location="127.0.0.1:1", insecure=True)
        with pytest.raises(UnknownToRegistry) as caught:
            pull("upstream.example/team/app:v9", mirrored(registry, down, second), tls_verify=None)
        assert str(caught.value) == (
            "initializing source docker://upstream.example/team/app:v9: "
            "(Mirrors also failed: [127.0.0.1:1/team/app:v9: pinging container registry 127.0.0.1:1: "
            'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused]\n'
            f"[{second.host}/team/app:v9: reading manifest v9 in {second.host}/team/app: manifest unknown]): "
            f"{registry.host}/team/app:v9: reading manifest v9 in {registry.host}/team/app: manifest unknown"
        )

    def test_digest_only_mirror(
        self, pull: Puller, registry: FakeRegistry, second: FakeRegistry, image: FakeImage
    ) -> None:
        second.add("team/app", "latest", image)
        mirror = Mirror(location=second.host, insecure=True, pull_from="digest-only")
        pull("upstream.example/team/app", mirrored(registry, mirror))
        assert second.requests == []
        pull(f"upstream.example/team/app@{image.digest}", mirrored(registry, mirror))
        assert second.requests != []

    def test_a_mirror_cannot_change_a_digest(
        self, pull: Puller, registry: FakeRegistry, second: FakeRegistry, image: FakeImage
    ) -> None:
        second.manifests["team/app", image.digest] = (fake.OCI_MANIFEST, FakeImage(seed="evil").manifest)
        source = pull(f"upstream.example/team/app@{image.digest}", mirrored(registry, second))
        assert source.manifest == image.manifest


class TestBlocked:
    def test_blocked(self, pull: Puller, registry: FakeRegistry) -> None:
        with pytest.raises(RegistryError) as caught:
            pull(f"{registry.host}/team/app", Registries(
                config_file="/etc/r.conf", registries=[Registry(prefix=registry.host, blocked=True)]
            ))
        assert str(caught.value) == (
            f"initializing source docker://{registry.host}/team/app:latest: "
            f"registry {registry.host} is blocked in /etc/r.conf or /etc/r.conf.d"
        )
        assert registry.requests == []

    def test_mirrors_of_a_blocked_registry_are_not(
        self, pull: Puller, registry: FakeRegistry, second: FakeRegistry, image: FakeImage
    ) -> None:
        second.add("team/app", "latest", image)
        blocked = Registries(registries=[Registry(
            prefix="upstream.example", location="upstream.example", blocked=True,
            mirrors=[Mirror(location=second.host, insecure=True)],
        )])
        assert pull("upstream.example/team/app", blocked).manifest_digest == image.digest
        with pytest.raises(RegistryError, match=r"app:v9: registry upstream\.example is blocked"):
            pull("upstream.example/team/app:v9", blocked)

    def test_blocked_mirror_is_passed_over(
        self, pull: Puller, registry: FakeRegistry, second: FakeRegistry, image: FakeImage
    ) -> None:
        registries = mirrored(registry, second)
        registries = registries.replace(
            registries=[*registries.registries, Registry(prefix=second.host, blocked=True)]
        )
        assert pull("upstream.example/team/app", registries).manifest_digest == image.digest
        assert second.requests == []


class TestVerification:
    def test_plain_http_must_be_allowed(self, pull: Puller, registry: FakeRegistry, image: FakeImage) -> None:
        name = f"{registry.host}/team/app"
        with pytest.raises(RegistryError, match="http: server gave HTTP response to HTTPS client"):
            pull(name, tls_verify=None)
        with pytest.raises(RegistryError, match="http: server gave HTTP response to HTTPS client"):
            pull(name, Registries(registries=[Registry(prefix=registry.host, insecure=True)]), tls_verify=True)
        assert registry.requests == []
        pull(name, Registries(registries=[Registry(prefix=registry.host, insecure=True)]), tls_verify=None)

    def test_cert_dir(self, pull: Puller, tls_files: Path, tmp_path: Path) -> None:
        (tmp_path / "certs").mkdir()
        shutil.copy(tls_files / "ca.crt", tmp_path / "certs")
        with FakeRegistry((f"{tls_files}/server.cert", f"{tls_files}/server.key")) as server:
            server.add("team/app", "latest", FakeImage(1))
            with pytest.raises(RegistryError, match="x509"):
                pull(f"{server.host}/team/app", tls_verify=None)
            pull(f"{server.host}/team/app", tls_verify=None, cert_dir=f"{tmp_path}/certs")

    def test_certs_d_of_the_user(self, pull: Puller, tls_files: Path, settings: Settings) -> None:
        with FakeRegistry((f"{tls_files}/server.cert", f"{tls_files}/server.key")) as server:
            server.add("team/app", "latest", FakeImage(1))
            directory = Path(settings.home) / ".config/containers/certs.d" / server.host
            directory.mkdir(parents=True)
            shutil.copy(tls_files / "ca.crt", directory)
            pull(f"{server.host}/team/app", tls_verify=None)


class TestCredentials:
    def logged_in(self, settings: Settings, **hosts: str) -> None:
        auths = {host: {"auth": base64.b64encode(pair.encode()).decode()} for host, pair in hosts.items()}
        Path(settings.environment.registry_auth_file).write_text(json.dumps({"auths": auths}))

    def given(self, registry: FakeRegistry) -> set[str]:
        return {headers.get("Authorization", "") for _, path, headers, _ in registry.requests if path != "/v2/"}

    @pytest.mark.parametrize("credentials", ["me:se:cret", Credentials(username="me", password="se:cret")])
    def test_given(
        self, pull: Puller, registry: FakeRegistry, image: FakeImage, credentials: Credentials | str
    ) -> None:
        registry.require_basic("me", "se:cret")
        pull(f"{registry.host}/team/app", credentials=credentials).open_layer(0).read()
        assert self.given(registry) == {registry.basic}

    @pytest.mark.parametrize("credentials", ["", None])
    def test_none(self, pull: Puller, registry: FakeRegistry, image: FakeImage, credentials: str | None) -> None:
        registry.require_basic("me", "secret")
        with pytest.raises(Unauthorized, match=r"latest in .*: unauthorized: authentication required"):
            pull(f"{registry.host}/team/app", credentials=credentials)

    def test_from_files(
        self, pull: Puller, registry: FakeRegistry, image: FakeImage, settings: Settings, tmp_path: Path
    ) -> None:
        registry.require_basic("me", "secret")
        self.logged_in(settings, **{f"{registry.host}/team": "me:secret", registry.host: "me:wrong"})
        pull(f"{registry.host}/team/app")
        shutil.move(settings.environment.registry_auth_file, tmp_path / "other.json")
        pull(f"{registry.host}/team/app", authfile=f"{tmp_path}/other.json")

    def test_given_ones_do_not_go_to_mirrors(
        self, pull: Puller, registry: FakeRegistry, second: FakeRegistry, image: FakeImage, settings: Settings
    ) -> None:
        for server in (registry, second):
            server.require_basic("me", "secret")
        # The mirror has another host than the reference, though the physical location of neither is the name asked.
        registries = Registries(registries=[Registry(
            prefix=registry.host, location=registry.host, mirrors=[Mirror(location=second.host, insecure=True)],
        )])
        pull(f"{registry.host}/team/app", registries, credentials="me:secret")
        assert self.given(second) == {""}
        assert self.given(registry) == {registry.basic}

    def test_mirrors_have_their_own(
        self, pull: Puller, registry: FakeRegistry, second: FakeRegistry, image: FakeImage, settings: Settings
    ) -> None:
        second.add("team/app", "latest", image)
        second.require_basic("mirror", "pass")
        self.logged_in(settings, **{second.host: "mirror:pass"})
        pull("upstream.example/team/app", mirrored(registry, second), credentials="me:secret")
        assert self.given(second) == {second.basic}
        assert registry.requests == []


class TestRetries:
    def test_transient_errors_of_every_step(
        self, pull: Puller, registry: FakeRegistry, image: FakeImage, quiet: list[str]
    ) -> None:
        registry.faults = [
            ("/v2/", fake.status(503)),
            ("/latest", fake.status(429, Retry_After="0")),
            (fake.digest_of(image.config), fake.hang_up),
        ]
        assert pull(f"{registry.host}/team/app", retry=3).config == image.config
        assert len(quiet) == 3
        assert quiet[0] == (
            f"Failed, retrying in 0.001s ... (1/3). Error: initializing source docker://{registry.host}/team/app:latest:"
            f" pinging container registry {registry.host}: "
            "received unexpected HTTP status: 503 Service Unavailable"
        )

    def test_final_errors_are_not_repeated(self, pull: Puller, registry: FakeRegistry, quiet: list[str]) -> None:
        with pytest.raises(UnknownToRegistry):
            pull(f"{registry.host}/team/app", retry=5)
        assert quiet == []

    def test_policy_from_settings(self, settings: Settings) -> None:
        policy = connect.retry_policy(settings.replace(engine=EngineSettings(retry=7, retry_delay="1m30s")))
        assert (policy.attempts, policy.delay) == (7, 90.0)
        policy = connect.retry_policy(settings, 1, 0.5)
        assert (policy.attempts, policy.delay) == (1, 0.5)
        assert connect.retry_policy(Settings()).delay == 0.0


def test_nothing_is_left_open_after_a_failure(
    pull: Puller, registry: FakeRegistry, image: FakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    from wherry.registry.client import RegistryClient

    monkeypatch.setattr(RegistryClient, "close", lambda self: closed.append(self.domain))
    with pytest.raises(UnknownToRegistry):
        pull(f"{registry.host}/team/app:v9")
    assert closed == [registry.host]


def test_close_ends_the_connections(pull: Puller, registry: FakeRegistry, image: FakeImage) -> None:
    source = pull(f"{registry.host}/team/app")
    source.close()
    with pytest.raises((Cancelled, RegistryError)):
        source.open_layer(0).read()


class TestSpoolDirectory:
    def test_configured(self) -> None:
        assert spool_directory(Settings(engine=EngineSettings(image_copy_tmp_dir="/big"))) == "/big"

    def test_tmpdir_then_var_tmp(self) -> None:
        assert spool_directory(Settings(environment=EnvironmentFacts(tmpdir="/scratch"))) == "/scratch"
        assert spool_directory(Settings()) == "/var/tmp"

    def test_storage(self, tmp_path: Path) -> None:
        settings = Settings(
            engine=EngineSettings(image_copy_tmp_dir="storage"), storage=StorageSettings(graph_root=str(tmp_path))
        )
        assert spool_directory(settings) == f"{tmp_path}/tmp"
        assert (tmp_path / "tmp").is_dir()
