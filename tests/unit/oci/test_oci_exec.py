"""Exec sessions with a stand-in for conmon."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.unit.oci.conftest import Scripts, descriptors

from wherry.errors import RuntimeCommandNotFound, RuntimeFailed
from wherry.oci import exec as oci_exec
from wherry.oci.exec import ExecLaunch
from wherry.oci.exits import Exit
from wherry.oci.runtime import OciRuntime

#: A conmon that serves the attach socket of one session, waits for both start bytes, then does what the last lines say.
SERVE = """
exec {python} -I -S - <<'END'
import os, socket
number = lambda name: int(os.environ["_OCI_" + name])
assert os.read(number("STARTPIPE"), 8192) == b"x"
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind("attach")
listener.listen(1)
os.write(number("ATTACHPIPE"), b'{{"data": 0}}\\n')
client, _ = listener.accept()
assert os.read(number("STARTPIPE"), 8192) == b"x"
say = lambda text: os.write(number("SYNCPIPE"), text + b"\\n")
{rest}
END
"""


@pytest.fixture
def session(tmp_path: Path) -> ExecLaunch:
    return ExecLaunch(
        session="5e5510", container="c0ffee", name="web", directory=f"{tmp_path}/5e5510",
        process={"args": ["true"], "cwd": "/"},
    )


def serving(scripts: Scripts, rest: str) -> str:
    return scripts.conmon(SERVE.format(python="/usr/bin/env python3", rest=rest))


def words(launch: ExecLaunch) -> list[str]:
    return oci_exec.exec_arguments("/usr/bin/conmon", OciRuntime("crun", "/bin/crun"), launch)


def test_the_command_line(session: ExecLaunch) -> None:
    directory = session.directory
    assert words(session) == [
        "/usr/bin/conmon", "--api-version", "1", "--cid", "c0ffee", "--cuuid", "5e5510", "--name", "web",
        "--runtime", "/bin/crun", "--bundle", directory, "--full-attach", "--exec",
        "--exec-process-spec", f"{directory}/process.json", "--exit-dir", f"{directory}/exit",
        "--container-pidfile", f"{directory}/pidfile", "--conmon-pidfile", f"{directory}/conmon.pid",
        "--log-path", "none", "--runtime-arg", "--root", "--runtime-arg", "/run/crun", "--runtime-arg",
        "--log-format=json", "--runtime-arg", "--log", "--runtime-arg", f"{directory}/oci-log", "--exec-attach",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"attach": False}, []),
        ({"stdin": True}, ["--exec-attach", "--stdin"]),
        ({"stdin": True, "process": {"terminal": True}}, ["--exec-attach", "--terminal"]),
        ({"preserve_fds": 1}, ["--exec-attach", "--runtime-opt", "--preserve-fds", "--runtime-opt", "1"]),
        ({"exit_command": ["/w", "x"], "exit_delay": 3},
         ["--exec-attach", "--exit-command", "/w", "--exit-command-arg", "x", "--exit-delay", "3"]),
    ],
)
def test_what_a_session_adds(session: ExecLaunch, changes: dict[str, object], expected: list[str]) -> None:
    line = words(session.replace(**changes))
    assert line[line.index(f"{session.directory}/oci-log") + 1:] == expected


def test_an_attached_session(scripts: Scripts, session: ExecLaunch) -> None:
    before = descriptors()
    program = serving(
        scripts,
        f'client.send(b"\\x02early"); say(b\'{{"data": {os.getpid()}}}\')\n'
        'client.send(b"\\x03late"); client.close(); say(b\'{"data": 3}\')',
    )
    started = oci_exec.start(program, scripts.runtime(), session)
    assert started.pid == os.getpid()
    assert started.pid_start > 0
    assert started.attachment is not None
    assert started.attachment.collect(None) == (b"early", b"late")
    found = started.wait(timeout=20)
    assert found is not None
    assert (found.code, found.lost) == (3, False)
    assert started.wait() is found
    with open(f"{session.directory}/process.json", encoding="utf-8") as file:
        assert json.load(file) == {"args": ["true"], "cwd": "/"}
    started.close()
    assert descriptors() <= before


@pytest.mark.parametrize(("terminal", "expected"), [(True, {"height": 24, "width": 80}), (False, None)])
def test_a_terminal_is_made_with_its_size(
    scripts: Scripts, session: ExecLaunch, terminal: bool, expected: dict[str, int] | None
) -> None:
    program = scripts.conmon("""say '{"data": 1}'; say '{"data": 0}'""")
    process = {"args": ["sh"], "terminal": terminal}
    launch = session.replace(attach=False, size=(24, 80), process=process)
    oci_exec.start(program, scripts.runtime(), launch).close()
    with open(f"{session.directory}/process.json", encoding="utf-8") as file:
        assert json.load(file).get("consoleSize") == expected
    assert "consoleSize" not in process


def test_a_detached_session_waits_for_nobody(scripts: Scripts, session: ExecLaunch) -> None:
    program = scripts.conmon("""test -z "$_OCI_STARTPIPE$_OCI_ATTACHPIPE" && say '{"data": 1}'; say '{"data": 0}'""")
    started = oci_exec.start(program, scripts.runtime(), session.replace(attach=False))
    assert started.attachment is None
    found = started.wait(timeout=20)
    assert found is not None
    assert found.code == 0
    started.close()


def test_waiting_has_an_end(scripts: Scripts, session: ExecLaunch) -> None:
    os.mkfifo(scripts.directory / "gate")
    program = scripts.conmon(f"""say '{{"data": 1}}'; (read x < {scripts.directory}/gate; say '{{"data": 0}}') &""")
    started = oci_exec.start(program, scripts.runtime(), session.replace(attach=False))
    assert started.wait(timeout=0.05) is None
    (scripts.directory / "gate").write_text("go\n")
    assert started.wait(timeout=20) is not None
    started.close()


def test_a_killed_conmon_loses_the_exit(scripts: Scripts, session: ExecLaunch) -> None:
    program = scripts.conmon("""sleep 0 & say "{\\"data\\": $!}"; wait""")
    started = oci_exec.start(program, scripts.runtime(), session.replace(attach=False))
    found = started.wait(timeout=20)
    assert found is not None
    assert found.lost
    started.close()


def test_an_exit_file_speaks_for_a_killed_conmon(scripts: Scripts, session: ExecLaunch) -> None:
    program = scripts.conmon("""echo -n 9 > exit/c0ffee; say '{"data": 1}'""")
    started = oci_exec.start(program, scripts.runtime(), session.replace(attach=False))
    found = started.wait(timeout=20)
    assert isinstance(found, Exit)
    assert (found.code, found.lost) == (9, False)
    started.close()


def test_a_command_that_is_not_there(scripts: Scripts, session: ExecLaunch) -> None:
    before = descriptors()
    program = serving(
        scripts,
        """open("oci-log", "w").write('{"msg":"executable file `x` not found in $PATH: No such file or directory",'
        '"level":"error"}')\nsay(b'{"data": -1, "message": "other"}')""",
    )
    with pytest.raises(RuntimeCommandNotFound, match="executable file `x` not found") as caught:
        oci_exec.start(program, scripts.runtime(), session)
    assert caught.value.exit_code == 127
    assert not os.path.exists(session.directory)
    assert descriptors() <= before


def test_a_conmon_that_dies_before_it_can_be_attached_to(scripts: Scripts, session: ExecLaunch) -> None:
    before = descriptors()
    with pytest.raises(RuntimeFailed, match=r"^conmon failed: no luck$"):
        oci_exec.start(scripts.conmon("echo no luck >&2; exit 1"), scripts.runtime(), session)
    assert not os.path.exists(session.directory)
    assert descriptors() <= before
