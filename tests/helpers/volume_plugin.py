"""A volume plugin for tests: directories below one directory, served over the plugin protocol, with faults on order."""

from __future__ import annotations

import json
import os
import shutil
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any


class VolumePlugin:
    """``socket`` is where it listens; ``asked`` is what was asked, ``mounted`` who has which volume mounted.

    ``fail`` maps an endpoint's verb to the error it answers, ``raw`` to the bytes it answers with status 200; ``delay``
    is how many seconds every answer takes.
    """

    def __init__(self, base: str) -> None:
        self.root = f"{base}/plugin-volumes"
        self.socket = f"{base}/plugin.sock"
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.mounted: dict[str, set[str]] = {}
        self.fail: dict[str, str] = {}
        self.raw: dict[str, bytes] = {}
        self.delay = 0.0
        self.implements = ["VolumeDriver"]
        os.makedirs(self.root)

    def path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def verbs(self) -> list[str]:
        return [verb for verb, _body in self.asked]

    def answer(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        name = str(body.get("Name", ""))
        if verb == "Activate":
            return {"Implements": self.implements}
        if verb in self.fail:
            return {"Err": self.fail[verb]}
        if verb == "List":
            names = sorted(os.listdir(self.root))
            return {"Volumes": [{"Name": found, "Mountpoint": self.path(found)} for found in names], "Err": ""}
        if verb == "Capabilities":
            return {"Capabilities": {"Scope": "global"}}
        if verb == "Create":
            os.makedirs(self.path(name), exist_ok=True)
            return {"Err": ""}
        if not os.path.isdir(self.path(name)):
            return {"Err": f"no volume {name}"}
        return self._of_volume(verb, name, str(body.get("ID", "")))

    def _of_volume(self, verb: str, name: str, user: str) -> dict[str, Any]:
        if verb == "Remove":
            shutil.rmtree(self.path(name))
        elif verb == "Mount":
            self.mounted.setdefault(name, set()).add(user)
            return {"Mountpoint": self.path(name), "Err": ""}
        elif verb == "Unmount":
            self.mounted[name].remove(user)
        elif verb == "Get":
            return {"Volume": {"Name": name, "Mountpoint": self.path(name), "Status": {"kept": "well"}}, "Err": ""}
        elif verb == "Path":
            return {"Mountpoint": self.path(name) if self.mounted.get(name) else "", "Err": ""}
        return {"Err": ""}


@contextmanager
def serving(plugin: VolumePlugin) -> Iterator[VolumePlugin]:
    """*plugin* answers until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_words: object) -> None:
            """Nothing to be seen."""

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            verb = self.path.rpartition(".")[2]
            body = json.loads(data or b"{}")
            plugin.asked.append((verb, body))
            time.sleep(plugin.delay)
            text = plugin.raw.get(verb) or json.dumps(plugin.answer(verb, body)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

        def handle_error(self, *_words: object) -> None:
            """A caller that gave up."""

    with Server(plugin.socket, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield plugin
        finally:
            server.shutdown()
            thread.join()
            os.unlink(plugin.socket)
