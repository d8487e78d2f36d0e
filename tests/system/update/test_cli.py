"""The command line of auto-update: table, JSON, templates, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.system.update.world import World

pytestmark = pytest.mark.system


class Done:
    def __init__(self, world: World, *words: str) -> None:
        base = world.base
        done = subprocess.run(
            [
                sys.executable, "-c", "from wherry.cli.main import console; console()", "--root", f"{base}/root",
                "--runroot", f"{base}/run", "--storage-driver", "overlay", "--network-config-dir", f"{base}/networks",
                "auto-update", *words,
            ],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "src"}, timeout=120,
        )
        self.code, self.out, self.errors = done.returncode, done.stdout, done.stderr


def test_table_json_template_history_and_the_way_back(world: World) -> None:
    world.publish("1")
    old = world.run("web")
    world.publish("2")
    planned = Done(world, "--dry-run", "--tls-verify=false")
    assert (planned.code, planned.errors) == (0, "")
    heading, line = planned.out.splitlines()
    assert heading.startswith(" " * 12 + "UNIT") and line.startswith(" " * 12)
    assert heading.split() == ["UNIT", "CONTAINER", "IMAGE", "POLICY", "UPDATED"]
    assert line.split() == [old.id[:12], "(web)", world.image(), "registry", "pending"]
    [row] = json.loads(Done(world, "--dry-run", "--tls-verify=false", "--format", "json").out)
    assert list(row)[:7] == ["Unit", "Container", "ContainerName", "ContainerID", "Image", "Policy", "Updated"]
    assert (row["Updated"], row["Signature"], row["OldImageID"]) == ("pending", "accepted", old.config.rootfs_image_id)
    text = Done(world, "--dry-run", "--tls-verify=false", "--format", "{{.ContainerName}} {{.Updated}} {{.Window}}").out
    assert text == "web pending 5000000000\n"

    done = Done(world, "--tls-verify=false", "--window", "300ms", "--format", "{{.ContainerName}} {{.Updated}}")
    assert (done.code, done.out) == (0, "web true\n")
    history = Done(world, "history", "web")
    assert history.out.splitlines()[0].split() == [
        "TIME", "CONTAINER", "IMAGE", "OLD", "DIGEST", "NEW", "DIGEST", "UPDATED", "REASON",
    ]
    assert " true" in history.out.splitlines()[1]
    planned = Done(world, "rollback", "--dry-run", "--format", "{{.Policy}} {{.Updated}}", "web")
    assert planned.out == "rollback pending\n"
    back = Done(world, "rollback", "--window", "300ms", "--format", "{{.Updated}}", "web")
    assert (back.code, back.out) == (0, "true\n")
    assert world.says("web") == "1"
    bad = json.loads(Done(world, "history", "--bad", "--format", "json").out)
    assert [(one["Image"], one["Reason"]) for one in bad] == [(world.image(), "somebody went back from it")]


def test_errors_are_listed_and_the_exit_code_says_so(world: World) -> None:
    world.publish("1")
    one, two = world.run("one", policy="x"), world.run("two", policy="y")
    done = Done(world)
    valid = 'valid policies are ["disabled" "image" "local" "registry"]'
    assert (done.code, done.out) == (125, "")
    lines = done.errors.splitlines()
    assert lines[0] == "Error: 2 errors occurred:"
    assert sorted(lines[1:]) == [f'\t* invalid auto-update policy "{text}": {valid}' for text in "xy"]
    for container in (one, two):
        container.remove(force=True, timeout=0)
    world.run("one", policy="x")
    assert Done(world).errors == f'Error: invalid auto-update policy "x": {valid}\n'


def test_wrong_words(world: World) -> None:
    nobody = Done(world, "nobody")
    assert nobody.code == 125
    assert nobody.errors.startswith('Error: no container, pod or unit with name or ID "nobody" found')
    assert Done(world, "--filter", "color=blue").errors == "Error: color is an invalid filter\n"
    assert Done(world, "--window", "soon").code == 125
    assert Done(world, "rollback", "nobody").code == 125
    assert Done(world).out == ""
    assert Done(world, "--format", "json").out == "[]\n"
