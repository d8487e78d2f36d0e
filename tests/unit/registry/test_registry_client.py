"""Manifests, blobs and tags, and the words for what goes wrong."""

from __future__ import annotations

import fake_registry as fake
import pytest
from fake_registry import FakeImage, FakeRegistry

from wherry.errors import NOT_FOUND, Corrupt, InvalidArgument, RegistryError, Unauthorized
from wherry.registry import client as client_module
from wherry.registry.client import RegistryClient
from wherry.registry.failures import HTTPFailure, UnknownToRegistry, parse_retry_after
from wherry.registry.http import HTTPClient
from wherry.registry.manifests import MAX_MANIFEST, Descriptor


def test_docker_hub_has_another_name() -> None:
    assert RegistryClient(HTTPClient(), "docker.io").host == "registry-1.docker.io"


class TestManifest:
    def test_by_tag(self, client: RegistryClient, image: FakeImage) -> None:
        found = client.manifest("team/app", "latest")
        assert (found.data, found.media_type, found.digest) == (image.manifest, fake.OCI_MANIFEST, image.digest)

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    def test_by_digest(self, client: RegistryClient, image: FakeImage, algorithm: str) -> None:
        digest = fake.digest_of(image.manifest, algorithm)
        assert client.manifest("team/app", digest).digest == digest

    def test_accepts_everything_we_read(
        self, client: RegistryClient, registry: FakeRegistry, image: FakeImage
    ) -> None:
        client.manifest("team/app", "latest")
        accepted = registry.requests[-1][2]["Accept"]
        for media_type in (fake.OCI_MANIFEST, fake.OCI_INDEX, fake.V2S2, fake.V2_LIST):
            assert media_type in accepted

    def test_parameters_of_the_media_type_are_dropped(self, client: RegistryClient, registry: FakeRegistry) -> None:
        registry.add_manifest("a", "t", fake.V2S2 + "; charset=utf-8", b"{}")
        assert client.manifest("a", "t").media_type == fake.V2S2

    def test_registry_is_pinged_once(self, client: RegistryClient, registry: FakeRegistry, image: FakeImage) -> None:
        for _ in range(3):
            client.manifest("team/app", "latest")
        assert registry.paths("/v2/") == ["/v2/"]

    def test_wrong_bytes_for_a_digest(self, client: RegistryClient, registry: FakeRegistry, image: FakeImage) -> None:
        wanted = "sha256:" + "1" * 64
        registry.manifests["team/app", wanted] = (fake.OCI_MANIFEST, image.manifest)
        with pytest.raises(Corrupt, match=f"^Manifest does not match provided manifest digest {wanted}$"):
            client.manifest("team/app", wanted)

    def test_unknown(self, client: RegistryClient, registry: FakeRegistry) -> None:
        with pytest.raises(UnknownToRegistry) as caught:
            client.manifest("team/app", "v9")
        assert str(caught.value) == f"reading manifest v9 in {registry.host}/team/app: manifest unknown"
        assert caught.value.kind == NOT_FOUND

    def test_too_large(self, client: RegistryClient, registry: FakeRegistry) -> None:
        registry.add_manifest("a", "big", fake.OCI_MANIFEST, b" " * (MAX_MANIFEST + 1))
        registry.add_manifest("a", "fits", fake.OCI_MANIFEST, b" " * MAX_MANIFEST)
        with pytest.raises(RegistryError, match="exceeded maximum allowed size of 4194304 bytes"):
            client.manifest("a", "big")
        assert len(client.manifest("a", "fits").data) == MAX_MANIFEST

    @pytest.mark.parametrize(
        ("fault", "words", "transient"),
        [
            (fake.status(500), "received unexpected HTTP status: 500 Internal Server Error", True),
            (fake.status(503), "received unexpected HTTP status: 503 Service Unavailable", True),
            (fake.status(501), "received unexpected HTTP status: 501 Not Implemented", False),
            (fake.status(299), "received unexpected HTTP status: 299", False),
            (fake.status(429), 'StatusCode: 429, ""', True),
            (fake.status(404, b"404 page not found\n"), r'StatusCode: 404, "404 page not found\n"', False),
            (fake.status(400, b"x" * 80), 'StatusCode: 400, "' + "x" * 50 + '..."', False),
            (fake.status(401), "unauthorized: authentication required", False),
            (fake.status(403, b'{"details": "closed today"}'), "unknown: closed today", False),
            (fake.error(404, "NAME_UNKNOWN"), "repository name not known to registry", False),
            (fake.error(404, "MANIFEST_UNKNOWN", "no v9 here"), "manifest unknown: no v9 here", False),
            (fake.error(403, "DENIED"), "denied: requested access to the resource is denied", False),
            (fake.error(403, "DENIED", "go away"), "denied: go away", False),
            (fake.error(400, "WHATEVER", "odd"), "unknown: odd", False),
            (fake.error(429, "TOOMANYREQUESTS", "slow down"), "toomanyrequests: slow down", True),
            (fake.status(400, b'{"errors": []}'), r'StatusCode: 400, "{\"errors\": []}"', False),
            (fake.status(400, b"[" * 100_000), 'StatusCode: 400, "' + "[" * 50 + '..."', False),
            (fake.status(400, b'{"errors": [7]}'), r'StatusCode: 400, "{\"errors\": [7]}"', False),
        ],
    )
    def test_refusals(
        self, client: RegistryClient, registry: FakeRegistry, fault: fake.Fault, words: str, transient: bool
    ) -> None:
        registry.faults = [("/v9", fault)]
        with pytest.raises(HTTPFailure) as caught:
            client.manifest("team/app", "v9")
        assert str(caught.value) == f"reading manifest v9 in {registry.host}/team/app: {words}"
        assert caught.value.transient == transient

    def test_denied_is_unauthorized(self, client: RegistryClient, registry: FakeRegistry) -> None:
        registry.faults = [("/v9", fake.error(403, "DENIED"))]
        with pytest.raises(Unauthorized):
            client.manifest("team/app", "v9")

    def test_ping_refused(self, client: RegistryClient, registry: FakeRegistry) -> None:
        registry.faults = [("/v2/", fake.status(500))]
        with pytest.raises(RegistryError) as caught:
            client.manifest("team/app", "latest")
        assert str(caught.value) == (
            f"pinging container registry {registry.host}: "
            "received unexpected HTTP status: 500 Internal Server Error"
        )

    def test_failed_ping_is_repeated_next_time(
        self, client: RegistryClient, registry: FakeRegistry, image: FakeImage
    ) -> None:
        registry.faults = [("/v2/", fake.status(500))]
        with pytest.raises(RegistryError):
            client.manifest("team/app", "latest")
        assert client.manifest("team/app", "latest").digest == image.digest


