"""Configuration and facts of a start to the OCI runtime specification."""

import copy

import pytest
from spec_world import BARE, ID, ROOTLESS, USER, World, make, settings, start
from test_spec_resolve import OTHER

from wherry.errors import InvalidArgument, RuntimePermissionDenied
from wherry.model.container import IDMappings
from wherry.model.mount import IDMap, Mount
from wherry.spec.cgroup import cgroups_path
from wherry.spec.compile import hostname
from wherry.spec.compile_mounts import is_virtual_console, needs_shm
from wherry.spec.host import DeviceNode
from wherry.spec.users import UserNotFound


def _environment(spec):
    return dict(entry.partition("=")[::2] for entry in spec["process"]["env"])


def _mounts(spec):
    return {mount["destination"]: mount for mount in spec["mounts"]}


def test_configuration_is_left_alone():
    config = make({"privileged": True, "systemd": "always", "volume": ["a:/b:U"], "tmpfs": ["/t:U"]})
    before = copy.deepcopy(config.to_json())
    start(config, volume_paths={"/b": "/v"}, devices=[DeviceNode(path="/dev/kvm", major=10, minor=232)])
    assert config.to_json() == before


@pytest.mark.parametrize(("flags", "user"), [
    ({}, {"uid": 0, "gid": 0, "umask": 0o22, "additionalGids": [10]}),
    ({"user": "web"}, {"uid": 1000, "gid": 1001, "umask": 0o22, "additionalGids": [1001, 10]}),
    ({"user": "web:wheel"}, {"uid": 1000, "gid": 10, "umask": 0o22, "additionalGids": [10]}),
    ({"user": "5:6", "group-add": ["wheel", "99"], "umask": "0"},
     {"uid": 5, "gid": 6, "umask": 0, "additionalGids": [6, 10, 99]}),
])
def test_user(flags, user):
    assert start(make(flags))["process"]["user"] == user


def test_group_outside_the_user_namespace_is_left_out():
    few = make({"uidmap": ["0:1000:5"], "user": "root"})
    assert start(few)["process"]["user"]["additionalGids"] == [0]
    assert "additionalGids" not in start(make(), rootless=True, gid_map=ROOTLESS[:1])["process"]["user"]


def test_unknown_user():
    with pytest.raises(UserNotFound, match="unable to find user ghost: no matching entries in passwd file"):
        start(make({"user": "ghost"}))


def test_home():
    assert _environment(start(make({"user": "web"})))["HOME"] == "/home/web"
    assert _environment(start(make({"user": "77"})))["HOME"] == "/"
    assert _environment(start(make({"env": ["HOME=/mine"]})))["HOME"] == "/mine"


def test_added_environment():
    spec = start(make({"env": ["SECRET=old"]}), environment={"SECRET": "new", "LISTEN_FDS": "1"})
    assert spec["process"]["env"].count("SECRET=new") == 1
    assert "SECRET=old" not in spec["process"]["env"] and "LISTEN_FDS=1" in spec["process"]["env"]


def test_host_names():
    spec = start(make())
    assert spec["hostname"] == _environment(spec)["HOSTNAME"] == ID[:12]
    named = start(make({"name": "my_boat"}), name_as_hostname=True)
    assert named["hostname"] == "myboat"
    assert start(make({"hostname": "boat"}), name_as_hostname=True)["hostname"] == "boat"
    host = start(make({"uts": "host"}))
    assert "hostname" not in host and _environment(host)["HOSTNAME"] == "harbour"
    shared = start(make({"uts": "container:other"}, lookup=World(OTHER)), namespaces={"uts": "/proc/5/ns/uts"},
                   shared_hostname="lighthouse")
    assert "hostname" not in shared and _environment(shared)["HOSTNAME"] == "lighthouse"
    by_path = start(make({"uts": "ns:/run/u"}))
    assert "hostname" not in by_path
    assert hostname(make({"name": "a" * 80}), host="h", name_as_hostname=True) == "a" * 64


def _limits(config, **facts):
    process = start(config, **facts)["process"]
    return {limit["type"]: (limit["soft"], limit["hard"]) for limit in process.get("rlimits", ())}


def test_limits_are_as_wanted_where_they_can_be_raised():
    assert _limits(make({"ulimit": ["core=5:6"]})) == {
        "RLIMIT_CORE": (5, 6), "RLIMIT_NOFILE": (1048576, 1048576), "RLIMIT_NPROC": (1048576, 1048576),
    }


