"""Requests completed: defaults, image, settings, namespaces, limits, devices, networks."""

import pytest
from spec_world import BARE, ID, IMAGE, ROOT, USER, WHOLE, World, make, settings

from wherry.errors import InvalidArgument, NoSuchContainer
from wherry.model.container import ContainerConfig, IDMappings
from wherry.model.mount import ArtifactVolume, IDMap, ImageVolume, NamedVolume, OverlayVolume
from wherry.model.network import NetworkOptions, PortMapping

OTHER = ContainerConfig(
    id="9" * 64,
    name="other",
    spec={
        "hostname": "lighthouse",
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
        "mounts": [
            {"destination": "/own", "type": "bind", "source": "/host/own", "options": ["rw", "rbind"]},
            {"destination": "/proc", "type": "proc", "source": "proc"},
        ],
    },
    user_volumes=["/own", "/vol"],
    named_volumes=[NamedVolume(name="shared", destination="/vol", options=["rprivate"])],
    shm_dir="/run/other/shm",
    id_mappings=IDMappings(
        host_uid_mapping=False, host_gid_mapping=False, uid_map=[IDMap(container_id=0, host_id=5, size=9)],
        gid_map=[IDMap(container_id=0, host_id=6, size=9)],
    ),
)


def _fail(flags, **more):
    with pytest.raises(InvalidArgument) as caught:
        make(flags, **more)
    return str(caught.value)


def _process(flags=None, *command, **more):
    return make(flags, *command, **more).spec["process"]


def _environment(flags=None, **more):
    return dict(entry.partition("=")[::2] for entry in _process(flags, **more)["env"])


def _kinds(config):
    return {entry["type"]: entry.get("path", "") for entry in config.spec["linux"]["namespaces"]}


def _mounts(config):
    return {mount["destination"]: mount for mount in config.spec["mounts"]}


@pytest.mark.parametrize(("flags", "command", "words"), [
    ({}, [], ["/entry", "serve", "--all"]),
    ({}, ["other"], ["/entry", "other"]),
    ({"entrypoint": "sh"}, [], ["sh"]),
    ({"entrypoint": "sh"}, ["-c", "x"], ["sh", "-c", "x"]),
    ({"entrypoint": ""}, [], [""]),
    ({"entrypoint": ""}, ["ls"], ["ls"]),
    ({"entrypoint": '["a", "b"]'}, ["c"], ["a", "b", "c"]),
    ({"entrypoint": "[]"}, [], ["serve", "--all"]),
    ({"init": True}, ["x"], ["/run/podman-init", "--", "/entry", "x"]),
])
def test_command_line(flags, command, words):
    assert _process(flags, *command)["args"] == words


def test_environment_order():
    conf = settings(env=["PATH=/conf", "TERM=dumb", "LANG"], http_proxy=True)
    conf = conf.replace(environment=conf.environment.replace(proxies={"http_proxy": "http://p"}))
    assert _environment({"env": ["MODE=dev"]}, conf=conf) == {
        "PATH": "/app/bin:/bin", "container": "podman", "http_proxy": "http://p", "TERM": "dumb", "LANG": "C.UTF-8",
        "MODE": "dev",
    }
    assert "http_proxy" not in _environment({"http-proxy": False}, conf=conf)
    assert _environment({"env-host": True, "env": ["HOME=/x"]})["HOME"] == "/x"
    assert _environment({"env-host": True})["LANG"] == "C.UTF-8"


def test_environment_of_a_terminal_and_a_name():
    assert _environment({"tty": True})["TERM"] == "xterm"
    assert "TERM" not in _environment()
    assert _environment({"hostname": "boat"})["HOSTNAME"] == "boat"
    assert _environment({"hostname": "boat", "env": ["HOSTNAME=x"]})["HOSTNAME"] == "x"


def test_environment_changed():
    assert _environment({"env-merge": ["PATH=${PATH}:/x"]})["PATH"] == "/app/bin:/bin:/x"
    assert "MODE" not in _environment({"unsetenv": ["MODE", "NONE"]})
    assert _environment({"unsetenv-all": True, "env": ["A=1"]}) == {"A": "1"}


@pytest.mark.parametrize(("flags", "cwd", "create"), [({}, "/srv", True), ({"workdir": "/x"}, "/x", False)])
def test_working_directory(flags, cwd, create):
    config = make(flags)
    assert config.spec["process"]["cwd"] == cwd
    assert config.create_working_dir is create
    assert _process(image=BARE)["cwd"] == "/"


def test_capabilities_of_root():
    capabilities = _process()["capabilities"]
    assert capabilities["bounding"] == capabilities["effective"] == capabilities["permitted"]
    assert capabilities["bounding"][0] == "CAP_CHOWN" and "CAP_SYS_ADMIN" not in capabilities["bounding"]
    assert "ambient" not in capabilities
    assert _process({"cap-drop": ["ALL"]})["capabilities"] == {}
    assert "CAP_SYS_ADMIN" in _process({"privileged": True})["capabilities"]["bounding"]


def test_capabilities_of_others_are_only_what_was_added():
    assert set(_process({"user": "web"})["capabilities"]) == {"bounding"}
    capabilities = _process({"user": "1000:0", "cap-add": ["net_admin"]})["capabilities"]
    for name in ("effective", "permitted", "ambient", "inheritable"):
        assert capabilities[name] == ["CAP_NET_ADMIN"]
    old = _process({"user": "web", "cap-add": ["CHOWN"]}, host=ROOT.replace(ambient=False))["capabilities"]
    assert "ambient" not in old and old["effective"] == ["CAP_CHOWN"]
    for user in ("root", "0", "0:5"):
        assert "effective" in _process({"user": user})["capabilities"]


