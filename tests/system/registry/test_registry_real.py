"""Against the real thing: docker-registry, filled by skopeo, and archives written by podman and skopeo."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_registry import RealRegistry, skopeo
from tests.helpers.images import MadeImage, files_tar, make_image, write_oci_layout

from wherry.archive import compression
from wherry.config.environment import EnvironmentFacts
from wherry.config.registries import Mirror, Registries, Registry
from wherry.config.settings import EngineSettings, Settings
from wherry.errors import Corrupt, Unauthorized, WherryError
from wherry.model.reference import parse
from wherry.registry.archives import open_archive, open_location
from wherry.registry.connect import open_client
from wherry.registry.failures import UnknownToRegistry
from wherry.registry.platform import Platform
from wherry.registry.pull import open_image
from wherry.registry.source import ImageSource
from wherry.registry.transports import parse as parse_location

pytestmark = pytest.mark.system

AMD64 = Platform(os="linux", architecture="amd64")
LAYERS = 5


@pytest.fixture(scope="module")
def image() -> MadeImage:
    return make_image(
        [files_tar({f"layer{n}/data": os.urandom(200_000) + bytes(500_000)}) for n in range(LAYERS)], compressed=True
    )


@pytest.fixture(scope="module")
def other(image: MadeImage) -> MadeImage:
    return make_image([*image.layers, files_tar({"for/s390x": b"x"})], compressed=True, architecture="s390x")


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, image: MadeImage, other: MadeImage) -> str:
    """Both images, by name, and an index of them called ``both``."""
    path = write_oci_layout(str(tmp_path_factory.mktemp("layout")), [(image, "image"), (other, "other")])
    index = json.loads(Path(f"{path}/index.json").read_text())
    entries = []
    for entry, architecture in zip(index["manifests"], ("amd64", "s390x"), strict=True):
        platform = {"os": "linux", "architecture": architecture}
        entries.append({key: entry[key] for key in ("mediaType", "digest", "size")} | {"platform": platform})
    data = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries,
    }).encode()
    digest = hashlib.sha256(data).hexdigest()
    Path(f"{path}/blobs/sha256/{digest}").write_bytes(data)
    index["manifests"].append({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{digest}", "size": len(data),
        "annotations": {"org.opencontainers.image.ref.name": "both"},
    })
    Path(f"{path}/index.json").write_text(json.dumps(index))
    return path


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, layout: str, image: MadeImage) -> Iterator[RealRegistry]:
    plain = write_oci_layout(str(tmp_path_factory.mktemp("plain")), [(make_image(image.layers), "image")])
    with RealRegistry(tmp_path_factory.mktemp("registry")) as server:
        push = ["copy", "--all", "--dest-tls-verify=false"]
        skopeo(*push, f"oci:{layout}:image", f"docker://{server.host}/team/app:oci")
        skopeo(*push, f"oci:{layout}:both", f"docker://{server.host}/team/app:both")
        skopeo(*push, "--format", "v2s2", f"oci:{layout}:image", f"docker://{server.host}/team/app:docker")
        skopeo(
            *push, "--dest-compress-format", "zstd", f"oci:{plain}:image", f"docker://{server.host}/other/app:zstd",
        )
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, layout: str) -> Iterator[RealRegistry]:
    with RealRegistry(tmp_path_factory.mktemp("guarded"), password=True) as server:
        skopeo(
            "copy", "--dest-tls-verify=false", "--dest-creds", "me:secret", f"oci:{layout}:image",
            f"docker://{server.host}/team/app:1",
        )
        yield server


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("tls")
    subprocess.run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "30", "-keyout", "server.key", "-out", "server.cert", "-subj", "/CN=test",
        "-addext", "subjectAltName=IP:127.0.0.1",
    ], cwd=base, check=True, capture_output=True)
    (base / "trusted").mkdir()
    shutil.copy(base / "server.cert", base / "trusted/ca.crt")
    return base


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    base = tmp_path_factory.mktemp("podman")
    command = ["podman", "--root", f"{base}/root", "--runroot", f"{base}/run", "--storage-driver", "vfs"]
    yield command
    subprocess.run([*command, "rmi", "--all", "--force"], check=False, capture_output=True)


@pytest.fixture(scope="module")
def saved(podman: list[str], layout: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What podman and skopeo write for one image."""
    base = tmp_path_factory.mktemp("saved")
    subprocess.run([*podman, "pull", "-q", f"oci:{layout}:image"], check=True, capture_output=True)
    (identity,) = subprocess.run(
        [*podman, "images", "-q", "--no-trunc"], check=True, capture_output=True, text=True
    ).stdout.split()
    subprocess.run([*podman, "tag", identity, "localhost/app:1", "quay.io/x/app:2"], check=True)
    for kind in ("docker-archive", "oci-archive", "oci-dir", "docker-dir"):
        subprocess.run(
            [*podman, "save", "-q", "--format", kind, "-o", f"{base}/{kind}", "localhost/app:1"], check=True
        )
    subprocess.run([
        *podman, "save", "-q", "--multi-image-archive", "-o", f"{base}/multi", "localhost/app:1", "quay.io/x/app:2",
    ], check=True)
    skopeo(
        "copy", f"oci:{layout}:image", f"docker-archive:{base}/skopeo:docker.io/library/app:3",
        "--additional-tag", "app:4",
    )
    subprocess.run([*podman, "rmi", "--all", "--force"], check=True, capture_output=True)
    return base


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    spool = tmp_path / "spool"
    spool.mkdir()
    gc.collect()        # what earlier tests left to it is not to be counted
    descriptors = len(os.listdir("/proc/self/fd"))
    yield Settings(
        engine=EngineSettings(image_copy_tmp_dir=str(spool), retry=1, retry_delay="10ms"),
        environment=EnvironmentFacts(registry_auth_file=f"{tmp_path}/auth.json"),
        home=str(tmp_path),
    )
    assert os.listdir(spool) == []
    assert len(os.listdir("/proc/self/fd")) == descriptors