class TestDigest:
    def test_head_is_enough(self, client: RegistryClient, registry: FakeRegistry, image: FakeImage) -> None:
        assert client.manifest_digest("team/app", "latest") == image.digest
        assert [method for method, *_ in registry.requests] == ["GET", "HEAD"]

    def test_without_the_header_the_manifest_is_read(
        self, client: RegistryClient, registry: FakeRegistry, image: FakeImage
    ) -> None:
        registry.faults = [("/latest", fake.status(200))]
        assert client.manifest_digest("team/app", "latest") == image.digest

    def test_unknown(self, client: RegistryClient, registry: FakeRegistry) -> None:
        with pytest.raises(UnknownToRegistry, match=f"^reading digest v9 in {registry.host}/team/app: StatusCode: 404"):
            client.manifest_digest("team/app", "v9")


class TestBlob:
    def test_whole(self, client: RegistryClient, image: FakeImage) -> None:
        response, start = client.blob("team/app", image.digests[0])
        assert (start, response.length) == (0, len(image.blobs[0]))
        assert response.read_all(1 << 20) == image.blobs[0]

    def test_rest(self, client: RegistryClient, image: FakeImage) -> None:
        response, start = client.blob("team/app", image.digests[0], 100)
        assert start == 100
        assert response.read_all(1 << 20) == image.blobs[0][100:]

    def test_registry_that_knows_no_ranges(
        self, client: RegistryClient, registry: FakeRegistry, image: FakeImage
    ) -> None:
        registry.ranges = False
        response, start = client.blob("team/app", image.digests[0], 100)
        assert start == 0
        assert response.read_all(1 << 20) == image.blobs[0]

    def test_another_range_than_asked_for(
        self, client: RegistryClient, registry: FakeRegistry, image: FakeImage
    ) -> None:
        registry.faults = [(image.digests[0], fake.status(206, b"x", Content_Range="bytes 7-7/9"))]
        with pytest.raises(RegistryError, match="fetching blob: asked for bytes from 100, got Content-Range"):
            client.blob("team/app", image.digests[0], 100)

    def test_partial_answer_to_a_plain_question(
        self, client: RegistryClient, registry: FakeRegistry, image: FakeImage
    ) -> None:
        registry.faults = [(image.digests[0], fake.status(206, b"x", Content_Range="bytes 0-0/9"))]
        with pytest.raises(RegistryError, match="fetching blob: received unexpected HTTP status: 206"):
            client.blob("team/app", image.digests[0])

    def test_unknown(self, client: RegistryClient) -> None:
        with pytest.raises(UnknownToRegistry, match=r"^fetching blob: blob unknown to registry$"):
            client.blob("team/app", "sha256:" + "0" * 64)

    def test_no_digest_no_request(self, client: RegistryClient, registry: FakeRegistry) -> None:
        with pytest.raises(InvalidArgument):
            client.blob("team/app", "sha256:../../etc")
        assert registry.requests == []

    def test_small_blob(self, client: RegistryClient, registry: FakeRegistry, image: FakeImage) -> None:
        digest = fake.digest_of(image.config)
        assert client.blob_bytes("team/app", Descriptor(digest=digest), 1 << 20) == image.config
        with pytest.raises(RegistryError, match="exceeded maximum allowed size of 10 bytes"):
            client.blob_bytes("team/app", Descriptor(digest=digest), 10)
        registry.blobs[digest] = b"else"
        with pytest.raises(Corrupt, match=f'digest mismatch, expected "{digest}", got "sha256:'):
            client.blob_bytes("team/app", Descriptor(digest=digest), 1 << 20)