def test_image_may_ask_for_fewer_capabilities():
    def labelled(value):
        return IMAGE.replace(document={"config": {"Labels": {"io.containers.capabilities": value}}})

    assert _process(image=labelled("chown,KILL"))["capabilities"]["bounding"] == ["CAP_CHOWN", "CAP_KILL"]
    assert _process(image=labelled(""))["capabilities"] == {}
    warnings = []
    assert len(_process(image=labelled("SYS_ADMIN"), warnings=warnings)["capabilities"]["bounding"]) == 11
    assert warnings == ['Capabilities requested by user or image are not allowed by default: "CAP_SYS_ADMIN"']


def test_capability_the_host_lacks_is_left_out():
    bounding = tuple(name for name in ROOT.bounding if name != "CAP_CHOWN")
    assert "CAP_CHOWN" not in _process(host=ROOT.replace(bounding=bounding))["capabilities"]["bounding"]


def test_limits_of_processes():
    conf = settings(default_ulimits=["nofile=10:20", "core=0"])
    assert _process({"ulimit": ["nofile=5:-1"]}, conf=conf)["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "hard": (1 << 64) - 1, "soft": 5}, {"type": "RLIMIT_CORE", "hard": 0, "soft": 0},
    ]
    assert "rlimits" not in _process({"ulimit": ["host"]}, conf=conf)
    assert make({"ulimit": ["nofile=5:6"]}).annotations["io.podman.annotations.ulimit"] == "nofile=5:6"
    assert make({"ulimit": ["host"]}).annotations["io.podman.annotations.ulimit"] == "host"


@pytest.mark.parametrize(("flags", "image", "signal"), [
    ({}, IMAGE, 2), ({}, BARE, 15), ({"stop-signal": "USR1"}, IMAGE, 10), ({"systemd": "always"}, BARE, 37),
    ({"systemd": "always"}, IMAGE, 2),
])
def test_stop_signal(flags, image, signal):
    assert make(flags, image=image).stop_signal == signal


@pytest.mark.parametrize(("flags", "command", "systemd"), [
    ({}, ["/sbin/init"], True), ({}, ["/lib/systemd/systemd", "--user"], True), ({}, ["/usr/sbin/init"], True),
    ({}, ["/bin/sh", "-c", "/sbin/init"], True), ({}, ["init"], False), ({"systemd": "false"}, ["/sbin/init"], False),
    ({"systemd": "always"}, ["sh"], True),
])
def test_systemd(flags, command, systemd):
    assert make(flags, *command, image=BARE).systemd is systemd


def test_default_namespaces():
    config = make()
    assert list(_kinds(config)) == ["pid", "network", "ipc", "uts", "mount", "cgroup"]
    assert "cgroup" not in _kinds(make(host=ROOT.replace(cgroup_mode="hybrid")))
    assert "cgroup" in _kinds(make({"cgroupns": "private"}, host=ROOT.replace(cgroup_mode="v1")))
    assert config.no_shm_share is False
    assert make({"ipc": "private"}).no_shm_share is True


def test_namespaces_of_the_host():
    config = make({"pid": "host", "ipc": "host", "uts": "host", "network": ["host"], "cgroupns": "host"})
    assert list(_kinds(config)) == ["mount"]
    assert config.shm_dir == "/dev/shm"
    assert "hostname" not in config.spec
    assert config.network_mode == "host" and not config.create_net_ns


def test_namespace_by_path():
    config = make({"pid": "ns:/run/p", "network": ["ns:/run/n"], "userns": "ns:/run/u"})
    assert _kinds(config)["pid"] == "/run/p"
    assert _kinds(config)["network"] == "/run/n"
    assert _kinds(config)["user"] == "/run/u"
    assert _fail({"pid": "ns:/gone"}, lookup=World(missing=("/gone",))) == (
        "cannot find specified PID namespace path: faccessat /gone: no such file or directory"
    )


def test_namespaces_of_another_container():
    flags = dict.fromkeys(("pid", "ipc", "uts", "userns"), "container:other")
    config = make({**flags, "network": ["container:other"]}, lookup=World(OTHER))
    for field in ("pid_ns_ctr", "ipc_ns_ctr", "uts_ns_ctr", "user_ns_ctr", "net_ns_ctr"):
        assert getattr(config, field) == OTHER.id
    assert config.dependencies == [OTHER.id]
    assert config.shm_dir == "/run/other/shm"
    assert config.spec["hostname"] == "lighthouse"
    assert config.id_mappings == OTHER.id_mappings
    assert config.network_mode == f"container:{OTHER.id}"
    with pytest.raises(NoSuchContainer) as caught:
        make({"pid": "container:none"})
    assert str(caught.value) == (
        'looking up container to share pid namespace with: no container with name or ID "none" found: '
        "no such container"
    )


def test_rootless_user_cannot_join_the_hosts_namespace_through_a_container():
    hosted = OTHER.replace(spec={"linux": {"namespaces": [{"type": "mount"}]}})
    config = make({"pid": "container:other"}, lookup=World(hosted), host=USER)
    assert config.pid_ns_ctr == "" and "pid" not in _kinds(config)


def test_private_ipc_is_not_shared():
    message = _fail({"ipc": "container:other"}, lookup=World(OTHER.replace(no_shm_share=True)))
    assert message == (
        f"joining IPC of container {OTHER.id} is not allowed: non-shareable IPC "
        "(hint: use IpcMode:shareable for the donor container)"
    )


