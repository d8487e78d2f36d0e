"""A host, an image and settings to resolve against: nothing here depends on the machine the tests run on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.config.environment import EnvironmentFacts
from wherry.config.settings import ContainerDefaults, EngineSettings, Settings
from wherry.errors import InvalidArgument, NoSuchContainer
from wherry.model.container import ContainerConfig
from wherry.model.mount import IDMap
from wherry.spec.compile import compile
from wherry.spec.host import DeviceNode, HostFacts, ImageFacts, Lookup, StartFacts
from wherry.spec.parse import from_flags
from wherry.spec.resolve import resolve
from wherry.sys.capabilities import ALL

ID = "0123456789ab" + "c" * 52
WHOLE = (IDMap(container_id=0, host_id=0, size=4294967295),)
#: what a rootless user has: himself, then 65536 subordinate ids
ROOTLESS = (IDMap(container_id=0, host_id=1000, size=1), IDMap(container_id=1, host_id=100000, size=65536))

PASSWD = """root:x:0:0:root:/root:/bin/sh
web:x:1000:1001:The Web:/home/web:/bin/sh
"""
GROUP = """root:x:0:
wheel:x:10:root,web
web:x:1001:
"""

ROOT = HostFacts(
    hostname="harbour",
    cgroup_mode="v2",
    capabilities=ALL,
    bounding=ALL,
    cpus="0-3",
    memory_nodes="0",
    uid_map=WHOLE,
    gid_map=WHOLE,
    environment={"HOME": "/root", "LANG": "C.UTF-8"},
    init_program="/usr/libexec/podman/catatonit",
)
USER = ROOT.replace(rootless=True, uid=1000, gid=1000, uid_map=ROOTLESS, gid_map=ROOTLESS)

IMAGE = ImageFacts(
    id="f" * 64,
    name="localhost/app:1",
    raw_name="app:1",
    document={
        "os": "linux",
        "architecture": "amd64",
        "config": {
            "Entrypoint": ["/entry"],
            "Cmd": ["serve", "--all"],
            "Env": ["PATH=/app/bin:/bin", "MODE=prod"],
            "WorkingDir": "/srv",
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
            "Volumes": {"/data": {}},
            "Labels": {"vendor": "wharf", "level": "image"},
            "StopSignal": "SIGINT",
        },
    },
)
BARE = ImageFacts(id="e" * 64, name="localhost/bare:1", raw_name="bare:1", document={"config": {"Cmd": ["sh"]}})


def settings(**containers: Any) -> Settings:
    """Settings of a plain host: cgroupfs, k8s-file, documented defaults for the rest."""
    engine = EngineSettings(cgroup_manager="cgroupfs")
    defaults: dict[str, Any] = {"log_driver": "k8s-file", "cgroupns": "private", **containers}
    return Settings(engine=engine, containers=ContainerDefaults(**defaults), environment=EnvironmentFacts())


class World(Lookup):
    """A host with a few paths, devices and containers."""

    def __init__(self, *containers: ContainerConfig, missing: tuple[str, ...] = ()) -> None:
        self.containers = containers
        self.missing = missing

    def container(self, text: str) -> ContainerConfig:
        for one in self.containers:
            if text in (one.id, one.name):
                return one
        raise NoSuchContainer(f'no container with name or ID "{text}" found')

    def mount_flags(self, path: str) -> tuple[str, ...]:
        if path in self.missing:
            raise InvalidArgument(f"statfs {path}: no such file or directory")
        return ("nosuid", "nodev") if path.startswith("/media") else ()

    def exists(self, path: str) -> bool:
        return path not in self.missing

    def glob(self, pattern: str) -> list[str]:
        return ["/etc/one.conf", "/etc/two.conf"] if pattern == "/etc/*.conf" else []

    def devices(self, path: str) -> list[DeviceNode]:
        if path == "/dev/snd":
            return [DeviceNode(path=f"/dev/snd/{name}", major=116, minor=minor, mode=0o20660, gid=29)
                    for minor, name in enumerate(("control", "timer"))]
        if path == "/dev/sda":
            return [DeviceNode(path=path, type="b", major=8, minor=0, mode=0o60660)]
        if path == "/dev/fuse":
            return [DeviceNode(path=path, major=10, minor=229, mode=0o20666)]
        raise InvalidArgument(f"stat {path}: no such file or directory")

    def has_timezone(self, name: str) -> bool:
        return name in ("UTC", "Europe/Berlin")

    def sub_ids(self, kind: str, name: str) -> list[IDMap]:
        return [IDMap(container_id=0, host_id=200000, size=65536)] if name == "ship" else []


def make(
    flags: Mapping[str, object] | None = None,
    *command: str,
    image: ImageFacts | None = IMAGE,
    host: HostFacts = ROOT,
    lookup: Lookup | None = None,
    conf: Settings | None = None,
    warnings: list[str] | None = None,
    environment: Mapping[str, str] = {},
) -> ContainerConfig:
    """Flags to a container's configuration in the pretended world."""
    name = image.raw_name if image is not None else "/srv/root"
    spec = from_flags(flags or {}, name, command, environment=environment)
    return resolve(
        spec, image, conf or settings(), host, id=ID, name=spec.name or "brave_schooner",
        lookup=lookup or World(), created_time="2026-11-21T12:00:00Z", warnings=warnings,
    )


def start(config: ContainerConfig, **facts: Any) -> dict[str, Any]:
    """The runtime specification of a start in the pretended world."""
    given: dict[str, Any] = {
        "root": "/store/merged", "passwd": PASSWD, "group": GROUP, "hostname": "harbour",
        "bind_mounts": {"/etc/hosts": "/run/c/hosts", "/dev/shm": "/run/c/shm"},
        "rlimits": {"nofile": (1024, 20000), "nproc": (5000, -1)}, **facts,
    }
    if config.create_net_ns:
        given.setdefault("net_ns", "/run/netns/c")
    return compile(config, StartFacts(**given))
