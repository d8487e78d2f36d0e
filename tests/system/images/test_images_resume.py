"""A pull that is killed is continued, not begun again."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.helpers.images import MadeImage, files_tar, make_image
from tests.helpers.podman import Tools

from wherry import Runtime

pytestmark = pytest.mark.system

HALF = 1 << 20


class StallingRegistry(ThreadingHTTPServer):
    """A registry of one image that sends half of its layer and then nothing, until it is told to behave."""

    daemon_threads = True

    def __init__(self, image: MadeImage) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.image = image
        self.stall = True
        self.stalled = threading.Event()
        self.end = threading.Event()
        self.ranges: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: StallingRegistry

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        image = self.server.image
        if self.path == "/v2/":
            self._send(b"{}", "application/json")
        elif "/manifests/" in self.path:
            self._send(image.manifest, "application/vnd.oci.image.manifest.v1+json")
        else:
            self._blob(image.blobs[self.path.rpartition("/")[2]])

    def _blob(self, data: bytes) -> None:
        if len(data) < HALF:
            self._send(data, "application/octet-stream")
            return
        wanted = self.headers.get("Range", "")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.server.stall:
            self.wfile.write(data[start:start + HALF])
            self.server.stalled.set()
            self.server.end.wait(30)
        else:
            self.wfile.write(data[start:])

    def _send(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def test_a_killed_pull_goes_on_where_it_stopped(runtime: Runtime, tools: Tools) -> None:
    layer = files_tar({"data": os.urandom(4 * HALF)})
    image = make_image([layer], compressed=True)
    assert len(gzip.compress(layer, 1)) > 2 * HALF
    server = StallingRegistry(image)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"127.0.0.1:{server.server_port}/team/app:1"
    code = (
        "import sys; from wherry import Runtime\n"
        f"Runtime(root={tools.graph_root!r}, runroot={tools.run_root!r}, storage_driver='overlay')"
        f".images.pull({name!r}, tls_verify=False)"
    )
    source = str(Path(__file__).parents[3] / "src")
    try:
        pull = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": source})
        assert server.stalled.wait(30)
        kept = Path(tools.graph_root) / "wherry" / "blobs"
        while not any(file.stat().st_size >= HALF // 2 for file in kept.glob("sha256-*")):
            assert pull.poll() is None
        pull.send_signal(signal.SIGKILL)
        pull.wait()
        server.stall = False
        pulled = runtime.images.pull(name, tls_verify=False)
    finally:
        server.end.set()
        server.shutdown()
        server.server_close()
    assert pulled.id == image.id
    assert server.ranges[0] == "" and int(server.ranges[1].removeprefix("bytes=").rstrip("-")) >= HALF // 2
    assert not list(kept.iterdir())
    assert tools.json("image", "inspect", pulled.id)[0]["RootFS"]["Layers"] == image.diff_ids