@pytest.mark.parametrize(("flags", "message"), [
    ({"uts": "host", "hostname": "x"},
     "invalid config provided: cannot set hostname when running in the host UTS namespace: invalid configuration"),
    ({"ipc": "host", "shm-size": "1m"},
     "invalid config provided: cannot set shmsize when running in the host IPC Namespace"),
    ({"network": ["pasta"]},
     "invalid config provided: pasta networking is only supported for rootless mode or when inside a nested userns"),
    ({"cgroups": "disabled", "pid": "host"},
     "containers not creating Cgroups must create a private PID namespace: invalid argument"),
])
def test_contradiction(flags, message):
    assert _fail(flags) == message


def test_hostname():
    assert make({"hostname": "boat"}).spec["hostname"] == "boat"
    assert "hostname" not in make().spec
    assert make({"network": ["host"]}).spec["hostname"] == "harbour"


def test_id_maps():
    config = make({"uidmap": ["0:100000:1000"]})
    assert config.spec["linux"]["uidMappings"] == [{"containerID": 0, "hostID": 100000, "size": 1000}]
    assert config.spec["linux"]["gidMappings"] == config.spec["linux"]["uidMappings"]
    assert config.id_mappings.host_uid_mapping is False
    assert _kinds(config)["user"] == ""
    named = make({"subuidname": "ship"})
    assert named.id_mappings.uid_map == [IDMap(container_id=0, host_id=200000, size=65536)]
    assert _fail({"subuidname": "wreck"}) == 'no subuid ranges found for user "wreck" in /etc/subuid'
    assert _fail({"userns": "private"}) == (
        "must provide at least one UID or GID mapping to configure a user namespace"
    )


def test_one_rootless_map_fills_the_other():
    config = make({"uidmap": ["u0:0:1"], "gidmap": ["u0:0:1"]}, host=USER)
    assert config.id_mappings.uid_map == [IDMap(container_id=0, host_id=0, size=1)]
    assert config.id_mappings.gid_map == [
        IDMap(container_id=0, host_id=0, size=1), IDMap(container_id=1, host_id=1, size=65536)
    ]


def test_keep_id():
    config = make({"userns": "keep-id"}, host=USER)
    assert config.user == "1000:1000" and config.add_current_user_passwd_entry
    assert config.id_mappings.uid_map[1] == IDMap(container_id=1000, host_id=0, size=1)
    assert config.annotations["io.podman.annotations.userns"] == "keep-id"
    assert "effective" not in config.spec["process"]["capabilities"]
    other = make({"userns": "keep-id:uid=5,gid=6,size=100", "user": "root"}, host=USER)
    assert other.user == "root" and not other.add_current_user_passwd_entry
    assert other.id_mappings.uid_map[1] == IDMap(container_id=5, host_id=0, size=1)
    root = make({"userns": "keep-id"})
    assert root.user == "0:0"
    assert root.id_mappings.uid_map == list(WHOLE)
    assert _fail({"userns": "keep-id:size=5"}) == (
        "cannot set max size for user namespace when not running rootless"
    )


def test_nomap_and_auto():
    config = make({"userns": "nomap"}, host=USER)
    assert config.id_mappings.uid_map == [IDMap(container_id=0, host_id=1, size=65536)]
    assert _fail({"userns": "nomap"}) == "nomap is only supported in rootless mode"
    alone = USER.replace(uid_map=USER.uid_map[:1], gid_map=USER.gid_map[:1])
    assert "nomap requires additional UIDs" in _fail({"userns": "nomap"}, host=alone)
    auto = make({"userns": "auto:size=100"})
    assert auto.id_mappings.auto_userns and "uidMappings" not in auto.spec["linux"]
    assert auto.annotations["io.podman.annotations.userns"] == "auto:size=100"


def test_user_namespace_of_the_caller_and_of_the_settings():
    conf = settings(userns="keep-id")
    assert make(host=USER, conf=conf).user == "1000:1000"
    conf = conf.replace(environment=conf.environment.replace(userns="host"))
    assert make(host=USER, conf=conf).user == ""


def test_default_mounts():
    mounts = _mounts(make())
    assert list(mounts) == ["/proc", "/dev", "/dev/pts", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]
    assert "ro" in mounts["/sys"]["options"] and "ro" in mounts["/sys/fs/cgroup"]["options"]
    privileged = _mounts(make({"privileged": True}))
    assert "rw" in privileged["/sys"]["options"] and "rw" in privileged["/sys/fs/cgroup"]["options"]
    writable = _mounts(make({"security-opt": ["unmask=/sys/fs/cgroup/"]}))
    assert "rw" in writable["/sys/fs/cgroup"]["options"]


def test_mounts_a_user_namespace_may_not_make():
    mounts = _mounts(make({"network": ["host"], "pid": "host", "ipc": "host"}, host=USER))
    for place in ("/sys", "/proc", "/dev/mqueue"):
        assert mounts[place]["type"] == "bind" and mounts[place]["source"] == place
    few = USER.replace(gid_map=USER.gid_map[:1])
    assert "gid=5" not in _mounts(make(host=few))["/dev/pts"]["options"]
    assert "gid=5" in _mounts(make(host=USER))["/dev/pts"]["options"]
    config = make({"network": ["host"]}, host=USER)
    assert "/sys/kernel" in config.spec["linux"]["maskedPaths"]


