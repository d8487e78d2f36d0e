"""Side by side with real Podman: the OCI specification it writes, and the words it refuses with.

Podman makes and initializes each container in a store of its own; its ``config.json`` is compared with what resolve
and compile make of the same flags on the same host.  Every difference must be explained below.  The Podman at hand is
usually 4.3; wherry follows 5.8 where the two differ.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from wherry.config.settings import ContainerDefaults, EngineSettings, Settings
from wherry.errors import WherryError
from wherry.spec import seccomp
from wherry.spec.compile import compile
from wherry.spec.host import ImageFacts, Lookup, StartFacts, read_facts
from wherry.spec.parse import from_flags
from wherry.spec.resolve import resolve
from wherry.sys import limits

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(map(shutil.which, ("podman", "runc", "conmon", "busybox"))),
        reason="needs root, podman, runc, conmon and busybox",
    ),
]

IMAGE = "localhost/compat:1"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:1000:\nwheel:x:10:web,root\n"
SECCOMP = "/usr/share/containers/seccomp.json"
#: what Podman is configured with, here and there
ULIMITS = ("nofile=1024:4096", "nproc=1000:1000")
CAPABILITIES = (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT"
).split()

#: path of a difference -> why it is meant
EXPLAINED = {
    "/annotations/io.container.manager": "tells wherry's containers from Podman's",
    "/annotations/io.kubernetes.cri-o.Created": "Podman 4 only",
    "/annotations/io.kubernetes.cri-o.TTY": "Podman 4 only",
    "/annotations/io.podman.annotations.autoremove": "Podman 5 says only TRUE, never FALSE",
    "/annotations/io.podman.annotations.init": "Podman 5 says only TRUE, never FALSE",
    "/annotations/io.podman.annotations.privileged": "Podman 5 says only TRUE, never FALSE",
    "/annotations/io.podman.annotations.publish-all": "Podman 5 says only TRUE, never FALSE",
    "/annotations/io.podman.annotations.cpuset": "Podman 5",
    "/annotations/io.podman.annotations.pids-limit": "Podman 5",
    "/annotations/io.podman.annotations.ulimit": "compile must tell limits that were asked for from defaults",
    "/annotations/io.podman.annotations.userns": "Podman 5 (Podman 4: only with --userns, private is implied here)",
    "/annotations/org.systemd.property.KillSignal": "Podman 5",
    "/annotations/org.systemd.property.TimeoutStopUSec": "Podman 5",
    "/linux/cgroupsPath": "our own parent and prefix",
    "/linux/maskedPaths": "Podman 5 hides /proc/interrupts and powercap, and shows /sys/dev/block",
    "/linux/resources/blockIO": "a weight the kernel cannot set leaves an empty object in Podman's",
    "/linux/devices/*/fileMode": "permission bits only: the type has a field of its own",
    "/mounts//dev/options": "noexec was taken back after Podman 4.3",
    "/mounts//dev/shm/options": "Podman 5 makes it read-only with --read-only-tmpfs=false",
    "/ociVersion": "the released version of the same specification",
    "/process/env/TERM": "Podman 5 sets it only for terminals",
    "/process/env/HOME": "a user without passwd line has / for home rather than nothing",
}

SPECS = {
    "none": {},
    "host network": {"network": ["host"]},
    "user": {"user": "web", "cap-add": ["NET_ADMIN"], "group-add": ["wheel", "1234"]},
    "unknown ids": {"user": "1234:5678"},
    "privileged": {"privileged": True},
    "read-only": {"read-only": True},
    "strictly read-only": {"read-only": True, "read-only-tmpfs": False},
    "mounts": {
        "tmpfs": ["/t1:rw", "/t2:rw,size=10m,mode=700,noexec"],
        "mount": ["type=tmpfs,dst=/t3,rw,tmpfs-size=5m", "type=bind,src=/tmp,dst=/b,ro",
                  "type=bind,src=/tmp,dst=/b2,rw,bind-propagation=rshared"],
        "volume": ["compatvol:/v1:rw", "/var:/v2:rw,rslave,noexec,bind"],
    },
    "limits": {
        "cpus": "0.5", "cpuset-cpus": "0", "cpu-shares": "512", "memory-reservation": "100m", "memory": "200m",
        "memory-swap": "-1", "pids-limit": "50", "oom-score-adj": "100", "blkio-weight": "50",
    },
    "process": {"ulimit": ["nofile=100:200", "nproc=100", "core=0"], "umask": "0077", "workdir": "/etc"},
    "names": {"sysctl": ["net.ipv4.ip_forward=1"], "shm-size": "10m", "hostname": "boat"},
    "host namespaces": {"pid": "host", "ipc": "host", "uts": "host"},
    "private namespaces": {"ipc": "private", "cgroupns": "private"},
    "no shm": {"ipc": "none"},
    "terminal and init": {"tty": True, "interactive": True, "init": True},
    "id maps": {"uidmap": ["0:100000:1000"], "gidmap": ["0:200000:3"]},
    "one id map": {"uidmap": ["0:100000:5000"]},
    "devices": {"device": ["/dev/null:/dev/foo:rw", "/dev/zero"], "device-cgroup-rule": ["c 1:3 rw"],
                "cap-drop": ["ALL"]},
    "hidden paths": {"security-opt": ["no-new-privileges", "mask=/foo:/bar", "unmask=/proc/acpi:/proc/fs",
                                      "seccomp=unconfined"]},
    "nothing hidden": {"security-opt": ["unmask=ALL", "proc-opts=nosuid,hidepid=2"]},
    "systemd": {"systemd": "always"},
    "labels": {"entrypoint": '["sh","-c"]', "label": ["a=b"], "annotation": ["x=y"], "rm": True,
               "stop-signal": "SIGUSR1", "stop-timeout": "3"},
    "all capabilities": {"image-volume": "tmpfs", "cap-add": ["ALL"], "cap-drop": ["CHOWN"]},
    "odds": {"personality": "LINUX32", "oom-kill-disable": True},
}

MESSAGES = [
    {"memory": "-1m"}, {"memory": "abc"}, {"memory": "1.2.3"}, {"shm-size": "x"}, {"publish": ["80:x"]},
    {"publish": ["x:80"]}, {"publish": ["80:90-80"]}, {"publish": ["[::1]:80"]}, {"publish": ["::1:80:80"]},
    {"publish": ["[::1]80:80"]}, {"publish": ["70000"]}, {"publish": ["80/tcp/udp"]}, {"publish": ["80/"]},
    {"publish": ["1-2:3-5"]}, {"publish": ["300.1.1.1:80:80"]}, {"publish": ["a:b:c:d"]}, {"volume": ["a:b:c:d"]},
    {"volume": [":/x"]}, {"volume": ["/tmp:x"]}, {"volume": ["/tmp:/x:foo"]}, {"volume": ["/tmp:/x:ro,rw"]},
    {"volume": ["/tmp:/x:O,ro"]}, {"volume": ["./nope:/x"]}, {"volume": ["/nonexist:/x"]},
    {"volume": ["/a:/x", "/b:/x"]}, {"mount": ["type=foo,dst=/x"]}, {"mount": ["type=bind,dst=x"]},
    {"mount": ["type=bind,src=/tmp"]}, {"mount": ["type=tmpfs,dst=/x,tmpfs-size"]},
    {"mount": ["type=bind,src=/tmp,dst=/x,foo"]}, {"mount": ["type=image,dst=/x"]},
    {"mount": ["type=bind,src=/tmp,dst=/x,relabel=x"]}, {"tmpfs": ["x"]}, {"tmpfs": ["/x:foo"]},
    {"env": ["=x"]}, {"label": ["=x"]}, {"annotation": ["x"]}, {"ulimit": ["foo=1"]}, {"ulimit": ["nofile=2:1"]},
    {"sysctl": ["vm.x=1"]}, {"sysctl": ["net.x"]}, {"cap-add": ["FOO"]}, {"cap-add": ["KILL"], "cap-drop": ["KILL"]},
    {"security-opt": ["foo"]}, {"security-opt": ["foo=bar"]}, {"security-opt": ["apparmor=foo"]},
    {"pid": "foo"}, {"ipc": "foo"}, {"uts": "foo"}, {"userns": "foo"},
    {"add-host": ["x"]}, {"add-host": ["x:y"]}, {"dns": ["x"]}, {"dns-search": ["-"]}, {"ip": "x"},
    {"network": ["none"], "dns": ["1.1.1.1"]}, {"stop-signal": "FOO"}, {"stop-signal": "65"}, {"umask": "9"},
    {"tz": "Nowhere"}, {"restart": "bad"}, {"restart": "always:3"}, {"restart": "on-failure:x"},
    {"rm": True, "restart": "always"}, {"pull": "bad"}, {"cgroups": "bad"}, {"cpus": "1", "cpu-period": "1000"},
    {"cpu-period": "10"}, {"cpu-quota": "10"}, {"cpuset-cpus": "99"}, {"memory": "2m", "memory-swap": "1m"},
    {"memory-swap": "1m"}, {"memory-swappiness": "101"}, {"cgroup-conf": ["a=b"]}, {"device": ["/dev/null:x"]},
    {"device-cgroup-rule": ["c 1:3"]}, {"device-cgroup-rule": ["x 1:3 r"]}, {"blkio-weight": "x"},
    {"device-read-bps": ["/dev/null"]}, {"secret": ["a,foo"]}, {"log-driver": "bad"}, {"log-opt": ["bad"]},
    {"health-cmd": "x", "health-interval": "x"}, {"health-cmd": "x", "health-timeout": "0s"},
    {"health-on-failure": "bad"}, {"platform": "a/b", "arch": "c"}, {"uidmap": ["0"]}, {"init": True, "pid": "host"},
    {"systemd": "bad"}, {"sdnotify": "bad"}, {"image-volume": "bad"}, {"requires": ["ghost"]},
    {"pid": "container:ghost"},
    {"volumes-from": ["ghost"]}, {"hostname": "x", "uts": "host"}, {"ipc": "host", "shm-size": "1m"},
    {"env-file": ["/nonexist"]}, {"replace": True}, {"name": "-"}, {"cpu-shares": "x"}, {"cpus": "x"}, {"rm": "maybe"},
    {"oom-score-adj": "x"}, {"personality": "LINUX32", "network": ["host"], "sysctl": ["net.a=b"]},
]


class Podman:
    """A Podman with a store of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        conf = home / "containers.conf"
        conf.write_text(
            f'[containers]\ndefault_ulimits = {json.dumps(ULIMITS)}\n'
            f'default_capabilities = {json.dumps(CAPABILITIES)}\n[engine]\nruntime = "runc"\n'
        )
        self.environment = {**os.environ, "CONTAINERS_CONF": str(conf), "TERM": "dumb"}
        self.environment.pop("NOTIFY_SOCKET", None)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        home = self.home
        return subprocess.run(
            ["podman", "--root", f"{home}/root", "--runroot", f"{home}/run", "--tmpdir", f"{home}/tmp",
             "--cgroup-manager", "cgroupfs", "--events-backend", "none", *arguments],
            capture_output=True, text=True, env=self.environment, timeout=120,
        )

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    home = tmp_path_factory.mktemp("podman")
    engine = Podman(home)
    tree = home / "image"
    (tree / "bin").mkdir(parents=True)
    (tree / "etc").mkdir()
    shutil.copy(shutil.which("busybox"), tree / "bin" / "busybox")
    (tree / "bin" / "sh").symlink_to("busybox")
    (tree / "etc" / "passwd").write_text(PASSWD)
    (tree / "etc" / "group").write_text(GROUP)
    subprocess.run(["tar", "-C", tree, "-cf", home / "image.tar", "."], check=True)
    changes = ["CMD [\"sh\"]", "ENV A=1", "ENV PATH=/bin:/usr/bin", "WORKDIR /srv", "EXPOSE 80", "STOPSIGNAL SIGINT",
               "LABEL l=i", "VOLUME /data"]
    engine.ok("import", *(word for change in changes for word in ("-c", change)), str(home / "image.tar"), IMAGE)
    yield engine
    engine.run("rm", "--all", "--force", "--time", "0")
    engine.run("volume", "rm", "--all", "--force")
    engine.run("rmi", "--all", "--force")
    subprocess.run(["umount", home / "root" / "overlay"], capture_output=True)


