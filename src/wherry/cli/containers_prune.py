"""``wherry container prune``."""

from __future__ import annotations

import sys

from wherry.cli.flags import Flag
from wherry.cli.targets import filters
from wherry.errors import INVALID, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

PRUNE = (
    Flag("filter", many=True, metavar="filter", help="Remove only containers that match this condition (key=value)"),
    Flag("force", "f", "bool", "Do not ask"),
)


def prune(call: Call) -> int:
    """Remove every container that does not run, after asking; prints their ids."""
    chosen = filters(call)
    if not call.flags.on("force") and not confirm(call, "WARNING! This will remove all non running containers."):
        return 0
    for identity in call.runtime.containers.prune(chosen):
        call.out(identity + "\n")
    return 0


def confirm(call: Call, warning: str) -> bool:
    """Print *warning* and ask; anything but a word that begins with y is no. Raises when nobody can answer."""
    call.out(warning + "\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    answer = sys.stdin.readline()
    if not answer:
        raise WherryError("EOF", kind=INVALID, hint="there is nobody to ask: use --force")
    return answer.strip().lower().startswith("y")