def test_mounts_of_all_kinds():
    config = make({
        "volume": ["/host:/bind:ro", "cache:/cache", "/anon", "/lower:/over:O", "/media/x:/stick"],
        "mount": ["type=image,src=other,dst=/img", "type=tmpfs,dst=/t", "type=glob,src=/etc/*.conf,dst=/conf"],
        "image-volume": "ignore",
    })
    mounts = _mounts(config)
    assert mounts["/bind"]["options"] == ["ro", "rprivate", "rbind"]
    assert mounts["/stick"]["options"] == ["rprivate", "nosuid", "nodev", "rbind"]
    assert mounts["/t"]["options"] == ["rprivate", "nosuid", "nodev", "tmpcopyup"]
    assert mounts["/conf/two.conf"]["source"] == "/etc/two.conf"
    assert config.named_volumes == [
        NamedVolume(name="cache", destination="/cache", options=["rprivate", "nosuid", "nodev", "rbind"]),
        NamedVolume(destination="/anon", options=["rprivate", "nosuid", "nodev", "rbind"]),
    ]
    assert config.overlay_volumes == [OverlayVolume(destination="/over", source="/lower", options=["O"])]
    assert config.image_volumes == [ImageVolume(source="other", destination="/img")]
    assert config.user_volumes == [
        "/bind", "/stick", "/t", "/conf/one.conf", "/conf/two.conf", "/cache", "/anon", "/over", "/img"
    ]
    assert [mount["destination"] for mount in config.spec["mounts"]][:2] == ["/bind", "/stick"]


def test_user_mount_replaces_a_default_one():
    mounts = _mounts(make({"volume": ["/host:/dev"], "tmpfs": ["/proc"]}))
    assert mounts["/dev"]["source"] == "/host" and "/dev/pts" not in mounts
    assert mounts["/proc"]["type"] == "tmpfs"


def test_bad_mounts():
    assert _fail({"volume": ["/gone:/x"]}, lookup=World(missing=("/gone",))) == (
        "statfs /gone: no such file or directory"
    )
    assert _fail({"mount": ["type=glob,src=/no/*"]}) == 'no file paths matching glob "/no/*"'
    assert _fail({"tmpfs": ["/t:foo"]}) == 'unknown mount option "foo": invalid mount option'


def test_artifacts_are_mounted_when_the_container_starts():
    config = make({"mount": ["type=artifact,src=quay.io/a,dst=/x,title=one", "type=artifact,src=b,dst=/y,name=n"]})
    assert list(config.artifact_volumes) == [
        ArtifactVolume(source="quay.io/a", destination="/x", title="one"),
        ArtifactVolume(source="b", destination="/y", name="n"),
    ]
    assert not {"/x", "/y"} & set(_mounts(config))


def test_gpus_are_devices_of_the_vendor_that_is_there():
    assert make({"gpus": ["all"], "device": ["a.com/b=c"]}).cdi_devices == ["a.com/b=c", "nvidia.com/gpu=all"]


@pytest.mark.parametrize(("flags", "named", "mounted"), [
    ({}, ["/data"], []), ({"image-volume": "ignore"}, [], []), ({"image-volume": "tmpfs"}, [], ["/data"]),
    ({"image-volume": "bind"}, ["/data"], []), ({"volume": ["/host:/data"]}, [], ["/data"]),
    ({"volume": ["/host:/data:O"]}, [], []), ({"volume": ["mine:/data"]}, ["/data"], []),
])
def test_volumes_of_the_image(flags, named, mounted):
    config = make(flags)
    assert [volume.destination for volume in config.named_volumes] == named
    assert [place for place in _mounts(config) if place == "/data"] == mounted


def test_mounts_of_the_settings_give_way():
    conf = settings(volumes=["/conf:/a:ro", "named:/n"], mounts=["type=tmpfs,dst=/t"])
    config = make({"volume": ["/mine:/a"]}, conf=conf, image=BARE)
    assert _mounts(config)["/a"]["source"] == "/mine"
    assert _mounts(config)["/t"]["type"] == "tmpfs"
    assert config.named_volumes[0].name == "named"


def test_volumes_from():
    config = make({"volumes-from": ["other:ro,z"], "volume": ["/mine:/own"]}, lookup=World(OTHER), image=BARE)
    assert _mounts(config)["/own"]["source"] == "/mine"
    assert config.named_volumes == [
        NamedVolume(name="shared", destination="/vol", options=["ro", "z", "rprivate", "nosuid", "nodev", "rbind"])
    ]
    assert config.dependencies == [OTHER.id]
    plain = make({"volumes-from": ["other"]}, lookup=World(OTHER), image=BARE)
    assert _mounts(plain)["/own"]["options"] == ["rw", "rbind"]
    assert plain.named_volumes[0].options == ["rprivate"]
    assert plain.annotations["io.podman.annotations.volumes-from"] == "other"


@pytest.mark.parametrize(("text", "message"), [
    ("other:exec", 'invalid option "exec" specified - volumes from another container can only use z,ro,rw options'),
    ("other:ro,rw", "cannot set ro or rw options more than once"),
    ("other:z,z", "cannot set :z more than once in mount options"),
])
def test_bad_volumes_from(text, message):
    assert _fail({"volumes-from": [text]}, lookup=World(OTHER)) == message


def test_volumes_from_nobody():
    with pytest.raises(NoSuchContainer, match='looking up container "ghost" for volumes-from'):
        make({"volumes-from": ["ghost"]})


