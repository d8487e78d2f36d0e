"""What the runtimes say, turned into Podman's errors. The texts are those of crun 1.8.1 and runc 1.1.5."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import RuntimeCommandNotFound, RuntimeFailed, RuntimePermissionDenied
from wherry.oci import failures

NOT_FOUND = "OCI runtime attempted to invoke a command that was not found"


@pytest.mark.parametrize(
    ("text", "kind", "shown", "code"),
    [
        (
            "executable file `x` not found in $PATH: No such file or directory", RuntimeCommandNotFound,
            f"crun: executable file `x` not found in $PATH: No such file or directory: {NOT_FOUND}", 127,
        ),
        (
            'runc create failed: unable to start container process: exec: "x": executable file not found in $PATH',
            RuntimeCommandNotFound,
            'crun: runc create failed: unable to start container process: exec: "x": executable file not found in '
            f"$PATH: {NOT_FOUND}", 127,
        ),
        (
            "open executable: Permission denied", RuntimePermissionDenied,
            "crun: open executable: Permission denied: OCI permission denied", 126,
        ),
        (
            "open executable: Operation not permitted", RuntimePermissionDenied,
            "crun: open executable: Operation not permitted: OCI permission denied", 126,
        ),
        ("open executable: Is a directory", RuntimeCommandNotFound,
         f"crun: open executable: Is a directory: {NOT_FOUND}", 127),
        ("chdir `/f`: Not a directory\n", RuntimeFailed,
         "OCI runtime error: crun: chdir `/f`: Not a directory", 126),
        ("write to `/proc/self/attr/exec`: Invalid argument", RuntimeFailed,
         "OCI runtime error: crun: `/proc/self/attr/exec`: OCI runtime error: unable to assign security attribute",
         126),
        ("read `/proc/1/attr/current`", RuntimeFailed,
         "OCI runtime error: crun: `/proc/1/attr/current`: OCI runtime error: unable to get security attribute", 126),
        ("`/proc/self/attr/keycreate`: x", RuntimeFailed,
         "OCI runtime error: crun: `/proc/self/attr/keycreate`: OCI runtime error: unable to process security "
         "attribute", 126),
    ],
)
def test_kinds_and_words(text: str, kind: type[RuntimeFailed], shown: str, code: int) -> None:
    error = failures.classify("crun", text)
    assert (type(error), str(error), error.exit_code) == (kind, shown, code)


def test_only_the_telling_line_of_several_is_shown() -> None:
    error = failures.classify("runc", "a warning\nmount: Permission Denied here\nno such file or directory")
    assert str(error) == "runc: mount: Permission Denied here: OCI permission denied"


def test_an_unknown_failure_keeps_all_lines() -> None:
    assert str(failures.classify("runc", "\none\ntwo\n")) == "OCI runtime error: runc: one\ntwo"


def test_the_last_error_of_a_json_log_counts() -> None:
    log = (
        '{"msg":"unknown seccomp syscall ignored","level":"warning","time":"x"}\n'
        '{"level":"error","msg":"first","time":"x"}\n'
        '{"level":"fatal","msg":"second \\"quoted\\"","time":"x"}\n'
    )
    assert failures.message_of(log) == 'second "quoted"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ""),
        ("plain words\n", "plain words"),
        ('{"level":"warning","msg":"careful"}', ""),
        ("{broken\n", "{broken"),
        ('[1]\n{"level":"error"}', "[1]"),
    ],
)
def test_logs_without_an_error(text: str, message: str) -> None:
    assert failures.message_of(text) == message


def test_a_missing_log_says_nothing(tmp_path: Path) -> None:
    assert failures.logged(str(tmp_path / "oci-log")) == ""


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("error opening file `/run/crun/nope/status`: No such file or directory", True),
        ("cannot open directory '/run/crun/nope': No such file or directory", True),
        ("container does not exist", True),
        ("kill container: No such process", True),
        ("container not running", True),
        ("cannot delete container e2 that is not stopped: running", False),
        ("the container `e2` is not in `created` or `stopped` state", False),
        ("executable file `x` not found in $PATH: No such file or directory", False),
    ],
)
def test_recognising_a_container_that_is_gone(text: str, gone: bool) -> None:
    assert failures.is_gone(text) is gone


def test_without_a_message_bus_the_way_out_is_named() -> None:
    error = failures.classify("crun", "cannot open sd-bus: Connection refused")
    assert str(error) == "OCI runtime error: crun: cannot open sd-bus: Connection refused"
    assert "--cgroup-manager cgroupfs" in error.hint
    assert failures.classify("crun", "something else").hint == ""
