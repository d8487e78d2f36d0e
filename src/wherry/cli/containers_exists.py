"""``wherry container exists``."""

from __future__ import annotations

from wherry.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

EXISTS = (Flag("external", kind="bool", help="Look at containers of other engines on the same store as well"),)


def exists(call: Call) -> int:
    """0 when there is such a container, 1 when not."""
    text = call.args[0]
    if call.runtime.containers.exists(text):
        return 0
    if call.flags.on("external"):
        for container in call.runtime.store.containers():
            if text in container.names or container.id.startswith(text):
                return 0
    return 1
