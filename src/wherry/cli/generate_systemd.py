"""``wherry generate systemd``."""

from __future__ import annotations

from wherry.cli.flags import Flag
from wherry.errors import InvalidArgument, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.cli.call import Call

SYSTEMD = (
    Flag("after", many=True, metavar="unit", help="Start after this unit"),
    Flag("container-prefix", default="container", metavar="prefix", help="What names of containers' units begin with"),
    Flag("env", "e", many=True, metavar="name=value", help="Set an environment variable in the units"),
    Flag("files", "f", "bool", "Write the units to files in the working directory and print their paths"),
    Flag("format", metavar="format", help="Print in this form: json"),
    Flag("name", "n", "bool", "Use names of containers and pods instead of ids"),
    Flag("new", kind="bool", help="Make the container or pod anew with every start"),
    Flag("no-header", kind="bool", help="Leave out version and time"),
    Flag("pod-prefix", default="pod", metavar="prefix", help="What names of pods' units begin with"),
    Flag("requires", many=True, metavar="unit", help="Need this unit: stop when it stops"),
    Flag("restart-policy", default="on-failure", metavar="policy", help="When systemd restarts the unit"),
    Flag("restart-sec", kind="uint", metavar="seconds", help="Seconds systemd waits before a restart"),
    Flag("separator", default="-", metavar="separator", help="What stands between prefix and name"),
    Flag("start-timeout", kind="uint", metavar="seconds", help="Seconds the start may take"),
    Flag("stop-timeout", kind="uint", default="10", metavar="seconds",
         help="Seconds the container may take to stop before it is killed"),
    Flag("template", kind="bool", help="Make a template unit; %i is added to the container's name"),
    Flag("time", "t", "uint", aliases=("timeout",), hidden=True, help="The same as --stop-timeout"),
    Flag("wants", many=True, metavar="unit", help="Want this unit started too"),
)


def systemd(call: Call) -> int:
    """Print, or write to files, the units of a container or pod."""
    from wherry.systemd.generate import generate
    from wherry.systemd.options import UnitOptions

    flags = call.flags
    shape = flags.text("format")
    if shape not in ("", "json"):
        raise InvalidArgument(f"unknown --format argument: {shape}")
    units = generate(call.runtime, call.args[0], UnitOptions(
        new=flags.on("new"),
        names=flags.on("name"),
        restart_policy=flags.text("restart-policy") if flags.given("restart-policy") else None,
        restart_sec=flags.number("restart-sec"),
        start_timeout=flags.number("start-timeout") if flags.given("start-timeout") else None,
        stop_timeout=next((flags.number(name) for name in ("stop-timeout", "time") if flags.given(name)), None),
        container_prefix=flags.text("container-prefix"),
        pod_prefix=flags.text("pod-prefix"),
        separator=flags.text("separator"),
        wants=flags.many("wants"),
        after=flags.many("after"),
        requires=flags.many("requires"),
        env=flags.many("env"),
        header=not flags.on("no-header"),
        template=flags.on("template"),
    ))
    if flags.on("files"):
        units = _write(units, template=flags.on("template"))
    if shape == "json":
        from json import dumps

        call.out(dumps(units, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        return 0
    for text in units.values():
        call.out(text if text.endswith("\n") else text + "\n")
    return 0


def _write(units: Mapping[str, str], *, template: bool) -> dict[str, str]:
    """Write the files; name -> path."""
    import os

    from wherry.sys.files import atomic_write

    paths = {}
    for name, text in units.items():
        path = os.path.join(os.getcwd(), f"{name}{'@' if template else ''}.service")
        try:
            atomic_write(path, text.encode(), mode=0o644)
        except OSError as error:
            raise from_os_error(error, "writing unit") from None
        paths[name] = path
    return paths
