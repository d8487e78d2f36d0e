"""Flags to a ContainerSpec: conversion by kind, parsing, and what contradicts itself."""

import pytest

from wherry.errors import InvalidArgument
from wherry.model.network import PortMapping
from wherry.spec.container_spec import ContainerSpec
from wherry.spec.options import BY_NAME
from wherry.spec.parse import convert, from_flags
from wherry.spec.unsupported import unsupported


def _fail(values):
    with pytest.raises(InvalidArgument) as caught:
        from_flags(values, "app")
    assert caught.value.exit_code == 125
    return str(caught.value)


def test_nothing_asked_is_nothing_set():
    assert from_flags({}, "app", ["a"]) == ContainerSpec(image="app", command=["a"])


def test_unset_is_not_false():
    assert from_flags({}, "app").read_only is None
    assert from_flags({"read-only": False}, "app").read_only is False
    assert from_flags({"read-only": "false"}, "app").read_only is False


def test_values_of_all_kinds():
    spec = from_flags(
        {
            "rm": True, "memory": "1m", "cpus": "1.5", "cpu-shares": "0x10", "pids-limit": "-1", "oom-score-adj": -5,
            "label": ["a=1,b"], "cap-add": ["CHOWN,KILL", "MKNOD"], "publish": ["80:80,81:81"], "stop-timeout": 3,
            "net": ["host"], "dns-opt": ["rotate"],
        },
        "app",
    )
    assert (spec.remove, spec.memory, spec.cpus, spec.cpu_shares) == (True, 1 << 20, 1.5, 16)
    assert (spec.pids_limit, spec.oom_score_adjust, spec.stop_timeout) == (-1, -5, 3)
    assert spec.labels == {"a": "1,b"}
    assert spec.cap_add == ["CHOWN", "KILL", "MKNOD"]
    assert spec.ports == [
        PortMapping(container_port=80, host_port=80), PortMapping(container_port=81, host_port=81)
    ]
    assert spec.network is not None and spec.network.mode == "host"
    assert spec.dns_options == ["rotate"]


def test_variables_override_files_whatever_their_order():
    files = {"/e": "A=file\nB=file\nHOME\n"}
    spec = from_flags(
        {"env": ["A=flag", "LANG"], "env-file": ["/e"]}, "app", environment={"HOME": "/h", "LANG": "C"},
        reader=files.__getitem__,
    )
    assert spec.environment == {"A": "flag", "B": "file", "HOME": "/h", "LANG": "C"}


def test_labels_override_label_files():
    spec = from_flags({"label": ["a=flag"], "label-file": ["/l"]}, "app", reader={"/l": "a=file\nb=1"}.__getitem__)
    assert spec.labels == {"a": "flag", "b": "1"}


def test_mounts_of_three_options_are_one_list():
    spec = from_flags({"tmpfs": ["/t"], "volume": ["/a:/b"], "mount": ["type=bind,src=/c,dst=/d"]}, "app")
    assert [(mount.destination, mount.via) for mount in spec.mounts or ()] == [
        ("/b", "volume"), ("/d", "mount"), ("/t", "tmpfs")
    ]


