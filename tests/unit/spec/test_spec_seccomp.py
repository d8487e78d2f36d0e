"""Seccomp profiles: which rules are left for given capabilities and architecture."""

import errno
import json

import pytest

from wherry.errors import InvalidArgument, NotFound
from wherry.spec import seccomp

RULES = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrno": "ENOSYS",
    "defaultErrnoRet": 1,
    "archMap": [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
    ],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {}, "excludes": {}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}, "errno": "EPERM"},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        {"name": "personality", "action": "SCMP_ACT_ALLOW", "errnoRet": 5,
         "args": [{"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"},
                  {"index": 1, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]},
    ],
}


def _names(profile):
    return [(rule["names"][0], rule["action"]) for rule in profile["syscalls"]]


def test_rules_without_capabilities():
    profile = seccomp.profile(json.dumps(RULES), ["CAP_CHOWN"], "amd64")
    assert profile is not None
    assert _names(profile) == [
        ("read", "SCMP_ACT_ALLOW"), ("mount", "SCMP_ACT_ERRNO"), ("arch_prctl", "SCMP_ACT_ALLOW"),
        ("personality", "SCMP_ACT_ALLOW"),
    ]
    assert profile["defaultErrnoRet"] == errno.ENOSYS
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert profile["syscalls"][1]["errnoRet"] == errno.EPERM
    assert profile["syscalls"][3] == {
        "names": ["personality"], "action": "SCMP_ACT_ALLOW", "errnoRet": 5,
        "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"},
                 {"index": 1, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}],
    }


def test_rules_with_capabilities_on_another_machine():
    profile = seccomp.profile(json.dumps(RULES), ["CAP_SYS_ADMIN"], "arm64")
    assert profile is not None
    assert _names(profile) == [
        ("read", "SCMP_ACT_ALLOW"), ("mount", "SCMP_ACT_ALLOW"), ("ptrace", "SCMP_ACT_ALLOW"),
        ("personality", "SCMP_ACT_ALLOW"),
    ]
    assert profile["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]


def test_plain_profile():
    plain = {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    }
    assert seccomp.profile(json.dumps(plain), [], "amd64") == plain
    assert seccomp.profile("{}", [], "amd64") is None


@pytest.mark.parametrize(("rules", "message"), [
    ("nonsense", "decoding seccomp profile failed"),
    ("[]", "decoding seccomp profile failed: not an object"),
    ('{"defaultAction": "A", "defaultErrno": "EFOO"}', "unknown errno EFOO"),
    ('{"defaultAction": "A", "defaultErrno": "errorcode"}', "unknown errno errorcode"),
    ('{"defaultAction": "A", "architectures": ["a"], "archMap": [{}]}', "use either 'architectures' or 'archMap'"),
    ('{"defaultAction": "A", "syscalls": [{"name": "a", "names": ["b"]}]}', "use either 'name' or 'names'"),
])
def test_bad_profile(rules, message):
    with pytest.raises(InvalidArgument, match=message):
        seccomp.profile(rules, [], "amd64")


def test_load_remembers(tmp_path):
    path = tmp_path / "seccomp.json"
    path.write_text(json.dumps(RULES))
    first = seccomp.load(str(path), ["CAP_CHOWN"], "amd64", cache_dir=str(tmp_path))
    cached = list(tmp_path.glob("seccomp-*"))
    assert len(cached) == 1 and json.loads(cached[0].read_text()) == first
    cached[0].write_text('{"defaultAction": "REMEMBERED"}')
    assert seccomp.load(str(path), ["CAP_CHOWN"], "amd64", cache_dir=str(tmp_path)) == {"defaultAction": "REMEMBERED"}
    assert seccomp.load(str(path), ["CAP_KILL"], "amd64", cache_dir=str(tmp_path)) == first
    assert seccomp.load(str(path), ["CAP_CHOWN"], "amd64") == first


def test_load_survives_a_damaged_or_unwritable_memory(tmp_path):
    path = tmp_path / "seccomp.json"
    path.write_text(json.dumps(RULES))
    first = seccomp.load(str(path), [], "amd64", cache_dir=str(tmp_path))
    next(tmp_path.glob("seccomp-*")).write_text("{")
    assert seccomp.load(str(path), [], "amd64", cache_dir=str(tmp_path)) == first
    assert seccomp.load(str(path), [], "amd64", cache_dir=str(tmp_path / "missing")) == first


def test_load_says_which_file(tmp_path):
    with pytest.raises(NotFound, match="opening seccomp profile failed: open /none/such: no such file"):
        seccomp.load("/none/such", [], "amd64")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InvalidArgument, match=r"loading seccomp profile \(.*bad.json\) failed"):
        seccomp.load(str(tmp_path / "bad.json"), [], "amd64")

