"""What a runtime can do, from its own document or its version text, and remembering it."""

from __future__ import annotations

import os

import pytest
from tests.unit.oci.conftest import Scripts

from wherry.errors import NotFound
from wherry.oci.features import Features, features, from_document, from_version
from wherry.oci.runtime import OciRuntime

DOCUMENT = {     # runc 1.1.5, shortened
    "ociVersionMin": "1.0.0",
    "ociVersionMax": "1.0.2-dev",
    "mountOptions": ["bind", "ro", "rro"],
    "linux": {
        "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
        "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True},
        "seccomp": {"enabled": True, "actions": ["SCMP_ACT_ALLOW"], "supportedFlags": ["SECCOMP_FILTER_FLAG_LOG"]},
        "apparmor": {"enabled": True},
        "selinux": {"enabled": False},
    },
    "annotations": {"org.opencontainers.runc.checkpoint.enabled": "true", "org.opencontainers.runc.version": "1.1.5"},
}
CRUN_VERSION = """crun version 1.8.1
commit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30
rundir: /run/crun
spec: 1.0.0
+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +YAJL"""


def test_a_document() -> None:
    found = from_document(DOCUMENT)
    assert found.reported
    assert (found.version_min, found.version_max) == ("1.0.0", "1.0.2-dev")
    assert (found.cgroup_v1, found.cgroup_v2, found.cgroup_systemd) == (True, True, True)
    assert (found.seccomp, found.apparmor, found.selinux) == (True, True, False)
    assert found.seccomp_flags == ("SECCOMP_FILTER_FLAG_LOG",)
    assert (found.checkpoint, found.idmapped_mounts) == (True, False)
    assert found.has_mount_option("rro")
    assert not found.has_mount_option("idmap")
    assert found.annotations["org.opencontainers.runc.version"] == "1.1.5"


def test_mount_extensions_of_the_newer_document() -> None:
    assert from_document({"linux": {"mountExtensions": {"idmap": {"enabled": True}}}}).idmapped_mounts


def test_an_empty_document_promises_nothing() -> None:
    found = from_document({})
    assert not any([found.cgroup_v1, found.cgroup_v2, found.seccomp, found.checkpoint, found.namespaces])


def test_the_version_text_of_crun() -> None:
    found = from_version(CRUN_VERSION)
    assert (found.reported, found.cgroup_systemd, found.seccomp, found.selinux) == (False, True, True, True)
    assert (found.checkpoint, found.idmapped_mounts, found.mount_options) == (False, False, ())
    assert from_version(CRUN_VERSION + " +CRIU").checkpoint


def test_another_version_text_assumes_little() -> None:
    assert from_version("runsc version release-2024") == Features()


def test_asking_the_program(scripts: Scripts) -> None:
    runtime = scripts.runtime("""test "$1" = features && echo '{"ociVersionMax": "1.2.0"}'""")
    assert runtime.features().version_max == "1.2.0"
    assert runtime.features().reported
    assert scripts.calls() == ["crun features"]


@pytest.mark.parametrize("answer", ["echo nonsense", "echo '[1]'", "exit 1"])
def test_a_program_that_does_not_know_the_question(scripts: Scripts, answer: str) -> None:
    found = scripts.runtime(f"""case "$*" in *--version) echo '+SECCOMP +SYSTEMD';; *) {answer};; esac""").features()
    assert (found.reported, found.seccomp, found.cgroup_systemd) == (False, True, True)


def test_a_program_that_says_nothing(scripts: Scripts) -> None:
    assert scripts.runtime("exit 1").features() == Features(seccomp=False)


def test_a_changed_program_is_asked_again(scripts: Scripts) -> None:
    runtime = scripts.runtime("""echo '{"ociVersionMax": "1"}'""")
    assert runtime.features().version_max == "1"
    scripts.runtime("""echo '{"ociVersionMax": "22"}'""")
    assert runtime.features().version_max == "22"


def test_the_answer_is_kept_for_other_processes(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = scripts.runtime("""echo '{"ociVersionMax": "1", "mountOptions": ["rro"]}'""")
    cache = f"{scripts.directory}/cache"
    first = features(runtime, cache_dir=cache)
    monkeypatch.setattr("wherry.oci.features._asked", {})
    again = features(runtime, cache_dir=cache)
    assert (again.version_max, list(again.mount_options), again.reported) == ("1", ["rro"], True)
    assert first.has_mount_option("rro")
    assert len(scripts.calls()) == 1


def test_a_broken_cache_is_not_used(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = scripts.runtime("""echo '{"ociVersionMax": "1"}'""")
    cache = scripts.directory / "cache"
    features(runtime, cache_dir=str(cache))
    (name,) = os.listdir(cache)
    for text in ("", "{", "[1]"):
        (cache / name).write_text(text)
        monkeypatch.setattr("wherry.oci.features._asked", {})
        assert features(runtime, cache_dir=str(cache)).version_max == "1"


def test_a_missing_program() -> None:
    with pytest.raises(NotFound, match="looking at OCI runtime crun"):
        OciRuntime("crun", "/no/such/crun").features()
