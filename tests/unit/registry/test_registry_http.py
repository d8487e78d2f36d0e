"""Connections, redirects, TLS and proxies."""

from __future__ import annotations

import shutil
import socket
import warnings
from pathlib import Path

import fake_registry as fake
import pytest
from fake_registry import FakeRegistry

from wherry.errors import InvalidArgument, RegistryError
from wherry.registry.client import RegistryClient
from wherry.registry.failures import ConnectionFailed
from wherry.registry.http import HTTPClient
from wherry.registry.proxies import Proxies


def get(url: str, http: HTTPClient | None = None, **headers: str) -> tuple[int, bytes]:
    response = (http or HTTPClient(read_timeout=5)).request("GET", url, headers=headers)
    return response.status, response.read_all(1 << 20)


def test_user_agent_and_no_compression_asked_for(registry: FakeRegistry) -> None:
    assert get(f"{registry.url}/v2/") == (200, b"{}")
    headers = registry.requests[0][2]
    assert headers["User-Agent"].startswith("wherry/")
    assert headers["Accept-Encoding"] == "identity"


def test_redirect_to_another_origin_loses_authorization(registry: FakeRegistry) -> None:
    with FakeRegistry() as other:
        other.blobs["x"] = b"blob"
        registry.faults = [("/v2/", fake.status(307, Location=f"{other.url}/elsewhere/x"))]
        assert get(f"{registry.url}/v2/", Authorization="Basic c2VjcmV0") == (200, b"blob")
        assert "Authorization" not in other.requests[0][2]
        assert registry.requests[0][2]["Authorization"] == "Basic c2VjcmV0"


def test_redirect_within_the_origin_keeps_authorization(registry: FakeRegistry) -> None:
    registry.blobs["x"] = b"blob"
    registry.faults = [("/v2/", fake.status(302, Location="/elsewhere/x"))]
    assert get(f"{registry.url}/v2/", Authorization="Basic c2VjcmV0") == (200, b"blob")
    assert registry.requests[1][2]["Authorization"] == "Basic c2VjcmV0"


def test_authorization_does_not_come_back_after_a_detour(registry: FakeRegistry) -> None:
    registry.blobs["x"] = b"blob"
    with FakeRegistry() as other:
        registry.faults = [("/v2/", fake.status(307, Location=f"{other.url}/detour"))]
        other.faults = [("/detour", fake.status(307, Location=f"{registry.url}/elsewhere/x"))]
        assert get(f"{registry.url}/v2/", Authorization="Basic c2VjcmV0") == (200, b"blob")
        assert "Authorization" not in registry.requests[1][2]


def test_endless_redirects_end(registry: FakeRegistry) -> None:
    registry.faults = [("/v2/", fake.status(302, Location="/v2/"))] * 20
    with pytest.raises(RegistryError, match=r'Get "http://[0-9.:]+/v2/": stopped after 10 redirects'):
        get(f"{registry.url}/v2/")
    assert len(registry.requests) == 11


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:70/"])
def test_redirect_to_another_scheme_is_refused(registry: FakeRegistry, target: str) -> None:
    registry.faults = [("/v2/", fake.status(302, Location=target))]
    with pytest.raises(RegistryError, match="unsupported protocol scheme"):
        get(f"{registry.url}/v2/")


def test_body_over_the_limit(registry: FakeRegistry) -> None:
    registry.blobs["x"] = b"x" * 1001
    response = HTTPClient().request("GET", f"{registry.url}/elsewhere/x")
    with pytest.raises(RegistryError, match="exceeded maximum allowed size of 1000 bytes"):
        response.read_all(1000)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ConnectionFailed) as caught:
        get(f"http://127.0.0.1:{port}/v2/")
    assert str(caught.value) == (
        f'Get "http://127.0.0.1:{port}/v2/": dial tcp 127.0.0.1:{port}: connect: connection refused'
    )
    assert caught.value.transient


def test_unknown_host() -> None:
    with pytest.raises(ConnectionFailed, match=r'Get "http://no-such-host.invalid/v2/": dial tcp: lookup') as caught:
        get("http://no-such-host.invalid/v2/")
    assert not caught.value.transient


