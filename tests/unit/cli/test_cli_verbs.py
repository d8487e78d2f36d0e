"""Verbs: which containers they touch, what they print, how failures add up."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.fakes import FakeContainer, FakeImages, FakeRuntime

from wherry.cli import main as entry
from wherry.cli.call import Call
from wherry.errors import ImageInUse, InUse, StateError, WherryError

Captured = pytest.CaptureFixture[str]
ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


class World:
    """Runs command lines on a fake engine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.runtime = FakeRuntime()

    def has(self, *containers: FakeContainer, images: FakeImages | None = None) -> None:
        runtime = self.runtime = FakeRuntime(*containers, images=images)
        self._monkeypatch.setattr(Call, "runtime", property(lambda _call: runtime))
        self._monkeypatch.setattr("wherry.engine.runtime.Runtime", lambda _options: runtime)

    def run(self, *words: str) -> tuple[int, str, str]:
        code = entry.main(["wherry", *words])
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> World:
    return World(monkeypatch, capsys)


def missing(name: str) -> str:
    return f'Error: no container with name or ID "{name}" found: no such container\n'


def test_what_was_typed_is_printed_and_ids_for_all(world: World) -> None:
    one, two = FakeContainer("a", ONE), FakeContainer("b", TWO)
    world.has(one, two)
    assert world.run("stop", "a", TWO[:12]) == (0, f"a\n{TWO[:12]}\n", "")
    assert world.run("stop", "-a") == (0, f"{ONE}\n{TWO}\n", "")
    assert world.run("stop", "-l") == (0, f"{TWO}\n", "")
    assert world.run("stop", "--filter", "name=x") == (0, f"{ONE}\n{TWO}\n", "")


def test_commands_go_on_after_a_failure(world: World) -> None:
    one = FakeContainer("a", ONE)
    world.has(one)
    assert world.run("stop", "x", "a", "y") == (125, "a\n", missing("x") + missing("y"))
    assert one.calls == [("stop", None)]


def test_stop_timeout(world: World) -> None:
    one = FakeContainer("a", ONE)
    world.has(one)
    world.run("stop", "-t", "3", "a")
    world.run("stop", "--timeout=0", "a")
    world.run("stop", "--time", "-1", "a")
    assert [call[1] for call in one.calls] == [3, 0, 1 << 31]


def test_ignore_and_all_are_lenient(world: World) -> None:
    never_ran = FakeContainer("a", ONE, stop=StateError("can only stop created or running containers"))
    world.has(never_ran)
    assert world.run("stop", "-i", "nope") == (0, "", "")
    assert world.run("stop", "-a") == (0, f"{ONE}\n", "")
    assert world.run("stop", "a")[0] == 125


def test_cidfile(world: World, tmp_path: Path) -> None:
    world.has(FakeContainer("a", ONE))
    (tmp_path / "cid").write_text(ONE + "\nmore\n")
    assert world.run("stop", "--cidfile", str(tmp_path / "cid")) == (0, f"{ONE}\n", "")
    code, _out, text = world.run("stop", "--cidfile", str(tmp_path / "nope"))
    assert code == 125
    assert text == f"Error: reading CIDFile: open {tmp_path}/nope: no such file or directory\n"
    assert world.run("stop", "--ignore", "--cidfile", str(tmp_path / "nope")) == (0, "", "")


def test_kill(world: World) -> None:
    one = FakeContainer("a", ONE)
    world.has(one)
    assert world.run("kill", "a") == (0, "a\n", "")
    assert world.run("kill", "-s", "sighup", "a") == (0, "a\n", "")
    assert one.calls == [("kill", 9), ("kill", 1)]
    assert world.run("kill", "-s", "nonsense", "a") == (125, "", "Error: invalid signal: nonsense\n")


RUNNING = StateError("cannot remove container as it is running")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["a"], 0),
        (["nope"], 1),
        (["busy"], 2),
        (["nope", "busy"], 1),
        (["busy", "nope"], 1),
        (["a", "busy"], 2),
        (["broken"], 125),
        (["broken", "busy"], 2),
        (["-f", "nope"], 0),
        (["-i", "nope", "busy"], 2),
    ],
)
def test_exit_codes_of_rm(words: list[str], code: int, world: World) -> None:
    world.has(
        FakeContainer("a", ONE),
        FakeContainer("busy", TWO, remove=RUNNING),
        FakeContainer("broken", THREE, remove=WherryError("broken")),
    )
    assert world.run("rm", *words)[0] == code


def test_rm_passes_its_flags_on(world: World) -> None:
    one = FakeContainer("a", ONE)
    world.has(one)
    world.run("rm", "-f", "-v", "-t", "2", "a")
    world.run("rm", "a")
    assert one.calls == [("remove", True, True, 2), ("remove", False, False, None)]


