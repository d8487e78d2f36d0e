"""auto-update of real units under real systemd, with a real registry.

Starting things takes seconds on an emulated processor (this takes some seven minutes).  So there is one scenario:
many units are started at once, their images change, auto-update runs twice; the tests look at what became of each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.vm.machine import Machine

REPOSITORY = Path(__file__).resolve().parents[2]
REGISTRY = "127.0.0.1:5000"
RUNS = ["sh", "-c", "touch /ok; exec sleep 100000"]
#: Version -> the command of its image.
VERSIONS = {
    "1": RUNS,
    "2": RUNS,
    "3": RUNS,
    "ends": ["sh", "-c", "exit 3"],
    "broken": ["/no/such/program"],
    "sick": ["sh", "-c", "touch /ok; sleep 15; busybox rm /ok; exec sleep 100000"],
}
#: Container -> the version its image becomes. They all begin with 1.
NEXT = {
    "aa": "2", "zz": "2", "same": "1", "broken": "broken", "ends": "ends", "again": "ends", "sick": "sick",
    "local": "2", "authfile": "2", "badlabel": "2", "one": "2", "two": "ends", "first": "ends", "in-pod": "2",
    "bad-in-pod": "ends", "alone": "2",
}
AUTO = "--label io.containers.autoupdate=registry"
OPTIONS = "--network none --stop-signal KILL"
#: Further options of ``create`` and ``generate systemd``.
FLAGS = {
    "local": ("--label io.containers.autoupdate=local", ""),
    "badlabel": ("--label io.containers.autoupdate=maybe", ""),
    "authfile": (f"{AUTO} --label io.containers.autoupdate.authfile=/var/tmp/update-auth.json", ""),
    "sick": (
        f"{AUTO} --label io.containers.autoupdate.window=600s --health-cmd 'stat /ok' --health-interval 3s "
        "--health-retries 2", "",
    ),
    "again": (AUTO, "--restart-policy=always"),
    "aa": (AUTO, "--restart-policy=no --after=container-zz.service"),
}
#: Two containers in one unit, which ``generate systemd`` does not make; else like the units it makes.
BOTH = f"""\
[Unit]
Description=Two containers

[Service]
Environment=PODMAN_SYSTEMD_UNIT=%n
TimeoutStartSec=300
ExecStartPre=/usr/local/bin/wherry run --cidfile=%t/%n.1 --cgroups=no-conmon --rm --sdnotify=ignore --replace -d \
  --name one {OPTIONS} {AUTO} {REGISTRY}/one:1
ExecStart=/usr/local/bin/wherry run --cidfile=%t/%n.2 --cgroups=no-conmon --rm --sdnotify=conmon --replace -d \
  --name two {OPTIONS} {AUTO} {REGISTRY}/two:1
ExecStop=/usr/local/bin/wherry stop --ignore -t 0 --cidfile=%t/%n.1 --cidfile=%t/%n.2
ExecStopPost=-/usr/local/bin/wherry rm -f --ignore -t 0 --cidfile=%t/%n.1 --cidfile=%t/%n.2
Type=notify
NotifyAccess=all
"""
HELPERS = "/var/tmp/update-helpers"
PUSH = """\
python3 - <<'END'
import sys
sys.path.insert(0, {helpers!r})
from tests.helpers.images import busybox_tar, make_image
from tests.helpers.pushing import Pusher
versions, wanted = {versions!r}, {wanted!r}
base = busybox_tar()
for name, version in wanted.items():
    config = {{"Cmd": versions[version], "Env": ["PATH=/bin", "VERSION=" + version]}}
    Pusher({registry!r}).push(name + ":1", make_image([base], config=config, compressed=True))
