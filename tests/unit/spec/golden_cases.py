"""The golden cases: flags of a container, and what they become.

``golden/NAME.json`` holds the flags, the stored configuration and the OCI runtime specification.  After a change that
is meant, write them anew and read the difference before committing it:

    PYTHONPATH=src python tests/unit/spec/golden_cases.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spec_world import BARE, IMAGE, ROOT, ROOTLESS, USER, make, start

from wherry.spec.host import DeviceNode

DIRECTORY = Path(__file__).parent / "golden"

#: name -> (flags, command, image, rootless)
CASES: dict[str, tuple[dict[str, object], list[str], Any, bool]] = {
    "plain": ({}, [], IMAGE, False),
    "typical": (
        {"name": "web", "memory": "512m", "publish": ["8080:80"], "volume": ["/srv/www:/data:ro", "cache:/cache"],
         "env": ["MODE=dev"], "rm": True, "label": ["team=dock"]},
        ["serve"], IMAGE, False,
    ),
    "read-only": ({"read-only": True, "tmpfs": ["/scratch:size=1m"], "init": True}, ["job"], BARE, False),
    "privileged": ({"privileged": True, "network": ["host"], "pid": "host"}, ["sh"], BARE, False),
    "locked-down": (
        {"user": "web", "cap-drop": ["ALL"], "cap-add": ["NET_BIND_SERVICE"], "network": ["none"],
         "security-opt": ["no-new-privileges", "mask=/proc/cpuinfo"], "ulimit": ["nofile=512:1024"],
         "pids-limit": "50"},
        [], IMAGE, False,
    ),
    "limits": (
        {"cpus": "1.5", "cpuset-cpus": "0-1", "memory": "1g", "memory-swap": "2g", "memory-reservation": "512m",
         "blkio-weight": "300", "device-read-bps": ["/dev/sda:1mb"], "oom-score-adj": "200", "shm-size": "64m",
         "sysctl": ["net.ipv4.ip_forward=1"], "cgroup-conf": ["memory.high=900000000"]},
        ["work"], BARE, False,
    ),
    "systemd": ({"systemd": "always", "hostname": "boat", "tty": True}, ["/sbin/init"], BARE, False),
    "userns": ({"uidmap": ["0:100000:1000"], "gidmap": ["0:200000:1000"], "user": "web"}, ["sh"], BARE, False),
    "rootless": ({"userns": "keep-id", "device": ["/dev/fuse"], "publish": ["8080:80"]}, ["sh"], BARE, True),
    "health": (
        {"health-cmd": "curl -f localhost", "health-interval": "10s", "health-on-failure": "restart",
         "restart": "always", "log-opt": ["max-size=1mb"], "stop-timeout": "30"},
        [], IMAGE, False,
    ),
}


def produce(name: str) -> dict[str, Any]:
    """The case as it comes out now, the way JSON would hold it."""
    flags, command, image, rootless = CASES[name]
    config = make(flags, *command, image=image, host=USER if rootless else ROOT)
    volumes = {volume.destination: f"/volumes/{volume.name or 'anonymous'}" for volume in config.named_volumes}
    more = {"rootless": True, "uid_map": ROOTLESS, "gid_map": ROOTLESS} if rootless else {}
    devices = [DeviceNode(path="/dev/kvm", major=10, minor=232, mode=0o20660)] if config.privileged else []
    oci = start(config, volume_paths=volumes, devices=devices, **more)
    case = {"flags": flags, "command": command, "config": config.to_json(), "oci": oci}
    return json.loads(json.dumps(case))


if __name__ == "__main__":
    for case_name in CASES:
        text = json.dumps(produce(case_name), indent=1, sort_keys=True) + "\n"
        (DIRECTORY / f"{case_name}.json").write_text(text)
