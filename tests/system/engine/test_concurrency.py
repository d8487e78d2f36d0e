"""Several wherry processes at once on the same containers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.helpers import crash
from tests.system.engine.conftest import IMAGE
from tests.system.engine.recovering import OPEN, until

from wherry.engine.runtime import Runtime

pytestmark = pytest.mark.system

#: Both children wait for the file ``go``, so that they meet.
TOGETHER = OPEN + """
import os, time
from wherry.errors import NoSuchContainer, StateError
container = rt.containers.get("shared")
rt.store.containers()
while not os.path.exists(f"{base}/go"):
    time.sleep(0.0005)
"""


def both(base: Path, *codes: str) -> list[str]:
    """Run the pieces of code at the same moment; what each printed. None may fail."""
    children = [crash.start(TOGETHER + code, 0, str(base)) for code in codes]
    go = base / "go"
    try:
        for child in children:
            until(lambda pid=child.pid: _is_waiting(pid))       # type: ignore[misc]
        go.touch()
        outcomes = [crash.finish(child, 120) for child in children]
    finally:
        go.unlink(missing_ok=True)
    assert [outcome.errors for outcome in outcomes if not outcome.finished] == []
    return [outcome.output.strip() for outcome in outcomes]


def _is_waiting(pid: int) -> bool:
    """Has the child come to its loop? Then it has the database open."""
    try:
        return any("state.db" in str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


@pytest.mark.parametrize("round", range(3))
def test_start_and_start(rt: Runtime, base: Path, round: int) -> None:
    with rt.containers.create(IMAGE, ["sleep", "1000"], name="shared", network="none") as container:
        said = both(base, *["from wherry.engine.start import start\nprint(start(rt, container.id))"] * 2)
        assert sorted(said) == ["False", "True"]
        assert container.status == "running"


@pytest.mark.parametrize("round", range(3))
@pytest.mark.parametrize("auto_remove", [False, True])
def test_stop_and_forced_removal(rt: Runtime, base: Path, auto_remove: bool, round: int) -> None:
    rt.containers.start_detached(IMAGE, ["sleep", "1000"], name="shared", network="none", remove=auto_remove)
    tolerant = "try:\n    {}\nexcept (NoSuchContainer, StateError) as error:\n    print(error)"
    both(
        base, tolerant.format("container.stop(timeout=1)"),
        "try:\n    container.remove(force=True, timeout=0)\nexcept NoSuchContainer:\n    pass",
    )
    assert not rt.containers.exists("shared")


@pytest.mark.parametrize("round", range(3))
def test_removal_and_removal(rt: Runtime, base: Path, round: int) -> None:
    rt.containers.create(IMAGE, ["true"], name="shared", network="none")
    said = both(base, *["try:\n    container.remove()\nexcept NoSuchContainer:\n    print('gone')"] * 2)
    assert sorted(said) in (["", ""], ["", "gone"])
    assert not rt.containers.exists("shared")


def test_stop_and_stop(rt: Runtime, base: Path) -> None:
    with rt.containers.start_detached(IMAGE, ["sleep", "1000"], name="shared", network="none") as container:
        both(base, "container.stop(timeout=1)", "container.stop(timeout=1)")
        assert container.status == "exited"


def test_restart_and_restart(rt: Runtime, base: Path) -> None:
    with rt.containers.start_detached(IMAGE, ["sleep", "1000"], name="shared", network="none") as container:
        both(base, "container.restart(timeout=0)", "container.restart(timeout=0)")
        assert container.status == "running"


def test_create_and_create_with_one_name(rt: Runtime, base: Path) -> None:
    with rt.containers.create(IMAGE, ["true"], name="shared", network="none"):
        code = (
            "from wherry.errors import NameInUse\n"
            f"try:\n    rt.containers.create({IMAGE!r}, ['true'], name='wanted', network='none', volumes=['/data'])\n"
            "except NameInUse as error:\n    print(error)"
        )
        said = sorted(both(base, code, code))
        winner = rt.containers.get("wanted")
        assert said[0] == ""
        taken = f'creating container storage: the container name "wanted" is already in use by {winner.id}.'
        assert said[1].startswith(taken)
        winner.remove(volumes=True)


CROWD = OPEN + """
import random, time
from wherry.errors import NameInUse, NoSuchContainer, StateError
seed, seconds, image = int(arguments[1]), float(arguments[2]), arguments[3]
random.seed(seed)
names = ["one", "two", "three", "four"]

def create(name):
    rt.containers.create(image, ["sleep", "1000"], name=name, network=random.choice(["none", "bridge"]),
                         remove=random.random() < 0.3, volumes=["/data"])

def run(_name):
    result = rt.containers.run(image, ["echo", "hello"], network="none", remove=True)
    assert (result.exit_code, result.stdout) == (0, "hello\\n"), result

def start(name):
    rt.containers.get(name).start()

def stop(name):
    rt.containers.get(name).stop(timeout=0)

def restart(name):
    rt.containers.get(name).restart(timeout=0)

def kill(name):
    rt.containers.get(name).kill()

def remove(name):
    rt.containers.get(name).remove(force=True, volumes=True, timeout=0)

def execute(name):
    try:
        done = rt.containers.get(name).exec(["true"])
    except Exception as error:
        if "exec" in str(error) or isinstance(error, (NoSuchContainer, StateError)) or type(error).__name__ in (
            "RuntimeFailed", "ContainerGone", "RuntimeCommandNotFound", "RuntimePermissionDenied"
        ):
            return      # it was stopped meanwhile
        raise

def look(_name):
    rt.containers.list(all=True)

def inspect(name):
    rt.containers.get(name).inspect()

verbs = [create, create, run, start, start, stop, restart, kill, remove, remove, execute, look, inspect]
done = 0
end = time.monotonic() + seconds
while time.monotonic() < end:
    try:
        random.choice(verbs)(random.choice(names))
        done += 1
    except (NameInUse, NoSuchContainer, StateError):
        pass
print(done)
"""


@pytest.mark.slow
def test_a_crowd(rt: Runtime, base: Path) -> None:
    """Eight processes do everything to four containers: no other error, no dead lock, nothing left in the end."""
    children = [crash.start(CROWD, 0, str(base), str(seed), "8", IMAGE) for seed in range(8)]
    outcomes = [crash.finish(child, 120) for child in children]
    assert [outcome.errors for outcome in outcomes if not outcome.finished] == []
    assert sum(int(outcome.output) for outcome in outcomes) > 8
    for summary in rt.containers.list(all=True):
        rt.containers.get(summary.id).remove(force=True, volumes=True, timeout=0)
    assert rt.check(quick=True) == []


def test_replacing_one_that_is_just_removing_itself(rt: Runtime) -> None:
    """``run --rm --replace`` again and again, as a unit does whose container ends at once."""
    for round in range(15):
        made = rt.containers.start_detached(
            IMAGE, ["sh", "-c", "exit 3"], name="brief", network="none", remove=True, replace=True
        )
        time.sleep(0.03 * (round % 5))
    until(lambda: not rt.containers.exists(made.id))
