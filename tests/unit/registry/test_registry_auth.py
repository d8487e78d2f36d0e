"""Challenges, credentials and tokens."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import fake_registry as fake
import pytest
from fake_registry import FakeImage, FakeRegistry, Handler

from wherry.config.auth import Credentials
from wherry.errors import UNAUTHORIZED, RegistryError, Unauthorized
from wherry.registry import auth
from wherry.registry.client import RegistryClient
from wherry.registry.failures import AccessRefused
from wherry.registry.http import HTTPClient

ME = Credentials(username="me", password="secret")


def client(registry: FakeRegistry, credentials: Credentials | None = None) -> RegistryClient:
    return RegistryClient(HTTPClient(insecure=True, read_timeout=5), registry.host, credentials)


def authorizations(registry: FakeRegistry, ending: str) -> list[str]:
    return [headers.get("Authorization", "") for _, path, headers, _ in registry.requests if path.endswith(ending)]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (['Basic realm="x"'], [("basic", {"realm": "x"})]),
        (["Basic"], [("basic", {})]),
        (
            ['Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull,push"'],
            [("bearer", {
                "realm": "https://auth.example/token", "service": "reg", "scope": "repository:a/b:pull,push",
            })],
        ),
        (
            ['Bearer realm="r" , service = s, Basic realm="x"'],
            [("bearer", {"realm": "r", "service": "s"}), ("basic", {"realm": "x"})],
        ),
        (['Negotiate YWJj==, Basic realm="x"'], [("negotiate", {"ywjj": ""}), ("basic", {"realm": "x"})]),
        (['Basic realm="a", realm="b"'], [("basic", {"realm": "a"})]),
        ([r'Basic realm="quote \" and \\ slash"'], [("basic", {"realm": r'quote " and \ slash'})]),
        (["Negotiate", 'BASIC Realm="x"'], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (['Basic realm="never closed'], [("basic", {"realm": "never closed"})]),
        (["", ",,", "  ", '"x"', "=", "\x00"], []),
    ],
)
def test_challenges(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    found = [(one.scheme, dict(one.parameters)) for one in auth.parse_challenges(headers)]
    assert found == expected


class TestBasic:
    def test_accepted(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_basic("me", "secret")
        assert client(registry, ME).manifest("team/app", "latest").data == image.manifest
        assert authorizations(registry, "/v2/") == [""]
        assert authorizations(registry, "/latest") == [registry.basic]

    @pytest.mark.parametrize("credentials", [None, Credentials(username="me", password="wrong")])
    def test_refused(self, registry: FakeRegistry, image: FakeImage, credentials: Credentials | None) -> None:
        registry.require_basic("me", "secret")
        with pytest.raises(Unauthorized) as caught:
            client(registry, credentials).manifest("team/app", "latest")
        assert str(caught.value) == (
            f"reading manifest latest in {registry.host}/team/app: unauthorized: authentication required"
        )
        assert caught.value.kind == UNAUTHORIZED

    def test_nothing_is_sent_where_nothing_is_asked(self, registry: FakeRegistry, image: FakeImage) -> None:
        client(registry, ME).manifest("team/app", "latest")
        assert authorizations(registry, "/latest") == [""]

    def test_login(self, registry: FakeRegistry) -> None:
        registry.require_basic("me", "secret")
        client(registry, ME).check_credentials()
        with pytest.raises(
            AccessRefused,
            match=r"^unable to retrieve auth token: invalid username/password: unauthorized: authentication required$",
        ):
            client(registry, Credentials(username="me", password="x")).check_credentials()


class TestTokens:
    def test_token_service_is_asked_once_per_scope(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token("me", "secret")
        asking = client(registry, ME)
        for _ in range(3):
            asking.manifest("team/app", "latest")
        asking.blob("team/app", image.digests[0])[0].close()
        registry.add("other/app", "latest", image)
        asking.manifest("other/app", "latest")
        asked = [path for path in registry.paths() if path.startswith("/token")]
        assert [parse_qs(urlsplit(path).query) for path in asked] == [
            {"account": ["me"], "service": ["fake"], "scope": [f"repository:{name}:pull"]}
            for name in ("team/app", "other/app")
        ]

    def test_anonymous_token(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token()
        assert client(registry).manifest("team/app", "latest").digest == image.digest
        path = next(path for path in registry.paths() if path.startswith("/token"))
        assert "account" not in path

    def test_query_of_the_realm_is_kept(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token(realm=f"{registry.url}/token?tenant=7")
        client(registry).manifest("team/app", "latest")
        path = next(path for path in registry.paths() if path.startswith("/token"))
        assert parse_qs(urlsplit(path).query)["tenant"] == ["7"]

    def test_refused(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token("me", "secret")
        with pytest.raises(
            AccessRefused,
            match=r"^unable to retrieve auth token: invalid username/password: "
            r"unauthorized: incorrect username or password$",
        ):
            client(registry, Credentials(username="me", password="x")).manifest("team/app", "latest")

    def test_identity_token(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token(identity="refresh-me")
        asking = client(registry, Credentials(identity_token="refresh-me"))
        assert asking.manifest("team/app", "latest").digest == image.digest
        method, _, _, body = next(one for one in registry.requests if one[1] == "/token")
        form = parse_qs(body.decode())
        assert method == "POST"
        assert form["grant_type"] == ["refresh_token"]
        assert form["refresh_token"] == ["refresh-me"]
        assert form["scope"] == ["repository:team/app:pull"]

    def test_identity_token_refused(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token(identity="refresh-me")
        with pytest.raises(AccessRefused, match="unauthorized: invalid refresh token"):
            client(registry, Credentials(identity_token="stale")).manifest("team/app", "latest")

    def test_access_token_field(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token()
        registry.tokens.add("other-field")
        registry.faults = [("/token", fake.body(b'{"access_token": "other-field"}'))]
        assert client(registry).manifest("team/app", "latest").digest == image.digest

    @pytest.mark.parametrize(
        "answer",
        [
            b"junk", b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\r\\nX-Evil: 1"}', b'{"token": "\xc3\xa9"}',
            b"[" * 9999,
        ],
    )
    def test_answers_without_a_token(self, registry: FakeRegistry, image: FakeImage, answer: bytes) -> None:
        registry.require_token()
        registry.faults = [("/token", fake.body(answer))]
        with pytest.raises(RegistryError, match=r"^decoding bearer token: answer of http"):
            client(registry).manifest("team/app", "latest")

    def test_answer_too_large(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token()
        registry.faults = [("/token", fake.body(b" " * (auth.MAX_TOKEN_BODY + 1)))]
        with pytest.raises(RegistryError, match="exceeded maximum allowed size"):
            client(registry).manifest("team/app", "latest")

    def test_token_service_fails(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token()
        registry.faults = [("/token", fake.status(503))]
        with pytest.raises(
            RegistryError, match=r"^Requesting bearer token: received unexpected HTTP status: 503 Service Unavailable$"
        ) as caught:
            client(registry).manifest("team/app", "latest")
        assert getattr(caught.value, "transient", False)

    def test_no_realm(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token()
        registry.challenge = 'Bearer service="fake"'
        with pytest.raises(RegistryError, match="missing realm in bearer auth challenge"):
            client(registry).manifest("team/app", "latest")

    def test_token_is_renewed_when_it_expires(
        self, registry: FakeRegistry, image: FakeImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 1000.0
        monkeypatch.setattr(auth.time, "monotonic", lambda: now)
        registry.require_token()
        asking = client(registry)
        asking.manifest("team/app", "latest")
        now += 299
        asking.manifest("team/app", "latest")
        assert len(registry.tokens) == 1
        now += 2
        asking.manifest("team/app", "latest")
        assert len(registry.tokens) == 2

    def test_short_lives_are_stretched(
        self, registry: FakeRegistry, image: FakeImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 1000.0
        monkeypatch.setattr(auth.time, "monotonic", lambda: now)
        registry.require_token()
        registry.tokens.add("brief")
        registry.faults = [("/token", fake.body(json.dumps({"token": "brief", "expires_in": 1}).encode()))]
        asking = client(registry)
        asking.manifest("team/app", "latest")
        now += auth.MIN_TOKEN_LIFE - 1
        asking.manifest("team/app", "latest")
        assert registry.tokens == {"brief"}

    def test_token_the_registry_no_longer_takes_is_renewed(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token()
        asking = client(registry)
        asking.manifest("team/app", "latest")
        registry.tokens.clear()
        registry.challenge += ',error="invalid_token"'
        assert asking.manifest("team/app", "latest").digest == image.digest

    def test_scope_the_registry_asks_for(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token()

        def more(handler: Handler) -> None:
            handler.fail(401, "UNAUTHORIZED", WWW_Authenticate=registry.challenge + (
                ',scope="repository:base/app:pull",error="insufficient_scope"'
            ))

        registry.faults = [("/latest", more)]
        client(registry).manifest("team/app", "latest")
        asked = [parse_qs(urlsplit(path).query)["scope"] for path in registry.paths() if path.startswith("/token")]
        assert asked == [
            ["repository:team/app:pull"], ["repository:team/app:pull", "repository:base/app:pull"],
        ]

    def test_denied_for_good(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token()
        refusal = registry.challenge + ',scope="repository:team/app:pull",error="insufficient_scope"'
        registry.faults = [("/latest", lambda handler: handler.fail(401, "UNAUTHORIZED", WWW_Authenticate=refusal))]
        with pytest.raises(AccessRefused) as caught:
            client(registry).manifest("team/app", "latest")
        assert str(caught.value).endswith("app: denied: requested access to the resource is denied")

    def test_token_does_not_follow_to_the_blob_store(self, registry: FakeRegistry, image: FakeImage) -> None:
        registry.require_token()
        with FakeRegistry() as store:
            store.blobs = registry.blobs
            registry.blob_host = store.url
            response, _ = client(registry).blob("team/app", image.digests[0])
            assert response.read_all(1 << 20) == image.blobs[0]
            assert [headers.get("Authorization") for _, _, headers, _ in store.requests] == [None]
