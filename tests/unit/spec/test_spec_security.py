"""Security options, devices, secrets, namespaces, capabilities and hidden paths."""

import pytest

from wherry.errors import InvalidArgument
from wherry.spec import parse_namespaces, security
from wherry.spec import parse_security as words
from wherry.spec.container_spec import DeviceRequest, SecretRequest, SecurityRequest


def _fail(function, *arguments, **more):
    with pytest.raises(InvalidArgument) as caught:
        function(*arguments, **more)
    return str(caught.value)


def test_security_options():
    assert words.options([
        "apparmor=none", "label=type:spc_t", "label:disable", "label=nested", "mask=/a:/b", "unmask=ALL", "mask=/c",
        "no-new-privileges", "proc-opts=hidepid=2,nosuid", "seccomp=/p.json", "systempaths=unconfined",
    ]) == SecurityRequest(
        apparmor="none", label=["type:spc_t", "disable"], label_nested=True, mask=["/a", "/b", "/c"],
        unmask=["ALL", "ALL"], no_new_privileges=True, proc_options=["hidepid=2", "nosuid"], seccomp="/p.json",
    )
    assert words.options(["no-new-privileges=false"]).no_new_privileges is False
    assert words.options([]).no_new_privileges is None


@pytest.mark.parametrize(("text", "message"), [
    ("foo", 'invalid --security-opt 1: "foo"'),
    ("foo=bar", 'invalid --security-opt 2: "foo=bar"'),
    ("no-new-privileges=maybe", 'invalid --security-opt 2: "no-new-privileges=maybe"'),
    ("systempaths=x", 'invalid systempaths option "x", only `unconfined` is supported'),
])
def test_bad_security_option(text, message):
    assert _fail(words.options, [text]) == message


@pytest.mark.parametrize(("text", "host", "container", "permissions"), [
    ("/dev/a", "/dev/a", "/dev/a", "rwm"), ("/dev/a:/dev/b", "/dev/a", "/dev/b", "rwm"),
    ("/dev/a:/dev/b:r", "/dev/a", "/dev/b", "r"), ("/dev/a:mw", "/dev/a", "/dev/a", "mw"),
    ("/dev/a::r", "/dev/a", "/dev/a", "r"),
])
def test_device(text, host, container, permissions):
    assert words.devices([text]) == [
        DeviceRequest(host=host, container=container, permissions=permissions, text=text)
    ]


@pytest.mark.parametrize(("text", "message"), [
    ("/dev/a:/dev/b:x", 'invalid device mode "x" in device "/dev/a:/dev/b:x"'),
    ("/dev/a:/dev/b:", "empty device mode in device specification: /dev/a:/dev/b:"),
    ("/dev/a:b", 'invalid device mode "b" in device "/dev/a:b"'),
    ("/dev/a:rr", 'invalid device mode "rr" in device "/dev/a:rr"'),
    ("a:b:c:d", "invalid device specification: a:b:c:d"),
])
def test_bad_device(text, message):
    assert _fail(words.devices, [text]) == message


def test_cdi_name():
    assert words.devices(["nvidia.com/gpu=all"])[0].cdi
    for text in ("/dev/sda=x", "gpu=all", "nvidia.com/gpu", "nvidia.com/gpu=", "/gpu=0", "1.com/gpu=0"):
        assert not words.is_cdi_name(text)


def test_device_rules():
    assert words.device_rules(["c 1:3 rw", "b *:* rwm", "a 7:* m", "c 5 r"]) == [
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"},
        {"allow": True, "type": "b", "access": "rwm"},
        {"allow": True, "type": "a", "major": 7, "access": "m"},
        {"allow": True, "type": "c", "major": 5, "access": "r"},
    ]


@pytest.mark.parametrize(("text", "message"), [
    ("c 1:3", 'invalid device cgroup rule requires type, major:Minor, and access rules: "c 1:3"'),
    ("x 1:3 r", "invalid device type in device-access-add: x"),
    ("c 1:3 rx", "invalid device access in device-access-add: x"),
    ("c a:3 r", 'strconv.ParseUint: parsing "a": invalid syntax'),
])
def test_bad_device_rule(text, message):
    assert _fail(words.device_rules, [text]) == message


