"""What must be known of host and image to resolve and to compile, and the object that answers questions.

:class:`HostFacts` and :class:`StartFacts` are plain data, so that tests can pretend any host; :func:`read_facts`
fills in the former for the real one, the engine gathers the latter when a container starts.
:class:`Lookup` answers what cannot be known beforehand because it depends on the request: other containers, device
nodes, the mount flags of a source.
"""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument, NoSuchContainer
from wherry.model.mount import IDMap, Mount
from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.model.container import ContainerConfig

_MACHINES = {
    "x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "i386": "386",
    "loongarch64": "loong64",
}
_SKIPPED_DEVICES = ("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts")


class ImageFacts(Record):
    """The image a container is made from."""

    id: str = ""
    name: str = ""                                   # fully qualified, as shown by inspect
    raw_name: str = ""                               # as the user wrote it
    digest: str = ""
    document: Mapping[str, Any] = EMPTY              # the image configuration: {"config": {...}, "os": ..., ...}

    @property
    def config(self) -> Mapping[str, Any]:
        """The execution defaults: ``Env``, ``Cmd``, ``Entrypoint``, ``Volumes``, ... (image-spec config.md)."""
        return self.document.get("config") or EMPTY


class HostFacts(Record):
    """What the host can do and how it is set up."""

    rootless: bool = False
    uid: int = 0                                     # of the user, outside any user namespace of ours
    gid: int = 0
    hostname: str = ""
    architecture: str = "amd64"                      # Go's name
    cgroup_mode: str = "v2"                          # v1, hybrid, v2, none
    cgroup_missing: Sequence[str] = ()               # limits the kernel cannot apply: memory, swap, cpu-quota, ...
    capabilities: Sequence[str] = ()                 # known to the kernel
    bounding: Sequence[str] = ()                     # this process may hand on
    ambient: bool = True                             # does the kernel know ambient capabilities (Linux 4.3)?
    apparmor: bool = False
    seccomp: bool = True
    masked_paths: Sequence[str] = ()                 # further paths to hide: thermal throttle counters
    cpus: str = ""                                   # online processors, "0-3"
    memory_nodes: str = ""
    uid_map: Sequence[IDMap] = field(default=(), records=IDMap)   # ids we have: of our namespace, seen from outside
    gid_map: Sequence[IDMap] = field(default=(), records=IDMap)
    environment: Mapping[str, str] = EMPTY           # of the caller, for --env-host
    init_program: str = ""                           # catatonit

    @property
    def unified(self) -> bool:
        return self.cgroup_mode == "v2"


class DeviceNode(Record):
    """A device node of the host."""

    path: str = ""
    type: str = "c"                                  # c, b, p
    major: int = 0
    minor: int = 0
    mode: int = 0                                    # file mode with type bits
    uid: int = 0
    gid: int = 0


class StartFacts(Record):
    """Gathered by the engine; plain data, so that compiling stays a pure function."""

    root: str = ""                                       # the mounted root file system
    passwd: str = ""                                     # text of the container's /etc/passwd, added lines included
    group: str = ""
    bind_mounts: Mapping[str, str] = EMPTY               # destination -> file on the host: hosts, resolv.conf, shm...
    volume_paths: Mapping[str, str] = EMPTY              # destination of a named volume -> directory on the host
    mounts: Sequence[Mount] = field(default=(), records=Mount)    # overlay and image volumes, ready to be mounted
    tmpfs_targets: Mapping[str, str] = EMPTY             # destination of a tmpfs -> the same without symbolic links
    net_ns: str = ""                                     # path of the network namespace; empty: the runtime makes it
    namespaces: Mapping[str, str] = EMPTY                # OCI type -> path, for those joined with other containers
    shared_hostname: str = ""                            # of the container whose UTS namespace is joined
    hostname: str = ""                                   # of the host
    name_as_hostname: bool = False                       # containers.container_name_as_hostname
    rootless: bool = False
    uid_map: Sequence[IDMap] = field(default=(), records=IDMap)   # of our user namespace, see HostFacts
    gid_map: Sequence[IDMap] = field(default=(), records=IDMap)
    unified: bool = True                                 # cgroup version 2 only
    own_cgroup: str = ""                                 # of this process, for --cgroups=split
    systemd_hierarchy: Sequence[str] | None = None       # flags of /sys/fs/cgroup/systemd, None when there is none
    rlimits: Mapping[str, Sequence[int]] = EMPTY         # nofile -> (soft, hard) of this process, -1 unlimited
    can_raise_limits: bool = True
    oom_score_adjust: int | None = None                  # of this process
    devices: Sequence[DeviceNode] = field(default=(), records=DeviceNode)   # of the host, for privileged containers
    seccomp: Mapping[str, Any] | None = None             # linux.seccomp
    environment: Mapping[str, str] = EMPTY               # added last: secrets, LISTEN_FDS, NOTIFY_SOCKET
    annotations: Mapping[str, str] = EMPTY


