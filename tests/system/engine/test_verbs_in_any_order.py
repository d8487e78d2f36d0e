"""Random verbs on real containers, under each OCI runtime, against the table of states; and each verb once."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from tests.helpers.verbs import GONE, VERBS, Oracle
from tests.system.engine.conftest import IMAGE
from tests.system.engine.recovering import until

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.engine.signals import send_to_process
from wherry.model import status
from wherry.sys.processes import is_alive, wait_gone

pytestmark = pytest.mark.system

#: How many verbs; a few hundred meet every verb in every state.
STEPS = int(os.environ.get("WHERRY_TEST_VERBS", "25"))
#: A well-behaved process: it ends on SIGTERM.
COMMAND = ["sh", "-c", "trap 'exit 0' TERM; echo ready; sleep 1000 & wait"]
DRAWN = [*sorted(VERBS), "the process ends", *["start"] * 4, *["init"] * 2, "pause", "unpause", "exec"]


def create(rt: Runtime) -> Container:
    return rt.containers.create(IMAGE, COMMAND, name="box", network="none")


def test_verbs_in_any_order(with_runtime: Runtime) -> None:
    seed = int(time.time()) // 3600
    drawn = random.Random(seed)
    container, oracle = create(with_runtime), Oracle()
    done = []
    try:
        for _ in range(STEPS):
            verb = drawn.choice(DRAWN)
            if verb == "kill" and oracle.state == status.PAUSED:
                continue        # a frozen process may die when it is thawed only
            done.append(verb)
            if verb == "the process ends":
                state = with_runtime.state.container_state(container.id)
                if oracle.state in status.ALIVE and oracle.state != status.PAUSED:
                    assert send_to_process(state.pid, state.pid_start, 9)
                    assert wait_gone(state.pid, state.pid_start, 20)
                    oracle.process_ended()
            else:
                oracle.apply(verb, container)
            if oracle.state == GONE:
                assert not with_runtime.containers.exists("box")
                container, oracle = create(with_runtime), Oracle()
            seen = container.state()
            assert oracle.agrees(seen.status), (oracle.state, seen.status)
            oracle.state = seen.status
            assert is_alive(seen.pid, seen.pid_start) == (seen.status in status.ALIVE)
    except BaseException as error:
        error.add_note(f"seed {seed}: {', '.join(done)}")
        raise
    finally:
        container.remove(force=True, timeout=0)


def test_every_verb_once(with_runtime: Runtime, tmp_path: Path) -> None:
    """A container's whole life with each verb of it."""
    source = tmp_path / "file"
    source.write_text("content\n")
    with create(with_runtime) as box:
        assert box.status == "created"
        box.init()
        assert box.status == "initialized"
        box.start()
        assert box.exec(["echo", "hi"]).stdout == "hi\n"
        session = box.exec_create(["sh", "-c", "exit 3"])
        session.start()
        assert session.wait(timeout=20) == 3
        assert session.inspect()["ExitCode"] == 3
        session.remove()
        box.copy_in(str(source), "/tmp/file")
        assert b"".join(box.copy_from("/tmp/file")).find(b"content") > 0
        assert box.stat("/tmp/file").size == 8
        assert "/tmp/file" in [change.path for change in box.diff()]
        assert box.top("pid", "args").rows[0][0] == "1"
        assert box.stats().pids >= 1
        box.pause()
        assert box.status == "paused"
        box.unpause()
        box.update(pids_limit=99)
        box.rename("other")
        assert with_runtime.containers.get("other").inspect()["HostConfig"]["PidsLimit"] == 99
        assert os.path.isdir(box.mount() + "/bin")
        box.unmount()
        assert b"".join(box.export()).find(b"content") > 0
        box.kill("KILL")
        assert box.wait(timeout=20) == 128 + 9
        box.restart(timeout=0)
        until(lambda: [line.text for line in box.logs()].count("ready") == 2)
        assert box.stop(timeout=20) is True
        assert (box.status, box.inspect()["State"]["ExitCode"]) == ("exited", 0)
        box.cleanup()
        assert [one.name for one in with_runtime.containers.list(all=True)] == ["other"]
        copy = box.clone("copy")
        copy.start()
        assert with_runtime.containers.prune() == [box.id]
        copy.remove(force=True, timeout=0)
