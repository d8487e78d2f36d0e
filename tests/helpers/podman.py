"""Real Podman, Buildah and Skopeo on a store of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

TOOLS = ("podman", "buildah", "skopeo", "busybox")

#: Podman's default limits are more than a host may allow.
CONTAINERS_CONF = '[containers]\ndefault_ulimits = ["nofile=1024:4096","nproc=1000:1000"]\n'


def missing_tools() -> list[str]:
    return [tool for tool in TOOLS if not shutil.which(tool)]


class ToolFailed(AssertionError):
    """A tool ended with another status than expected; the text is what it said."""


class Tools:
    """The tools on graph root ``BASE/g`` and run root ``BASE/r``."""

    def __init__(self, base: str, driver: str = "overlay") -> None:
        self.base = base
        self.driver = driver
        self.graph_root = f"{base}/g"
        self.run_root = f"{base}/r"
        os.makedirs(base, exist_ok=True)
        conf = f"{base}/containers.conf"
        with open(conf, "w") as file:
            file.write(CONTAINERS_CONF)
        policy = f"{base}/policy.json"
        with open(policy, "w") as file:
            json.dump({"default": [{"type": "insecureAcceptAnything"}]}, file)
        self.policy = policy
        self.environment = {"PATH": os.environ["PATH"], "HOME": base, "CONTAINERS_CONF": conf, "TMPDIR": "/var/tmp"}

    def _store(self) -> list[str]:
        return ["--root", self.graph_root, "--runroot", self.run_root, "--storage-driver", self.driver]

    def podman(self, *args: str, fails: bool = False, options: tuple[str, ...] = ()) -> str:
        return self.run("podman", *self._store(), *options, *args, fails=fails)

    def buildah(self, *args: str, fails: bool = False) -> str:
        return self.run("buildah", *self._store(), *args, fails=fails)

    def skopeo(self, *args: str, fails: bool = False) -> str:
        return self.run("skopeo", "--policy", self.policy, *args, fails=fails)

    def storage_reference(self, name: str) -> str:
        """*name* in this store, as Skopeo's ``containers-storage:`` transport writes it."""
        return f"containers-storage:[{self.driver}@{self.graph_root}+{self.run_root}]{name}"

    def json(self, *args: str, options: tuple[str, ...] = ()) -> Any:
        return json.loads(self.podman(*args, options=options))

    def run(self, *argv: str, fails: bool = False) -> str:
        """Standard output (and error, when it is to fail), stripped."""
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=120, check=False)
        if (done.returncode != 0) != fails:
            raise ToolFailed(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
        return (done.stderr if fails else done.stdout).strip()

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        """Podman in the background."""
        return subprocess.Popen(
            ["podman", *self._store(), *args], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def clean_up(self) -> None:
        """Unmount what is left below the store and remove it."""
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            points = [line.split()[4].encode().decode("unicode_escape") for line in table]
        for point in reversed(points):
            if point.startswith(self.base + "/"):
                subprocess.run(["umount", "-l", point], check=False, capture_output=True)
        shutil.rmtree(self.base, ignore_errors=True)