def test_server_hangs_up(registry: FakeRegistry) -> None:
    registry.faults = [("/v2/", fake.hang_up)]
    with pytest.raises(ConnectionFailed, match=r'Get "http://[0-9.:]+/v2/": EOF') as caught:
        get(f"{registry.url}/v2/")
    assert caught.value.transient


def test_body_cut_short(registry: FakeRegistry) -> None:
    registry.faults = [("/v2/", fake.truncated(b"x" * 5000, 100))]
    with pytest.raises(ConnectionFailed, match="unexpected EOF") as caught:
        get(f"{registry.url}/v2/")
    assert caught.value.transient


def test_silence_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v2/"
        with pytest.raises(ConnectionFailed, match="i/o timeout") as caught:
            get(url, HTTPClient(read_timeout=0.05))
        assert caught.value.transient


def test_passwords_in_urls_are_not_shown() -> None:
    with pytest.raises(ConnectionFailed) as caught:
        get("http://user:hunter2@127.0.0.1:1/v2/")
    assert "hunter2" not in str(caught.value)


class TestTLS:
    def test_plain_http_server(self, registry: FakeRegistry) -> None:
        with pytest.raises(ConnectionFailed, match="http: server gave HTTP response to HTTPS client"):
            get(f"https://{registry.host}/v2/")

    def test_unknown_authority(self, tls_files: Path) -> None:
        with FakeRegistry((f"{tls_files}/server.cert", f"{tls_files}/server.key")) as server:
            with pytest.raises(ConnectionFailed, match="x509: certificate signed by unknown authority") as caught:
                get(f"{server.url}/v2/")
            assert not caught.value.transient
            assert server.requests == []

    def test_authority_from_certificate_directory(self, tls_files: Path, tmp_path: Path) -> None:
        shutil.copy(tls_files / "ca.crt", tmp_path)
        (tmp_path / "broken.crt").write_text("not a certificate")
        with FakeRegistry((f"{tls_files}/server.cert", f"{tls_files}/server.key")) as server:
            assert get(f"{server.url}/v2/", HTTPClient(certificates_dir=str(tmp_path)))[0] == 200

    def test_wrong_host_name(self, tls_files: Path, tmp_path: Path) -> None:
        shutil.copy(tls_files / "ca.crt", tmp_path)
        with FakeRegistry((f"{tls_files}/server.cert", f"{tls_files}/server.key")) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            with pytest.raises(ConnectionFailed, match="certificate is not valid for localhost"):
                get(f"{url}/v2/", HTTPClient(certificates_dir=str(tmp_path)))

    def test_insecure_checks_nothing(self, tls_files: Path) -> None:
        with (
            FakeRegistry((f"{tls_files}/server.cert", f"{tls_files}/server.key")) as server,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error")
            assert get(f"{server.url}/v2/", HTTPClient(insecure=True))[0] == 200

    def test_client_certificate_is_presented(self, tls_files: Path, tmp_path: Path) -> None:
        import ssl

        for name in ("ca.crt", "client.cert", "client.key"):
            shutil.copy(tls_files / name, tmp_path)
        server = FakeRegistry()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls_files / "server.cert", tls_files / "server.key")
        context.load_verify_locations(tls_files / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        with server:
            assert get(f"https://{server.host}/v2/", HTTPClient(certificates_dir=str(tmp_path)))[0] == 200
            with pytest.raises(ConnectionFailed):
                get(f"https://{server.host}/v2/", HTTPClient(insecure=True))

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("a.cert", "missing key a.key for client certificate a.cert"),
            ("a.key", "missing client certificate a.cert for key a.key"),
        ],
    )
    def test_half_a_client_certificate(self, tmp_path: Path, name: str, message: str) -> None:
        (tmp_path / name).write_text("")
        with pytest.raises(InvalidArgument, match=message):
            get("https://127.0.0.1:1/", HTTPClient(certificates_dir=str(tmp_path)))

    def test_missing_directory_means_no_certificates(self, tmp_path: Path) -> None:
        with pytest.raises(ConnectionFailed, match="connection refused"):
            get("https://127.0.0.1:1/", HTTPClient(certificates_dir=str(tmp_path / "none")))

    def test_insecure_registry_falls_back_to_http(self, registry: FakeRegistry) -> None:
        RegistryClient(HTTPClient(insecure=True), registry.host).ping()
        assert registry.paths() == ["/v2/"]

    def test_secure_registry_does_not(self, registry: FakeRegistry) -> None:
        with pytest.raises(
            ConnectionFailed,
            match=rf'pinging container registry {registry.host}: Get "https://{registry.host}/v2/": http: server gave',
        ):
            RegistryClient(HTTPClient(), registry.host).ping()
        assert registry.requests == []


