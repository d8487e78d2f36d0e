"""``wherry update`` and ``container clone``."""

from __future__ import annotations

from wherry.cli import targets
from wherry.cli.containers_stop import LATEST
from wherry.cli.flags import Flag, FlagSet, UsageError
from wherry.cli.option_flags import flag_of
from wherry.spec.container_spec import ContainerSpec
from wherry.spec.options import BY_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

#: Options of ``create`` that can be changed later.
_LIMITS = (
    "blkio-weight", "blkio-weight-device", "cpu-period", "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpu-shares",
    "cpus", "cpuset-cpus", "cpuset-mems", "device-read-bps", "device-write-bps", "memory", "memory-reservation",
    "memory-swap", "memory-swappiness",
)
_UPDATE = (
    *_LIMITS, "device-read-iops", "device-write-iops", "env", "health-cmd", "health-interval", "health-log-destination",
    "health-max-log-count", "health-max-log-size", "health-on-failure", "health-retries", "health-start-period",
    "health-startup-cmd", "health-startup-interval", "health-startup-retries", "health-startup-success",
    "health-startup-timeout", "health-timeout", "no-healthcheck", "pids-limit", "restart", "ulimit", "unsetenv",
)
_CLONE = (
    Flag("destroy", kind="bool", help="Remove the original container"),
    Flag("force", "f", "bool", "Remove the original even if it runs; only with --destroy"),
    Flag("name", metavar="name", help="Give the new container this name"),
    Flag("pod", metavar="name", help="Put the new container into a pod"),
    Flag("run", kind="bool", help="Start the new container"),
)


def UPDATE() -> FlagSet:
    """The flags of ``update``."""
    return FlagSet([*(flag_of(BY_NAME[name]) for name in _UPDATE), LATEST])


def CLONE() -> FlagSet:
    """The flags of ``container clone``."""
    return FlagSet([*(flag_of(BY_NAME[name]) for name in _LIMITS), *_CLONE])


def update(call: Call) -> int:
    """Change limits, restart policy, health check and variables of a container."""
    flags, args = call.flags, call.args
    if flags.on("latest"):
        if args:
            raise UsageError("--latest and containers cannot be used together", see=False)
        name = targets.latest(call.runtime)
    elif len(args) != 1:
        raise UsageError(f"accepts 1 arg(s), received {len(args)}", see=False)
    else:
        name = args[0]
    container = call.runtime.containers.get(name)
    container.update_from_spec(_asked(call, _UPDATE))
    call.out(container.id + "\n")
    return 0


def _asked(call: Call, names: tuple[str, ...]) -> ContainerSpec:
    from wherry.config.environment import environ
    from wherry.spec.parse import read_fields, read_text

    values = {name: value for name, value in call.flags.values.items() if name in names}
    fields = read_fields(values, environment=environ(), reader=read_text, split=True)
    return ContainerSpec(**fields)


def clone(call: Call) -> int:
    """Create a container with the configuration of another."""
    flags = call.flags
    name, new_name, image = (*call.args, "", "")[:3]
    if flags.on("force") and not flags.on("destroy"):
        raise UsageError("cannot set --force without --destroy: invalid argument", see=False)
    old = call.runtime.containers.get(name)
    made = old.clone(new_name or flags.text("name"), image=image, changes=_asked(call, _LIMITS), pod=flags.text("pod"))
    if flags.on("destroy"):
        old.remove(force=flags.on("force"))
    if flags.on("run"):
        made.start()
    call.out(made.id + "\n")
    return 0
