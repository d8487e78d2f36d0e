"""Choosing the runtime and conmon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wherry.config.settings import EngineSettings
from wherry.errors import InvalidArgument, Unavailable
from wherry.oci import choose as choosing
from wherry.oci.choose import choose, find_conmon, refused
from wherry.sys.cgroups import Layout

V2 = Layout(mode="v2", unified="/sys/fs/cgroup", unified_controllers=("cpu", "memory"))
HYBRID = Layout(mode="hybrid", controllers={"memory": "/m"}, unified="/u", unified_controllers=("hugetlb", "rdma"))
CLEAN_HYBRID = Layout(mode="hybrid", controllers={"memory": "/m"}, unified="/u")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No runtimes but those a test installs."""
    monkeypatch.setattr("wherry.sys.processes.STANDARD_PATH", (f"{tmp_path}/bin",))
    (tmp_path / "bin").mkdir()
    return tmp_path


def install(host: Path, name: str, where: str = "bin") -> str:
    path = host / where / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def engine(**values: Any) -> EngineSettings:
    return EngineSettings(**{"runtimes": {}, **values})


def test_crun_first(host: Path) -> None:
    install(host, "runc")
    crun = install(host, "crun")
    chosen = choose(engine(), layout=V2)
    assert (chosen.runtime.name, chosen.runtime.path, chosen.fallback) == ("crun", crun, False)
    assert chosen.explanation == "crun: the first that is installed of crun, runc, runj, kata, runsc, ocijail"


def test_runc_when_there_is_no_crun(host: Path) -> None:
    path = install(host, "runc")
    assert choose(engine(), layout=V2).runtime.path == path


def test_runc_where_crun_refuses(host: Path) -> None:
    install(host, "runc")
    install(host, "crun")
    chosen = choose(engine(), layout=HYBRID)
    assert (chosen.runtime.name, chosen.fallback) == ("runc", True)
    assert chosen.explanation == (
        "runc: crun refuses this host: its cgroup2 tree /u owns hugetlb, rdma beside version 1 hierarchies"
    )


def test_crun_alone_is_kept_and_the_trouble_announced(host: Path) -> None:
    install(host, "crun")
    chosen = choose(engine(), layout=HYBRID)
    assert chosen.runtime.name == "crun"
    assert "refuses this host" in chosen.explanation


def test_the_configured_runtime_falls_back_too(host: Path) -> None:
    install(host, "runc")
    install(host, "crun")
    assert choose(engine(runtime="crun"), layout=HYBRID).runtime.name == "runc"
    assert choose(engine(runtime="crun"), layout=V2).explanation == "crun: configured"


def test_what_was_asked_for_is_taken_as_it_is(host: Path) -> None:
    install(host, "runc")
    install(host, "crun")
    chosen = choose(engine(runtime="runc"), "crun", layout=HYBRID)
    assert (chosen.runtime.name, chosen.explanation) == ("crun", "crun: asked for")


def test_a_path(host: Path) -> None:
    path = install(host, "my-crun", "opt")
    chosen = choose(engine(), path, layout=V2)
    assert (chosen.runtime.name, chosen.runtime.path, chosen.runtime.kind) == (path, path, "my-crun")


def test_configured_places_come_before_the_standard_ones(host: Path) -> None:
    install(host, "crun")
    other = install(host, "crun", "opt")
    chosen = choose(engine(runtimes={"crun": ["/no/such", str(host), other]}), layout=V2)
    assert chosen.runtime.path == other


@pytest.mark.parametrize("configured", [False, True])
def test_an_unknown_name(host: Path, configured: bool) -> None:
    settings = engine(runtimes={"nope": ["/a/nope", "/b/nope"]}, runtime="nope" if configured else "")
    with pytest.raises(InvalidArgument) as caught:
        choose(settings, "" if configured else "nope")
    assert str(caught.value) == 'default OCI runtime "nope" not found: invalid argument'
    assert caught.value.hint == "looked at /a/nope /b/nope"


def test_a_path_without_a_program(host: Path) -> None:
    with pytest.raises(InvalidArgument, match="no valid executable found for OCI runtime /no/crun: invalid"):
        choose(engine(), "/no/crun")


def test_nothing_installed(host: Path) -> None:
    with pytest.raises(InvalidArgument, match=r'^default OCI runtime "crun" not found: invalid argument$') as caught:
        choose(engine())
    assert caught.value.hint == "install one of crun, runc, runj, kata, runsc, ocijail"


def test_flags_of_the_command_line_replace_those_configured(host: Path) -> None:
    install(host, "crun")
    settings = engine(runtimes_flags={"crun": ["debug"]})
    assert choose(settings, layout=V2).runtime.flags == ("--debug",)
    assert choose(settings, layout=V2, flags=["log=/x"]).runtime.flags == ("--log=/x",)


def test_json_logs_are_used_where_configured(host: Path) -> None:
    install(host, "crun")
    assert choose(engine(), layout=V2).runtime.supports_json
    assert not choose(engine(runtime_supports_json=["runc"]), layout=V2).runtime.supports_json


def test_other_arguments_reach_the_runtime(host: Path) -> None:
    install(host, "crun")
    made = choose(engine(), layout=V2, root="/r", systemd_cgroup=True, env={"A": "b"}).runtime
    assert (made.root, made.systemd_cgroup, made.env["A"]) == ("/r", True, "b")


@pytest.mark.parametrize(
    ("name", "layout", "refuses"),
    [
        ("crun", HYBRID, True), ("/usr/bin/crun", HYBRID, True), ("runc", HYBRID, False), ("crun", V2, False),
        ("crun", CLEAN_HYBRID, False), ("crun", Layout(mode="v1", controllers={"memory": "/m"}), False),
    ],
)
def test_refusal(name: str, layout: Layout, refuses: bool) -> None:
    assert bool(refused(name, layout)) is refuses


def test_conmon_is_the_first_configured_that_is_there(host: Path) -> None:
    path = install(host, "conmon", "opt")
    install(host, "conmon")
    assert find_conmon(engine(conmon_path=["/no/conmon", path])) == path
    assert find_conmon(engine(conmon_path=["/no/conmon"])) == f"{host}/bin/conmon"
    assert find_conmon(engine(conmon_path=["/no/conmon"]), path) == path


def test_no_conmon(host: Path) -> None:
    with pytest.raises(Unavailable) as caught:
        find_conmon(engine(conmon_path=["/a/conmon"]))
    assert str(caught.value) == (
        "could not find a working conmon binary (configured options: [/a/conmon conmon]): invalid argument"
    )
    with pytest.raises(Unavailable, match=r"\[/b/conmon\]"):
        find_conmon(engine(conmon_path=["/a/conmon"]), "/b/conmon")


def test_the_preference_is_containers_confs() -> None:
    assert choosing.PREFERENCE[:2] == ("crun", "runc")