def read_layers(source: ImageSource) -> list[bytes]:
    """The uncompressed layers."""
    found = []
    for index in range(len(source.layers)):
        with source.open_layer(index) as stream:
            plain, _ = compression.reader(stream)
            parts = []
            while data := plain.read(1 << 20):
                parts.append(data)
            assert stream.read(1) == b""
            found.append(b"".join(parts))
    return found


def check_same(source: ImageSource, image: MadeImage) -> None:
    assert source.config == image.config or json.loads(source.config)["rootfs"] == json.loads(image.config)["rootfs"]
    assert [layer.diff_id for layer in source.layers] == image.diff_ids
    assert read_layers(source) == list(image.layers)


class TestPull:
    @pytest.mark.parametrize(
        ("tag", "media_type"),
        [("team/app:oci", "tar+gzip"), ("team/app:docker", "diff.tar.gzip"), ("other/app:zstd", "tar+zstd")],
    )
    def test_same_bytes_as_skopeo_gets(
        self, registry: RealRegistry, settings: Settings, image: MadeImage, tmp_path: Path, tag: str, media_type: str
    ) -> None:
        skopeo("copy", "--src-tls-verify=false", f"docker://{registry.host}/{tag}", f"dir:{tmp_path}/theirs")
        name = parse(f"{registry.host}/{tag}")
        with open_image(settings, Registries(), name, platform=AMD64, tls_verify=False) as source:
            assert source.manifest == (tmp_path / "theirs/manifest.json").read_bytes()
            assert source.config == (tmp_path / "theirs" / source.config_digest[7:]).read_bytes()
            for index, layer in enumerate(source.layers):
                assert layer.media_type.endswith(media_type)
                with source.open_layer(index) as stream:
                    assert stream.read() == (tmp_path / "theirs" / layer.digest[7:]).read_bytes()
            check_same(source, image)

    def test_list(
        self, registry: RealRegistry, settings: Settings, image: MadeImage, other: MadeImage
    ) -> None:
        name = parse(f"{registry.host}/team/app:both")
        for made, architecture in ((image, "amd64"), (other, "s390x")):
            wanted = Platform(os="linux", architecture=architecture)
            with open_image(settings, Registries(), name, platform=wanted, tls_verify=False) as source:
                assert source.manifest_digest == made.manifest_digest
                raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
                assert source.manifest_list.decode() == raw
                check_same(source, made)

    def test_by_digest_and_tags(self, registry: RealRegistry, settings: Settings, image: MadeImage) -> None:
        name = parse(f"{registry.host}/team/app@{image.manifest_digest}")
        with open_image(settings, Registries(), name, platform=AMD64, tls_verify=False) as source:
            assert source.manifest == image.manifest
        client = open_client(settings, registry.host, insecure=True)
        listed = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{registry.host}/team/app"))["Tags"]
        assert client.tags("team/app") == listed
        assert client.manifest_digest("team/app", "oci") == image.manifest_digest
        client.close()

    def test_through_a_mirror(self, registry: RealRegistry, settings: Settings, image: MadeImage) -> None:
        registries = Registries(registries=[Registry(
            prefix="upstream.invalid/x", location="upstream.invalid/x",
            mirrors=[
                Mirror(location="127.0.0.1:1", insecure=True),
                Mirror(location=f"{registry.host}/team", insecure=True),
            ],
        )])
        with open_image(settings, registries, parse("upstream.invalid/x/app:oci"), platform=AMD64) as source:
            assert source.reference == "upstream.invalid/x/app:oci"
            check_same(source, image)

    def test_damaged_blob(self, registry: RealRegistry, settings: Settings, tmp_path: Path, image: MadeImage) -> None:
        path = registry.blob_file(json.loads(image.manifest)["layers"][1]["digest"])
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        try:
            name = parse(f"{registry.host}/team/app:oci")
            with (
                open_image(settings, Registries(), name, platform=AMD64, tls_verify=False) as source,
                pytest.raises(Corrupt, match="Digest did not match|reading gzip data"),
            ):
                read_layers(source)
        finally:
            path.write_bytes(good)

    @pytest.mark.parametrize("name", ["team/app:none", "none:latest"])
    def test_words_for_what_is_not_there(self, registry: RealRegistry, settings: Settings, name: str) -> None:
        text = f"{registry.host}/{name}"
        theirs = subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", f"docker://{text}"], capture_output=True, text=True
        ).stderr
        with pytest.raises(UnknownToRegistry) as caught:
            open_image(settings, Registries(), parse(text), platform=AMD64, tls_verify=False)
        assert str(caught.value).startswith(f"initializing source docker://{text}: reading manifest ")
        assert str(caught.value).removeprefix(f"initializing source docker://{text}: ") in theirs

    @pytest.mark.parametrize("options", [[], ["--tls-verify=false"]])
    def test_words_for_nobody_there(self, settings: Settings, options: list[str]) -> None:
        theirs = subprocess.run(
            ["skopeo", "inspect", *options, "docker://127.0.0.1:1/x:y"], capture_output=True, text=True
        ).stderr
        with pytest.raises(WherryError) as caught:
            open_image(
                settings, Registries(), parse("127.0.0.1:1/x:y"), platform=AMD64,
                tls_verify=False if options else None,
            )
        words = str(caught.value).removeprefix("initializing source docker://127.0.0.1:1/x:y: ")
        assert words in theirs.replace('\\"', '"')

    def test_words_for_plain_http(self, registry: RealRegistry, settings: Settings) -> None:
        text = f"{registry.host}/team/app:oci"
        theirs = subprocess.run(["skopeo", "inspect", f"docker://{text}"], capture_output=True, text=True).stderr
        with pytest.raises(WherryError) as caught:
            open_image(settings, Registries(), parse(text), platform=AMD64)
        words = str(caught.value).removeprefix(f"initializing source docker://{text}: ")
        assert words in theirs.replace('\\"', '"')


