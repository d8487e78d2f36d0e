"""A registry small enough to misbehave on demand: HTTP on 127.0.0.1, contents in dictionaries, faults by script.

``faults`` holds (path ending, fault) pairs in the order they are to happen; a fault is used once, on the first request
whose path ends so, and answers in place of the registry.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import ssl
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
V2S2 = "application/vnd.docker.distribution.manifest.v2+json"
V2S2_CONFIG = "application/vnd.docker.container.image.v1+json"
V2S2_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
V2_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
V2S1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"

Fault = Callable[["Handler"], None]


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


class FakeImage:
    """An image of *layers* tar layers, gzipped, with its config and manifest bytes."""

    def __init__(
        self, layers: int = 2, *, docker: bool = False, architecture: str = "amd64", seed: str = "", size: int = 3000
    ) -> None:
        self.tars = [
            tar_of({f"{seed}file{n}": hashlib.sha256(f"{seed}{n}".encode()).digest() * (size // 32)})
            for n in range(layers)
        ]
        self.blobs = [gzip.compress(tar, mtime=0) for tar in self.tars]
        self.diff_ids = [digest_of(tar) for tar in self.tars]
        self.digests = [digest_of(blob) for blob in self.blobs]
        self.config = json.dumps({
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/" + (seed or "true")]},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
        }).encode()
        self.media_type = V2S2 if docker else OCI_MANIFEST
        self.document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": {
                "mediaType": V2S2_CONFIG if docker else OCI_CONFIG,
                "digest": digest_of(self.config),
                "size": len(self.config),
            },
            "layers": [
                {
                    "mediaType": V2S2_LAYER if docker else OCI_LAYER,
                    "digest": digest,
                    "size": len(blob),
                }
                for digest, blob in zip(self.digests, self.blobs, strict=True)
            ],
        }
        self.architecture = architecture

    @property
    def manifest(self) -> bytes:
        return json.dumps(self.document).encode()

    @property
    def digest(self) -> str:
        return digest_of(self.manifest)

    def list_entry(self, **platform: str) -> dict[str, Any]:
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": len(self.manifest),
            "platform": {"os": "linux", "architecture": self.architecture, **platform},
        }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FakeRegistry

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fail(self, status: int, code: str, message: str = "", detail: Any = None, **headers: str) -> None:
        error = {"code": code, "message": message}
        if detail is not None:
            error["detail"] = detail
        self.answer(status, json.dumps({"errors": [error]}).encode(), Content_Type="application/json", **headers)

    def handle_any(self) -> None:
        path = urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        fault = self.server.take_fault(path)
        if fault:
            fault(self)
        elif path == "/token":
            self.token(body)
        elif path.startswith("/v2/"):
            if self.authorized():
                self.registry(path)
        elif path.startswith("/elsewhere/"):
            self.blob(path.removeprefix("/elsewhere/"))
        else:
            self.answer(404, b"404 page not found\n")

    do_GET = do_HEAD = do_POST = handle_any

    def authorized(self) -> bool:
        server = self.server
        if not server.challenge:
            return True
        given = self.headers.get("Authorization", "")
        if given and (given == server.basic or given.removeprefix("Bearer ") in server.tokens):
            return True
        self.fail(401, "UNAUTHORIZED", "authentication required", detail=[], WWW_Authenticate=server.challenge)
        return False

    def token(self, body: bytes) -> None:
        server = self.server
        if self.command == "POST":
            form = parse_qs(body.decode())
            if form.get("refresh_token") != [server.identity_token]:
                self.answer(401, json.dumps({"details": "invalid refresh token"}).encode())
                return
        elif server.basic and self.headers.get("Authorization") != server.basic:
            self.answer(401, json.dumps({"details": "incorrect username or password"}).encode())
            return
        token = f"token{len(server.tokens)}"
        server.tokens.add(token)
        self.answer(200, json.dumps({"token": token, "expires_in": 300}).encode())

    def registry(self, path: str) -> None:
        parts = path.split("/")
        if len(parts) > 4 and parts[-2] == "manifests":
            self.manifest("/".join(parts[2:-2]), parts[-1])
        elif len(parts) > 4 and parts[-2] == "blobs":
            if self.server.blob_host:
                self.answer(307, Location=f"{self.server.blob_host}/elsewhere/{parts[-1]}")
            else:
                self.blob(parts[-1])
        elif path.endswith("/tags/list"):
            self.tags("/".join(parts[2:-2]))
        else:
            self.answer(200, b"{}")

    def manifest(self, repository: str, name: str) -> None:
        found = self.server.manifests.get((repository, name))
        if found is None:
            self.fail(404, "MANIFEST_UNKNOWN", "manifest unknown", detail={"Tag": name})
            return
        media_type, data = found
        self.answer(200, data, Content_Type=media_type, Docker_Content_Digest=digest_of(data))

    def blob(self, digest: str) -> None:
        data = self.server.blobs.get(digest)
        if data is None:
            self.fail(404, "BLOB_UNKNOWN", "blob unknown to registry", detail=digest)
            return
        wanted = self.headers.get("Range")
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.answer(206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.answer(200, data)

    def tags(self, repository: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        tags = sorted(tag for name, tag in self.server.manifests if name == repository and ":" not in tag)
        after = query.get("last", [""])[0]
        rest = [tag for tag in tags if tag > after]
        page = rest[: self.server.page]
        headers = {}
        if len(rest) > len(page):
            headers["Link"] = f'</v2/{repository}/tags/list?last={page[-1]}&n={self.server.page}>; rel="next"'
        self.answer(200, json.dumps({"name": repository, "tags": page}).encode(), **headers)


class FakeRegistry(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls: tuple[str, str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.faults: list[tuple[str, Fault]] = []
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.lock = threading.Lock()
        self.challenge = ""
        self.basic = ""
        self.identity_token = ""
        self.tokens: set[str] = set()
        self.blob_host = ""
        self.ranges = True
        self.page = 100
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.host}"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
            self.url = f"https://{self.host}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> FakeRegistry:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hanging up is part of the tests."""

    def take_fault(self, path: str) -> Fault | None:
        with self.lock:
            for position, (ending, _) in enumerate(self.faults):
                if path.endswith(ending):
                    return self.faults.pop(position)[1]
        return None

    def add(self, repository: str, tag: str, image: FakeImage) -> None:
        for digest, blob in zip(image.digests, image.blobs, strict=True):
            self.blobs[digest] = blob
        self.blobs[digest_of(image.config)] = image.config
        self.add_manifest(repository, tag, image.media_type, image.manifest)

    def add_manifest(self, repository: str, tag: str, media_type: str, data: bytes) -> None:
        for name in (tag, digest_of(data), digest_of(data, "sha512")):
            self.manifests[repository, name] = (media_type, data)

    def add_list(self, repository: str, tag: str, entries: list[dict[str, Any]], media_type: str = OCI_INDEX) -> bytes:
        data = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()
        self.add_manifest(repository, tag, media_type, data)
        return data

    def require_basic(self, user: str, password: str) -> None:
        self.challenge = 'Basic realm="fake"'
        self.basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def require_token(self, user: str = "", password: str = "", identity: str = "", realm: str = "") -> None:
        self.challenge = f'Bearer realm="{realm or self.url + "/token"}",service="fake"'
        if user:
            self.basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.identity_token = identity

    def paths(self, ending: str = "") -> list[str]:
        return [path for _, path, _, _ in self.requests if path.endswith(ending)]


def status(code: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer with this status."""
    return lambda handler: handler.answer(code, body, **headers)


def error(code: int, name: str, message: str = "", detail: Any = None) -> Fault:
    """Answer with a registry error document."""
    return lambda handler: handler.fail(code, name, message, detail)


def truncated(data: bytes, at: int) -> Fault:
    """Promise all of *data*, send *at* bytes and hang up."""

    def act(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:at])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.close()

    return act


def body(data: bytes, content_type: str = "application/octet-stream") -> Fault:
    """Answer 200 with *data* instead of what is stored."""
    return lambda handler: handler.answer(200, data, Content_Type=content_type)


def hang_up(handler: Handler) -> None:
    """Close the connection without a word."""
    handler.close_connection = True
    handler.connection.close()
