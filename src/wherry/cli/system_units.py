"""``wherry system install-units``."""

from __future__ import annotations

from wherry.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

INSTALL_UNITS = (
    Flag("directory", metavar="path", help="Write them here (default: where the host's or the user's own units are)"),
    Flag("print", kind="bool", help="Print them instead"),
)


def install_units(call: Call) -> int:
    """Write wherry's own systemd units; prints their paths. Enabling them is left to systemctl."""
    from wherry.systemd import shipped

    if call.flags.on("print"):
        for name, text in shipped.units(call.runtime).items():
            call.out(f"# {name}\n{text}\n")
        return 0
    for path in shipped.install(call.runtime, call.flags.text("directory")):
        call.out(path + "\n")
    return 0
