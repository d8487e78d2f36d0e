"""Filters compiled once are really applied, and only for the profile they were compiled from."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.oci.conftest import Box

from wherry.oci import seccomp_cache
from wherry.oci.runtime import OciRuntime
from wherry.oci.seccomp_cache import ANNOTATION

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture(params=["crun"])
def runtime(crun: OciRuntime) -> Iterator[OciRuntime]:
    """Only crun knows the annotation."""
    yield crun


def deny(*names: str) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
    }


def run(
    box: Box, cache: Path, profile: dict[str, Any], *args: str, no_new_privileges: bool = True
) -> tuple[bool, bytes]:
    """(whether the cache had the filter, what the container wrote)."""
    box.spec["linux"]["seccomp"] = profile
    box.spec.pop("annotations", None)
    box.command(*args, noNewPrivileges=no_new_privileges)
    key = seccomp_cache.annotate(box.spec, str(cache), box.runtime)
    box.create()
    seccomp_cache.remember(key, str(cache), box.runtime, box.id)
    with box.attach() as attachment:
        box.start()
        out, err = attachment.collect(None)
    box.wait()
    box.runtime.delete(box.id)
    return not key, out + err


STATUS = ("sh", "-c", "while read name value; do [ $name = Seccomp: ] && echo mode $value; done < /proc/self/status; "
                      "mkdir /tmp/x && echo made")


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_cached_filter_blocks_what_the_profile_blocks(box: Box, tmp_path: Path, no_new_privileges: bool) -> None:
    cache = tmp_path / "cache"
    profile = deny("mkdir", "mkdirat")
    for expected in (False, True, True):
        cached, out = run(box, cache, profile, *STATUS, no_new_privileges=no_new_privileges)
        assert cached is expected
        assert out.splitlines()[0] == b"mode 2"
        assert b"Operation not permitted" in out
        assert b"made" not in out


def test_the_annotation_alone_carries_the_filter(box: Box, tmp_path: Path, rootfs: Path) -> None:
    """With an allowing profile in the spec, the filter in the annotation is the one that counts."""
    cache = tmp_path / "cache"
    run(box, cache, deny("mkdir", "mkdirat"), *STATUS)
    (name,) = os.listdir(cache)
    box.spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW"}
    box.spec["annotations"] = {ANNOTATION: (cache / name).read_text()}
    _, out, err = box.command(*STATUS).run()
    assert b"Operation not permitted" in out + err


def test_a_changed_profile_is_compiled_anew(box: Box, tmp_path: Path, rootfs: Path) -> None:
    cache = tmp_path / "cache"
    run(box, cache, deny("mkdir", "mkdirat"), *STATUS)
    cached, out = run(box, cache, deny("unlink"), *STATUS)
    assert not cached
    assert b"made" in out
    (rootfs / "tmp/x").rmdir()
    cached, out = run(box, cache, deny("mkdir", "mkdirat"), *STATUS)
    assert cached
    assert b"made" not in out


def test_the_kernel_gets_the_same_filter(box: Box, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    profile = deny("mkdir", "mkdirat", "swapon", "reboot")
    run(box, cache, profile, "true")
    (name,) = os.listdir(cache)
    compiled = base64.b64decode((cache / name).read_text())
    box.spec["linux"]["seccomp"] = profile
    assert seccomp_cache.annotate(box.spec, str(cache), box.runtime) == ""
    box.command("sleep", "100").create()
    assert Path(box.runtime.state_dir(box.id), "seccomp.bpf").read_bytes() == compiled
    box.runtime.delete(box.id, force=True)
    box.wait()


def test_exec_sessions_have_the_filter_too(box: Box, tmp_path: Path) -> None:
    from tests.system.oci.test_oci_sessions import Host

    cache = tmp_path / "cache"
    profile = deny("mkdir", "mkdirat")
    run(box, cache, profile, "true")
    box.spec["linux"]["seccomp"] = profile
    assert seccomp_cache.annotate(box.spec, str(cache), box.runtime) == ""
    box.command("sleep", "100").create()
    box.start()
    host = Host(box, tmp_path / "exec")
    _, out, err = host.run(*STATUS)
    assert out.splitlines()[0] == b"mode 2"
    assert b"Operation not permitted" in err
    box.runtime.delete(box.id, force=True)
    box.wait()
    host.close()
