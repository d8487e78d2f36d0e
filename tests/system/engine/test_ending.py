"""How containers end: restart policies, removal by itself, stop and its time-out, signals."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
from tests.helpers import crash
from tests.system.engine.conftest import IMAGE
from tests.system.engine.recovering import OPEN, until

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.errors import StateError, TimedOut, WherryError

pytestmark = pytest.mark.system

#: A process that does not care about SIGTERM.
STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]


def stubborn(rt: Runtime, **options: object) -> Container:
    container = rt.containers.start_detached(IMAGE, STUBBORN, **{"network": "none", **options})  # type: ignore[arg-type]
    until(lambda: [line.text for line in container.logs()] == ["ready"])
    return container


def restarts(container: Container) -> int:
    count: int = container.inspect()["RestartCount"]
    return count


def test_detached_container_with_rm_disappears_by_itself(rt: Runtime) -> None:
    container = rt.containers.start_detached(IMAGE, ["sh", "-c", "exit 6"], network="none", remove=True, volumes=["/v"])
    until(lambda: not rt.containers.exists(container.id))
    assert container.wait() == 6


def test_on_failure_gives_up_after_its_retries(rt: Runtime) -> None:
    command = ["sh", "-c", "echo x >> /count; exit 3"]
    with rt.containers.start_detached(IMAGE, command, network="none", restart="on-failure:2") as container:
        until(lambda: restarts(container) == 2 and container.status == "exited")
        assert container.wait() == 3
        state = container.inspect()["State"]
        assert state["ExitCode"] == 3
        time.sleep(0.5)         # no third time
        until(lambda: container.status == "exited")     # it may have been between two lives above
        assert restarts(container) == 2
        container.start()       # counts anew
        until(lambda: restarts(container) == 2 and container.status == "exited")


def test_on_failure_is_content_with_success(rt: Runtime) -> None:
    with rt.containers.start_detached(IMAGE, ["true"], network="none", restart="on-failure") as container:
        until(lambda: container.status == "exited")
        time.sleep(0.3)
        assert (restarts(container), container.status) == (0, "exited")


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_a_process_that_dies_comes_back_until_it_is_stopped(rt: Runtime, policy: str) -> None:
    with rt.containers.start_detached(
        IMAGE, ["sh", "-c", "sleep 0.1"], network="none", restart=policy
    ) as container:
        until(lambda: restarts(container) >= 2)
        until(lambda: container.status == "running")
        container.stop(timeout=0)
        at_stop = restarts(container)
        time.sleep(1.0)
        assert (restarts(container), container.status) == (at_stop, "exited")


def test_stop_between_two_lives(rt: Runtime) -> None:
    """The container waits for its next start: stop must not only find it stopped."""
    with rt.containers.start_detached(IMAGE, ["false"], network="none", restart="always") as container:
        until(lambda: restarts(container) >= 3 and container.status == "exited")
        container.stop(timeout=0)
        if container.status != "exited":        # the next life had just begun
            container.stop(timeout=0)
        before = restarts(container)
        time.sleep(1.5)
        assert (restarts(container), container.status) == (before, "exited")


def test_removal_between_two_lives(rt: Runtime) -> None:
    container = rt.containers.start_detached(IMAGE, ["false"], network="none", restart="always")
    until(lambda: restarts(container) >= 3)
    container.remove(force=True, timeout=0)
    time.sleep(1.0)
    assert rt.containers.list(all=True) == []


def test_policies_that_cannot_be(rt: Runtime) -> None:
    with pytest.raises(Exception, match="restart"):
        rt.containers.create(IMAGE, ["true"], restart="sometimes")
    with pytest.raises(Exception, match="--rm"):
        rt.containers.create(IMAGE, ["true"], restart="always", remove=True)


def test_stop_resorts_to_sigkill_with_a_warning(rt: Runtime, capfd: pytest.CaptureFixture[str]) -> None:
    with stubborn(rt) as container:
        assert container.stop(timeout=1)
        assert container.wait() == 137
        assert (
            f"StopSignal SIGTERM failed to stop container {container.name} in 1 seconds, resorting to SIGKILL"
            in capfd.readouterr().err
        )


def test_stop_sends_the_configured_signal(rt: Runtime) -> None:
    command = ["sh", "-c", "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done"]
    with rt.containers.start_detached(IMAGE, command, network="none", stop_signal="SIGUSR1") as container:
        until(lambda: [line.text for line in container.logs()] == ["ready"])
        container.stop(timeout=20)
        assert container.wait() == 9


def test_others_see_a_stop_that_waits(rt: Runtime, base: Path) -> None:
    with stubborn(rt) as container:
        child = crash.start(f"{OPEN}rt.containers.get({container.id!r}).stop(timeout=60)", 0, str(base))
        until(lambda: rt.containers.list()[0].state == "stopping")
        assert container.status == "stopping"
        with pytest.raises(StateError, match="it is stopping"):
            container.remove()
        with pytest.raises(StateError, match="can only create exec sessions on running containers"):
            container.exec(["true"])
        container.kill("KILL")          # a kill during the stop ends both
        outcome = crash.finish(child)
        assert outcome.finished, outcome.errors
        assert container.status == "exited"
        assert container.wait() == 137


def test_another_stop_with_less_patience(rt: Runtime, base: Path) -> None:
    with stubborn(rt) as container:
        child = crash.start(f"{OPEN}rt.containers.get({container.id!r}).stop(timeout=60)", 0, str(base))
        until(lambda: container.status == "stopping")
        container.stop(timeout=0)
        assert container.status == "exited"
        assert crash.finish(child).finished


def test_killed_stop_lets_the_container_run_on(rt: Runtime, base: Path) -> None:
    with stubborn(rt) as container:
        child = crash.start(f"{OPEN}rt.containers.get({container.id!r}).stop(timeout=60)", 0, str(base))
        until(lambda: container.status == "stopping")
        child.kill()
        crash.finish(child)
        assert rt.containers.list()[0].state == "running"
        assert container.status == "running"
        assert container.exec(["echo", "yes"]).stdout == "yes\n"


def test_interrupted_stop_lets_the_container_run_on(rt: Runtime) -> None:
    """Ctrl-C in the program that stops: it lives on, and the container is not left `stopping`."""
    with stubborn(rt) as container:
        timer = threading.Timer(0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            container.stop(timeout=60)
        assert container.status == "running"
        assert container.exec(["true"]).exit_code == 0


def test_kill_by_name_and_number(rt: Runtime) -> None:
    command = ["sh", "-c", "trap 'echo one' USR1; trap 'exit 8' USR2; echo ready; while :; do sleep 0.05; done"]
    with rt.containers.start_detached(IMAGE, command, network="none") as container:
        def log() -> list[str]:
            return [line.text for line in container.logs()]

        until(lambda: log() == ["ready"])
        container.kill("USR1")
        until(lambda: log() == ["ready", "one"])
        container.kill("SIGUSR1")
        until(lambda: log() == ["ready", "one", "one"])
        container.kill(12)
        assert container.wait(timeout=20) == 8
        until(lambda: container.status == "exited")
        with pytest.raises(StateError, match=f"can only kill running containers. {container.id} is in state exited"):
            container.kill("TERM")


def test_paused_container_can_be_stopped_and_removed(rt: Runtime) -> None:
    with rt.containers.start_detached(IMAGE, ["sleep", "1000"], network="none") as container:
        container.pause()
        with pytest.raises(StateError, match="is already paused"):
            container.pause()
        with pytest.raises(StateError, match="must be in Created or Stopped state to be started"):
            container.start()
        container.stop(timeout=0)
        assert container.status == "exited"
        container.start()
        container.pause()
    assert not rt.containers.exists(container.id)


def test_timeout_of_a_captured_run(rt: Runtime) -> None:
    with pytest.raises(TimedOut, match="did not end within 0.5 seconds and was killed"):
        rt.containers.run(IMAGE, ["sleep", "1000"], network="none", remove=True, timeout=0.5)


def test_timeout_of_an_exec(rt: Runtime) -> None:
    with rt.containers.start_detached(IMAGE, ["sleep", "1000"], network="none") as container:
        with pytest.raises(TimedOut, match="did not end within 0.5 seconds and was killed"):
            container.exec(["sleep", "1000"], timeout=0.5)
        assert container.inspect()["ExecIDs"] == []


def test_restart_keeps_a_container_with_rm(rt: Runtime) -> None:
    with rt.containers.start_detached(IMAGE, ["sleep", "1000"], network="none", remove=True) as container:
        for _round in range(3):
            container.restart(timeout=0)
            assert container.status == "running"


def test_a_start_that_fails_keeps_what_is_known_of_the_last_run(rt: Runtime, tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    with rt.containers.create(
        IMAGE, ["sh", "-c", "exit 3"], name="again", network="none", volumes=[f"{place}:/mounted"]
    ) as box:
        box.start()
        assert box.wait() == 3
        before = box.state()
        place.rmdir()
        with pytest.raises(WherryError):
            box.start()
        after = box.state()
        assert (after.status, after.exit_code, after.finished_time) == ("exited", 3, before.finished_time)
        assert after.error