@pytest.mark.parametrize(("name", "value", "message"), [
    ("cpu-period", "abc", 'invalid argument "abc" for "--cpu-period" flag: strconv.ParseUint: parsing "abc": '
                          "invalid syntax"),
    ("cpu-shares", "-1", 'invalid argument "-1" for "-c, --cpu-shares" flag: strconv.ParseUint: parsing "-1": '
                         "invalid syntax"),
    ("cpu-shares", -1, 'invalid argument "-1" for "-c, --cpu-shares" flag: must not be negative'),
    ("cpus", "x", 'invalid argument "x" for "--cpus" flag: strconv.ParseFloat: parsing "x": invalid syntax'),
    ("rm", "maybe", 'invalid argument "maybe" for "--rm" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
    ("cap-add", ['"x'], 'invalid argument "\\"x" for "--cap-add" flag: parse error on line 1, column 1: extraneous '
                        'or missing " in quoted-field'),
    ("nonsense", "1", "unknown flag: --nonsense"),
])
def test_bad_value(name, value, message):
    assert _fail({name: value}) == message


def test_slash_before_a_name_is_dropped():
    assert from_flags({"name": "/boat"}, "app").name == "boat"


def test_convert_keeps_lines_when_told():
    assert convert(BY_NAME["cap-add"], ["a,b"], split=False) == ["a,b"]
    assert convert(BY_NAME["cap-add"], "a,b") == ["a", "b"]


@pytest.mark.parametrize(("values", "message"), [
    ({"name": "-x"}, "running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument"),
    ({"replace": True}, "cannot replace container without --name being set"),
    ({"pod": "a", "pod-id-file": "/x"}, "cannot specify both --pod and --pod-id-file"),
    ({"init-ctr": "once"}, "must specify pod value with init-ctr"),
    ({"platform": "linux/arm64", "arch": "arm64"}, "--platform option can not be specified with --arch or --os"),
    ({"userns": "host", "uidmap": ["0:1:1"]},
     "--userns and --uidmap/--gidmap/--subuidname/--subgidname are mutually exclusive"),
    ({"rm": True, "restart": "always"},
     'the --rm option conflicts with --restart, when the restartPolicy is not "" and "no"'),
    ({"preserve-fds": 1, "preserve-fd": ["3"]}, "cannot specify both --preserve-fds and --preserve-fd"),
    ({"rmi": True, "rootfs": True},
     "autoremoving image is not possible when a rootfs is in use: invalid argument"),
    ({"no-healthcheck": True, "health-cmd": "x"}, "cannot specify both --no-healthcheck and --health-cmd"),
    ({"no-healthcheck": True, "health-startup-cmd": "x"},
     "cannot specify both --no-healthcheck and --health-startup-cmd"),
    ({"health-cmd": "x", "health-retries": "0"}, "healthcheck-retries must be greater than 0"),
    ({"cpus": "1", "cpu-period": "1000"}, "--cpu-period and --cpus cannot be set together"),
    ({"cpus": "1", "cpu-quota": "1000"}, "--cpu-quota and --cpus cannot be set together"),
    ({"cgroups": "split", "cgroup-parent": "/x"},
     "cannot specify --cgroup-mode=split with a cgroup-parent: invalid argument"),
    ({"cgroups": "disabled", "cgroup-parent": "/x"},
     "cannot set cgroup parent if not creating cgroups: invalid argument"),
    ({"no-hosts": True, "add-host": ["a:1.2.3.4"]}, "--no-hosts and --add-host cannot be set together"),
    ({"no-hosts": True, "hosts-file": "/x"}, "--no-hosts and --hosts-file cannot be set together"),
    ({"dns": ["none"], "dns-search": ["a.b"]},
     "invalid config provided: UseImageResolvConf and DNSSearch are mutually exclusive options"),
    ({"network": ["none"], "dns": ["1.1.1.1"]}, "conflicting options: dns and the network mode: none"),
    ({"network": ["container:x"], "dns-option": ["a"]}, "conflicting options: dns and the network mode: container"),
    ({"network": ["container:x"], "add-host": ["a:1.2.3.4"]},
     "invalid config provided: cannot set extra host entries when the container is joined to another containers "
     "network namespace: invalid configuration"),
    ({"network": ["host"], "ip": "10.0.0.1"},
     "--ip can only be set when the network mode is bridge: invalid argument"),
    ({"network": ["a", "b"], "mac-address": "aa:bb:cc:dd:ee:ff"},
     "--mac-address can only be set for a single network: invalid argument"),
    ({"network": ["none"], "network-alias": ["x"]},
     "--network-alias can only be set when the network mode is bridge: invalid argument"),
    ({"volume": ["/a:/x"], "mount": ["type=bind,src=/b,dst=/x"]}, "/x: duplicate mount destination"),
    ({"volume": ["/a:/x"], "tmpfs": ["/x"]}, "/x: duplicate mount destination"),
    ({"volume": ["v:/x"], "mount": ["type=image,src=i,dst=/x"]}, "/x: duplicate mount destination"),
])
def test_contradiction(values, message):
    assert _fail(values) == message


@pytest.mark.parametrize("values", [
    {"volume": ["/a:/x"], "mount": ["type=bind,src=/a,dst=/x"]},
    {"mount": ["type=tmpfs,dst=/x,tmpfs-size=1m"], "tmpfs": ["/x"]},
    {"network": ["a", "b"], "network-alias": ["x"]},
    {"ip": "10.0.0.1"},
    {"rm": True, "restart": "on-failure:3"},
    {"name": ""},
])
def test_no_contradiction(values):
    from_flags(values, "app")


@pytest.mark.parametrize(("values", "flags"), [
    ({}, []),
    ({"memory": "1m", "userns": "keep-id"}, []),
    ({"pod": "p", "pid": "pod", "network": ["pod"], "secret": ["s"]}, []),
    ({"gpus": ["all"], "device": ["a.com/b=c"], "decryption-key": ["k"]}, ["--decryption-key"]),
    ({"health-cmd": "x", "health-startup-cmd": "y"}, []),
    ({"mount": ["type=artifact,src=a,dst=/x"], "userns": "auto:size=5"}, []),
])
def test_unsupported(values, flags):
    found = unsupported(from_flags(values, "app"))
    assert [flag for flag, _ in found] == flags
    assert all(reason for _, reason in found)