class TestProxies:
    def test_requests_go_through_the_proxy(self, registry: FakeRegistry) -> None:
        proxy = Proxies(http=registry.url.removeprefix("http://"))
        get("http://registry.example/v2/", HTTPClient(proxies=proxy))
        assert registry.requests[0][1] == "http://registry.example/v2/"
        assert registry.requests[0][2]["Host"] == "registry.example"

    def test_proxy_credentials(self, registry: FakeRegistry) -> None:
        proxy = Proxies(http=f"http://me:secret@{registry.host}")
        get("http://registry.example/v2/", HTTPClient(proxies=proxy))
        assert registry.requests[0][2]["proxy-authorization"] == "Basic bWU6c2VjcmV0"

    def test_proxy_that_is_down(self) -> None:
        with pytest.raises(ConnectionFailed, match=r"proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection ref"):
            get("http://registry.example/v2/", HTTPClient(proxies=Proxies(http="http://127.0.0.1:1")))

    def test_unknown_kind_of_proxy(self) -> None:
        with pytest.raises(RegistryError, match="unsupported protocol scheme"):
            get("http://registry.example/v2/", HTTPClient(proxies=Proxies(http="socks5://127.0.0.1:1")))

    @pytest.mark.parametrize(
        ("none", "host", "port", "direct"),
        [
            ("", "registry.example", 443, False),
            ("", "localhost", 443, True),
            ("", "127.0.0.1", 443, True),
            ("", "::1", 443, True),
            ("*", "registry.example", 443, True),
            ("example", "registry.example", 443, True),
            ("gistry.example", "registry.example", 443, False),
            (".example", "registry.example", 443, True),
            (".registry.example", "registry.example", 443, False),
            ("*.example", "registry.example", 443, True),
            ("other, registry.example", "Registry.Example", 443, True),
            ("registry.example:443", "registry.example", 443, True),
            ("registry.example:5000", "registry.example", 443, False),
            ("10.0.0.0/8", "10.1.2.3", 443, True),
            ("10.0.0.0/8", "11.1.2.3", 443, False),
            ("10.0.0.0/8", "registry.example", 443, False),
            ("fd00::/8", "fd00::1", 443, True),
            ("fd00::1", "fd00::1", 443, True),
            ("[fd00::1]:443", "fd00::1", 443, True),
            ("10.1.2.3", "10.1.2.3", 443, True),
            ("1.2.3", "10.1.2.3", 443, False),
            ("10.0.0.0/99", "10.1.2.3", 443, False),
        ],
    )
    def test_no_proxy(self, none: str, host: str, port: int, direct: bool) -> None:
        chosen = Proxies(https="proxy:3128", none=none).choose("https", host, port)
        assert chosen == ("" if direct else "http://proxy:3128")

    def test_from_the_environment(self) -> None:
        assert Proxies.from_environment({
            "HTTP_PROXY": "a:1", "http_proxy": "b:1", "https_proxy": "c:1", "no_proxy": "d", "ftp_proxy": "e:1",
        }) == Proxies(http="a:1", https="c:1", none="d")
        assert Proxies.from_environment({}) == Proxies()

    def test_schemes_are_apart(self) -> None:
        proxies = Proxies(http="http://a:1")
        assert proxies.choose("https", "registry.example", 443) == ""
        assert proxies.choose("http", "registry.example", 80) == "http://a:1"
