"""The engines that are compared: wherry and its peers, each on a store of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PODMAN_CONF = '[containers]\ndefault_ulimits = ["nofile=1024:4096","nproc=1000:1000"]\nlog_driver = "k8s-file"\n' \
    '[engine]\nevents_logger = "file"\ncgroup_manager = "cgroupfs"\n'


@dataclass
class Engine:
    """One program with the global options that give it its own store."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    def argv(self, *words: str) -> list[str]:
        return [*self.command, *words]

    def run(self, *words: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.argv(*words), env={**os.environ, **self.environment}, capture_output=True, text=True, **options
        )
        if check and done.returncode:
            raise SystemExit(f"{' '.join(self.argv(*words))}: exit code {done.returncode}: {done.stderr.strip()}")
        return done


def engines(base: str, chroot: str) -> list[Engine]:
    """wherry, the distribution's Podman, and Podman in *chroot* if there is one. *base* holds stores and settings."""
    conf = os.path.join(base, "containers.conf")
    with open(conf, "w", encoding="ascii") as file:
        file.write(PODMAN_CONF)
    found = [
        Engine(
            "wherry",
            [
                os.path.join(REPOSITORY, ".venv/bin/wherry"),
                *_options(base, "wherry"),
            ],
            {"CONTAINERS_CONF": conf},
        )
    ]
    podman = shutil.which("podman")
    if podman:
        found.append(Engine("podman", [podman, *_options(base, "podman"), *_tmp(base)], {"CONTAINERS_CONF": conf}))
    else:
        print("podman is not installed: no ratios", file=sys.stderr)
    if chroot:
        inside = "/bench"
        os.makedirs(chroot + inside, exist_ok=True)
        shutil.copy(conf, chroot + inside)
        command = ["chroot", chroot, "podman", *_options(inside, "podman5"), *_tmp(inside)]
        settings = {"CONTAINERS_CONF": f"{inside}/containers.conf", "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
        found.append(Engine("podman5", command, settings))
    return found


def _options(base: str, name: str) -> list[str]:
    return [
        f"--root={base}/{name}/root",
        f"--runroot={base}/{name}/run",
        "--storage-driver=overlay",
        "--cgroup-manager=cgroupfs",
        f"--network-config-dir={base}/{name}/networks",
    ]


def _tmp(base: str) -> list[str]:
    return [f"--tmpdir={base}/podman-tmp"]
