"""``wherry system check``."""

from __future__ import annotations

from wherry.cli.flags import Flag
from wherry.errors import Corrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call

CHECK = (
    Flag("force", "f", "bool", "Repair even what means removing containers"),
    Flag("max", "m", "duration", "How long something may be incomplete before it counts as damage", default="24h0m0s",
         metavar="duration"),
    Flag("quick", "q", "bool", "Do not read the content of layers"),
    Flag("repair", "r", "bool", "Mend what can be mended"),
)


def check(call: Call) -> int:
    """Report damage; 0 when there is none, or none is left after ``--repair``."""
    repair = call.flags.on("repair") or call.flags.on("force")
    findings = call.runtime.check(quick=call.flags.on("quick"), repair=repair)
    left = 0
    for finding in findings:
        lost = finding.remedy or "damaged beyond repair"
        state = "repaired" if finding.repaired else "damaged" if finding.repairable else lost
        left += not finding.repaired
        where = f"{finding.area} {finding.object_id}" if finding.object_id else finding.area
        call.out(f"{where}: {finding.text} ({state})\n")
    if left:
        hint = "" if repair else "run it again with --repair to mend what can be mended"
        raise Corrupt(f"damage detected: {left} {'problem' if left == 1 else 'problems'}", hint=hint)
    return 0