@pytest.fixture(scope="module")
def image(podman):
    found = json.loads(podman.ok("image", "inspect", IMAGE))[0]
    return ImageFacts(id=found["Id"], name=IMAGE, raw_name=IMAGE, document={"config": found["Config"]})


def _settings() -> Settings:
    containers = ContainerDefaults(
        default_capabilities=CAPABILITIES, default_ulimits=ULIMITS, log_driver="k8s-file", cgroupns="host"
    )
    return Settings(containers=containers, engine=EngineSettings(cgroup_manager="cgroupfs"))


def _words(flags) -> list[str]:
    out = []
    for name, value in flags.items():
        for one in value if isinstance(value, list) else [value]:
            out.append(f"--{name}={str(one).lower() if isinstance(one, bool) else one}")
    return out


def _host():
    init = next((path for path in ("/usr/libexec/podman/catatonit", "/usr/bin/catatonit") if os.path.exists(path)), "")
    return read_facts(rootless=False, environment=os.environ, init_program=init)


def _theirs(podman: Podman, flags, command):
    created = podman.ok("create", *_words(flags), IMAGE, *command).splitlines()[-1]
    try:
        podman.ok("init", created)
        place = f"overlay-containers/{created}/userdata"
        for base in ("run", "root"):
            path = podman.home / base / place / "config.json"
            if path.exists():
                return created, json.loads(path.read_text())
        raise AssertionError("podman wrote no config.json")
    finally:
        podman.run("rm", "--force", "--time", "0", created)


