"""Images on the move: load, save, pull, push, commit, and a long list of them.

``run.py`` measures these beside the other workloads; ``run.py --only image`` measures them alone.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time

from engines import REPOSITORY, Engine
from workloads import IMAGE, Workload

BIG = "localhost/bench/big:latest"
MANY = 500
LOAD, SAVE, COMMIT, LIST = "image load, 200 MB", "image save, 200 MB", "image commit, 20 MB", f"image list, {MANY}"
PUSH, PUSH_AGAIN, PULL = "image push, 200 MB, new there", "image push, 200 MB, all there", "image pull, 200 MB"
#: Of the workloads here: making what they need takes a while, so it is only done for one of these.
NAMES = (LOAD, SAVE, PUSH, PUSH_AGAIN, PULL, COMMIT, LIST)


class Registry:
    """The distribution's docker-registry on loopback, its data below *path*."""

    def __init__(self, path: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.host = f"127.0.0.1:{probe.getsockname()[1]}"
        self.path = path
        os.makedirs(path)
        config = {
            "version": 0.1, "log": {"level": "error"}, "http": {"addr": self.host},
            "storage": {"filesystem": {"rootdirectory": f"{path}/data"}},
        }
        with open(f"{path}/config.yml", "w", encoding="ascii") as file:
            json.dump(config, file)         # JSON is YAML
        self._process = subprocess.Popen(
            ["docker-registry", "serve", f"{path}/config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        host, port = self.host.split(":")
        for _ in range(200):
            try:
                socket.create_connection((host, int(port))).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.05)
        raise SystemExit("docker-registry does not answer")

    def wipe(self) -> None:
        shutil.rmtree(f"{self.path}/data/docker", ignore_errors=True)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Transfers:
    """What the workloads need on disk and on loopback. *chroot* is where the newer Podman lives, if there is one."""

    def __init__(self, base: str, chroot: str) -> None:
        self.base = os.path.join(base, "transfers")
        self._chroot = chroot
        layout = os.path.join(self.base, "layout")
        self.archive = os.path.join(self.base, "big.tar")
        self.many = os.path.join(self.base, "many.tar")
        self.saved = os.path.join(self.base, "saved.tar")
        # Elsewhere: a process begins with the peak memory of the one that started it.
        maker = os.path.join(REPOSITORY, "bench", "bigimage.py")
        subprocess.run([sys.executable, maker, layout, self.many, str(MANY), "localhost/many"], check=True)
        _skopeo(f"oci:{layout}:latest", f"docker-archive:{self.archive}:{BIG}")
        self.source = Registry(os.path.join(self.base, "source"))
        self.target = Registry(os.path.join(self.base, "target"))
        self.remote = f"{self.source.host}/bench/big:latest"
        self.pushed = f"{self.target.host}/bench/big:latest"
        _skopeo(f"oci:{layout}:latest", f"docker://{self.remote}")
        if chroot:
            os.makedirs(chroot + self.base, exist_ok=True)
            for path in (self.archive, self.many):
                shutil.copy(path, chroot + path)

    def close(self) -> None:
        self.source.stop()
        self.target.stop()
        if self._chroot:
            shutil.rmtree(self._chroot + self.base, ignore_errors=True)

    def workloads(self) -> list[Workload]:
        return [
            Workload(
                LOAD, lambda tag: ["load", "-q", "-i", self.archive], prepare=self._without, target=0.6
            ),
            Workload(
                SAVE, lambda tag: ["save", "-q", "-o", self.saved, BIG], prepare=self._with,
                restore=self._forget_saved, target=0.5,
            ),
            Workload(
                PUSH,
                lambda tag: ["push", "-q", "--tls-verify=false", BIG, self.pushed], prepare=self._with_empty_registry,
                target=0.5,
            ),
            Workload(
                PUSH_AGAIN,
                lambda tag: ["push", "-q", "--tls-verify=false", BIG, self.pushed], prepare=self._with,
            ),
            Workload(
                PULL, lambda tag: ["pull", "-q", "--tls-verify=false", self.remote],
                prepare=self._without, target=0.5,
            ),
            Workload(
                COMMIT, lambda tag: ["commit", "-q", f"b{tag}", f"localhost/committed{tag}"],
                prepare=_with_20_megabytes, restore=_forget_commit, target=0.5,
            ),
            Workload(LIST, lambda tag: ["images"], prepare=self._with_many, target=0.8),
        ]

    def _without(self, engine: Engine, tag: str) -> None:
        engine.run("rmi", "-f", BIG, self.remote, check=False)
        os.sync()

    def _with(self, engine: Engine, tag: str) -> None:
        if not engine.run("images", "-q", BIG).stdout.strip():
            engine.run("load", "-q", "-i", self.archive)
        os.sync()

    def _with_empty_registry(self, engine: Engine, tag: str) -> None:
        self.target.wipe()
        self._with(engine, tag)

    def _with_many(self, engine: Engine, tag: str) -> None:
        if len(engine.run("images", "-q").stdout.split()) < MANY:
            engine.run("load", "-q", "-i", self.many)

    def _forget_saved(self, engine: Engine, tag: str) -> None:
        prefix = self._chroot if engine.name == "podman5" else ""
        os.unlink(prefix + self.saved)


def _with_20_megabytes(engine: Engine, tag: str) -> None:
    fill = "dd if=/dev/urandom of=/data bs=1M count=20 2>/dev/null"
    engine.run("run", "--name", f"b{tag}", "--network", "none", IMAGE, "sh", "-c", fill)
    os.sync()


def _forget_commit(engine: Engine, tag: str) -> None:
    engine.run("rmi", "-f", f"localhost/committed{tag}", check=False)
    engine.run("rm", "-f", f"b{tag}", check=False)


def _skopeo(source: str, target: str) -> None:
    subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", source, target], check=True)