END
"""
LONG = 1500     # seconds; a busy host emulates slowly


class Scenario:
    """The units, the two runs, and what the machine said."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._prepare()
        self.before = self.invocations()
        self.publish({name: version for name, version in NEXT.items() if name != "first"} | {"shared": "ends"})
        self.run(f"wherry pull -q {REGISTRY}/local:1")
        self.planned = self.update("--dry-run", code=125)
        self.untouched = self.invocations()
        self.first = self.update("", code=125)
        self.errors = self.machine.get("/tmp/errors").decode()
        self.versions = self.running()
        self.after = self.invocations()
        self.machine.put("/var/tmp/update-auth.json", '{"auths": {}}')
        self.second = self.update("", code=125)
        self.versions_at_last = self.running()

    def run(self, script: str) -> str:
        return self.machine.run(script, timeout=LONG).out

    def publish(self, wanted: dict[str, str]) -> None:
        """Let the images be these versions."""
        self.run(PUSH.format(helpers=HELPERS, versions=VERSIONS, wanted=wanted, registry=REGISTRY))

    def update(self, words: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """One run; container name -> its row, in the order of the run."""
        done = self.machine.run(f"wherry auto-update --format json {words} 2>/tmp/errors", check=False, timeout=LONG)
        assert done.code == code, f"{done.out}\n{self.machine.get('/tmp/errors').decode()}"
        return {row["ContainerName"]: row for row in json.loads(done.out)}

    def running(self) -> dict[str, str]:
        """Container -> the version it is."""
        out = self.run("wherry inspect --format '{{.Name}} {{.Config.Env}}' $(wherry ps -q)")
        words = [line.replace("[", " ").replace("]", " ").split() for line in out.splitlines()]
        return {
            line[0]: word.removeprefix("VERSION=") for line in words for word in line if word.startswith("VERSION=")
        }

    def invocations(self) -> dict[str, str]:
        """Unit -> the id of its present run."""
        out = self.run("systemctl show -P Id -P InvocationID 'container-*.service' 'pod-*.service' both.service")
        lines = [line for line in out.splitlines() if line]
        return dict(zip(lines[::2], lines[1::2], strict=True))

    def _prepare(self) -> None:
        for name in ("__init__", "images", "pushing"):
            text = (REPOSITORY / f"tests/helpers/{name}.py").read_text()
            self.machine.put(f"{HELPERS}/tests/helpers/{name}.py", text)
        self.publish({**dict.fromkeys(NEXT, "1"), "shared": "1"})
        self.machine.put("/etc/systemd/system/both.service", BOTH)
        single = [name for name in NEXT if name not in ("one", "two", "in-pod", "bad-in-pod", "alone", "first")]
        lines = ["set -e; cd /etc/systemd/system"]
        for name in single:
            lines += _unit(name, f"{REGISTRY}/{name}:1", *FLAGS.get(name, (AUTO, "--restart-policy=no")))
        lines += _unit("first", f"{REGISTRY}/shared:1", AUTO, "--restart-policy=no")
        lines += _unit("second", f"{REGISTRY}/shared:1", AUTO, "--restart-policy=no --after=container-first.service")
        lines += [f"wherry tag {REGISTRY}/same:1 127.0.0.1:1/down:1"]
        lines += _unit("down", "127.0.0.1:1/down:1", AUTO, "--restart-policy=no")
        lines += ["wherry pod create --name stack --network none"]
        lines += [
            f"wherry create -q --pod stack --name {name} --stop-signal KILL {AUTO} {REGISTRY}/{name}:1"
            for name in ("in-pod", "bad-in-pod")
        ]
        lines += [
            "wherry generate systemd --new --files --name --restart-policy=no stack", "wherry pod rm -f stack",
            "sed -i 's/^TimeoutStopSec=.*/&\\nTimeoutStartSec=300/' container-*.service pod-*.service",
            "echo '{}' > /var/tmp/update-auth.json",
            "systemctl daemon-reload",
            "systemctl start both.service $(ls pod-*.service container-*.service)",
            f"wherry run -d --name alone {OPTIONS} {AUTO} {REGISTRY}/alone:1",
            "rm /var/tmp/update-auth.json",
        ]
        self.run("\n".join(lines))


def _unit(name: str, image: str, flags: str, more: str) -> list[str]:
    """Commands that make a unit for a container in the present directory."""
    return [
        f"wherry create -q --name {name} {OPTIONS} {flags} {image} >/dev/null",
        f"wherry generate systemd --new --files --name {more} {name} >/dev/null",
        f"wherry rm {name} >/dev/null",
    ]


@pytest.fixture(scope="module")
def scenario(machine: Machine) -> Any:
    yield Scenario(machine)
    machine.run(
        "cd /etc/systemd/system; units=$(ls both.service pod-*.service container-*.service)\n"
        "systemctl stop $units; systemctl disable -q $units; rm -f $units; systemctl daemon-reload\n"
        "systemctl reset-failed; wherry rm -fa -t 0; wherry pod rm -fa; wherry rmi -fa; wherry image prune -f",
        check=False, timeout=LONG,
    )


def test_a_dry_run_tells_and_touches_nothing(scenario: Scenario) -> None:
    pending = [name for name in (*NEXT, "second") if name not in ("same", "authfile", "badlabel")]
    assert {name: row["Updated"] for name, row in scenario.planned.items()} == {
        **dict.fromkeys(pending, "pending"), "same": "false", "authfile": "failed", "down": "failed",
    }
    row = scenario.planned["aa"]
    assert (row["Unit"], row["Policy"], row["Image"]) == ("container-aa.service", "registry", f"{REGISTRY}/aa:1")
    assert row["OldDigest"] != row["NewDigest"] and row["Signature"] == "accepted"
    assert scenario.untouched == scenario.before


def test_an_update(scenario: Scenario) -> None:
    assert scenario.first["aa"]["Updated"] == "true"
    assert scenario.versions["aa"] == "2"
    assert scenario.after["container-aa.service"] != scenario.before["container-aa.service"]
    assert scenario.second["aa"]["Updated"] == "false"


def test_no_update(scenario: Scenario) -> None:
    assert scenario.first["same"]["Updated"] == "false"
    assert scenario.after["container-same.service"] == scenario.before["container-same.service"]


def test_the_order_is_that_of_the_units(scenario: Scenario) -> None:
    names = list(scenario.first)
    assert names.index("zz") < names.index("aa")
    assert names.index("first") < names.index("second")


def test_a_failed_start_is_rolled_back(scenario: Scenario) -> None:
    row = scenario.first["broken"]
    assert row["Updated"] == "rolled back"
    assert row["Reason"] == (
        'restarting systemd unit "container-broken.service" failed: expected "done" but received "failed"'
    )
    assert scenario.versions["broken"] == "1"


@pytest.mark.parametrize("name", ["ends", "again"])
def test_one_that_ends_is_rolled_back_whatever_systemd_does_about_it(scenario: Scenario, name: str) -> None:
    assert scenario.first[name]["Updated"] == "rolled back"
    assert scenario.versions[name] == "1"


def test_one_that_starts_well_and_turns_unhealthy_is_rolled_back(scenario: Scenario) -> None:
    row = scenario.first["sick"]
    assert (row["Updated"], row["Reason"]) == ("rolled back", "container sick: it is unhealthy")
    assert scenario.versions["sick"] == "1"


def test_two_containers_in_one_unit_and_one_is_bad(scenario: Scenario) -> None:
    assert {scenario.first[name]["Unit"] for name in ("one", "two")} == {"both.service"}
    assert [scenario.first[name]["Updated"] for name in ("one", "two")] == ["rolled back"] * 2
    assert [scenario.versions[name] for name in ("one", "two")] == ["1", "1"]
    assert [scenario.second[name]["Updated"] for name in ("one", "two")] == ["true", "false"]
    assert [scenario.versions_at_last[name] for name in ("one", "two")] == ["2", "1"]


def test_a_pod_is_one(scenario: Scenario) -> None:
    names = ("in-pod", "bad-in-pod")
    assert {scenario.first[name]["Unit"] for name in names} == {"pod-stack.service"}
    assert [scenario.first[name]["Updated"] for name in names] == ["rolled back"] * 2
    assert [scenario.versions[name] for name in names] == ["1", "1"]
    assert [scenario.second[name]["Updated"] for name in names] == ["true", "false"]
    assert [scenario.versions_at_last[name] for name in names] == ["2", "1"]


def test_a_shared_image_is_not_given_to_the_second_unit(scenario: Scenario) -> None:
    assert [scenario.first[name]["Updated"] for name in ("first", "second")] == ["rolled back", "false"]
    assert scenario.after["container-second.service"] == scenario.before["container-second.service"]
    assert [scenario.versions[name] for name in ("first", "second")] == ["1", "1"]


def test_the_authfile_of_the_label(scenario: Scenario) -> None:
    """This registry wants no credentials, but the file must be there."""
    assert scenario.first["authfile"]["Updated"] == "failed"
    assert "/var/tmp/update-auth.json" in scenario.errors
    assert scenario.second["authfile"]["Updated"] == "true"


def test_a_registry_that_is_down(scenario: Scenario) -> None:
    assert scenario.first["down"]["Updated"] == "failed"
    assert "connection refused" in scenario.errors


def test_a_bad_label(scenario: Scenario) -> None:
    assert "badlabel" not in scenario.first
    assert (
        'invalid auto-update policy "maybe": valid policies are ["disabled" "image" "local" "registry"]'
        in scenario.errors
    )


def test_local_policy(scenario: Scenario) -> None:
    assert (scenario.first["local"]["Updated"], scenario.first["local"]["Policy"]) == ("true", "local")
    assert scenario.versions["local"] == "2"


def test_bad_digests_are_remembered(scenario: Scenario) -> None:
    for name in ("broken", "ends", "again", "sick", "first"):
        row = scenario.second[name]
        assert (row["Updated"], row["Reason"].partition(":")[0]) == ("false", "bad digest"), row
    known = json.loads(scenario.run("wherry auto-update history --bad --format json"))
    assert {f"{REGISTRY}/{name}:1" for name in ("broken", "ends", "again", "sick", "shared", "two", "bad-in-pod")} == {
        one["Image"] for one in known
    }


def test_a_container_without_a_unit(scenario: Scenario) -> None:
    row = scenario.first["alone"]
    assert (row["Updated"], row["Unit"]) == ("true", "")
    assert scenario.versions["alone"] == "2"


def test_the_table_and_the_history(scenario: Scenario) -> None:
    table = scenario.run("wherry auto-update same 2>/dev/null").splitlines()
    assert table[0].split() == ["UNIT", "CONTAINER", "IMAGE", "POLICY", "UPDATED"]
    identity = scenario.first["same"]["ContainerID"][:12]
    assert table[1].split() == [
        "container-same.service", identity, "(same)", f"{REGISTRY}/same:1", "registry", "false",
    ]
    history = json.loads(scenario.run("wherry auto-update history aa --format json"))
    assert [(one["Updated"], one["Unit"]) for one in history] == [("true", "container-aa.service")]


def test_a_reboot_in_the_middle(scenario: Scenario) -> None:
    """The power goes while an update is being watched: the unit comes back on the new image and is judged then."""
    scenario.publish({"zz": "3"})
    scenario.run(
        "systemctl enable -q container-zz.service\n"
        "systemd-run -q --unit=updating wherry auto-update --window 60s zz\n"
        "until wherry inspect --format '{{.Config.Env}}' zz 2>/dev/null | grep -q VERSION=3; do sleep 1; done\n"
        "sync; sleep 2"
    )
    scenario.machine.reboot(hard=True)
    scenario.run("systemctl is-system-running --wait; systemctl is-active container-zz.service")
    assert scenario.running()["zz"] == "3"
    assert scenario.update("--window 3s zz")["zz"]["Updated"] == "false"
    history = json.loads(scenario.run("wherry auto-update history zz --format json"))
    assert [one["Updated"] for one in history] == ["true", "true"]
