"""Debian's docker-registry on a free port of 127.0.0.1, with a storage directory of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path

# The password is "secret"; docker-registry knows bcrypt only.
HTPASSWD = "me:$2b$04$UJNSssl.Yn/0ogCMCe7OrOfkkNhm43jsl1UZVH0OZ1Hvtkod/gQta\n"


class RealRegistry:
    def __init__(
        self, base: Path, *, password: bool = False, tls: Path | None = None, token: dict[str, str] | None = None
    ) -> None:
        """*base*: an empty directory. *tls*: a directory with server.cert and server.key; *token*: the options of
        docker-registry's token authentication.
        """
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.base = base
        configuration: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": f"{base}/data"}},
            "http": {"addr": self.host},
        }
        if tls:
            configuration["http"] = {
                "addr": self.host, "tls": {"certificate": f"{tls}/server.cert", "key": f"{tls}/server.key"},
            }
        if password:
            (base / "htpasswd").write_text(HTPASSWD)
            configuration["auth"] = {"htpasswd": {"realm": "test", "path": f"{base}/htpasswd"}}
        if token:
            configuration["auth"] = {"token": token}
        # JSON is YAML.
        (base / "config.yml").write_text(json.dumps(configuration))
        self._log = (base / "log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RealRegistry:
        self._process = subprocess.Popen(
            ["docker-registry", "serve", f"{self.base}/config.yml"], stdout=self._log, stderr=self._log
        )
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return self
            except ConnectionRefusedError:
                time.sleep(0.05)
                assert self._process.poll() is None, (self.base / "log").read_text()
        raise AssertionError("docker-registry does not answer")

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def blob_file(self, digest: str) -> Path:
        encoded = digest.partition(":")[2]
        return self.base / f"data/docker/registry/v2/blobs/sha256/{encoded[:2]}/{encoded}/data"


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