class Lookup:
    """Answers questions about the host; the engine adds :meth:`container`."""

    def container(self, text: str) -> ContainerConfig:
        """The configuration of the container with that name or id. Raises :class:`NoSuchContainer`."""
        raise NoSuchContainer(f'no container with name or ID "{text}" found')

    def network_name(self, text: str) -> str:
        """The name of the network given by name or id."""
        return text

    def gpu_kinds(self) -> Sequence[str]:
        """The kinds of GPU that CDI specifications of this host define: nvidia.com/gpu, amd.com/gpu."""
        return ()

    def mount_flags(self, path: str) -> tuple[str, ...]:
        """Those of noexec, nosuid and nodev that the file system holding *path* has."""
        try:
            flags = os.statvfs(path).f_flag
        except OSError as error:
            raise InvalidArgument(f"statfs {path}: {(error.strerror or '').lower()}") from None
        names = (("noexec", os.ST_NOEXEC), ("nosuid", os.ST_NOSUID), ("nodev", os.ST_NODEV))
        return tuple(name for name, bit in names if flags & bit)

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def glob(self, pattern: str) -> list[str]:
        """The paths a shell pattern matches, sorted."""
        from glob import glob

        return sorted(glob(pattern))

    def devices(self, path: str) -> list[DeviceNode]:
        """The device at *path* (links followed), or all below it when it is a directory."""
        real = os.path.realpath(path)
        try:
            if os.path.isdir(real):
                return _devices_below(real)
            return [_device(real)]
        except OSError as error:
            raise InvalidArgument(f"stat {path}: {(error.strerror or '').lower()}") from None

    def all_devices(self) -> list[DeviceNode]:
        """Every device node of /dev, for privileged containers."""
        return _devices_below("/dev")

    def has_timezone(self, name: str) -> bool:
        """Is *name* a time zone of the host's database?"""
        if name.startswith("/") or ".." in name.split("/"):
            return False
        roots = ("/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ")
        return name in ("UTC", "Local") or any(os.path.isfile(f"{root}/{name}") for root in roots)

    def sub_ids(self, kind: str, name: str) -> list[IDMap]:
        """The ranges *name* owns in ``/etc/subuid`` (*kind* uid) or ``/etc/subgid`` (gid), mapped from 0 upwards."""
        from wherry.spec.users import sub_id_ranges
        from wherry.sys.files import try_read_text

        return sub_id_ranges(try_read_text(f"/etc/sub{kind}") or "", name)


def _device(path: str) -> DeviceNode:
    from stat import S_ISBLK, S_ISCHR, S_ISFIFO

    found = os.lstat(path)
    mode = found.st_mode
    kind = "b" if S_ISBLK(mode) else "c" if S_ISCHR(mode) else "p" if S_ISFIFO(mode) else ""
    if not kind:
        raise InvalidArgument(f"{path} is not a valid device: not a device node")
    return DeviceNode(
        path=path, type=kind, major=os.major(found.st_rdev), minor=os.minor(found.st_rdev), mode=mode,
        uid=found.st_uid, gid=found.st_gid,
    )