def test_limits_are_fitted_to_the_host():
    conf = settings(default_ulimits=["nofile=50000:60000"])
    found = _limits(make(conf=conf), can_raise_limits=False)
    assert found == {"RLIMIT_NOFILE": (20000, 20000), "RLIMIT_NPROC": (5000, 1048576)}
    assert _limits(make(), can_raise_limits=False)["RLIMIT_NOFILE"] == (1024, 20000)
    assert _limits(make({"ulimit": ["nofile=100:200"]}), can_raise_limits=False)["RLIMIT_NOFILE"] == (100, 200)
    assert _limits(make({"ulimit": ["nofile=-1"]}), can_raise_limits=False)["RLIMIT_NOFILE"] == (20000, 20000)


def test_a_limit_asked_for_is_not_bent():
    config = make({"ulimit": ["nofile=30000"]}, conf=settings(default_ulimits=["nproc=1:2"]))
    with pytest.raises(RuntimePermissionDenied) as caught:
        start(config, can_raise_limits=False)
    assert caught.value.exit_code == 126
    assert "setrlimit `RLIMIT_NOFILE`: 30000 is above the hard limit 20000" in str(caught.value)


def test_limits_of_the_host_are_inherited():
    assert _limits(make({"ulimit": ["host"]}, conf=settings(default_ulimits=["nofile=1:2"]))) == {}


def test_namespaces_get_their_paths():
    spec = start(make())
    assert {"type": "network", "path": "/run/netns/c"} in spec["linux"]["namespaces"]
    assert {"type": "network"} in start(make(), net_ns="")["linux"]["namespaces"]
    config = make({"pid": "container:other", "userns": "container:other", "cgroupns": "container:other"},
                  lookup=World(OTHER))
    found = start(config, namespaces={"pid": "/proc/5/ns/pid", "user": "/proc/5/ns/user",
                                      "cgroup": "/proc/5/ns/cgroup"})["linux"]
    paths = {entry["type"]: entry.get("path") for entry in found["namespaces"]}
    assert paths["pid"] == "/proc/5/ns/pid" and paths["user"] == "/proc/5/ns/user"
    assert paths["cgroup"] == "/proc/5/ns/cgroup"
    assert found["uidMappings"] == [{"containerID": 0, "hostID": 5, "size": 9}]


def test_joined_user_namespace_without_map_gets_one_for_runc():
    config = make({"userns": "container:other"}, lookup=World(OTHER.replace(id_mappings=IDMappings())))
    found = start(config, namespaces={"user": "/proc/5/ns/user"})["linux"]
    assert found["uidMappings"] == found["gidMappings"] == [{"containerID": 0, "hostID": 0, "size": 1}]


def test_automatic_user_namespace():
    config = make({"userns": "auto"})
    lines = [IDMap(container_id=0, host_id=700000, size=1024)]
    config = config.replace(id_mappings=config.id_mappings.replace(uid_map=lines, gid_map=lines))
    found = start(config)["linux"]
    assert {"type": "user"} in found["namespaces"]
    assert found["uidMappings"] == [{"containerID": 0, "hostID": 700000, "size": 1024}]