class TestPassword:
    def test_given(self, guarded: RealRegistry, settings: Settings, image: MadeImage) -> None:
        name = parse(f"{guarded.host}/team/app:1")
        with open_image(
            settings, Registries(), name, platform=AMD64, tls_verify=False, credentials="me:secret"
        ) as source:
            check_same(source, image)

    def test_from_a_file_skopeo_wrote(
        self, guarded: RealRegistry, settings: Settings, image: MadeImage, tmp_path: Path
    ) -> None:
        skopeo(
            "login", "--tls-verify=false", "--authfile", f"{tmp_path}/auth.json", "-u", "me", "-p", "secret",
            guarded.host,
        )
        name = parse(f"{guarded.host}/team/app:1")
        with open_image(
            settings, Registries(), name, platform=AMD64, tls_verify=False, authfile=f"{tmp_path}/auth.json"
        ) as source:
            check_same(source, image)

    @pytest.mark.parametrize("credentials", ["", "me:wrong", "you:secret"])
    def test_words_for_refusal(self, guarded: RealRegistry, settings: Settings, credentials: str) -> None:
        text = f"{guarded.host}/team/app:1"
        options = ["--creds", credentials] if credentials else ["--no-creds"]
        theirs = subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", *options, f"docker://{text}"], capture_output=True, text=True
        ).stderr
        with pytest.raises(Unauthorized) as caught:
            open_image(
                settings, Registries(), parse(text), platform=AMD64, tls_verify=False, credentials=credentials
            )
        assert str(caught.value).removeprefix(f"initializing source docker://{text}: ") in theirs

    def test_login(self, guarded: RealRegistry, settings: Settings) -> None:
        from wherry.config.auth import Credentials

        for password, accepted in (("secret", True), ("wrong", False)):
            client = open_client(
                settings, guarded.host, insecure=True, credentials=Credentials(username="me", password=password)
            )
            try:
                client.check_credentials()
                assert accepted
            except Unauthorized:
                assert not accepted
            finally:
                client.close()


