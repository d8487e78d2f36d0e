"""The entry point: finding commands, groups, help, global flags, errors and exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import wherry
from wherry.cli import main as entry
from wherry.cli.call import Call
from wherry.cli.commands import COMMANDS, GROUPS, children, find, paths
from wherry.errors import InvalidArgument, NoSuchContainer, PermissionRefused
from wherry.sys import log

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def usual_log_level() -> None:
    log.set_level("warn")


def run(*words: str, program: str = "wherry") -> int:
    return entry.main([program, *words])


def failure(capsys: Captured, *words: str, program: str = "wherry") -> tuple[int, str]:
    code = run(*words, program=program)
    return code, capsys.readouterr().err


def test_every_row_names_a_function_with_flags() -> None:
    for canonical, row in COMMANDS.items():
        assert len(row) == 5, canonical
        module_name, _, function = row[0].partition(":")
        module = __import__(f"wherry.cli.{module_name}", fromlist=[function])
        assert callable(getattr(module, function)), canonical
        entry.flag_set(module, function).parse([])


def test_no_path_is_taken_twice() -> None:
    typed = [path for path, _canonical in paths()]
    assert len(typed) == len(set(typed))
    assert not set(typed) & GROUPS.keys()


def test_aliases_lead_to_the_same_command() -> None:
    assert find("ps") == find("container ls") == find("container ps") == "container ps"
    assert find("rmi") == "image rm"
    assert find("nothing") == ""
    assert find("") == ""


def test_children_of_a_group() -> None:
    names = [name for name, _text in children("image")]
    assert "rm" in names
    assert "ls" in names
    assert "rmi" not in names
    assert "container" in [name for name, _text in children("")]


def test_an_unknown_command_is_refused_with_suggestions(capsys: Captured) -> None:
    code, text = failure(capsys, "rum")
    assert code == 125
    assert text == (
        "Error: unrecognized command `wherry rum`\n\nDid you mean this?\n\trm\n\trun\n\trmi\n\n"
        "Try 'wherry --help' for more information\n"
    )
    assert failure(capsys, "qwertyuiop") == (
        125, "Error: unrecognized command `wherry qwertyuiop`\nTry 'wherry --help' for more information\n"
    )
    assert failure(capsys, "container", "rum") == (
        125, "Error: unrecognized command `wherry container rum`\nTry 'wherry container --help' for more information\n"
    )


def test_a_group_alone_prints_its_help_and_fails(capsys: Captured) -> None:
    assert run("container") == 125
    printed = capsys.readouterr()
    assert "Available Commands:" in printed.out
    assert printed.err == "Error: missing command 'wherry container COMMAND'\n"
    assert run() == 125
    assert capsys.readouterr().err == "Error: missing command 'wherry COMMAND'\n"


@pytest.mark.parametrize("words", [["--help"], ["help"], ["container", "--help"], ["container", "-h"], ["ps", "--help"],
                                   ["ps", "-h"], ["help", "container", "ps"], ["run", "--help"], ["-v"], ["--version"]])
def test_help_and_version_succeed(words: list[str], capsys: Captured) -> None:
    assert run(*words) == 0
    printed = capsys.readouterr()
    assert printed.out
    assert not printed.err


def test_the_short_help_flag_gives_way_to_a_command_s_own(capsys: Captured) -> None:
    code, text = failure(capsys, "run", "-h")
    assert code == 125
    assert text == "Error: flag needs an argument: 'h' in -h\nSee 'wherry run --help'\n"


def test_version(capsys: Captured) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"wherry version {wherry.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ps", "--bogus"], "unknown flag: --bogus\nSee 'wherry ps --help'"),
        (["container", "ls", "-Z"], "unknown shorthand flag: 'Z' in -Z\nSee 'wherry container list --help'"),
        (["--bogus", "ps"], "unknown flag: --bogus\nSee 'wherry --help'"),
        (["container", "--bogus", "rm"], "unknown flag: --bogus\nSee 'wherry container --help'"),
        (["--root"], "flag needs an argument: --root\nSee 'wherry --help'"),
        (["ps", "--noout"], "unknown flag: --noout\nSee 'wherry ps --help'"),
        (["version", "-v"], "unknown shorthand flag: 'v' in -v\nSee 'wherry version --help'"),
        (["ps", "x"], "`wherry ps` takes no arguments"),
        (["run"], "requires at least 1 arg(s), only received 0"),
        (["tag", "a"], "requires at least 2 arg(s), only received 1"),
        (["import"], "accepts between 1 and 2 arg(s), received 0"),
        (["image", "exists"], "accepts 1 arg(s), received 0"),
        (["images", "a", "b"], "accepts at most 1 arg(s), received 2"),
        (["rm"], "you must provide at least one name or id"),
        (["rm", "-a", "x"], "no arguments are needed with --all"),
        (["rm", "-l", "-a"], "--all and --latest cannot be used together"),
        (["rm", "-l", "x"], "--latest and containers cannot be used together"),
        (["stop", "-a", "--cidfile", "f"], "--all, --latest, and --cidfile cannot be used together"),
        (["stop", "x", "--filter", "a=b"], "--filter takes no arguments"),
        (["start"], "start requires at least one argument"),
        (["start", "-a", "x", "y"], "you cannot start and attach multiple containers at once"),
        (["attach"], '"wherry attach" requires a name, id, or the "--latest" flag'),
        (["attach", "a", "b"], "`wherry attach` accepts at most one argument"),
        (["wait"], '"wherry wait" requires a name, id, or the "--latest" flag'),
        (["logs"], "specify at least one container name or ID to log"),
        (["rmi"], "image name or ID must be specified"),
        (["inspect"], "no names or ids specified"),
        (["inspect", "--type", "x", "y"],
         'invalid type "x": must be "artifact", "container", "image", "network", "pod", "volume" or "all"'),
        (["exec"], "exec requires the name or ID of a container or the --latest flag"),
        (["ps", "-l", "-n", "3"], "last and latest are mutually exclusive"),
        (["ps", "-qs"], "quiet conflicts with size and namespace"),
        (["ps", "--ns", "-s"], "size and namespace options conflict"),
        (["ps", "--filter", "x"], 'invalid filter "x"'),
        (["images", "--sort", "x"],
         '"x" is not a valid field for sorting. Choose from: created, id, repository, size, tag'),
        (["--remote", "ps"], "--remote: wherry works on this machine and has no remote client"),
        (["run", "--memory-swappiness", "x", "i"],
         'invalid argument "x" for "--memory-swappiness" flag: strconv.ParseInt: parsing "x": invalid syntax\n'
         "See 'wherry run --help'"),
        (["run", "--cap-add", 'a"b', "i"],
         'invalid argument "a\\"b" for "--cap-add" flag: parse error on line 1, column 1: bare " in non-quoted field\n'
         "See 'wherry run --help'"),
    ],
)
def test_usage_errors(words: list[str], message: str, capsys: Captured, tmp_path: Path) -> None:
    where = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run")]
    if words[0] != "--root" and not words[0].startswith("--bogus"):
        words = [*where, *words]
    assert failure(capsys, *words) == (125, f"Error: {message}\n")


def test_messages_use_the_name_wherry_was_called_by(capsys: Captured) -> None:
    for program, name in (("/usr/local/bin/podman", "podman"), ("docker", "docker"), ("/opt/something", "wherry")):
        assert failure(capsys, "ps", "x", program=program) == (125, f"Error: `{name} ps` takes no arguments\n")


def test_log_level(capsys: Captured) -> None:
    known = "trace, debug, info, warn, warning, error, fatal, panic"
    expected = (1, f'Log Level "foo" is not supported, choose from: {known}\n')
    assert failure(capsys, "--log-level", "foo", "version") == expected
    assert failure(capsys, "version", "--log-level=foo") == expected
    assert failure(capsys, "--debug", "--log-level=info", "version") == (
        1, "Setting --log-level and --debug is not allowed\n"
    )
    assert run("--log-level", "DEBUG", "version") == 0
    assert log.enabled("debug")


def call_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let ``wherry version`` end with *error*."""
    from wherry.cli import system_version

    def fail(_call: Call) -> int:
        raise error

    monkeypatch.setattr(system_version, "version", fail)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (NoSuchContainer('no container with name or ID "x" found'), 125,
         'Error: no container with name or ID "x" found: no such container\n'),
        (InvalidArgument("bad", hint="do this"), 125, "Error: bad\ndo this\n"),
        (PermissionRefused("no", exit_code=77), 77, "Error: no\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (ValueError("oops"), 125, "Error: internal error: ValueError: oops; please report\n"),
        (FileNotFoundError(2, "No such file or directory", "/x"), 125,
         "Error: system call failed: /x: no such file or directory\n"),
    ],
)
def test_errors_become_text_and_exit_code(
    error: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    call_with(monkeypatch, error)
    assert failure(capsys, "version") == (code, text)


def test_a_bug_has_a_traceback_only_when_debugging(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    call_with(monkeypatch, ValueError("oops"))
    code, text = failure(capsys, "--log-level=debug", "version")
    assert code == 125
    assert "Traceback (most recent call last)" in text
    assert text.endswith("Error: internal error: ValueError: oops; please report\n")


def options_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, object]:
    """The global options ``wherry WORDS`` would open the engine with."""
    from wherry.cli import system_version

    seen: list[dict[str, object]] = []

    def look(call: Call) -> int:
        seen.append(call._make_options().to_json())
        return 0

    monkeypatch.setattr(system_version, "version", look)
    assert run(*words) == 0
    return seen[0]


def test_global_flags_may_stand_before_and_behind_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert options_of(monkeypatch, "version") == {}
    expected = {"root": "/r", "storage_opts": ["a=b", "c=d"]}
    assert options_of(monkeypatch, "--root", "/r", "--storage-opt", "a=b", "version", "--storage-opt=c=d") == expected
    assert options_of(monkeypatch, "version", "--root=/r", "--storage-opt=a=b", "--storage-opt=c=d") == expected
    assert options_of(monkeypatch, "--root=/a", "version", "--root=/b") == {"root": "/b"}
    found = options_of(monkeypatch, "--runtime-flag=x", "--module=m", "--transient-store", "--hooks-dir=/h", "version")
    assert found == {"runtime_flags": ["x"], "modules": ["m"], "transient_store": True, "hooks_dir": ["/h"]}


def test_global_flags_between_a_group_and_its_command() -> None:
    path, canonical, words = entry.resolve("wherry", ["container", "--root", "/r", "rm", "-f", "x"])
    assert (path, canonical, words) == ("container rm", "container rm", ["--root", "/r", "-f", "x"])


def test_output_can_be_sent_elsewhere(tmp_path: Path) -> None:
    target = tmp_path / "out"
    source = "import sys; from wherry.cli.main import console; console()"
    environment = {**os.environ, "PYTHONPATH": str(Path(wherry.__file__).parents[1])}

    def wherry_prints(*words: str) -> str:
        argv = [sys.executable, "-c", source, *words]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout

    assert wherry_prints("--out", str(target), "version") == ""
    assert "Version:" in target.read_text()
    assert wherry_prints("--noout", "version") == ""


def test_a_closed_pipe_is_no_traceback() -> None:
    source = "import sys; from wherry.cli.main import console; console()"
    environment = {**os.environ, "PYTHONPATH": str(Path(wherry.__file__).parents[1])}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", source, "version"], env=environment, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert done.returncode == entry.BROKEN_PIPE
    assert done.stderr == b""
