"""Uploads that break: continued where the registry says, begun again where it has forgotten, in pieces if need be."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from wherry.errors import RegistryError
from wherry.registry import retry
from wherry.registry.client import RegistryClient
from wherry.registry.failures import ConnectionFailed, HTTPFailure
from wherry.registry.http import HTTPClient
from wherry.registry.retry import RetryPolicy
from wherry.registry.uploads import Uploader

SIZE = 5 << 20


class UploadServer(ThreadingHTTPServer):
    """Takes uploads and keeps what came of a broken one, as the distribution specification has it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.uploads: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.patches: list[tuple[str, int]] = []        # Content-Range and bytes taken
        self.cuts: list[int] = []                       # bytes after which the next PATCHes are cut
        self.forgetful = False
        self.largest = 1 << 40
        self.spoilt = 0                                 # PUTs that find other bytes than were sent
        self.refusals: list[int] = []                   # statuses of the next PATCHes

    def handle_error(self, request: object, client_address: object) -> None:
        """Cut connections are the point."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: UploadServer

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        name = f"u{len(self.server.uploads)}"
        self.server.uploads[name] = b""
        self._answer(202, Location=f"/v2/team/app/blobs/uploads/{name}?state=a", Range="0-0")

    def do_GET(self) -> None:
        if self.path == "/v2/":
            self._answer(200)
            return
        held = self.server.uploads.get(self._name())
        if held is None:
            self._answer(404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}')
        else:
            self._answer(204, Location=self.path, Range=f"0-{max(len(held) - 1, 0)}")

    def do_PATCH(self) -> None:
        server, name = self.server, self._name()
        length = int(self.headers["Content-Length"])
        wanted = self.headers.get("Content-Range", "")
        if server.refusals:
            self.rfile.read(length)
            self._answer(server.refusals.pop(0))
            return
        if length > server.largest:
            self.rfile.read(length)
            self._answer(413)
            return
        held = server.uploads[name]
        assert int(re.match(r"\d*", wanted)[0] or 0) == len(held)       # type: ignore[index]
        cut = server.cuts.pop(0) if server.cuts else length
        data = self.rfile.read(min(cut, length))
        server.patches.append((wanted, len(data)))
        server.uploads[name] = held + data
        if cut < length:
            if server.forgetful:
                del server.uploads[name]
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self._answer(202, Location=self.path.replace("state=a", "state=b"), Range=f"0-{len(held + data) - 1}")

    def do_PUT(self) -> None:
        data = self.server.uploads.pop(self._name())
        digest = parse_qs(urlsplit(self.path).query)["digest"][0]
        if self.server.spoilt:
            self.server.spoilt -= 1
            self._answer(400, b'{"errors":[{"code":"DIGEST_INVALID"}]}')
            return
        assert "state=" in self.path
        assert digest == "sha256:" + hashlib.sha256(data).hexdigest()
        self.server.blobs[digest] = data
        self._answer(201, Docker_Content_Digest=digest)

    def _name(self) -> str:
        return urlsplit(self.path).path.rpartition("/")[2]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry.log, "warning", lambda text: None)


@pytest.fixture
def server() -> Iterator[UploadServer]:
    made = UploadServer()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def upload(server: UploadServer, tmp_path: Path) -> Iterator[Upload]:
    made = Upload(server, tmp_path)
    yield made
    made.client.close()


class Upload:
    def __init__(self, server: UploadServer, base: Path) -> None:
        self.data = os.urandom(SIZE)
        self.digest = "sha256:" + hashlib.sha256(self.data).hexdigest()
        self.path = base / "blob"
        self.path.write_bytes(self.data)
        self.client = RegistryClient(HTTPClient(insecure=True), f"127.0.0.1:{server.server_address[1]}")
        self.reports: list[int] = []

    def run(self, attempts: int = 3) -> None:
        uploader = Uploader(self.client, "team/app", RetryPolicy(attempts=attempts, delay=0.01))
        fd = os.open(self.path, os.O_RDONLY)
        try:
            uploader.upload(fd, self.digest, SIZE, self.reports.append)
        finally:
            os.close(fd)


def test_in_one_piece(server: UploadServer, upload: Upload) -> None:
    upload.run()
    assert server.blobs == {upload.digest: upload.data}
    assert server.patches == [("", SIZE)] and upload.reports[-1] == SIZE


def test_a_cut_upload_goes_on_where_it_stopped(server: UploadServer, upload: Upload) -> None:
    server.cuts = [2 << 20, 1 << 20]
    upload.run()
    assert server.blobs == {upload.digest: upload.data}
    assert server.patches == [("", 2 << 20), (f"{2 << 20}-{SIZE - 1}", 1 << 20), (f"{3 << 20}-{SIZE - 1}", 2 << 20)]


def test_progress_earns_new_attempts(server: UploadServer, upload: Upload) -> None:
    server.cuts = [1 << 20] * 4
    upload.run(attempts=1)
    assert server.blobs == {upload.digest: upload.data}
    assert sum(count for _range, count in server.patches) == SIZE


def test_a_registry_that_forgets_gets_it_again(server: UploadServer, upload: Upload) -> None:
    server.cuts, server.forgetful = [3 << 20], True
    upload.run()
    assert server.blobs == {upload.digest: upload.data}
    assert [count for _range, count in server.patches] == [3 << 20, SIZE]


def test_damage_on_the_way_is_repaired_by_sending_again(server: UploadServer, upload: Upload) -> None:
    server.spoilt = 1
    upload.run()
    assert server.blobs == {upload.digest: upload.data}
    server.spoilt = 99
    with pytest.raises(HTTPFailure, match="provided digest did not match uploaded content"):
        upload.run(attempts=2)


def test_a_request_that_is_too_large_is_cut_up(server: UploadServer, upload: Upload) -> None:
    server.largest = 500_000
    upload.run()
    assert server.blobs == {upload.digest: upload.data}
    assert max(count for _range, count in server.patches) <= 500_000
    server.largest = 1000
    with pytest.raises(HTTPFailure, match="413"):
        upload.run()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_refusals_that_pass(server: UploadServer, upload: Upload, status: int) -> None:
    server.refusals = [status, status]
    upload.run()
    assert server.blobs == {upload.digest: upload.data}


def test_attempts_end(server: UploadServer, upload: Upload) -> None:
    server.cuts = [1000] * 9
    with pytest.raises(ConnectionFailed):
        upload.run(attempts=2)
    assert len(server.patches) == 3 and not server.blobs
    server.refusals, server.cuts = [403], []
    with pytest.raises(RegistryError):
        upload.run()
    assert len(server.patches) == 3