def _devices_below(directory: str) -> list[DeviceNode]:
    """Device nodes below *directory*, sorted by path; what is not a device or vanishes meanwhile is left out."""
    out: list[DeviceNode] = []
    for name in sorted(os.listdir(directory)):
        path = f"{directory}/{name}"
        try:
            if os.path.islink(path) or path == "/dev/console":
                continue
            if not os.path.isdir(path):
                out.append(_device(path))
            elif name not in _SKIPPED_DEVICES:
                out.extend(_devices_below(path))
        except (InvalidArgument, FileNotFoundError, PermissionError):
            continue
    return out


def read_facts(*, rootless: bool, environment: Mapping[str, str] = EMPTY, init_program: str = "") -> HostFacts:
    """Look at the host. *rootless* is what the settings say; *environment* is the caller's."""
    from wherry.sys import capabilities, cgroups, features

    layout = cgroups.layout()
    known = capabilities.ALL[: capabilities.last_cap() + 1]
    bounding = capabilities.bounding()
    machine = os.uname()
    return HostFacts(
        rootless=rootless,
        uid=os.getuid(),
        gid=os.getgid(),
        hostname=machine.nodename,
        architecture=_MACHINES.get(machine.machine, machine.machine),
        cgroup_mode=layout.mode,
        cgroup_missing=_missing_limits(layout),
        capabilities=known,
        bounding=tuple(name for name in known if name in bounding),
        apparmor=features.apparmor_enabled(),
        seccomp=features.seccomp_enabled(),
        masked_paths=_throttle_paths(),
        cpus=_read_line("/sys/devices/system/cpu/online"),
        memory_nodes=_read_line("/sys/devices/system/node/online"),
        uid_map=_id_map("/proc/self/uid_map"),
        gid_map=_id_map("/proc/self/gid_map"),
        environment=environment,
        init_program=init_program,
    )


def _missing_limits(layout: Any) -> tuple[str, ...]:
    """The limits a version 1 hierarchy cannot apply; a unified one is asked when the container starts."""
    if layout.mode == "v2":
        return ()
    missing = [name for name in ("memory", "cpu", "cpuset", "blkio", "pids") if name not in layout.controllers]
    memory = layout.controllers.get("memory")
    if memory and not os.path.exists(f"{memory}/memory.memsw.limit_in_bytes"):
        missing.append("swap")
    cpu = layout.controllers.get("cpu")
    if cpu and not os.path.exists(f"{cpu}/cpu.cfs_quota_us"):
        missing.append("cpu-quota")
    blkio = layout.controllers.get("blkio")
    if blkio and not os.path.exists(f"{blkio}/blkio.weight") and not os.path.exists(f"{blkio}/blkio.bfq.weight"):
        missing.append("blkio-weight")
    return tuple(missing)


def _throttle_paths() -> tuple[str, ...]:
    """``/sys/devices/system/cpu/cpu*/thermal_throttle``: they tell a container about its neighbours' load."""
    base = "/sys/devices/system/cpu"
    try:
        names = os.listdir(base)
    except OSError:
        return ()
    paths = sorted(f"{base}/{name}/thermal_throttle" for name in names if name[:3] == "cpu" and name[3:].isdigit())
    return tuple(path for path in paths if os.path.exists(path))


def _read_line(path: str) -> str:
    from wherry.sys.files import try_read_text

    return (try_read_text(path) or "").strip()


def _id_map(path: str) -> tuple[IDMap, ...]:
    rows = [line.split() for line in _read_line(path).splitlines()]
    return tuple(IDMap(container_id=int(row[0]), host_id=int(row[1]), size=int(row[2])) for row in rows)