def test_read_only():
    config = make({"read-only": True})
    assert config.spec["root"]["readonly"] is True
    assert {"/tmp", "/var/tmp", "/run"} <= _mounts(config).keys()
    strict = make({"read-only": True, "read-only-tmpfs": False})
    assert "/tmp" not in _mounts(strict) and "ro" in _mounts(strict)["/dev"]["options"]
    own = make({"read-only": True, "volume": ["cache:/tmp"]})
    assert "/tmp" not in _mounts(own)
    assert "readonly" not in make().spec["root"]
    assert make(conf=settings(read_only=True)).spec["root"]["readonly"] is True
    assert "readonly" not in make({"read-only": False}, conf=settings(read_only=True)).spec["root"]


def test_init():
    config = make({"init": True})
    assert config.init_path == "/usr/libexec/podman/catatonit"
    assert _mounts(config)["/run/podman-init"]["source"] == config.init_path
    assert "/run/podman-init" not in config.user_volumes
    assert make({"init": True, "init-path": "/my/init"}).init_path == "/my/init"
    assert _fail({"init": True, "pid": "host"}) == "cannot add init binary as PID 1 (PID namespace isn't private)"
    assert _fail({"init": True, "systemd": "always"}) == "cannot use container-init binary with systemd=always"
    assert "lookup init binary" in _fail({"init": True}, host=ROOT.replace(init_program=""))
    assert "duplicate mount destination" in _fail({"init": True, "volume": ["/x:/run/podman-init"]})
    message = _fail({"init": True, "init-path": "/no"}, lookup=World(missing=("/no",)))
    assert "container-init binary not found" in message


def _resources(flags=None, **more):
    return make(flags, **more).spec["linux"]["resources"]


def test_memory_and_cpu():
    found = _resources({
        "memory": "1m", "memory-reservation": "512k", "memory-swappiness": "10", "oom-kill-disable": True,
        "cpus": "1.5", "cpu-shares": "512", "cpuset-cpus": "0-1", "cpuset-mems": "0", "pids-limit": "7",
    })
    assert found["memory"] == {
        "limit": 1 << 20, "swap": 2 << 20, "reservation": 512 << 10, "swappiness": 10, "disableOOMKiller": True,
    }
    assert found["cpu"] == {"period": 100000, "quota": 150000, "shares": 512, "cpus": "0-1", "mems": "0"}
    assert found["pids"] == {"limit": 7}
    assert _resources({"memory": "1m", "memory-swap": "3m"})["memory"]["swap"] == 3 << 20
    assert "swap" not in _resources({"memory": "1m", "memory-swap": "-1"})["memory"]
    assert "memory" not in _resources({"memory-swappiness": "-1", "memory": ""})
    assert _resources({"cpu-period": "50000", "cpu-quota": "25000"})["cpu"] == {"period": 50000, "quota": 25000}


def test_pids_of_the_settings():
    assert _resources()["pids"] == {"limit": 2048}
    assert "pids" not in _resources(conf=settings(pids_limit=0))
    assert "pids" not in _resources({"cgroups": "disabled"})


def test_block_io():
    found = _resources({
        "blkio-weight": "100", "blkio-weight-device": ["/dev/sda:200"], "device-read-bps": ["/dev/sda:1m"],
        "device-write-iops": ["/dev/sda:5"],
    })["blockIO"]
    assert found == {
        "weight": 100,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 200}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1 << 20}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 5}],
    }


V1 = ROOT.replace(cgroup_mode="v1")


@pytest.mark.parametrize(("flags", "message"), [
    ({"memory": "2m", "memory-swap": "1m"}, "minimum memoryswap limit should be larger than memory limit, see usage"),
    ({"memory-swap": "1m"}, "you should always set a memory limit when using a memoryswap limit, see usage"),
    ({"memory": "1m", "memory-reservation": "2m"},
     "minimum memory limit cannot be less than memory reservation limit, see usage"),
    ({"memory-swappiness": "101"}, "invalid value: 101, valid memory swappiness range is 0-100"),
    ({"cpu-period": "10"}, "CPU cfs period cannot be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
    ({"cpu-quota": "10"}, "CPU cfs quota cannot be less than 1ms (i.e. 1000)"),
    ({"cpuset-cpus": "0-9"}, "requested CPUs are not available - requested 0-9, available: 0-3"),
    ({"cpuset-mems": "1"}, "requested memory nodes are not available - requested 1, available: 0"),
    ({"cpuset-cpus": "x"}, "invalid value x for cpuset cpus"),
    ({"blkio-weight": "5"}, "range of blkio weight is from 10 to 1000"),
    ({"cgroup-conf": ["memory.high=1"]}, "cannot use --cgroup-conf without cgroup v2"),
])
def test_bad_limits_on_version_one(flags, message):
    assert _fail(flags, host=V1) == message


def test_limits_the_kernel_cannot_apply():
    def dropped(flags, *missing):
        warnings = []
        found = _resources(flags, host=V1.replace(cgroup_missing=missing), warnings=warnings)
        return sorted(found.keys() - {"devices", "pids"}), warnings

    assert dropped({"memory": "1m"}, "memory") == (
        [], ["Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
             "Limitation discarded."])
    kept, warnings = dropped({"memory": "1m"}, "swap")
    assert kept == ["memory"] and warnings[0].endswith("Memory limited without swap.")
    assert dropped({"cpus": "1", "cpu-shares": "2"}, "cpu")[0] == []
    assert dropped({"cpuset-cpus": "0"}, "cpuset")[0] == []
    assert dropped({"blkio-weight": "100", "blkio-weight-device": ["/dev/sda:10"]}, "blkio-weight")[0] == []
    assert dropped({"device-read-bps": ["/dev/sda:10"]}, "blkio")[0] == []
    warnings = []
    assert "pids" not in _resources({}, host=V1.replace(cgroup_missing=("pids",)), warnings=warnings)
    assert warnings


def test_limits_of_a_unified_tree():
    warnings = []
    found = _resources({"cpu-rt-period": "5", "cpu-rt-runtime": "4", "cgroup-conf": ["memory.high=1"]},
                       conf=settings(cgroup_conf=["memory.high=9", "a.b=c"]), warnings=warnings)
    assert "cpu" not in found and len(warnings) == 2
    assert found["unified"] == {"memory.high": "1", "a.b": "c"}


def test_rootless_limits_on_version_one():
    warnings = []
    host = USER.replace(cgroup_mode="v1")
    assert _resources({"memory": "1m"}, host=host, warnings=warnings) == {}
    assert warnings == ["Resource limits are not supported and ignored on cgroups V1 rootless systems"]


def test_devices():
    config = make({"device": ["/dev/fuse", "/dev/sda:/dev/xvda:r"], "device-cgroup-rule": ["c 1:3 r"]})
    assert config.spec["linux"]["devices"] == [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666, "uid": 0, "gid": 0},
        {"path": "/dev/xvda", "type": "b", "major": 8, "minor": 0, "fileMode": 0o660, "uid": 0, "gid": 0},
    ]
    assert config.spec["linux"]["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
        {"allow": True, "type": "b", "major": 8, "minor": 0, "access": "r"},
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"},
    ]
    assert config.device_host_src[1] == {"path": "/dev/sda", "containerPath": "/dev/xvda", "permissions": "r"}


