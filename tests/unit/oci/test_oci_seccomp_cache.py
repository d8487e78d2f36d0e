"""The cache of compiled seccomp filters."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.oci.conftest import Scripts

from wherry.oci import seccomp_cache
from wherry.oci.runtime import OciRuntime
from wherry.oci.seccomp_cache import ANNOTATION, annotate, remember

FILTER = bytes(range(16))


def profile(action: str = "SCMP_ACT_ALLOW") -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["read", "write"], "action": action}],
    }


def spec(**seccomp: Any) -> dict[str, Any]:
    return {"annotations": {"mine": "1"}, "linux": {"seccomp": {**profile(), **seccomp}}}


@pytest.fixture
def crun(scripts: Scripts, tmp_path: Path) -> OciRuntime:
    """A crun that has created container c1 with a filter."""
    (tmp_path / "state/c1").mkdir(parents=True)
    (tmp_path / "state/c1/seccomp.bpf").write_bytes(FILTER)
    return OciRuntime("crun", scripts.program("crun", ""), root=f"{tmp_path}/state")


@pytest.fixture
def cache(tmp_path: Path) -> str:
    return f"{tmp_path}/cache"


def fill(crun: OciRuntime, cache: str, document: dict[str, Any] | None = None) -> str:
    key = annotate(document or spec(), cache, crun)
    assert key
    remember(key, cache, crun, "c1")
    return key


def test_the_second_container_gets_the_filter_of_the_first(crun: OciRuntime, cache: str) -> None:
    first = spec()
    key = annotate(first, cache, crun)
    assert first == spec()
    remember(key, cache, crun, "c1")
    second = spec()
    assert annotate(second, cache, crun) == ""
    assert second["annotations"] == {"mine": "1", ANNOTATION: base64.b64encode(FILTER).decode()}
    assert second["linux"] == spec()["linux"]


def test_the_annotations_given_are_not_changed_in_place(crun: OciRuntime, cache: str) -> None:
    fill(crun, cache)
    document = spec()
    given = document["annotations"]
    annotate(document, cache, crun)
    assert given == {"mine": "1"}


def test_a_changed_profile_has_another_key(crun: OciRuntime, cache: str) -> None:
    keys = [
        annotate(document, cache, crun)
        for document in (
            spec(), spec(defaultAction="SCMP_ACT_KILL"), spec(architectures=[]),
            spec(flags=["SECCOMP_FILTER_FLAG_LOG"]), spec(syscalls=[]),
            spec(syscalls=[{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]),
        )
    ]
    assert "" not in keys
    assert len(set(keys)) == len(keys)


def test_a_changed_program_has_another_key(crun: OciRuntime, cache: str, scripts: Scripts) -> None:
    before = annotate(spec(), cache, crun)
    os.utime(crun.path, ns=(1, 1))
    assert annotate(spec(), cache, crun) != before


def test_another_kernel_has_another_key(crun: OciRuntime, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = annotate(spec(), cache, crun)
    system = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*system[:2], "99.9", *system[3:])))
    assert annotate(spec(), cache, crun) != before


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"linux": {}},
        {"linux": None},
        spec(listenerPath="/run/listener"),
        spec(defaultAction="SCMP_ACT_NOTIFY"),
        spec(syscalls=[{"names": ["mount"], "action": "SCMP_ACT_NOTIFY"}]),
        {**spec(), "annotations": {ANNOTATION: "mine"}},
        {**spec(), "annotations": {"run.oci.seccomp.receiver": "/run/x"}},
        {**spec(), "annotations": {"run.oci.seccomp_fail_unknown_syscall": "1"}},
    ],
)
def test_what_is_not_cached(crun: OciRuntime, cache: str, document: dict[str, Any]) -> None:
    fill(crun, cache)
    before = repr(document)
    assert annotate(document, cache, crun) == ""
    assert repr(document) == before


def test_other_runtimes_do_not_know_the_annotation(crun: OciRuntime, cache: str) -> None:
    assert annotate(spec(), cache, OciRuntime("runc", crun.path)) == ""


@pytest.mark.parametrize("data", [b"", b"1234567", bytes(4097 * 8)])
def test_what_cannot_be_a_filter_is_not_kept(crun: OciRuntime, cache: str, data: bytes) -> None:
    Path(crun.state_dir("c1"), "seccomp.bpf").write_bytes(data)
    fill(crun, cache)
    assert annotate(spec(), cache, crun) != ""


def test_a_crun_that_leaves_no_file(crun: OciRuntime, cache: str) -> None:
    remember(annotate(spec(), cache, crun), cache, crun, "other")
    remember("", cache, crun, "c1")
    assert not os.path.exists(cache)


def test_the_cache_is_for_its_owner_only(crun: OciRuntime, cache: str) -> None:
    path = f"{cache}/{fill(crun, cache)}"
    assert os.stat(cache).st_mode & 0o777 == 0o700
    assert os.stat(path).st_mode & 0o777 == 0o600
    os.chmod(path, 0o622)
    assert annotate(spec(), cache, crun) != ""


def test_a_link_is_not_followed(crun: OciRuntime, cache: str) -> None:
    path = f"{cache}/{fill(crun, cache)}"
    os.rename(path, path + ".real")
    os.symlink(path + ".real", path)
    assert annotate(spec(), cache, crun) != ""


def test_the_cache_stays_small(crun: OciRuntime, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp_cache, "_MAX_ENTRIES", 3)
    for number in range(4):
        fill(crun, cache, spec(defaultErrnoRet=number))
    assert len(os.listdir(cache)) == 1
