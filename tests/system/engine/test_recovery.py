"""kill -9 (and Ctrl-C) at many moments of every verb: the next command brings everything to rest, nothing leaks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.helpers import crash
from tests.helpers.leaks import assert_nothing_leaked
from tests.system.engine.conftest import IMAGE
from tests.system.engine.recovering import OPEN, at_rest, ended_without_exit_command, until

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime

pytestmark = pytest.mark.system

#: How many moments of each verb; a few hundred reach every one.
MOMENTS = int(os.environ.get("WHERRY_TEST_MOMENTS", "6"))
NAME = "victim"
MANY = 10**9


def created(rt: Runtime, **options: object) -> Container:
    return rt.containers.create(IMAGE, ["sleep", "1000"], **{"name": NAME, "network": "none", **options})  # type: ignore[arg-type]


def running(rt: Runtime, **options: object) -> Container:
    container = created(rt, **options)
    container.start()
    return container


def nothing(_rt: Runtime) -> None:
    return


def is_whole_or_absent(rt: Runtime) -> None:
    if rt.containers.exists(NAME):
        rt.containers.get(NAME).start()
        rt.containers.get(NAME).remove(force=True, timeout=0)
    created(rt).start()     # the name is free


def starts(rt: Runtime) -> None:
    container = rt.containers.get(NAME)
    container.start()
    assert container.status == "running"
    assert container.exec(["true"]).exit_code == 0


def stops(rt: Runtime) -> None:
    container = rt.containers.get(NAME)
    until(lambda: container.status in ("running", "paused", "exited"))
    container.stop(timeout=0)
    assert container.status == "exited"


def is_removed_again(rt: Runtime) -> None:
    if rt.containers.exists(NAME):
        rt.containers.get(NAME).remove(force=True, timeout=0)


def runs_commands(rt: Runtime) -> None:
    container = rt.containers.get(NAME)
    assert container.exec(["echo", "yes"]).stdout == "yes\n"
    until(lambda: container.inspect()["ExecIDs"] == [])


def is_named(rt: Runtime) -> None:
    (summary,) = rt.containers.list(all=True)
    assert summary.names[0] in (NAME, "renamed")
    rt.containers.get(summary.id).start()


def is_clean(rt: Runtime) -> None:
    container = rt.containers.get(NAME)
    assert container.status == "exited"
    container.start()


def ends(rt: Runtime) -> None:
    """A container without ``--rm`` that was run is there, in a state it can be started from."""
    if rt.containers.exists(NAME):
        container = rt.containers.get(NAME)
        until(lambda: container.status in ("created", "exited"))
        container.start()
        assert container.wait(timeout=20) == 3


def ends_or_is_gone(rt: Runtime) -> None:
    """A ``--rm`` container that has run disappears; one that was killed before its start is only created."""
    until(lambda: [summary.state for summary in rt.containers.list(all=True)] in ([], ["created"]))


def mount_count(rt: Runtime) -> int:
    container = rt.containers.get(NAME)
    assert container.status == "created"
    found = rt.store.mounted().get(rt.store.container(container.id).layer)
    return found.count if found is not None else 0


def is_not_mounted(rt: Runtime) -> None:
    assert mount_count(rt) == 0


def is_mounted_once(rt: Runtime) -> None:
    assert mount_count(rt) == 1
    assert rt.containers.get(NAME).unmount()
    assert mount_count(rt) == 0


GET = f"container = rt.containers.get({NAME!r})\narm(number)\n"
RUN = f"arm(number)\nrt.containers.run({IMAGE!r}, ['sh', '-c', 'exit 3'], name={NAME!r}, network='none', remove=%s)"

#: verb -> (what is there before, the code that is killed, what holds after everything was brought to rest)
VERBS: dict[str, tuple[Callable[[Runtime], object], str, Callable[[Runtime], None]]] = {
    "create": (
        nothing,
        f"arm(number)\nrt.containers.create({IMAGE!r}, ['sleep', '1000'], name={NAME!r}, network='none',"
        " volumes=['/data'])",
        is_whole_or_absent,
    ),
    "init": (created, GET + "container.init()", starts),
    "start": (created, GET + "container.start()", starts),
    "start of an initialized container": (lambda rt: created(rt).init(), GET + "container.start()", starts),
    "start with network and ports": (
        lambda rt: created(rt, network="bridge", ports=["18080:80"]), GET + "container.start()", starts
    ),
    "run": (nothing, RUN % False, ends),
    "run --rm": (nothing, RUN % True, ends_or_is_gone),
    "stop": (running, GET + "container.stop(timeout=0)", stops),
    "pause": (running, GET + "container.pause()", stops),
    "unpause": (lambda rt: running(rt).pause(), GET + "container.unpause()", stops),
    "rm": (created, GET + "container.remove()", is_removed_again),
    "rm -f": (
        lambda rt: running(rt, volumes=["/data"]), GET + "container.remove(force=True, timeout=0, volumes=True)",
        is_removed_again,
    ),
    "rm -f with network and ports": (
        lambda rt: running(rt, network="bridge", ports=["18080:80"]),
        GET + "container.remove(force=True, timeout=0)", is_removed_again,
    ),
    "exec": (running, GET + "container.exec(['true'])", runs_commands),
    "cp": (created, GET + "container.copy_in('/etc/hostname', '/tmp/x')", is_not_mounted),
    "cp of a mounted container": (
        lambda rt: created(rt).mount(), GET + "b''.join(container.copy_from('/etc/passwd'))", is_mounted_once,
    ),
    "export": (created, GET + "b''.join(container.export())", is_not_mounted),
    "rename": (created, GET + f"container.rename('renamed')\ncontainer.rename({NAME!r})", is_named),
    "update": (running, GET + "container.update(pids_limit=55)", stops),
    "cleanup": (
        lambda rt: ended_without_exit_command(rt, created(rt)), GET + "container.cleanup()", is_clean,
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_many_moments(rt: Runtime, base: Path, verb: str) -> None:
    end_at_many_moments(rt, base, *VERBS[verb])


@pytest.mark.parametrize("verb", ["create", "start with network and ports", "run --rm"])
def test_interrupted_at_many_moments(rt: Runtime, base: Path, verb: str) -> None:
    prepare, code, holds = VERBS[verb]
    interrupted = code.replace("arm(number)", "arm(number, 2)")
    assert interrupted != code
    end_at_many_moments(rt, base, prepare, interrupted, holds)


def end_at_many_moments(
    rt: Runtime, base: Path, prepare: Callable[[Runtime], object], code: str, holds: Callable[[Runtime], None]
) -> None:
    """End a process that runs *code* before some of its effects; each time the engine must come to rest again."""
    layers = len(rt.store.layers())
    prepare(rt)
    whole = crash.run_killed(f"{OPEN}{code}\nprint(effects())", MANY, str(base))
    assert whole.finished, whole.errors
    total = int(whole.output)
    sweep_names(rt)
    for number in moments(total):
        prepare(rt)
        outcome = crash.run_killed(OPEN + code, number, str(base))
        try:
            at_rest(rt)
            holds(rt)
            at_rest(rt)
            sweep_names(rt)
            assert_nothing_leaked(rt, layers)
        except BaseException as error:
            error.add_note(f"ended before effect {number} of {total}: {outcome.place}")
            raise


def moments(total: int) -> list[int]:
    """Spread evenly, different ones each hour, so that in time all are met."""
    step = max(1, total // MOMENTS)
    return list(range(1 + int(time.time()) // 3600 % step, total, step))


def sweep_names(rt: Runtime) -> None:
    """Remove what the round left on purpose."""
    for summary in rt.containers.list(all=True):
        rt.containers.get(summary.id).remove(force=True, volumes=True, timeout=0)
    for config, _state in rt.state.volumes():
        rt.state.remove_volume(config.name)
        os.rmdir(config.mount_point)
        os.rmdir(os.path.dirname(config.mount_point))