class TestExternalBlob:
    def test_first_that_has_it(self, client: RegistryClient, registry: FakeRegistry) -> None:
        registry.blobs["x"] = b"foreign"
        response = client.external_blob(
            ["ftp://x/y", f"{registry.url}/elsewhere/none", f"{registry.url}/elsewhere/x"]
        )
        assert response is not None
        assert response.read_all(100) == b"foreign"

    def test_no_credentials(self, registry: FakeRegistry) -> None:
        registry.require_basic("me", "secret")
        registry.blobs["x"] = b"foreign"
        from wherry.config.auth import Credentials

        asking = RegistryClient(
            HTTPClient(insecure=True), registry.host, Credentials(username="me", password="secret")
        )
        asking.ping()
        asking.external_blob([f"{registry.url}/elsewhere/x"])
        assert "Authorization" not in registry.requests[-1][2]

    def test_no_url_we_speak(self, client: RegistryClient) -> None:
        assert client.external_blob(["ftp://x/y", "file:///etc/passwd", ""]) is None

    def test_none_has_it(self, client: RegistryClient, registry: FakeRegistry) -> None:
        with pytest.raises(RegistryError, match="failed fetching external blob from all urls: fetching external blob"):
            client.external_blob([f"{registry.url}/elsewhere/none"])


class TestTags:
    def test_all_pages(self, client: RegistryClient, registry: FakeRegistry, image: FakeImage) -> None:
        registry.page = 2
        for tag in ("v1", "v2", "v3", "v4"):
            registry.add("team/app", tag, image)
        assert client.tags("team/app") == ["latest", "v1", "v2", "v3", "v4"]

    @pytest.mark.parametrize("link", ['</v2/team/app/tags/list>; rel="next"', '<https://evil.example/>; rel="next"'])
    def test_circles_and_other_hosts(
        self, client: RegistryClient, registry: FakeRegistry, image: FakeImage, link: str
    ) -> None:
        registry.faults = [
            ("/tags/list", fake.status(200, b'{"tags": ["one"]}', Link=link)),
        ]
        assert client.tags("team/app") == ["one"]
        assert {path.partition("?")[0] for path in registry.paths()} <= {"/v2/", "/v2/team/app/tags/list", "/"}

    @pytest.mark.parametrize("body", [b'{"tags": null}', b"[]", b'{"tags": [1, {}]}'])
    def test_no_tags(self, client: RegistryClient, registry: FakeRegistry, body: bytes) -> None:
        registry.faults = [("/tags/list", fake.status(200, body))]
        assert client.tags("team/app") == []

    def test_junk(self, client: RegistryClient, registry: FakeRegistry) -> None:
        registry.faults = [("/tags/list", fake.status(200, b"junk"))]
        with pytest.raises(RegistryError, match=r"^fetching tags list: decoding tags list"):
            client.tags("team/app")

    def test_unknown(self, client: RegistryClient, registry: FakeRegistry) -> None:
        registry.faults = [("/tags/list", fake.error(404, "NAME_UNKNOWN"))]
        with pytest.raises(UnknownToRegistry, match=r"^fetching tags list: repository name not known to registry$"):
            client.tags("team/app")


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ('299 - "going away"', '"going away"'),
        (r'299 - "a \"quoted\" word"', r'"a \"quoted\" word"'),
        ('199 - "other code"', ""),
        ("299 - unquoted", ""),
        ('299 - "control \x7f character"', ""),
    ],
)
def test_warnings_of_the_registry(
    client: RegistryClient, registry: FakeRegistry, image: FakeImage, monkeypatch: pytest.MonkeyPatch,
    header: str, shown: str,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(client_module.log, "once", lambda level, message: said.append(message))
    registry.faults = [("/latest", fake.status(200, image.manifest, Warning=header))]
    client.manifest("team/app", "latest")
    assert [line.partition("): ")[2] for line in said] == ([shown] if shown else [])


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", -1), ("7", 7), (" 7 ", 7), ("-7", -1), ("soon", -1), ("9" * 40, 999999999),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Thu, 99 Foo 1970", -1),
    ],
)
def test_retry_after(header: str, seconds: float) -> None:
    assert parse_retry_after(header) == seconds