def test_refused_flags_are_an_error_only_when_used(world: World) -> None:
    world.has(FakeContainer("a", ONE))
    code, out, text = world.run("artifact", "push", "--sign-by", "me", "a")
    assert (code, out) == (125, "")
    assert text == "Error: --sign-by: signing artifacts is not supported yet: not yet implemented\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [(["a"], 0), (["missing"], 1), (["used"], 2), (["missing", "used"], 2), (["missing", "tags"], 125),
     (["-f", "missing"], 0), (["--ignore", "missing", "a"], 0), (["broken", "missing"], 125)],
)
def test_exit_codes_of_rmi(words: list[str], code: int, world: World) -> None:
    images = FakeImages(used=ImageInUse("used"), tags=InUse("several tags"), broken=WherryError("broken"))
    world.has(images=images)
    assert world.run("rmi", *words)[0] == code


def test_rmi_prints_what_went(world: World) -> None:
    world.has()
    assert world.run("rmi", "a", "missing", "b") == (
        1,
        "Untagged: localhost/a:latest\nDeleted: a\nUntagged: localhost/b:latest\nDeleted: b\n",
        "Error: missing: image not known\n",
    )


def test_exists(world: World) -> None:
    world.has(FakeContainer("a", ONE))
    assert world.run("container", "exists", "a") == (0, "", "")
    assert world.run("container", "exists", "b") == (1, "", "")
    assert world.run("image", "exists", "a") == (0, "", "")
    assert world.run("image", "exists", "missing") == (1, "", "")


def test_wait(world: World) -> None:
    one, two = FakeContainer("a", ONE), FakeContainer("b", TWO)
    one.code, two.code = 3, 0
    world.has(one, two)
    assert world.run("wait", "b", "a") == (0, "0\n3\n", "")
    assert world.run("wait", "-i", "1s", "--condition", "running,exited", "a") == (0, "3\n", "")
    assert one.calls[-1] == ("wait", ("running", "exited"), 1.0)
    assert world.run("wait", "gone") == (0, "9\n", "")
    assert world.run("wait", "nope") == (125, "", missing("nope"))
    assert world.run("wait", "--ignore", "nope", "a") == (0, "-1\n3\n", "")
    assert world.run("wait", "-i", "soon", "a") == (125, "", 'Error: time: invalid duration "soon"\n')


def test_start_and_restart(world: World) -> None:
    one, two = FakeContainer("a", ONE), FakeContainer("b", TWO)
    world.has(one, two)
    world.runtime.containers.summaries[1] = world.runtime.containers.summaries[1].replace(state="exited")
    assert world.run("start", "a") == (0, "a\n", "")
    assert world.run("start", "--all") == (0, f"{TWO}\n", "")
    assert world.run("restart", "-t", "1", "a") == (0, "a\n", "")
    assert world.run("restart", "--running") == (0, f"{ONE}\n", "")
    assert one.calls == [("start",), ("restart", 1), ("restart", None)]
    assert two.calls == [("start",)]


def test_cleanup_of_what_is_gone_already_is_done(world: World) -> None:
    one = FakeContainer("a", ONE)
    world.has(one)
    assert world.run("container", "cleanup", ONE, TWO) == (0, f"{ONE}\n{TWO}\n", "")
    assert world.run("container", "cleanup", "--rm", ONE)[0] == 0
    assert one.calls == [("cleanup",), ("cleanup",), ("remove", False, False, None)]


def test_inspect(world: World) -> None:
    world.has(FakeContainer("a", ONE))
    code, out, text = world.run("inspect", "a", "nope")
    assert code == 125
    assert text == 'Error: no such object: "nope"\n'
    assert out.startswith('[\n     {\n          "Id": "')
    assert world.run("inspect", "nope")[1] == "[]\n"
    assert world.run("container", "inspect", "nope")[2] == "Error: no such container nope\n"
    assert world.run("image", "inspect", "nope")[2] == "Error: nope: image not known\n"
    assert world.run("inspect", "-f", "{{.Name}} {{.Id}} {{.State.Pid}}", "a") == (0, f"a {ONE} 0\n", "")
    assert '"SizeRw": 1' in world.run("inspect", "-s", "a")[1]


def test_a_template_that_fails_is_reported_after_what_it_printed(world: World) -> None:
    world.has(FakeContainer("a", ONE))
    code, out, text = world.run("inspect", "-f", "{{.Name}} {{.Foo}}", "a")
    assert (code, out) == (125, "a ")
    assert text == (
        'Error: printing inspect output: template: inspect:1:23: executing "inspect" at <.Foo>: '
        "can't evaluate field Foo in type interface {}\n"
    )


def test_exec_without_a_command(world: World) -> None:
    world.has(FakeContainer("a", ONE))
    message = "Error: must provide a non-empty command to start an exec session: invalid argument\n"
    assert world.run("exec", "a") == (255, "", message)
    assert world.run("exec", "nope", "ls") == (125, "", missing("nope"))