def test_id_maps_are_split_where_ours_end():
    config = make({"uidmap": ["0:0:11"]}, host=USER)
    found = start(config, rootless=True, uid_map=ROOTLESS, gid_map=ROOTLESS)["linux"]
    assert found["uidMappings"] == [
        {"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 1, "size": 10}
    ]


def test_mounts_are_sorted_parents_first():
    config = make({"volume": ["/a:/x/y/z", "/b:/x", "cache:/x/y", "/c:/"]}, image=BARE)
    places = [mount["destination"] for mount in start(config, volume_paths={"/x/y": "/v"})["mounts"]]
    assert places[0] == "/"
    assert places.index("/x") < places.index("/x/y") < places.index("/x/y/z")
    depths = [0 if place == "/" else place.count("/") for place in places]
    assert depths == sorted(depths)


def test_our_own_mounts():
    mounts = _mounts(start(make(), bind_mounts={"/etc/hosts": "/h", "/dev/shm": "/s"}))
    assert mounts["/etc/hosts"]["options"] == ["bind", "rprivate"]
    config = make().replace(shm_dir="/s")
    assert _mounts(start(config, bind_mounts={"/dev/shm": "/s"}))["/dev/shm"]["options"] == [
        "bind", "rprivate", "nosuid", "noexec", "nodev"
    ]
    mine = _mounts(start(make({"volume": ["/mine:/etc/hosts"]})))
    assert mine["/etc/hosts"]["source"] == "/mine"


def test_our_own_mounts_of_a_read_only_container():
    mounts = _mounts(start(make({"read-only": True})))
    assert "ro" in mounts["/etc/hosts"]["options"] and "ro" not in mounts["/dev/shm"]["options"]
    mounts = _mounts(start(make({"read-only": True, "read-only-tmpfs": False})))
    assert "ro" in mounts["/dev/shm"]["options"]


def test_words_only_the_engine_understands():
    config = make({
        "volume": ["/a:/a:U,z", "cache:/c:nocopy"], "tmpfs": ["/t:U,size=1m"],
        "mount": ["type=bind,src=/n,dst=/n,no-dereference"], "user": "web",
    }, image=BARE)
    mounts = _mounts(start(config, volume_paths={"/c": "/v"}))
    assert mounts["/a"]["options"] == ["rprivate", "rbind"]
    assert mounts["/c"]["options"] == ["rprivate", "nosuid", "nodev", "rbind"]
    assert mounts["/t"]["options"][:3] == ["uid=1000", "gid=1001", "size=1m"]
    assert "copy-symlink" in mounts["/n"]["options"]


def test_id_mapped_mounts():
    config = make({"volume": ["/a:/a:idmap", "/b:/b:idmap=uids=0-5-1#@1-2-3;gids=7-8-9"], "uidmap": ["0:100:50"]})
    mounts = _mounts(start(config))
    assert mounts["/a"]["uidMappings"] == [{"containerID": 0, "hostID": 100, "size": 50}]
    assert mounts["/b"]["uidMappings"] == [
        {"containerID": 0, "hostID": 5, "size": 1}, {"containerID": 1, "hostID": 102, "size": 3}
    ]
    assert mounts["/b"]["gidMappings"] == [{"containerID": 7, "hostID": 8, "size": 9}]


@pytest.mark.parametrize(("options", "message"), [
    ("foo=1", 'unknown option "foo=1"'),
    ("uids=", 'invalid empty range for ""'),
    ("uids=1-2", 'invalid value for "1-2"'),
    ("uids=1-2-0", 'invalid value for "1-2-0"'),
    ("uids=@0-900-1", 'could not find a user namespace mapping for the relative mapping "@0-900-1"'),
])
def test_bad_id_mapped_mount(options, message):
    with pytest.raises(InvalidArgument) as caught:
        start(make({"volume": [f"/a:/a:idmap={options}"]}))
    assert str(caught.value) == message


def test_volumes_and_ready_mounts():
    config = make({"volume": ["cache:/c"]})
    extra = Mount(destination="/over", type="overlay", source="overlay", options=["lowerdir=/l"])
    mounts = _mounts(start(config, volume_paths={"/c": "/vol/cache", "/data": "/vol/1"}, mounts=[extra]))
    assert mounts["/c"]["source"] == "/vol/cache" and mounts["/data"]["source"] == "/vol/1"
    assert mounts["/over"] == extra.to_json()


def test_tmpfs_below_a_link():
    mounts = _mounts(start(make({"tmpfs": ["/var/run"]}), tmpfs_targets={"/var/run": "/run"}))
    assert mounts["/run"]["type"] == "tmpfs" and "/var/run" not in mounts


@pytest.mark.parametrize(("words", "propagation"), [
    ("rshared", "shared"), ("shared", "shared"), ("rslave", "rslave"), ("slave", "rslave"), ("private", None),
])
def test_root_propagation(words, propagation):
    spec = start(make({"volume": [f"/a:/a:{words}"]}))
    assert spec["linux"].get("rootfsPropagation") == propagation


def test_systemd_on_a_unified_tree():
    config = make({"systemd": "always", "tmpfs": ["/tmp:size=5m"], "shm-size-systemd": "1m"})
    spec = start(config)
    mounts = _mounts(spec)
    assert mounts["/run"]["options"][-1] == "size=1048576" and "/var/log/journal" in mounts
    assert "size=5m" in mounts["/tmp"]["options"]
    assert mounts["/sys/fs/cgroup"] == {
        "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["private", "rw"],
    }
    assert _environment(spec)["container_uuid"] == ID[:32]
    shared = _mounts(start(make({"systemd": "always", "cgroupns": "host"})))
    assert shared["/sys/fs/cgroup"]["type"] == "bind"


def test_systemd_on_version_one():
    config = make({"systemd": "always", "cgroupns": "host"})
    spec = start(config, unified=False, systemd_hierarchy=("nosuid", "ro"))
    assert _mounts(spec)["/sys/fs/cgroup/systemd"]["options"] == ["bind", "rprivate", "nosuid", "ro"]
    assert spec["linux"]["maskedPaths"][-1] == "/sys/fs/cgroup/systemd/release_agent"
    assert "/sys/fs/cgroup/systemd" not in _mounts(start(config, unified=False))
    with pytest.raises(InvalidArgument, match="cgroup namespace is not supported with cgroup v1 and systemd mode"):
        start(make({"systemd": "always", "cgroupns": "private"}), unified=False)


DEVICES = (
    DeviceNode(path="/dev/kvm", major=10, minor=232, mode=0o20660), DeviceNode(path="/dev/tty1", major=4, minor=1),
    DeviceNode(path="/dev/ptmx", major=5, minor=2),
)


def test_devices_of_a_privileged_container():
    linux = start(make({"privileged": True, "device": ["/dev/fuse"]}), devices=DEVICES)["linux"]
    assert [node["path"] for node in linux["devices"]] == ["/dev/fuse", "/dev/kvm", "/dev/tty1", "/dev/ptmx"]
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    linux = start(make({"privileged": True, "systemd": "always"}), devices=DEVICES)["linux"]
    assert "/dev/tty1" not in [node["path"] for node in linux["devices"]]
    assert "devices" not in start(make(), devices=DEVICES)["linux"]


def test_devices_of_a_privileged_container_without_root():
    config = make({"privileged": True}, host=USER)
    spec = start(config, devices=DEVICES, rootless=True, uid_map=ROOTLESS, gid_map=ROOTLESS)
    mounts = _mounts(spec)
    assert mounts["/dev/kvm"]["type"] == "bind"
    assert "/dev/tty1" not in mounts and "/dev/ptmx" not in mounts
    assert "devices" not in spec["linux"]["resources"] and "devices" not in spec["linux"]


def test_annotations():
    config = make({"annotation": ["a=b"], "stop-signal": "9", "stop-timeout": "3"})
    assert start(config, annotations={"c": "d"})["annotations"] == {
        "a": "b",
        "org.opencontainers.image.stopSignal": "9",
        "org.systemd.property.KillSignal": "9",
        "org.systemd.property.TimeoutStopUSec": "uint64 3000000",
        "io.container.manager": "wherry",
        "c": "d",
    }
    own = make({"annotation": ["io.container.manager=other"], "stop-timeout": "0"})
    found = start(own)["annotations"]
    assert found["io.container.manager"] == "other" and "org.systemd.property.TimeoutStopUSec" not in found


def test_the_rest():
    config = make({"oom-score-adj": "-500"}).replace(process_label="p", mount_label="m")
    profile = {"defaultAction": "SCMP_ACT_ALLOW"}
    spec = start(config, seccomp=profile, rootless=True, oom_score_adjust=100)
    assert spec["process"]["selinuxLabel"] == "p" and spec["linux"]["mountLabel"] == "m"
    assert spec["linux"]["seccomp"] == profile
    assert spec["process"]["oomScoreAdj"] == 100
    assert start(config)["process"]["oomScoreAdj"] == -500
    assert spec["root"] == {"path": "/store/merged"}


@pytest.mark.parametrize(("flags", "host", "path"), [
    ({}, None, f"/wherry/ctr-{ID}"),
    ({"cgroup-parent": "/mine/"}, None, f"/mine/ctr-{ID}"),
    ({"cgroups": "disabled"}, None, ""),
    ({"cgroups": "split"}, None, f"/own/wherry-payload-{ID}"),
    ({}, USER, ""),
])
def test_control_group(flags, host, path):
    config = make(flags) if host is None else make(flags, host=host)
    assert cgroups_path(config, own="/own/", rootless=host is not None) == path
    assert start(config, own_cgroup="/own", rootless=host is not None)["linux"].get("cgroupsPath", "") == path


def test_control_group_of_systemd():
    conf = settings()
    config = make(conf=conf.replace(engine=conf.engine.replace(cgroup_manager="systemd")))
    assert cgroups_path(config) == f"machine.slice:wherry:{ID}"


def test_needs_shm():
    assert needs_shm(make())
    assert not needs_shm(make({"ipc": "none"}))
    assert not needs_shm(make({"ipc": "host"}))
    assert not needs_shm(make({"tmpfs": ["/dev/shm"]}))
    assert not needs_shm(make({"volume": ["v:/dev/shm"]}))


def test_virtual_consoles():
    assert is_virtual_console("/dev/tty12")
    assert not any(map(is_virtual_console, ("/dev/tty", "/dev/ttyS0", "/dev/pts/1")))
