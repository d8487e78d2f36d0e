"""The scopes and slices of the systemd cgroup manager that the OCI runtime does not make itself.

The runtime makes the container's scope.  conmon gets one of its own beside it, so that it does not count against, and
does not end with, whatever started it; a pod is a slice, which carries the pod's limits.  All of them are transient
units: a reboot takes them away.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument, WherryError, from_os_error
from wherry.spec.cgroup import SCOPE_PREFIX, slice_of
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.sys.systemd_bus import Bus, Variant

#: The division of a split service that conmon is in.
SPLIT_RUNTIME = "runtime"

_UNLIMITED = (1 << 64) - 1
_SECOND = 1_000_000             # in microseconds, systemd's unit of time
_DEFAULT_PERIOD = 100_000


def connect(runtime: Runtime) -> Bus:
    """The bus of the service manager this engine's units belong to: the system's, or without root the user's own."""
    from wherry.sys.identity import effective_uid
    from wherry.sys.systemd_bus import Bus, user_bus_address

    if not runtime.settings.rootless:
        return Bus.connect(user=False)
    environment = runtime.settings.environment
    return Bus.connect(user=True, address=user_bus_address(
        environment.dbus_session_bus_address, environment.xdg_runtime_dir, effective_uid()
    ))


def conmon_scope(identity: str) -> str:
    return f"{SCOPE_PREFIX}-conmon-{identity}.scope"


def settle_conmon(held: LockedContainer) -> None:
    """Put conmon into a scope of its own. Where that fails it stays where it is, with a warning.

    That of a service of systemd's stays in the service, whose main process it is.
    """
    if held.config.cgroups_mode != "enabled" or held.runtime.settings.environment.invocation_id:
        return
    from wherry.sys.systemd_bus import UNIT_EXISTS, BusError

    properties: list[tuple[str, Variant]] = [
        ("Description", ("s", f"conmon of container {held.config.name}")),
        ("Slice", ("s", slice_of(held.config))),
        ("Delegate", ("b", True)),
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("PIDs", ("au", [held.state.conmon_pid])),
    ]
    try:
        with connect(held.runtime) as bus:
            bus.start_transient_unit(conmon_scope(held.id), properties, wait=False)
    except BusError as error:
        # Restarted by its own exit command, which is in the scope already, and so is what it starts.
        if error.name != UNIT_EXISTS:
            log.warning(f"moving conmon of container {held.id} to a scope: {error}")
    except WherryError as error:
        log.warning(f"moving conmon of container {held.id} to a scope: {error}")


def settle_exec_monitor(runtime: Runtime, identity: str, pid: int) -> None:
    """Put the monitor of a session nobody is attached to beside its container's, where that has a scope."""
    if runtime.settings.environment.invocation_id:
        return
    try:
        with connect(runtime) as bus:
            bus.attach_processes(conmon_scope(identity), [pid])
    except WherryError as error:
        log.debug(f"moving the monitor of a session in container {identity}: {error}")


def split_cgroup() -> str:
    """The group ``--cgroups=split`` divides: that of the service we run for.

    Version 2 allows either processes or divisions in a group, so the processes there, this one among them, move to a
    division ``runtime``; conmon, being our child, is in it too.  Raises ``InvalidArgument`` in the root group, which
    is nobody's to divide.
    """
    from wherry.sys import cgroups

    layout = cgroups.layout()
    path = cgroups.own_path() or cgroups.own_path("name=systemd")
    if path.rpartition("/")[2] == SPLIT_RUNTIME:        # of a container that was in there before
        return path.rpartition("/")[0]
    if path in ("", "/"):
        raise InvalidArgument(
            "--cgroups=split: this process is in the root control group, which cannot be split",
            hint="run it in a systemd service with Delegate=yes",
        )
    if layout.mode == cgroups.V2:
        own = f"{path}/{SPLIT_RUNTIME}"
        try:
            cgroups.create_leaf(own, layout)
            for pid in cgroups.members(path, layout):
                try:
                    cgroups.move(own, pid, layout)
                except ProcessLookupError:
                    continue
        except OSError as error:
            raise from_os_error(error, "splitting the control group") from None
    return path


def make_pod_slice(runtime: Runtime, name: str, resources: Mapping[str, Any]) -> None:
    """Make a pod's slice with its limits; one that is there gets the limits. Raises ``WherryError``."""
    from wherry.sys.systemd_bus import UNIT_EXISTS, BusError

    limits = slice_limits(resources)
    properties: list[tuple[str, Variant]] = [
        ("Description", ("s", f"control group of pod {name}")),
        ("DefaultDependencies", ("b", False)),
        *((accounting, ("b", True)) for accounting in (
            "MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting"
        )),
        *limits,
    ]
    with connect(runtime) as bus:
        try:
            bus.start_transient_unit(name, properties)
        except BusError as error:
            if error.name != UNIT_EXISTS:
                raise
            bus.set_unit_properties(name, limits)


def remove_slice(runtime: Runtime, name: str) -> None:
    """Stop a pod's slice. Raises ``WherryError``; one that is not there is fine."""
    from wherry.sys.systemd_bus import NO_SUCH_UNIT, BusError

    with connect(runtime) as bus:
        try:
            bus.stop_unit(name)
        except BusError as error:
            if error.name != NO_SUCH_UNIT:
                raise


def slice_limits(resources: Mapping[str, Any]) -> list[tuple[str, Variant]]:
    """``linux.resources`` of the OCI runtime specification as properties of systemd.resource-control(5)."""
    cpu, memory = resources.get("cpu") or {}, resources.get("memory") or {}
    found: list[tuple[str, Variant]] = []
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit:
        found.append(("MemoryMax", ("t", _UNLIMITED if limit < 0 else limit)))
        if swap:
            found.append(("MemorySwapMax", ("t", _UNLIMITED if swap < 0 else max(swap - limit, 0))))
    if cpu.get("quota"):
        period = cpu.get("period") or _DEFAULT_PERIOD
        quota = _UNLIMITED if cpu["quota"] < 0 else cpu["quota"] * _SECOND // period
        found.append(("CPUQuotaPerSecUSec", ("t", quota)))
        found.append(("CPUQuotaPeriodUSec", ("t", period)))
    if cpu.get("shares"):
        from wherry.engine.pod_cgroup import weight_of

        found.append(("CPUWeight", ("t", weight_of(cpu["shares"]))))
    for key, name in (("cpus", "AllowedCPUs"), ("mems", "AllowedMemoryNodes")):
        if cpu.get(key):
            found.append((name, ("ay", _bits(cpu[key]))))
    pids = (resources.get("pids") or {}).get("limit")
    if pids:
        found.append(("TasksMax", ("t", _UNLIMITED if pids < 0 else pids)))
    weight = (resources.get("blockIO") or {}).get("weight")
    if weight:
        found.append(("IOWeight", ("t", weight)))
    return found


def _bits(text: str) -> bytes:
    """A list of processors (``0-2,5``: cpuset(7)) as the bits systemd takes, lowest first."""
    mask = 0
    for part in text.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            mask |= 1 << number
    return mask.to_bytes((mask.bit_length() + 7) // 8 or 1, "little")
