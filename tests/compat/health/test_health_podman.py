"""Health checks side by side with Podman: the same words give the same results, messages, exit codes and inspect keys.

Podman has no timers here (there is no systemd), so every probe is asked for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.podman import CONTAINERS_CONF, missing_tools

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(os.geteuid() != 0 or bool(missing_tools()), reason="needs root and podman"),
]
REPOSITORY = Path(__file__).resolve().parents[3]
IMAGE = "localhost/test/busybox:latest"
LAUNCHER = ["/usr/bin/python3", "-ISXutf8", str(REPOSITORY / "src/wherry/cli/launcher.py")]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Run]]:
    """wherry and Podman, each on a store of its own."""
    base = Path("/var/tmp") / f"wherry-health-{os.getpid()}"
    base.mkdir()
    (base / "containers.conf").write_text(CONTAINERS_CONF)
    subprocess.run(
        [sys.executable, REPOSITORY / "scripts/busybox_image.py", base / "layout", "--tag", IMAGE], check=True
    )
    programs = {
        "wherry": [*LAUNCHER, "--storage-driver", "overlay"],
        "podman": ["podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs", "--tmpdir", f"{base}/tmp"],
    }

    def runner(name: str) -> Run:
        words = [*programs[name], "--root", f"{base}/{name}", "--runroot", f"{base}/{name}-run"]
        environment = {**os.environ, "CONTAINERS_CONF": str(base / "containers.conf"), "TMPDIR": "/var/tmp"}

        def run(*args: str) -> tuple[int, str, str]:
            done = subprocess.run([*words, *args], env=environment, capture_output=True, text=True, timeout=60)
            # What Podman says of the systemd that is not there is not of interest.
            said = [line for line in done.stderr.splitlines() if "level=error" not in line]
            return done.returncode, done.stdout, "\n".join(said).replace("podman", "wherry")

        return run

    found = {name: runner(name) for name in programs}
    try:
        for run in found.values():
            _code, said, _errors = run("load", "-q", "-i", str(base / "layout"))
            run("tag", said.partition(": ")[2].strip(), IMAGE)
        yield found
    finally:
        for run in found.values():
            run("rm", "-f", "-t", "0", "--all")
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            points = [line.split()[4] for line in table]
        for point in reversed(points):
            if point.startswith(str(base)):
                subprocess.run(["umount", "-l", point], check=False, capture_output=True)
        shutil.rmtree(base, ignore_errors=True)


def both(engines: dict[str, Run], *args: str) -> tuple[int, str, str]:
    """What both engines say to the same words, which must be the same but for container ids."""
    results = {}
    for name, run in engines.items():
        code, out, errors = run(*args)
        results[name] = (code, out, " ".join("ID" if len(word) == 64 else word for word in errors.split(" ")))
    assert results["wherry"] == results["podman"]
    return results["wherry"]


def health(engines: dict[str, Run]) -> dict[str, Any]:
    """State.Health of both, the times left out and the output's last line end, which Podman 4 drops."""
    found = {}
    for name, run in engines.items():
        shown = json.loads(run("inspect", "--format", "{{json .State.Health}}", "box")[1])
        for entry in shown["Log"] or ():
            assert len(entry.pop("Start")) > 20 < len(entry.pop("End"))
            entry["Output"] = entry["Output"].rstrip("\n")
        found[name] = shown
    assert found["wherry"] == found["podman"]
    return found["wherry"]


@pytest.fixture
def box(engines: dict[str, Run]) -> Iterator[Callable[..., None]]:
    def make(*options: str) -> None:
        for run in engines.values():
            code, _out, errors = run(
                "run", "-d", "--name", "box", "--network", "none", "--health-interval", "disable", *options, IMAGE,
                "sleep", "1000",
            )
            assert code == 0, errors

    yield make
    for run in engines.values():
        run("rm", "-f", "-t", "0", "box")