def _ours(podman: Podman, image, flags, command, created, theirs):
    host = _host()
    config = resolve(
        from_flags(flags, IMAGE, command), image, _settings(), host, id=created, name="compat", lookup=Lookup()
    )
    own = {
        mount["destination"]: mount["source"] for mount in theirs["mounts"]
        if mount["source"].startswith(f"{podman.home}/run") or mount["source"].endswith("/shm")
    }
    config = config.replace(shm_dir=own.get("/dev/shm", ""))
    places = {mount["destination"]: mount["source"] for mount in theirs["mounts"]}
    network = [entry.get("path", "") for entry in theirs["linux"]["namespaces"] if entry["type"] == "network"]
    profile = None
    if config.seccomp_profile != seccomp.UNCONFINED:
        bounding = config.spec["process"]["capabilities"].get("bounding", ())
        profile = seccomp.load(config.seccomp_profile or SECCOMP, bounding, host.architecture)
    asked = [limit["type"].removeprefix("RLIMIT_").lower() for limit in config.spec["process"]["rlimits"]]
    facts = StartFacts(
        root=theirs["root"]["path"], passwd=PASSWD, group=GROUP, bind_mounts=own,
        volume_paths={volume.destination: places[volume.destination] for volume in config.named_volumes},
        net_ns=network[0] if network else "", hostname=host.hostname, unified=host.unified,
        systemd_hierarchy=() if os.path.exists("/sys/fs/cgroup/systemd") else None,
        rlimits={name: limits.rlimit(name) for name in asked}, can_raise_limits=limits.can_raise(), seccomp=profile,
        devices=Lookup().all_devices(),
    )
    return json.loads(json.dumps(compile(config, facts)))