def test_directory_of_devices():
    config = make({"device": ["/dev/snd:/dev/sound"]}, conf=settings(devices=["/dev/fuse"]))
    paths = [node["path"] for node in config.spec["linux"]["devices"]]
    assert paths == ["/dev/fuse", "/dev/sound/control", "/dev/sound/timer"]


def test_devices_without_root_are_mounts():
    config = make({"device": ["/dev/fuse:/dev/f:r"]}, host=USER)
    assert "devices" not in config.spec["linux"]
    assert _mounts(config)["/dev/f"] == {
        "destination": "/dev/f", "type": "bind", "source": "/dev/fuse",
        "options": ["slave", "nosuid", "noexec", "ro", "rbind"],
    }
    assert "not supported in rootless mode" in _fail({"device-cgroup-rule": ["c 1:3 r"]}, host=USER)
    assert make({"device": ["a.com/b=c"]}).cdi_devices == ["a.com/b=c"]
    assert _fail({"device": ["/dev/none"]}) == "stat /dev/none: no such file or directory"


def test_kernel_parameters():
    conf = settings(default_sysctls=["net.ipv4.ping_group_range=0 0", "kernel.msgmax=5"])
    found = make({"sysctl": ["net.a=1"]}, conf=conf).spec["linux"]["sysctl"]
    assert found == {"net.ipv4.ping_group_range": "0 0", "kernel.msgmax": "5", "net.a": "1"}
    assert make({"network": ["host"]}, conf=conf).spec["linux"]["sysctl"] == {"kernel.msgmax": "5"}
    assert _fail({"network": ["host"], "sysctl": ["net.a=1"]}) == (
        "sysctl net.a=1 can't be set since Network Namespace set to host: invalid argument"
    )
    assert "IPC Namespace" in _fail({"ipc": "host", "sysctl": ["fs.mqueue.x=1"]})


def test_hidden_paths():
    linux = make(host=ROOT.replace(masked_paths=("/sys/cpu0/throttle",))).spec["linux"]
    assert "/proc/kcore" in linux["maskedPaths"] and linux["maskedPaths"][-1] == "/sys/cpu0/throttle"
    assert "/proc/sys" in linux["readonlyPaths"]
    assert "maskedPaths" not in make({"privileged": True}).spec["linux"]
    warnings = []
    linux = make({"security-opt": ["mask=/a:rel", "unmask=/proc/*"]}, warnings=warnings).spec["linux"]
    assert linux["maskedPaths"][-1] == "/a" and "/proc/kcore" not in linux["maskedPaths"]
    assert "readonlyPaths" not in linux
    assert warnings == ['Path "rel" is not an absolute path, skipping...']


def test_security():
    config = make({"security-opt": ["no-new-privileges", "label=type:t", "seccomp=/p.json", "proc-opts=hidepid=2"]})
    assert config.spec["process"]["noNewPrivileges"] is True
    assert config.label_opts == ["type:t"]
    assert config.seccomp_profile == "/p.json"
    assert _mounts(config)["/proc"]["options"] == ["hidepid=2"]
    assert config.annotations["io.podman.annotations.seccomp"] == "/p.json"
    nested = make({"security-opt": ["label=nested"]})
    assert "/sys/fs/selinux" in _mounts(nested)
    assert "/sys/fs/selinux" not in nested.spec["linux"]["maskedPaths"]


def test_seccomp_profile():
    assert make().seccomp_profile == ""
    assert make({"privileged": True}).seccomp_profile == "unconfined"
    assert make({"privileged": True, "security-opt": ["seccomp=/p"]}).seccomp_profile == "/p"
    assert make(host=ROOT.replace(seccomp=False)).seccomp_profile == "unconfined"
    assert "kernel has no seccomp" in _fail({"security-opt": ["seccomp=/p"]}, host=ROOT.replace(seccomp=False))
    assert _fail({"seccomp-policy": "image"}) == "no seccomp policy defined by image"
    labelled = IMAGE.replace(document={"config": {"Labels": {"io.containers.seccomp.profile": "{}"}}})
    assert make({"seccomp-policy": "image"}, image=labelled).seccomp_profile == "image"
    assert "invalid seccomp policy" in _fail({"seccomp-policy": "x"})


