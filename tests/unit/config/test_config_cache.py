"""The remembered configuration: used when nothing changed, never when something did, harmless when damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from config_machine import Machine

import wherry
from wherry.config import cache, containers_conf, registries_conf
from wherry.config.load import load
from wherry.config.options import GlobalOptions
from wherry.config.registries import load as load_registries
from wherry.config.settings import Settings

LONG_AGO = 1_600_000_000


def age(machine: Machine) -> None:
    """Make everything written so far old enough to be remembered."""
    for directory, _, names in os.walk(machine.root):
        for name in [directory, *(os.path.join(directory, name) for name in names)]:
            os.utime(name, (LONG_AGO, LONG_AGO))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry per time files were really read."""
    calls: list[str] = []
    real = containers_conf.build

    def counting(watch: cache.Watch, *arguments: object) -> object:
        calls.append("build")
        return real(watch, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(containers_conf, "build", counting)
    return calls


def prepared(machine: Machine) -> Settings:
    machine.write("share/containers.conf", '[containers]\nlog_tag = "one"\n')
    machine.write("etc/containers.conf.d/a.conf", '[containers]\nenv = ["A=1"]\n')
    machine.write("etc/storage.conf", '[storage]\ngraphroot = "/data/$WHERE"\n')
    age(machine)
    return load(places=machine.places)


def test_nothing_is_parsed_a_second_time(machine: Machine, builds: list[str]) -> None:
    first = prepared(machine)
    second = load(places=machine.places)
    assert builds == ["build"]
    assert first == second
    assert first.containers.log_tag == "one" and first.storage.graph_root == "/data"
    path = Path(machine.path("run/wherry/config-0.json"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_options_are_applied_to_what_is_remembered(machine: Machine, builds: list[str]) -> None:
    prepared(machine)
    found = load(GlobalOptions(root="/other", cgroup_manager="systemd"), places=machine.places)
    assert builds == ["build"]
    assert (found.storage.graph_root, found.engine.cgroup_manager) == ("/other", "systemd")
    assert load(places=machine.places).storage.graph_root == "/data"


CHANGES: dict[str, Callable[[Machine], object]] = {
    "a file changes": lambda m: m.write("share/containers.conf", '[containers]\nlog_tag = "two"\n'),
    "a file appears": lambda m: m.write("etc/containers.conf", '[containers]\nlog_tag = "three"\n'),
    "a file goes": lambda m: os.unlink(m.path("etc/containers.conf.d/a.conf")),
    "a drop-in appears": lambda m: m.write("etc/containers.conf.d/b.conf", '[containers]\nlog_tag = "four"\n'),
    "storage.conf changes": lambda m: m.write("etc/storage.conf", '[storage]\ngraphroot = "/elsewhere"\n'),
    "a variable in a path": lambda m: m.environ.update(WHERE="there"),
    "a variable that names a file": lambda m: m.environ.update(
        CONTAINERS_CONF=m.write("x.conf", '[containers]\nlog_tag = "five"\n')
    ),
    "TMPDIR": lambda m: m.environ.update(TMPDIR="/scratch"),
    "STORAGE_DRIVER": lambda m: m.environ.update(STORAGE_DRIVER="vfs"),
    "systemd appears": lambda m: m.write("run/systemd/system/x", ""),
    "a seccomp profile appears": lambda m: m.write("etc/seccomp.json", ""),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen_at_once(machine: Machine, builds: list[str], change: str) -> None:
    before = prepared(machine)
    CHANGES[change](machine)
    after = load(places=machine.places)
    assert len(builds) == 2
    assert after != before


def test_a_replaced_file_of_equal_size_and_time_is_seen(machine: Machine, builds: list[str]) -> None:
    prepared(machine)
    path = machine.write("share/new", '[containers]\nlog_tag = "two"\n')
    os.utime(path, (LONG_AGO, LONG_AGO))
    os.rename(path, machine.path("share/containers.conf"))
    assert load(places=machine.places).containers.log_tag == "two"


@pytest.mark.parametrize(("later_ns", "remembered"), [(10_000_000, False), (10_000_000_000, True)])
def test_a_file_changed_just_now_is_not_remembered(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, later_ns: int, remembered: bool
) -> None:
    """It could change again within the resolution of its timestamp."""
    prepared(machine)
    changed = os.stat(machine.write("share/containers.conf", '[containers]\nlog_tag = "two"\n')).st_mtime_ns
    monkeypatch.setattr("wherry.config.cache.time.time_ns", lambda: changed + later_ns)
    assert load(places=machine.places).containers.log_tag == "two"
    stored = Path(machine.path("run/wherry/config-0.json")).read_text()
    assert ('"two"' in stored) is remembered


def test_modules_users_and_places_do_not_share_what_is_remembered(machine: Machine, builds: list[str]) -> None:
    prepared(machine)
    module = machine.write("m.conf", '[containers]\nlog_tag = "module"\n')
    assert load(GlobalOptions(modules=[module]), places=machine.places).containers.log_tag == "module"
    assert load(places=machine.places).containers.log_tag == "one"
    elsewhere = machine.places.replace(etc=machine.path("home"))
    assert list(load(places=elsewhere).containers.env) != ["A=1"]


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"identity": []}', '{"identity": 1, "variables": 2}', "\udcff", "NaN"]
)
def test_a_damaged_cache_is_ignored_and_replaced(machine: Machine, builds: list[str], damage: str) -> None:
    before = prepared(machine)
    path = Path(machine.path("run/wherry/config-0.json"))
    path.write_bytes(damage.encode("utf-8", "surrogateescape"))
    assert load(places=machine.places) == before
    assert load(places=machine.places) == before
    assert len(builds) == 2


def test_every_cut_of_the_cache_is_survived(machine: Machine) -> None:
    before = prepared(machine)
    path = Path(machine.path("run/wherry/config-0.json"))
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        path.chmod(0o600)
        assert load(places=machine.places) == before


def test_a_cache_others_could_write_is_ignored(machine: Machine, builds: list[str]) -> None:
    prepared(machine)
    path = Path(machine.path("run/wherry/config-0.json"))
    path.chmod(0o666)
    load(places=machine.places)
    assert len(builds) == 2
    target = path.rename(path.with_name("elsewhere.json"))
    path.symlink_to(target)
    load(places=machine.places)
    assert len(builds) == 3
    assert not path.is_symlink()


def test_a_cache_that_cannot_be_written_is_no_error(machine: Machine, builds: list[str]) -> None:
    machine.write("run/wherry", "a file is in the way")
    prepared(machine)
    load(places=machine.places)
    assert builds == ["build", "build"]
    load(places=machine.places.replace(cache_dir=""))
    assert len(builds) == 3


def test_registries_are_remembered_too(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.write("etc/registries.conf", 'unqualified-search-registries = ["a.example"]\n')
    machine.write("etc/registries.conf.d/a.conf", '[aliases]\n"x" = "b.example/x"\n')
    age(machine)
    settings = load(places=machine.places)
    first = load_registries(settings, places=machine.places)
    monkeypatch.setattr(registries_conf, "build", None)
    assert load_registries(settings, places=machine.places) == first
    monkeypatch.undo()
    machine.write("var/cache/containers/short-name-aliases.conf", '[aliases]\n"x" = "c.example/x"\n')
    assert load_registries(settings, places=machine.places).aliases["x"][0] == "c.example/x"


EXPENSIVE = {
    "asyncio", "collections", "contextlib", "ctypes", "_ctypes", "dataclasses", "datetime", "enum", "functools",
    "hashlib", "inspect", "json", "logging", "pathlib", "re", "shutil", "signal", "socket", "sqlite3", "ssl", "struct",
    "subprocess", "tempfile", "tomllib", "typing",
}


def test_a_warm_start_imports_nothing_expensive(machine: Machine) -> None:
    prepared(machine)
    source = Path(wherry.__file__).parent.parent
    places = {name: getattr(machine.places, name) for name in ("home", "config_home", "data_home", "cache_home",
              "runtime_dir", "cache_dir", "etc", "share", "run", "var")}
    code = (
        f"import sys; sys.path.insert(0, {str(source)!r})\n"
        "from wherry.config.load import load\nfrom wherry.config.places import Places\n"
        "from wherry.config import helpers, environment, options\n"
        f"print(load(places=Places(**{places!r})).containers.log_tag, *sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    words = shown.stdout.split()
    assert words[0] == "one"
    assert not (EXPENSIVE | {"wherry.config.containers_conf", "wherry.config.tables"}) & set(words)