def test_a_life(engines: dict[str, Run], box: Callable[..., None]) -> None:
    box("--health-cmd", "cat /tmp/ok", "--health-retries", "2")
    assert health(engines)["Status"] == "starting"
    both(engines, "ps", "--filter", "health=starting", "--format", "{{.Names}}")
    assert both(engines, "healthcheck", "run", "box") == (1, "unhealthy\n", "")
    assert health(engines)["FailingStreak"] == 1
    both(engines, "healthcheck", "run", "box")
    assert health(engines)["Status"] == "unhealthy"
    both(engines, "exec", "box", "touch", "/tmp/ok")
    assert both(engines, "healthcheck", "run", "box") == (0, "", "")
    assert health(engines)["Status"] == "healthy"
    for _ in range(3):
        both(engines, "healthcheck", "run", "box")
    assert len(health(engines)["Log"]) == 5
    both(engines, "ps", "--filter", "health=healthy", "--format", "{{.Names}}")
    for run in engines.values():
        assert run("ps", "--format", "{{.Status}}")[1].endswith(" (healthy)\n")
        run("stop", "-t", "0", "box")
        assert run("ps", "-a", "--format", "{{.Status}}")[1].endswith(" (healthy)\n")
    both(engines, "healthcheck", "run", "box")


@pytest.mark.parametrize(
    "command",
    [
        "echo one  two", '["echo", "one  two"]', "CMD echo one  two", "CMD-SHELL echo one; exit 3",
        '["CMD-SHELL", "exit 7"]', "/nope", "exit 1", "echo out; echo err >&2; false",
    ],
)
def test_forms(engines: dict[str, Run], box: Callable[..., None], command: str) -> None:
    box("--health-cmd", command)
    both(engines, "healthcheck", "run", "box")
    health(engines)
    both(engines, "inspect", "--format", "{{json .Config.Healthcheck}}", "box")


def test_a_probe_that_takes_too_long(engines: dict[str, Run], box: Callable[..., None]) -> None:
    box("--health-cmd", "sleep 3", "--health-timeout", "1s")
    assert both(engines, "healthcheck", "run", "box") == (
        125, "", "Error: healthcheck command exceeded timeout of 1s"
    )
    assert health(engines)["Log"] == [{"ExitCode": -1, "Output": ""}]


# A list that begins with CMD or NONE is split once more by Podman 4; later ones do as wherry does.
@pytest.mark.parametrize("options", [["--no-healthcheck"], ["--health-cmd", "none"], []])
def test_none(engines: dict[str, Run], box: Callable[..., None], options: list[str]) -> None:
    box(*options)
    assert both(engines, "healthcheck", "run", "box")[0] == 125
    both(engines, "inspect", "--format", "{{json .Config.Healthcheck}}", "box")
    both(engines, "ps", "--format", "{{.Names}}")


@pytest.mark.parametrize("action", ["none", "kill", "stop"])
def test_on_failure(engines: dict[str, Run], box: Callable[..., None], action: str) -> None:
    box("--health-cmd", "false", "--health-retries", "1", "--health-on-failure", action, "--stop-timeout", "0")
    assert both(engines, "healthcheck", "run", "box") == (1, "unhealthy\n", "")
    for run in engines.values():
        run("wait", "--condition", "running" if action == "none" else "stopped", "box")
    both(engines, "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}} {{.State.Health.Status}}", "box")
    both(engines, "inspect", "--format", "{{.Config.HealthcheckOnFailureAction}}", "box")


@pytest.mark.parametrize(
    "words",
    [
        ["healthcheck", "run", "nope"], ["healthcheck", "run"], ["healthcheck", "run", "a", "b"],
        ["create", "--health-cmd", "x", "--health-retries", "0", IMAGE],
        ["create", "--health-cmd", "x", "--health-timeout", "0s", IMAGE],
        ["create", "--health-cmd", "x", "--health-start-period=-1s", IMAGE],
        ["create", "--health-on-failure", "kill", IMAGE],
        ["create", "--health-cmd", "x", "--health-on-failure", "explode", IMAGE],
        ["create", "--health-cmd", "x", "--no-healthcheck", IMAGE],
    ],
)
def test_refusals(engines: dict[str, Run], words: list[str]) -> None:
    assert both(engines, *words)[0] == 125
