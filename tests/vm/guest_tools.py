"""What several tests ask of the guest."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.vm.machine import Machine

#: What :func:`until` waits for at most, in seconds; emulated processors share a busy host.
PATIENCE = 120.0


def until(machine: Machine, script: str, wanted: Callable[[str], bool], patience: float = PATIENCE) -> str:
    """Run *script* again and again until its output is as *wanted*; the output."""
    deadline = time.monotonic() + patience
    while True:
        out = machine.run(script, check=False).out
        if wanted(out):
            return out
        assert time.monotonic() < deadline, f"{script}:\n{out}"
        time.sleep(0.5)


def show(machine: Machine, unit: str, *properties: str) -> dict[str, str]:
    """Properties of a unit, as ``systemctl show`` prints them."""
    out = machine.run(f"systemctl show '{unit}' -p {','.join(properties)}").out
    return dict(line.partition("=")[::2] for line in out.splitlines())


def cgroup_of(machine: Machine, pid: str) -> str:
    return machine.run(f"cut -d: -f3 /proc/{pid}/cgroup").out.strip()


def inspect(machine: Machine, name: str, field: str) -> str:
    """A field of ``wherry inspect``, as a Go template names it."""
    return machine.run(f"wherry inspect {name} --format '{{{{{field}}}}}'").out.strip()


def assert_no_units(machine: Machine) -> None:
    """Neither scopes nor slices of containers are left."""
    until(
        machine, "systemctl list-units --all --plain --no-legend 'wherry-*.scope' '*wherry_pod*' | cat",
        lambda out: not out.strip(),
    )
