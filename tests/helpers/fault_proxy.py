"""An HTTP proxy in front of a registry that misbehaves by script: cuts, truncates, corrupts, stalls, refuses.

``faults`` is a list of :class:`Fault`; a request uses up the first whose method and path fit.  Everything that passes
is in ``log``.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE = 1 << 16


@dataclass
class Fault:
    """What goes wrong with one request whose path contains *path*.

    *kind*: ``cut`` (the connection breaks after *after* bytes of the answer), ``truncate`` (the answer ends there, as
    if it were whole), ``corrupt`` (the byte there is another), ``stall`` (nothing more comes), ``status`` (*status* is
    answered); ``cut-request``, ``corrupt-request`` and ``stall-request`` do the same to what is sent.
    """

    kind: str
    path: str = "/blobs/sha256:"
    method: str = "GET"
    after: int = 0
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    least: int = 0          # only answers (or requests) of at least so many bytes


@dataclass
class Seen:
    """A request, and how many bytes of its answer's and its own body were passed on."""

    method: str
    path: str
    range: str = ""
    received: int = 0
    sent: int = 0
    content_range: str = ""


class FaultProxy(ThreadingHTTPServer):
    """Listens on 127.0.0.1; ``host`` is its address. *delay*: seconds between two pieces of 64 KiB of an answer."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str, *, delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.delay = delay
        self.host = f"127.0.0.1:{self.server_port}"
        self.faults: list[Fault] = []
        self.log: list[Seen] = []
        self.lock = threading.Lock()
        self.over = threading.Event()

    def __enter__(self) -> FaultProxy:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed are no news."""

    def take(self, method: str, path: str, length: int) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.method == method and fault.path in path and length >= fault.least:
                    self.faults.remove(fault)
                    return fault
        return None

    def fetched(self, method: str = "GET", path: str = "/blobs/sha256:") -> list[Seen]:
        """Requests that came, in order."""
        return [seen for seen in self.log if seen.method == method and path in seen.path]


class _Broken(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def _pass(self) -> None:
        seen = Seen(self.command, self.path, self.headers.get("Range", ""),
                    content_range=self.headers.get("Content-Range", ""))
        with self.server.lock:
            self.server.log.append(seen)
        length = int(self.headers.get("Content-Length", "0"))
        upstream = http.client.HTTPConnection(self.server.upstream)
        try:
            fault = self.server.take(self.command, self.path, length) if self.command in ("PATCH", "PUT") else None
            if fault is not None and fault.kind == "status":
                self._refuse(fault, length)
                return
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders()
            self._request_body(upstream, length, fault, seen)
            response = upstream.getresponse()
            if self.command not in ("PATCH", "PUT"):
                fault = self.server.take(self.command, self.path, int(response.headers.get("Content-Length", "0")))
                if fault is not None and fault.kind == "status":
                    self._refuse(fault, 0)
                    return
            self._answer(response, fault if fault and not fault.kind.endswith("-request") else None, seen)
        except (_Broken, OSError):
            self.close_connection = True
            try:
                self.connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        finally:
            upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

    def _refuse(self, fault: Fault, length: int) -> None:
        if length:
            self.rfile.read(length)
        self.send_response(fault.status)
        for name, value in fault.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _request_body(
        self, upstream: http.client.HTTPConnection, length: int, fault: Fault | None, seen: Seen
    ) -> None:
        kind = fault.kind.removesuffix("-request") if fault and fault.kind.endswith("-request") else ""
        while length > 0:
            data = self.rfile.read(min(_PIECE, length))
            if not data:
                raise _Broken
            length -= len(data)
            if kind and fault and seen.sent + len(data) > fault.after:
                data = self._spoil(kind, data, fault.after - seen.sent)
                if kind == "corrupt":
                    kind = ""
            upstream.send(data)
            seen.sent += len(data)
            if kind not in ("", "corrupt") and fault and seen.sent >= fault.after:
                self._end(kind)

    def _answer(self, response: http.client.HTTPResponse, fault: Fault | None, seen: Seen) -> None:
        kind = fault.kind if fault else ""
        self.send_response_only(response.status, response.reason)
        for name, value in response.headers.items():
            if kind != "truncate" or name.lower() != "content-length":
                self.send_header(name, value)
        if kind == "truncate":
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        while self.command != "HEAD" and (data := response.read(_PIECE)):
            if kind and fault and seen.received + len(data) > fault.after:
                data = self._spoil(kind, data, fault.after - seen.received)
                if kind == "corrupt":
                    kind = ""
            self.wfile.write(data)
            self.wfile.flush()
            seen.received += len(data)
            if kind not in ("", "corrupt") and fault and seen.received >= fault.after:
                self._end(kind)
                return
            if self.server.delay:
                time.sleep(self.server.delay)

    @staticmethod
    def _spoil(kind: str, data: bytes, at: int) -> bytes:
        if kind == "corrupt":
            return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:]
        return data[:at]

    def _end(self, kind: str) -> None:
        if kind == "stall":
            self.server.over.wait(30)
        if kind != "truncate":
            raise _Broken
