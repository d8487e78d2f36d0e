"""The environment, whose configuration it is, and finding helper programs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from config_machine import Machine

from wherry.config import environment, helpers, places
from wherry.config.load import load
from wherry.config.options import GlobalOptions


def test_facts_of_the_environment() -> None:
    found = environment.facts({
        "http_proxy": "http://p", "NO_PROXY": "x", "NOTIFY_SOCKET": "@s", "PODMAN_SYSTEMD_UNIT": "a.service",
        "TMPDIR": "", "UNRELATED": "1",
    })
    assert found.proxies == {"http_proxy": "http://p", "NO_PROXY": "x"}
    assert (found.notify_socket, found.systemd_unit, found.tmpdir) == ("@s", "a.service", "")
    assert environment.facts({}) == environment.EnvironmentFacts()


def test_engine_env_is_part_of_the_environment(machine: Machine) -> None:
    machine.environ["http_proxy"] = "http://outer"
    machine.write("etc/containers.conf", '[engine]\nenv = ["http_proxy=http://inner", "TMPDIR=/t"]\n')
    found = load(places=machine.places).environment
    assert found.proxies == {"http_proxy": "http://inner"}
    assert found.tmpdir == "/t"


def test_the_real_environment_is_what_the_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_TEST_VARIABLE", "x")
    assert environment.environ()["WHERRY_TEST_VARIABLE"] == "x"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TMPDIR",
                 "_CONTAINERS_USERNS_CONFIGURED", "_CONTAINERS_ROOTLESS_UID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    return monkeypatch


def test_places_of_root(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(os, "geteuid", lambda: 0)
    found = places.current()
    assert (found.uid, found.rootless, found.runtime_dir, found.cache_dir) == (0, False, "/run", "/run/wherry")
    assert (found.etc, found.share) == ("/etc/containers", "/usr/share/containers")


def test_places_of_a_user(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setattr(os, "geteuid", lambda: 54321)
    found = places.current()
    assert (found.uid, found.rootless) == (54321, True)
    assert (found.config_home, found.data_home) == ("/home/me/.config", "/home/me/.local/share")
    assert found.runtime_dir == "/tmp/storage-run-54321"
    assert found.cache_dir == ""            # in /tmp anybody could have put something there first
    bare.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    bare.setenv("XDG_CONFIG_HOME", "/cfg")
    found = places.current()
    assert (found.runtime_dir, found.cache_dir) == (str(tmp_path), f"{tmp_path}/wherry")
    assert found.config_home == "/cfg"


def test_root_of_a_rootless_user_namespace_is_the_user(bare: pytest.MonkeyPatch) -> None:
    bare.setattr(os, "geteuid", lambda: 0)
    bare.setenv("_CONTAINERS_USERNS_CONFIGURED", "done")
    bare.setenv("_CONTAINERS_ROOTLESS_UID", "1000")
    found = places.current()
    assert (found.uid, found.rootless) == (1000, True)
    bare.setenv("_CONTAINERS_ROOTLESS_UID", "0")
    assert not places.current().rootless


def test_home_from_the_password_file(bare: pytest.MonkeyPatch) -> None:
    bare.delenv("HOME")
    assert places.current().home == os.path.expanduser("~")
    bare.setattr(os, "geteuid", lambda: 4242424)
    assert places.current().home == "/"


def program(machine: Machine, name: str) -> str:
    path = machine.write(name, "#!/bin/sh\n")
    os.chmod(path, 0o755)
    return path


NAME = "wherry-test-helper"


def test_helpers_are_searched_in_order(machine: Machine) -> None:
    machine.environ["PATH"] = machine.path("path")
    machine.write("etc/containers.conf", f'[engine]\nhelper_binaries_dir = ["{machine.path("helpers")}"]\n')
    assert helpers.find(load(places=machine.places), NAME) == ""
    on_path = program(machine, f"path/{NAME}")
    assert helpers.find(load(places=machine.places), NAME) == on_path
    configured = program(machine, f"helpers/{NAME}")
    assert helpers.find(load(places=machine.places), NAME) == configured
    machine.environ["CONTAINERS_HELPER_BINARY_DIR"] = machine.path("named")
    named = program(machine, f"named/{NAME}")
    settings = load(places=machine.places)
    assert helpers.find(settings, NAME) == named
    assert helpers.find(settings, on_path) == on_path
    assert helpers.find(settings, machine.path("missing")) == ""
    os.chmod(named, 0o644)
    assert helpers.find(settings, NAME) == configured


def test_programs_with_paths_of_their_own(machine: Machine) -> None:
    conmon, runtime, init = program(machine, "a/conmon"), program(machine, "a/myrun"), program(machine, "a/init")
    machine.write("etc/containers.conf", f"""
[containers]
init_path = "{init}"
[engine]
conmon_path = ["/missing/conmon", "{conmon}"]
[engine.runtimes]
mine = ["/missing", "{runtime}"]
""")
    settings = load(places=machine.places)
    assert helpers.find(settings, "conmon") == conmon
    assert helpers.find(settings, "mine") == runtime
    assert helpers.find(settings, "catatonit") == init
    other = program(machine, "b/conmon")
    assert helpers.find(load(GlobalOptions(conmon=other), places=machine.places), "conmon") == other


def test_bindir_is_where_we_are(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [program(machine, "x/bin/wherry")])
    helper = program(machine, f"x/libexec/{NAME}")
    machine.write("etc/containers.conf", '[engine]\nhelper_binaries_dir = ["$BINDIR/../libexec"]\n')
    assert os.path.realpath(helpers.find(load(places=machine.places), NAME)) == helper