def _plain(spec):
    """The specification with lists whose order means nothing turned into tables."""
    spec = json.loads(json.dumps(spec))
    spec["process"]["env"] = dict(entry.partition("=")[::2] for entry in spec["process"]["env"])
    spec["mounts"] = {
        mount["destination"]: {**mount, "options": sorted(mount.get("options") or ())} for mount in spec["mounts"]
    }
    linux = spec["linux"]
    linux["namespaces"] = {entry["type"]: entry.get("path", "") for entry in linux["namespaces"]}
    linux["devices"] = {node["path"]: node for node in linux.get("devices") or ()}
    for name in ("maskedPaths", "readonlyPaths"):
        linux[name] = sorted(linux.get(name) or ())
    if linux.get("seccomp"):
        linux["seccomp"]["syscalls"].sort(key=json.dumps)
    return spec


def _differences(one, other, path=""):
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(key), other.get(key), f"{path}/{key}")
    elif one != other and (one or other):
        yield path, one, other


def _explained(path: str) -> bool:
    parts = path.split("/")
    if parts[1:3] == ["linux", "devices"]:
        path = f"/linux/devices/*/{parts[-1]}"
    return path in EXPLAINED


@pytest.mark.parametrize("name", SPECS)
def test_specification(podman, image, name):
    flags = {"network": ["none"], **SPECS[name]}
    created, theirs = _theirs(podman, flags, ["sh"])
    ours = _ours(podman, image, flags, ["sh"], created, theirs)
    found = list(_differences(_plain(theirs), _plain(ours)))
    unexplained = [(path, one, other) for path, one, other in found if not _explained(path)]
    assert not unexplained


