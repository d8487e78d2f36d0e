"""``wherry image trust``."""

from __future__ import annotations

from wherry.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call

_POLICY = Flag("policypath", hidden=True, help="Policy file")
SHOW = (
    Flag("json", "j", "bool", "Show as JSON"),
    Flag("noheading", "n", "bool", "Leave out the heading"),
    _POLICY,
    Flag("raw", kind="bool", help="Show the policy file"),
    Flag("registrypath", hidden=True, help="Directory with the registries' signature stores"),
)
SET_TRUST = (
    _POLICY,
    Flag("pubkeysfile", "f", many=True, help="File with a public key"),
    Flag("type", "t", default="signedBy", help="accept, reject, signedBy or sigstoreSigned"),
)
#: Accepted, but an error when used.
REFUSED = {"registrypath": "another registries.d than the host's is not supported yet"}
_SHOWN = {
    "insecureAcceptAnything": "accept", "reject": "reject", "signedBy": "signed", "sigstoreSigned": "sigstoreSigned",
}


def show(call: Call) -> int:
    """Show the policy for images."""
    from wherry.config.policy import load_policy
    from wherry.engine.image_trust import raw_policy

    flags = call.flags
    if flags.on("raw"):
        call.out(raw_policy(flags.text("policypath")))
        return 0
    policy = load_policy(flags.text("policypath"))
    rows = [_row("all", "default", one) for one in policy.default]
    for transport in sorted(policy.transports):
        kind = "repository" if transport == "docker" else transport
        for scope, requirements in sorted(policy.transports[transport].items()):
            rows += [_row(kind, scope, one) for one in requirements]
    if flags.on("json"):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty(rows, 2) + "\n")
        return 0
    from wherry.cli.tables import table

    cells = [[row["transport"], row.get("name", ""), row["type"], row.get("gpg_id", ""), ""] for row in rows]
    call.out(table(cells, () if flags.on("noheading") else ("TRANSPORT", "NAME", "TYPE", "ID", "STORE")))
    return 0


def _row(transport: str, name: str, requirement: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"transport": transport, "name": name}
    if transport == "repository":
        row["repo_name"] = name
    keys = requirement.get("keyPaths") or ([requirement["keyPath"]] if "keyPath" in requirement else [])
    if keys:
        row["keys"] = list(keys)
    row["type"] = _SHOWN[requirement["type"]]
    if keys:
        row["gpg_id"] = ", ".join(keys)
    return row


def set_trust(call: Call) -> int:
    """Say what images of a registry must fulfil."""
    from wherry.engine import image_trust

    flags = call.flags
    image_trust.set_trust(call.args[0], flags.text("type"), flags.many("pubkeysfile"), flags.text("policypath"))
    return 0