@pytest.mark.parametrize(("text", "fields"), [
    ("s", {"source": "s"}),
    ("s,type=env", {"source": "s", "type": "env"}),
    ("source=s,target=/t,uid=1,GID=2,mode=0400", {"source": "s", "target": "/t", "uid": 1, "gid": 2, "mode": 0o400}),
])
def test_secret(text, fields):
    assert words.secrets([text]) == [SecretRequest(**fields)]


@pytest.mark.parametrize(("text", "message"), [
    ("s,foo", "option foo must be in form option=value: parsing secret"),
    ("s,foo=1", "option foo=1 invalid: parsing secret"),
    ("s,type=x", "type x is invalid: parsing secret"),
    ("s,type=env,type=env", "cannot set more than one secret type: parsing secret"),
    ("s,mode=9", "mode 9 invalid: parsing secret"),
    ("s,uid=x", "UID x invalid: parsing secret"),
    ("type=env,target=x", "no source found type=env,target=x: parsing secret"),
    ("s,type=env,uid=1", "UID, GID, Mode options cannot be set with secret type env: parsing secret"),
])
def test_bad_secret(text, message):
    assert _fail(words.secrets, [text]) == message


def test_namespaces():
    assert parse_namespaces.namespace("") == "private"
    assert parse_namespaces.namespace("container:x") == "container:x"
    assert parse_namespaces.ipc_namespace("") == "shareable"
    assert parse_namespaces.ipc_namespace("none") == "none"
    assert parse_namespaces.user_namespace("") == "host"
    assert parse_namespaces.user_namespace("keep-id:uid=1") == "keep-id:uid=1"
    for function in (parse_namespaces.namespace, parse_namespaces.ipc_namespace, parse_namespaces.user_namespace):
        assert _fail(function, "bad") == "unrecognized namespace mode bad passed"
        assert _fail(function, "ns:") == "invalid config provided: namespace mode path requires a value"
    assert _fail(parse_namespaces.namespace, "shareable") == "unrecognized namespace mode shareable passed"


KNOWN = ("CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_ADMIN")


@pytest.mark.parametrize(("base", "add", "drop", "result"), [
    (["KILL", "CHOWN"], [], [], ["CAP_CHOWN", "CAP_KILL"]),
    (["KILL"], ["net_admin"], [], ["CAP_KILL", "CAP_NET_ADMIN"]),
    (["KILL", "CHOWN"], [], ["cap_kill"], ["CAP_CHOWN"]),
    (["KILL"], ["ALL"], [], ["CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"]),
    (["KILL"], ["all"], ["KILL"], ["CAP_CHOWN", "CAP_NET_ADMIN"]),
    (["KILL"], ["SYS_ADMIN"], ["ALL"], ["CAP_SYS_ADMIN"]),
    (["KILL"], [], ["ALL"], []),
])
def test_merge(base, add, drop, result):
    assert security.merge(base, add, drop, known=KNOWN, bounding=KNOWN[:3]) == result


@pytest.mark.parametrize(("add", "drop", "message"), [
    (["FOO"], [], '"CAP_FOO": unknown capability'),
    (["ALL"], ["ALL"], "adding all caps and removing all caps not allowed"),
    (["KILL"], ["KILL"], 'capability "CAP_KILL" cannot be dropped and added'),
])
def test_bad_merge(add, drop, message):
    assert _fail(security.merge, ["CHOWN"], add, drop, known=KNOWN, bounding=KNOWN) == message


@pytest.mark.parametrize(("unmask", "masked"), [
    ([], True), (["/proc/acpi"], False), (["/proc/*"], False), (["/sys/*"], True), (["all"], False),
    (["/x:/proc/acpi"], False), (["/*"], True), (["/proc/acp?"], False),
])
def test_is_masked(unmask, masked):
    assert security.is_masked("/proc/acpi", unmask) is masked