#: message of Podman 4.3 -> that of the Podman wherry follows, 5.8
NEWER = {
    'invalid environment variable: "=x"': 'invalid variable: "=x"',
    "running container create option: stat /usr/share/zoneinfo/Nowhere: no such file or directory":
        "running container create option: finding timezone: unknown time zone Nowhere",
    "invalid device mode: x": 'invalid device mode "x" in device "/dev/null:x"',
    'initializing ID mappings: UID setting is malformed expected ["uint32:uint32:uint32"]: ["0"]':
        'initializing ID mappings: UID setting is malformed expected ["[+ug]uint32:[@]uint32[:uint32]"] : ["0"]',
    'invalid config provided: invalid argument: invalid sdnotify value "bad": must be container, conmon or ignore':
        'invalid config provided: invalid argument: invalid sdnotify value "bad": '
        "must be conmon, container, healthy or ignore",
    'invalid image volume mode "bad" required value: bind, tmpfs, ignore':
        'invalid image volume mode "bad" required value: anonymous, tmpfs, ignore',
    "invalid config provided: cannot set shmsize when running in the {host } IPC Namespace":
        "invalid config provided: cannot set shmsize when running in the host IPC Namespace",
    'parsing env file "/nonexist": open /nonexist: no such file or directory':
        'parsing file "/nonexist": open /nonexist: no such file or directory',
}


def _refusal(image, flags) -> str:
    warnings: list[str] = []
    try:
        spec = from_flags(flags, IMAGE, ["sh"])
        resolve(spec, image, _settings(), _host(), id="0" * 64, name="x", lookup=Lookup(), warnings=warnings)
    except WherryError as error:
        assert error.exit_code == 125
        return str(error)
    return "nothing was wrong"


@pytest.mark.parametrize("flags", MESSAGES, ids=lambda flags: " ".join(_words(flags)))
def test_message(podman, image, flags):
    if "network" not in flags:
        flags = {"network": ["none"], **flags}
    done = podman.run("create", *_words(flags), IMAGE, "sh")
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert done.returncode == 125, done.stderr
    theirs = lines[-1].removeprefix("Error: ")
    assert _refusal(image, flags) == NEWER.get(theirs, theirs)
