"""Creating containers with stand-ins for conmon and the runtime: arguments, answers, and what a failure leaves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.oci.conftest import Scripts, descriptors

from wherry.errors import InternalError, NotFound, RuntimeCommandNotFound, RuntimeFailed
from wherry.oci import conmon, monitor
from wherry.oci.conmon import Created, Launch
from wherry.oci.runtime import OciRuntime
from wherry.sys import processes

MINIMAL = [
    "/usr/bin/conmon", "--api-version", "1", "--cid", "i", "--cuuid", "i", "--name", "n", "--runtime", "/bin/crun",
    "--bundle", "/b", "--full-attach", "--container-pidfile", "/r/pidfile", "--conmon-pidfile", "/r/conmon.pid",
]
LOG = [
    "--runtime-arg", "--root", "--runtime-arg", "/run/crun", "--runtime-arg", "--log-format=json",
    "--runtime-arg", "--log", "--runtime-arg", "/r/oci-log",
]


def arguments(runtime: OciRuntime | None = None, **values: Any) -> list[str]:
    launch = Launch(id="i", name="n", bundle="/b", run_dir="/r", log_driver="none", **values)
    return conmon.conmon_arguments("/usr/bin/conmon", runtime or OciRuntime("crun", "/bin/crun"), launch)


def test_the_least_there_is_to_say() -> None:
    assert arguments() == [*MINIMAL, "--log-path", "none", *LOG]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"terminal": True, "stdin": True}, ["--terminal"]),
        ({"stdin": True}, ["--stdin"]),
        ({"stdin": True, "leave_stdin_open": True}, ["--stdin", "--leave-stdin-open"]),
        ({"timeout": 7}, ["--timeout", "7"]),
        ({"no_pivot": True}, ["--no-pivot"]),
        ({"no_new_keyring": True}, ["--no-new-keyring"]),
        ({"sdnotify_socket": "/s"}, ["--sdnotify-socket", "/s"]),
        ({"env": ["LISTEN_PID=4", "LISTEN_FDS=1"]}, ["--replace-listen-pid"]),
        ({"preserve_fds": 2}, ["--runtime-opt", "--preserve-fds", "--runtime-opt", "2"]),
        ({"restore_from": "/c", "runtime_options": ["--file-locks"]},
         ["--restore", "/c", "--runtime-opt", "--file-locks"]),
        ({"exit_command": ["/w", "cleanup", "i"]},
         ["--exit-command", "/w", "--exit-command-arg", "cleanup", "--exit-command-arg", "i"]),
        ({"exit_command": ["/w"], "exit_delay": 5}, ["--exit-command", "/w", "--exit-delay", "5"]),
        ({"exit_delay": 5}, []),
        ({"log_level": "debug", "syslog": True}, ["--log-level", "debug", "--syslog"]),
    ],
)
def test_what_a_launch_adds(values: dict[str, Any], expected: list[str]) -> None:
    assert arguments(**values) == [*MINIMAL, "--log-path", "none", *LOG, *expected]


def test_directories_for_the_exit() -> None:
    added = arguments(exit_dir="/e", persist_dir="/p")[len(MINIMAL):]
    assert added[:4] == ["--exit-dir", "/e", "--persist-dir", "/p"]


def test_options_of_the_runtime_are_passed_through() -> None:
    runtime = OciRuntime("kata", "/bin/kata", flags=["--debug"], root="/state", systemd_cgroup=True,
                         supports_json=False)
    assert arguments(runtime)[len(MINIMAL):] == [
        "--log-path", "none", "--systemd-cgroup", "--runtime-arg", "--debug", "--runtime-arg", "--root",
        "--runtime-arg", "/state",
    ]


def test_without_cgroups_the_systemd_manager_is_not_used() -> None:
    words = arguments(OciRuntime("crun", "/bin/crun", systemd_cgroup=True), no_cgroups=True)
    assert "--systemd-cgroup" not in words
    assert words[-4:] == ["--runtime-arg", "--cgroup-manager", "--runtime-arg", "disabled"]


@pytest.mark.parametrize(
    ("driver", "expected"),
    [
        ("k8s-file", ["--log-path", "k8s-file:/l", "--log-size-max", "10"]),
        ("json-file", ["--log-path", "k8s-file:/l", "--log-size-max", "10"]),
        ("journald", ["--log-path", "journald", "--log-size-max", "10", "--log-tag", "t"]),
        ("none", ["--log-path", "none", "--log-size-max", "10"]),
        ("passthrough-tty", ["--log-path", "passthrough", "--log-size-max", "10"]),
    ],
)
def test_log_drivers(driver: str, expected: list[str]) -> None:
    assert conmon.conmon_log_options(driver, "/l", size=10, tag="t") == expected


def test_a_log_that_need_not_survive() -> None:
    assert conmon.conmon_log_options("none", "", sync=False) == ["--log-path", "none", "--no-sync-log"]


def test_a_created_container(scripts: Scripts, launch: Launch) -> None:
    program = scripts.conmon(f'echo -n {os.getpid()} > $conmon_pid_file; say "{{\\"data\\": {os.getpid()}}}"')
    before = descriptors()
    created = conmon.create(program, scripts.runtime(), launch)
    start = processes.start_time(os.getpid())
    assert created == Created(pid=os.getpid(), pid_start=start, conmon_pid=os.getpid(), conmon_start=start)
    assert descriptors() <= before
    assert [call.split()[0] for call in scripts.calls()] == ["conmon"]


def test_traces_of_an_earlier_run_are_removed_first(scripts: Scripts, launch: Launch, tmp_path: Path) -> None:
    stale = ["run/oci-log", "run/pidfile", "run/conmon.pid", "exits/c0ffee", "persist/c0ffee/exit",
             "persist/c0ffee/oom", "bundle/oom"]
    for name in stale:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("0")
    found = tmp_path / "found"
    names = " ".join(str(tmp_path / name) for name in stale)
    program = scripts.conmon(f'ls {names} > {found} 2>/dev/null; say "{{\\"data\\": 1}}"')
    conmon.create(program, scripts.runtime(), launch)
    assert found.read_text() == ""
    assert os.path.isdir(launch.exit_dir)
    assert os.path.isdir(launch.persist_dir)


def failing(scripts: Scripts, launch: Launch, body: str, runtime: OciRuntime | None = None) -> RuntimeFailed:
    """Create with a conmon that runs *body*; the error, after checking that nothing is left."""
    before = descriptors()
    with pytest.raises(RuntimeFailed) as caught:
        conmon.create(scripts.conmon(body), runtime or scripts.runtime(), launch)
    assert descriptors() <= before
    assert scripts.calls()[-1] == "crun --log-format=json --root /run/crun delete --force c0ffee"
    assert os.listdir(launch.run_dir) == []
    assert os.listdir(launch.bundle) == []
    assert os.listdir(launch.exit_dir) == []
    assert not os.path.exists(launch.persist_dir)
    return caught.value


def test_the_runtime_log_is_believed_first(scripts: Scripts, launch: Launch) -> None:
    error = failing(
        scripts, launch,
        f"""echo '{{"msg":"executable file `x` not found in $PATH: No such file or directory","level":"error"}}' """
        f"""> {launch.runtime_log}; mkfifo {launch.bundle}/ctl; say '{{"data": -1, "message": "other"}}'""",
    )
    assert type(error) is RuntimeCommandNotFound
    assert str(error).startswith("crun: executable file `x` not found in $PATH: No such file or directory: OCI ")


def test_then_what_conmon_passed_on(scripts: Scripts, launch: Launch) -> None:
    error = failing(scripts, launch, """say '{"data": -1, "message": "it broke"}'""")
    assert str(error) == "OCI runtime error: crun: it broke"


def test_the_log_also_counts_when_conmon_is_mute(scripts: Scripts, launch: Launch) -> None:
    error = failing(scripts, launch, f"""echo '{{"msg":"it broke","level":"error"}}' > {launch.runtime_log}""")
    assert str(error) == "OCI runtime error: crun: it broke"


def test_a_refusal_by_conmon_itself(scripts: Scripts, launch: Launch) -> None:
    error = failing(scripts, launch, "echo '[conmon:e]: Failed to open log file' >&2; exit 1")
    assert str(error) == "conmon failed: [conmon:e]: Failed to open log file"


def test_nothing_said_at_all(scripts: Scripts, launch: Launch) -> None:
    error = failing(scripts, launch, "exit 1")
    assert "no logs from conmon" in str(error)


def test_an_answer_that_is_none(scripts: Scripts, launch: Launch) -> None:
    error = failing(scripts, launch, "say nonsense")
    assert "conmon bytes b'nonsense'" in str(error)


def test_a_conmon_that_never_answers_is_killed_with_its_group(
    scripts: Scripts, launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(monitor, "ANSWER_TIMEOUT", 0.3)
    program = scripts.conmon(
        f"""setsid sh -c 'echo -n $$ > '$conmon_pid_file'; echo -n $$ > {tmp_path}/monitor
        sleep 100 & echo -n $! > {tmp_path}/child; wait' &
        while ! test -s {tmp_path}/child; do sleep 0.01; done"""
    )
    with pytest.raises(InternalError, match="container creation timeout"):
        conmon.create(program, scripts.runtime(), launch)
    for name in ("monitor", "child"):
        assert processes.wait_gone(int((tmp_path / name).read_text()), timeout=5), name


def test_a_missing_conmon(scripts: Scripts, launch: Launch) -> None:
    before = descriptors()
    with pytest.raises(NotFound, match="starting conmon"):
        conmon.create("/no/such/conmon", scripts.runtime(), launch)
    assert descriptors() <= before


def test_a_missing_bundle(scripts: Scripts, launch: Launch) -> None:
    with pytest.raises(NotFound, match="starting conmon"):
        conmon.create(scripts.conmon(""), scripts.runtime(), launch.replace(bundle="/no/such/bundle"))


def test_a_clean_up_that_fails_does_not_hide_the_reason(
    scripts: Scripts, launch: Launch, capfd: pytest.CaptureFixture[str]
) -> None:
    runtime = scripts.runtime("echo stuck >&2; exit 1")
    with pytest.raises(RuntimeFailed, match=r"^OCI runtime error: crun: it broke$"):
        conmon.create(scripts.conmon("""say '{"data": -1, "message": "it broke"}'"""), runtime, launch)
    assert "cleaning up after creating container c0ffee: OCI runtime error: crun: stuck" in capfd.readouterr().err
    assert os.listdir(launch.run_dir) == []


def test_an_interrupted_creation_is_undone(
    scripts: Scripts, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(channel: monitor.Channel, timeout: float | None) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(monitor.Channel, "ready", interrupt)
    before = descriptors()
    with pytest.raises(KeyboardInterrupt):
        conmon.create(scripts.conmon(""), scripts.runtime(), launch)
    assert scripts.calls()[-1] == "crun --log-format=json --root /run/crun delete --force c0ffee"
    assert descriptors() <= before


def test_abandoning_what_was_begun(scripts: Scripts, launch: Launch) -> None:
    before = descriptors()
    creation = conmon.begin(scripts.conmon("""say '{"data": 1}'"""), scripts.runtime(), launch)
    creation.abandon()
    assert scripts.calls()[-1] == "crun --log-format=json --root /run/crun delete --force c0ffee"
    assert descriptors() <= before


def test_the_environment_is_only_what_was_given(
    scripts: Scripts, launch: Launch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SECRET", "leak")
    runtime = OciRuntime("crun", scripts.program("crun", ""), env={"XDG_RUNTIME_DIR": "/x"})
    program = scripts.conmon(f"""env > {tmp_path}/env; say '{{"data": 1}}'""")
    conmon.create(program, runtime, launch.replace(env=["NOTIFY_SOCKET=/n"]))
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "_", "SHLVL"} == {"PATH", "XDG_RUNTIME_DIR", "NOTIFY_SOCKET", "_OCI_SYNCPIPE"}


def test_preserved_descriptors_gaps_and_others(scripts: Scripts, launch: Launch, tmp_path: Path) -> None:
    keep = os.open(tmp_path / "keep", os.O_CREAT | os.O_RDWR)
    hold = os.open(tmp_path / "hold", os.O_CREAT | os.O_RDWR)
    closed = os.dup(keep)
    first = closed - 2          # preserved are 3 .. closed
    os.close(closed)
    program = scripts.conmon(
        f"""for fd in 4 {closed} 90; do readlink /proc/$$/fd/$fd; done > {tmp_path}/fds; say '{{"data": 1}}'"""
    )
    try:
        conmon.create(program, scripts.runtime(), launch.replace(preserve_fds=first, fds={4: keep, 90: hold}))
    finally:
        os.close(keep)
        os.close(hold)
    assert (tmp_path / "fds").read_text().splitlines() == [f"{tmp_path}/keep", "/dev/null", f"{tmp_path}/hold"]


def test_preserved_descriptors_are_ours_of_the_same_number(scripts: Scripts, launch: Launch, tmp_path: Path) -> None:
    ours = os.open(tmp_path / "ours", os.O_CREAT | os.O_RDWR)
    program = scripts.conmon(f"""readlink /proc/$$/fd/{ours} > {tmp_path}/fds; say '{{"data": 1}}'""")
    try:
        conmon.create(program, scripts.runtime(), launch.replace(preserve_fds=ours - 2))
    finally:
        os.close(ours)
    assert (tmp_path / "fds").read_text() == f"{tmp_path}/ours\n"