class TestTLS:
    def test_pull(
        self, tls_files: Path, tmp_path: Path, settings: Settings, layout: str, image: MadeImage
    ) -> None:
        (tmp_path / "registry").mkdir()
        with RealRegistry(tmp_path / "registry", tls=tls_files) as server:
            skopeo(
                "copy", "--dest-cert-dir", f"{tls_files}/trusted", f"oci:{layout}:image",
                f"docker://{server.host}/team/app:1",
            )
            name = parse(f"{server.host}/team/app:1")
            with pytest.raises(WherryError, match="x509: certificate signed by unknown authority"):
                open_image(settings, Registries(), name, platform=AMD64)
            for options in ({"cert_dir": f"{tls_files}/trusted"}, {"tls_verify": False}):
                with open_image(
                    settings, Registries(), name, platform=AMD64, **options     # type: ignore[arg-type]
                ) as source:
                    check_same(source, image)


class TestArchives:
    @pytest.mark.parametrize(
        "kind", ["docker-archive", "oci-archive", "oci-dir", "docker-dir", "multi", "skopeo", "docker-archive.gz"]
    )
    def test_same_image_as_podman_loads(
        self, podman: list[str], saved: Path, settings: Settings, image: MadeImage, kind: str, tmp_path: Path
    ) -> None:
        path = str(saved / kind)
        if kind.endswith(".gz"):
            path = f"{tmp_path}/archive.gz"
            with open(path, "wb") as out:
                subprocess.run(["gzip", "-c", str(saved / kind.removesuffix(".gz"))], stdout=out, check=True)
        (source,) = open_archive(path, settings, platform=AMD64)
        with source:
            check_same(source, image)
            theirs = self.load(podman, path)
            assert source.config_digest[7:] == theirs["Id"]
            assert source.manifest_digest == theirs["Digest"]
            if kind not in ("oci-dir", "docker-dir"):       # podman 4 names those after their path
                assert sorted(source.names) == sorted(theirs["RepoTags"])       # type: ignore[call-overload]

    def load(self, podman: list[str], path: str) -> dict[str, object]:
        """What ``podman load`` makes of it."""
        if path.endswith(".gz"):        # podman 4.3.1 cannot load what it must decompress
            subprocess.run(["sh", "-c", f"gzip -dc {path} >{path}.tar"], check=True)
            path += ".tar"
        subprocess.run([*podman, "load", "-q", "-i", path], check=True, capture_output=True)
        listed = subprocess.run(
            [*podman, "images", "-a", "-q", "--no-trunc"], check=True, capture_output=True, text=True
        ).stdout.split()
        (found,) = json.loads(subprocess.run(
            [*podman, "image", "inspect", listed[0]], check=True, capture_output=True, text=True
        ).stdout)
        subprocess.run([*podman, "rmi", "--all", "--force"], check=True, capture_output=True)
        return dict(found)

    @pytest.mark.parametrize("location", ["oci:{}/layout:image", "oci-archive:{}/a.tar:image", "dir:{}/dir"])
    def test_what_skopeo_copies(
        self, layout: str, settings: Settings, image: MadeImage, tmp_path: Path, location: str
    ) -> None:
        text = location.format(tmp_path)
        skopeo("copy", f"oci:{layout}:image", text)
        with open_location(parse_location(text), settings, platform=AMD64) as source:
            assert source.manifest == image.manifest
            check_same(source, image)

    def test_list_of_skopeo(self, layout: str, settings: Settings, other: MadeImage, tmp_path: Path) -> None:
        skopeo("copy", "--all", f"oci:{layout}:both", f"dir:{tmp_path}/dir")
        wanted = Platform(os="linux", architecture="s390x")
        (source,) = open_archive(f"{tmp_path}/dir", settings, platform=wanted)
        with source:
            assert source.manifest_digest == other.manifest_digest
            assert source.manifest_list == (tmp_path / "dir/manifest.json").read_bytes()
            check_same(source, other)
