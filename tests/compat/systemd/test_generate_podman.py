"""``generate systemd``: the same container made by Podman and by wherry gives the same unit.

Left out of the comparison: who wrote it and when, the global options (Podman 4.3 forgets them when it stops a
container), white space, and two slips of Podman 4.3 that are named below.  Podman also forgets --wants, --env and
--start-timeout in the unit of a pod; wherry does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.compat.cli.conftest import Outcome, Pair

IMAGE = "localhost/test:v1"
CIDFILE = "/tmp/wherry-compat.cid"
Engine = Callable[..., Outcome]

_PROGRAM = re.compile(r"(Exec\w+)=(?:\S*python\S* (?:\\\n\t)?-I \S*launcher\.py|/usr/bin/podman)")
_GLOBAL = re.compile(r"--(root|runroot|storage-driver|cgroup-manager)[= ]\S+ ?")
_ID = re.compile(r"\b[0-9a-f]{64}\b")


def plain(text: str) -> list[str]:
    """The lines of a unit that must agree."""
    lines = []
    for line in _PROGRAM.sub(r"\1=ENGINE", text).replace("\\\n", " ").splitlines():
        line = _GLOBAL.sub("", " ".join(line.split()))
        line = _ID.sub("ID", line)
        line = line.replace("PODMAN_SYSTEMD_UNIT=%n-%i", "PODMAN_SYSTEMD_UNIT=%n")     # there is no such unit
        if line.startswith("# ") and "service" not in line and "User-defined" not in line:
            continue
        if line.startswith("RestartSec="):          # Podman forgets it for containers
            continue
        if line.startswith("PIDFile=/"):
            line = "PIDFile=" + line.rpartition("/")[2]
        lines.append(line.strip())
    return lines


CASES = {
    "exists": (["web", IMAGE, "sleep", "9"], []),
    "by name": (["web", "--restart=no", IMAGE], ["--name"]),
    "new": (["web", "-p", "8080:80", "-e", "A=b c", "--label", "x=y", IMAGE, "sh", "-c", "echo $HOME 100%"],
            ["--new", "--name"]),
    "everything": (["web", IMAGE], [
        "--new", "-n", "--restart-policy=always", "--restart-sec", "5", "--start-timeout", "20", "--stop-timeout",
        "30", "--container-prefix=ctr", "--separator=_", "--wants=a.service", "--wants", "b.service",
        "--after=b.service", "--requires=c.service", "-e", "X=Y", "-e", "Z=1 2", "--no-header",
    ]),
    "own policy": (["web", "--restart", "on-failure:3", "-t", "-i", "--stop-timeout", "42", IMAGE, "sh", "-c", "x"],
                   ["--new"]),
    "unless-stopped": (["web", "--restart=unless-stopped", IMAGE], ["--new", "--name"]),
    "notify": (["web", "--sdnotify", "container", "--rm", "--replace", IMAGE, "true"], ["--new", "--name"]),
    "not replaced": (["web", "--rm=false", "--replace=false", "--conmon-pidfile", "/tmp/x.pid", "--cidfile",
                      CIDFILE, IMAGE, "a", "--rm"], ["--new", "--name"]),
    "cgroups": (["web", "--cgroups=split", "--init", IMAGE], ["--new", "--name", "--stop-timeout=0"]),
    "escapes": (["web", "--env", "A=$B %h", "--label", "a=tab\there\nnew \"q\" \\", IMAGE, "echo"],
                ["--new", "--name"]),
    "template": (["web", IMAGE, "top"], ["--template", "--name", "--new"]),
    "template by id": (["web", IMAGE, "top"], ["--template", "--new"]),
    "no prefix": (["web", IMAGE, "top"], ["--container-prefix=", "--name"]),
}


@pytest.mark.parametrize("case", CASES)
def test_container(pair: Pair, case: str) -> None:
    create, words = CASES[case]
    found = []
    for engine in (pair.podman, pair.wherry):
        Path(CIDFILE).unlink(missing_ok=True)
        made = engine("create", "--name", *create)
        assert made.code == 0, made.err
        try:
            found.append(engine("generate", "systemd", *words, "web"))
        finally:
            engine("rm", "-f", "web")
    podman, wherry = found
    assert (podman.code, wherry.code) == (0, 0), wherry.err
    assert plain(wherry.out) == plain(podman.out)


PODS = {
    "exists": [],
    "by name": ["--name"],
    "new": ["--new", "--name"],
    "everything": ["--new", "--name", "--pod-prefix", "p", "--container-prefix", "c", "--separator", "..",
                   "--restart-policy", "on-abort", "--no-header", "--stop-timeout", "4"],
}


@pytest.mark.parametrize("case", PODS)
def test_pod(pair: Pair, case: str) -> None:
    found = []
    for engine in (pair.podman, pair.wherry):
        make_pod(engine)
        try:
            found.append(engine("generate", "systemd", *PODS[case], "pp"))
        finally:
            engine("pod", "rm", "-f", "pp")
    podman, wherry = found
    assert (podman.code, wherry.code) == (0, 0), wherry.err
    assert plain(wherry.out)[0].startswith("# p")       # Podman prints the units in random order
    assert units(wherry.out) == units(podman.out)


def make_pod(engine: Engine) -> None:
    for words in (
        ("pod", "create", "--name", "pp", "-p", "8081:80", "--label", "a=b c", "--infra-image", IMAGE),
        ("create", "--pod", "pp", "--name", "c1", IMAGE, "sleep", "5"),
        ("create", "--pod=pp", "--name", "c2", "--requires", "c1", "--restart=always", IMAGE, "sleep", "6"),
    ):
        made = engine(*words)
        assert made.code == 0, made.err


def units(text: str) -> list[list[str]]:
    """The lines of every unit, in an order that does not depend on ids; names of infra containers left out."""
    parts = re.split(r"(?m)^(?=# \S+\.service$)", text)
    return sorted(plain(re.sub(r"\b[0-9a-f]{12}-infra\b", "INFRA", part)) for part in parts if part)


def test_pod_without_infra_and_template_of_a_pod(pair: Pair) -> None:
    for engine in (pair.podman, pair.wherry):
        assert engine("pod", "create", "--infra=false", "--name", "bare").code == 0
        try:
            done = engine("generate", "systemd", "bare")
            assert done.code == 125
            assert 'Error: generating systemd unit files: Pod "bare" has no infra container' in done.err
            done = engine("generate", "systemd", "--template", "bare")
            assert (done.code, "Error: --template is not supported for pods" in done.err) == (125, True)
        finally:
            engine("pod", "rm", "-f", "bare")


@pytest.mark.parametrize("words", [
    [], ["a", "b"], ["nosuch"], ["--restart-policy=foo", "web"], ["--format=xml", "web"],
    ["--start-timeout=-1", "web"], ["--restart-sec", "x", "web"], ["--nosuch", "web"],
])
def test_errors(pair: Pair, words: list[str]) -> None:
    found = []
    for engine in (pair.podman, pair.wherry):
        assert engine("create", "--name", "web", IMAGE).code == 0
        try:
            done = engine("generate", "systemd", *words)
            found.append((done.code, [line for line in done.err.splitlines() if line.startswith("Error")]))
        finally:
            engine("rm", "-f", "web")
    assert found[1] == found[0]


def test_json_and_files(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = []
    for engine in (pair.podman, pair.wherry):
        make_pod(engine)
        try:
            texts = json.loads(engine("generate", "systemd", "--name", "--format", "json", "pp").out)
            paths = json.loads(engine("generate", "systemd", "--name", "--files", "--format=json", "pp").out)
            lines = sorted(engine("generate", "systemd", "--name", "--files", "pp").out.splitlines())
            found.append(({name: plain(re.sub(r"\b[0-9a-f]{12}-infra\b", "INFRA", text))
                           for name, text in texts.items()}, paths, lines))
            content = Path(paths["container-c1"]).read_text()
            assert plain(content) == plain(texts["container-c1"])
        finally:
            engine("pod", "rm", "-f", "pp")
    assert found[1] == found[0]