def test_apparmor():
    host = ROOT.replace(apparmor=True)
    conf = settings(apparmor_profile="default-profile")
    assert make(host=host, conf=conf).spec["process"]["apparmorProfile"] == "default-profile"
    assert "apparmorProfile" not in make({"privileged": True}, host=host, conf=conf).spec["process"]
    assert make({"security-opt": ["apparmor=mine"]}, host=host).apparmor_profile == "mine"
    assert _fail({"security-opt": ["apparmor=mine"]}) == (
        'apparmor profile "mine" specified, but Apparmor is not enabled on this system'
    )
    assert make({"security-opt": ["apparmor=unconfined"]}).apparmor_profile == ""


def test_networks():
    config = make({"network": ["front:alias=f", "back:interface_name=eth0"], "hostname": "boat"})
    assert config.network_mode == "bridge" and config.create_net_ns
    assert config.networks["front"] == NetworkOptions(aliases=["f", ID[:12], "boat"], interface_name="eth1")
    assert config.networks["back"].interface_name == "eth0"
    default = make({"ip": "10.88.0.9", "mac-address": "aa:bb:cc:dd:ee:ff", "network-alias": ["a", "b"]})
    assert default.networks == {"podman": NetworkOptions(
        static_ips=["10.88.0.9"], static_mac="aa:bb:cc:dd:ee:ff", aliases=["a", "b", ID[:12]], interface_name="eth0"
    )}
    assert list(make({"network": ["bridge"]}).networks) == ["podman"]
    assert "already assigned to another network" in _fail(
        {"network": ["a:interface_name=x", "b:interface_name=x"]}
    )


def test_network_of_the_settings():
    assert make(conf=settings(netns="none")).network_mode == "none"
    assert make(conf=settings(netns="front")).networks.keys() == {"front"}
    assert make(host=USER).network_mode == "pasta"
    conf = settings()
    slirp = conf.replace(network=conf.network.replace(default_rootless_network_cmd="slirp4netns"))
    assert make(host=USER, conf=slirp).network_mode == "slirp4netns"
    bad = conf.replace(network=conf.network.replace(default_rootless_network_cmd="carrier-pigeon"))
    assert "invalid default_rootless_network_cmd option" in _fail({}, host=USER, conf=bad)
    assert make({"network": ["pasta:-t,80"]}, host=USER).network_options == {"pasta": ["-t", "80"]}


def test_ports():
    config = make({"publish": ["8080:80"], "expose": ["90"]})
    assert config.port_mappings == [PortMapping(container_port=80, host_port=8080)]
    assert config.exposed_ports == {"80": ["tcp"], "53": ["udp"], "90": ["tcp"]}
    every = make({"publish": ["8080:80"], "publish-all": True})
    assert every.port_mappings == [
        PortMapping(container_port=80, host_port=8080), PortMapping(container_port=53, protocol="udp")
    ]
    warnings = []
    assert make({"publish": ["80"], "network": ["host"]}, warnings=warnings).port_mappings == ()
    assert warnings == [
        "Port mappings have been discarded as one of the Host, Container, Pod, and None network modes are in use"
    ]


def test_names_and_hosts():
    config = make({"dns": ["1.1.1.1"], "dns-search": ["a.b"], "add-host": ["x:1.2.3.4"], "hosts-file": "image",
                   "no-hostname": True})
    assert (config.dns_servers, config.dns_search, config.hosts_add) == (["1.1.1.1"], ["a.b"], ["x:1.2.3.4"])
    assert config.base_hosts_file == "image" and config.use_image_hostname
    assert make({"dns": ["none"]}).use_image_resolv_conf
    assert make(conf=settings(no_hosts=True)).use_image_hosts
    assert not make({"no-hosts": False}, conf=settings(no_hosts=True)).use_image_hosts


def test_labels_and_annotations():
    conf = settings(annotations=["conf=1", "both=conf"])
    conf = conf.replace(environment=conf.environment.replace(systemd_unit="web.service"))
    config = make({"label": ["level=user"], "annotation": ["both=user"], "rm": True, "cpuset-cpus": "0"}, conf=conf)
    assert config.labels == {"vendor": "wharf", "level": "user", "PODMAN_SYSTEMD_UNIT": "web.service"}
    assert config.annotations == {
        "conf": "1", "both": "user", "io.podman.annotations.autoremove": "TRUE", "io.podman.annotations.cpuset": "0",
    }
    assert config.spec["annotations"] == config.annotations


def test_automatic_updates_need_a_full_name():
    message = _fail({"label": ["io.containers.autoupdate=registry"]})
    assert message == 'short name: auto updates require fully-qualified image reference: "app:1"'
    full = IMAGE.replace(raw_name="docker://quay.io/app:1")
    make({"label": ["io.containers.autoupdate=registry"]}, image=full)
    archive = IMAGE.replace(raw_name="oci://x")
    assert "image is of transport" in _fail({"label": ["io.containers.autoupdate=image"]}, image=archive)
    make({"label": ["io.containers.autoupdate=local"]})


