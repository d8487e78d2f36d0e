"""The runtime's commands, spoken to a script that records them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from tests.unit.oci.conftest import Scripts, descriptors

from wherry.errors import NotFound, RuntimeFailed
from wherry.oci.failures import ContainerGone
from wherry.oci.runtime import OciRuntime
from wherry.sys import processes


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda r: r.start("c1"), "start c1"),
        (lambda r: r.kill("c1", 15), "kill c1 15"),
        (lambda r: r.kill("c1", 9, all=True), "kill --all c1 9"),
        (lambda r: r.kill("c1", 9, all=True, pid=os.getpid()), "kill --all c1 9"),
        (lambda r: r.delete("c1"), "delete c1"),
        (lambda r: r.delete("c1", force=True), "delete --force c1"),
        (lambda r: r.pause("c1"), "pause c1"),
        (lambda r: r.resume("c1"), "resume c1"),
    ],
)
def test_commands(scripts: Scripts, call: Callable[[OciRuntime], None], words: str) -> None:
    before = descriptors()
    call(scripts.runtime())
    assert scripts.calls() == [f"crun --log-format=json --root /run/crun {words}"]
    assert descriptors() <= before


def test_global_options_come_before_the_command(scripts: Scripts) -> None:
    runtime = OciRuntime("mine", scripts.program("mine", ""), flags=["--debug"], root="/state")
    runtime.start("c1")
    assert scripts.calls() == ["mine --debug --root /state start c1"]


def test_update_sends_the_resources_on_standard_input(scripts: Scripts) -> None:
    scripts.runtime(f"cat > {scripts.directory}/input").update("c1", {"memory": {"limit": 1 << 20}})
    assert scripts.calls() == ["crun --log-format=json --root /run/crun update --resources - c1"]
    assert (scripts.directory / "input").read_text() == '{"memory":{"limit":1048576}}'


def test_other_commands_have_no_input(scripts: Scripts) -> None:
    scripts.runtime(f"cat > {scripts.directory}/input").start("c1")
    assert (scripts.directory / "input").read_text() == ""


def test_a_failure_is_what_the_runtime_logged(scripts: Scripts) -> None:
    runtime = scripts.runtime("""echo '{"msg":"it broke","level":"error"}' >&2; exit 1""")
    before = descriptors()
    with pytest.raises(RuntimeFailed) as caught:
        runtime.start("c1")
    assert str(caught.value) == "OCI runtime error: crun: it broke"
    assert descriptors() <= before


def test_a_silent_failure_shows_the_status(scripts: Scripts) -> None:
    with pytest.raises(RuntimeFailed, match=r"^OCI runtime error: crun: exit status 3$"):
        scripts.runtime("exit 3").start("c1")


def test_signalling_what_is_gone(scripts: Scripts) -> None:
    runtime = scripts.runtime("""echo '{"msg":"kill container: No such process","level":"error"}' >&2; exit 1""")
    with pytest.raises(ContainerGone):
        runtime.kill("c1", 15)


def test_deleting_what_is_gone_is_fine(scripts: Scripts) -> None:
    scripts.runtime("""echo '{"msg":"container does not exist","level":"error"}' >&2; exit 1""").delete("c1")


def test_deleting_what_runs_is_not(scripts: Scripts) -> None:
    runtime = scripts.runtime("""echo '{"msg":"container is not stopped","level":"error"}' >&2; exit 1""")
    with pytest.raises(RuntimeFailed, match="is not stopped"):
        runtime.delete("c1")


def test_deletion_in_the_background(scripts: Scripts) -> None:
    os.mkfifo(scripts.directory / "gate")
    deletion = scripts.runtime(f"cat {scripts.directory}/gate").begin_delete("c1")
    (scripts.directory / "gate").write_text("go")
    deletion.finish()
    assert scripts.calls() == ["crun --log-format=json --root /run/crun delete c1"]


def test_state_of_a_container(scripts: Scripts) -> None:
    runtime = scripts.runtime("""echo '{"id": "c1", "status": "running", "pid": 7}'""")
    assert runtime.state("c1") == {"id": "c1", "status": "running", "pid": 7}


def test_state_of_what_the_runtime_does_not_know(scripts: Scripts) -> None:
    body = """echo '{"msg":"error opening file `/run/crun/c1/status`: No such file or directory","level":"error"}' >&2
    exit 1"""
    assert scripts.runtime(body).state("c1") is None


@pytest.mark.parametrize("body", ["echo nonsense", "echo '[1]'", "echo boom >&2; exit 1"])
def test_state_that_cannot_be_told(scripts: Scripts, body: str) -> None:
    with pytest.raises(RuntimeFailed):
        scripts.runtime(body).state("c1")


def test_version(scripts: Scripts) -> None:
    assert scripts.runtime("echo crun version 9; echo +SECCOMP").version() == "crun version 9\n+SECCOMP"


def test_a_missing_program() -> None:
    runtime = OciRuntime("crun", "/no/such/crun")
    before = descriptors()
    with pytest.raises(NotFound, match="running OCI runtime: /no/such/crun"):
        runtime.start("c1")
    with pytest.raises(NotFound, match="running OCI runtime: /no/such/crun"):
        runtime.state("c1")
    assert descriptors() <= before


def test_a_known_process_is_signalled_without_the_runtime(scripts: Scripts) -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        scripts.runtime().kill("c1", 15, pid=process.pid, pid_start=processes.start_time(process.pid))
        assert process.wait() == -signal.SIGTERM
    assert scripts.calls() == []


def test_a_reused_pid_is_not_signalled(scripts: Scripts) -> None:
    with subprocess.Popen(["sleep", "100"]) as process:
        with pytest.raises(ContainerGone, match="no such process"):
            scripts.runtime().kill("c1", 9, pid=process.pid, pid_start=1)
        assert process.poll() is None
        process.kill()
    with pytest.raises(ContainerGone):
        scripts.runtime().kill("c1", 9, pid=process.pid)


def test_a_virtual_machine_is_signalled_by_its_runtime(scripts: Scripts) -> None:
    runtime = OciRuntime("kata", scripts.program("kata", ""))
    runtime.kill("c1", 15, pid=os.getpid())
    assert scripts.calls() == ["kata --log-format=json kill c1 15"]


@pytest.mark.parametrize(
    ("name", "root", "env", "expected"),
    [
        ("crun", "", {}, "/run/crun/c1"),
        ("/opt/crun", "", {}, "/run/crun/c1"),
        ("runc", "", {"XDG_RUNTIME_DIR": "/x"}, "/x/runc/c1"),
        ("crun", "/r", {"XDG_RUNTIME_DIR": "/x"}, "/r/c1"),
        ("kata", "", {}, ""),
    ],
)
def test_where_the_runtime_keeps_its_state(name: str, root: str, env: dict[str, str], expected: str) -> None:
    runtime = OciRuntime(name, f"/usr/bin/{name}", root=root, env=env)
    assert runtime.state_dir("c1") == expected
    assert runtime.arguments() == (["--root", os.path.dirname(expected)] if expected else [])