def test_life():
    config = make({
        "rm": True, "restart": "on-failure:3", "stop-timeout": "0", "timeout": "5", "detach-keys": "",
        "cidfile": "/c", "pidfile": "/p", "tz": "UTC", "umask": "077", "group-add": ["wheel"], "passwd": False,
    })
    assert (config.auto_remove, config.volatile, config.restart_policy, config.restart_retries) == (
        True, True, "on-failure", 3
    )
    assert (config.stop_timeout, config.timeout, config.detach_keys) == (0, 5, "")
    assert (config.cid_file, config.pid_file, config.timezone, config.umask) == ("/c", "/p", "UTC", "077")
    assert config.groups == ["wheel"] and config.passwd is False
    assert make({"rmi": True}).auto_remove
    assert make({"group-add": ["keep-groups"]}).annotations["run.oci.keep_original_groups"] == "1"
    assert _fail({"tz": "Mars/Olympus"}) == (
        "running container create option: finding timezone: unknown time zone Mars/Olympus"
    )


def test_control_groups():
    config = make()
    assert (config.cgroup_manager, config.cgroup_parent, config.cgroups_mode) == ("cgroupfs", "/wherry", "enabled")
    assert make({"cgroup-parent": "/mine"}).cgroup_parent == "/mine"
    assert make({"cgroups": "split"}).cgroup_parent == ""
    assert make(host=USER).cgroup_parent == ""
    conf = settings()
    systemd = conf.replace(engine=conf.engine.replace(cgroup_manager="systemd"))
    assert make(conf=systemd).cgroup_parent == "machine.slice"
    assert make(conf=systemd, host=USER).cgroup_parent == "user.slice"
    assert "did not receive systemd slice" in _fail({"cgroup-parent": "/x"}, conf=systemd)
    assert "systemd slice received" in _fail({"cgroup-parent": "x.slice"})
    odd = conf.replace(engine=conf.engine.replace(cgroup_manager="odd"))
    assert "unsupported Cgroup manager: odd" in _fail({}, conf=odd)


def test_logs():
    config = make({"log-opt": ["path=/l", "max-size=1mb", "tag=t"], "log-driver": "none"})
    assert (config.log_driver, config.log_path, config.log_size, config.log_tag) == ("none", "/l", 1_000_000, "t")
    assert (make().log_driver, make().log_size) == ("k8s-file", -1)
    assert make(conf=settings(log_tag="c", log_size_max=9000)).log_size == 9000


def test_shared_memory():
    assert make().shm_size == 65_536_000
    assert make({"shm-size": "1m", "shm-size-systemd": "2m"}).shm_size == 1 << 20
    assert make({"ipc": "none"}).no_shm
    assert make({"ipc": "container:other"}, lookup=World(OTHER.replace(no_shm=True))).no_shm


def test_root_file_system():
    config = make({"rootfs": True}, image=None)
    assert (config.rootfs, config.rootfs_image_id, config.create_working_dir) == ("/srv/root", "", False)
    assert make().rootfs_image_name == "localhost/app:1"


def test_notification_socket():
    conf = settings()
    conf = conf.replace(environment=conf.environment.replace(notify_socket="/run/n"))
    assert make(conf=conf).sdnotify_socket == "/run/n"
    assert make({"sdnotify": "ignore"}, conf=conf).sdnotify_socket == ""


SECOND = 10**9
CHECKED = IMAGE.replace(document={"config": {"Healthcheck": {
    "Test": ["CMD-SHELL", "true"], "Interval": 5 * SECOND, "Timeout": 0, "Retries": 2,
}}})


def test_health_of_the_request():
    check = make({"health-cmd": "curl x", "health-interval": "10s", "health-retries": "5"}).health_check
    assert check is not None
    assert check.to_json() == {
        "Test": ["CMD-SHELL", "curl x"], "Interval": 10 * SECOND, "Timeout": 30 * SECOND, "Retries": 5,
    }
    startup = make({"health-cmd": "x", "health-startup-cmd": "y", "health-startup-success": "2"})
    assert startup.startup_health_check is not None and startup.startup_health_check.successes == 2
    assert make({"health-cmd": "x", "health-on-failure": "kill"}).health_check_on_failure == "kill"


def test_health_of_the_image():
    check = make(image=CHECKED).health_check
    assert check is not None and (check.interval, check.timeout, check.retries) == (5 * SECOND, 30 * SECOND, 2)
    check = make({"health-interval": "disable", "health-retries": "9"}, image=CHECKED).health_check
    assert check is not None and (check.interval, check.retries) == (0, 9)
    check = make({"no-healthcheck": True}, image=CHECKED).health_check
    assert check is not None and check.test == ["NONE"]
    assert make().health_check is None


@pytest.mark.parametrize(("flags", "message"), [
    ({"health-startup-cmd": "y"},
     "cannot set a startup healthcheck when there is no regular healthcheck: invalid argument"),
    ({"health-on-failure": "kill"}, "cannot set on-failure action to kill without a health check"),
    ({"sdnotify": "healthy"}, 'invalid argument: sdnotify policy "healthy" requires a healthcheck to be set'),
])
def test_bad_health(flags, message):
    assert _fail(flags) == message


def test_secrets():
    config = make({"secret": ["a,uid=5", "b,type=env", "c,type=env,target=C"]})
    assert [(secret.name, secret.uid, secret.mode) for secret in config.secrets] == [("a", 5, 0o444)]
    assert config.env_secrets == {"b": "b", "C": "c"}


def test_requires():
    assert make({"requires": ["other"], "pid": "container:other"}, lookup=World(OTHER)).dependencies == [OTHER.id]
    with pytest.raises(NoSuchContainer, match='"ghost" is not a valid container, cannot be used as a dependency'):
        make({"requires": ["ghost"]})


def test_configuration_survives_storage():
    config = make({"memory": "1m", "publish": ["80"], "volume": ["a:/b"], "userns": "keep-id"}, host=USER)
    assert ContainerConfig.from_json(config.to_json()).to_json() == config.to_json()
