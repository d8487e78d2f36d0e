"""``wherry image trust`` and ``wherry image sign``."""

from __future__ import annotations

from wherry.cli.flags import Flag, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.engine.trust_settings import TrustRow

_POLICY = Flag("policypath", hidden=True, help="Policy file")
SHOW = (
    Flag("json", "j", "bool", "Show as JSON"),
    Flag("noheading", "n", "bool", "Leave out the heading"),
    _POLICY,
    Flag("raw", kind="bool", help="Show the policy file"),
    Flag("registrypath", hidden=True, help="Directory that says where the registries' signatures are"),
)
SET_TRUST = (
    _POLICY,
    Flag("pubkeysfile", "f", many=True, help="File with a public key"),
    Flag("type", "t", default="signedBy", help="accept, reject, signedBy or sigstoreSigned"),
)
SIGN = (
    Flag("all", "a", "bool", "Sign every image of a list, not the list"),
    Flag("authfile", metavar="path", help="File with the credentials for registries"),
    Flag("cert-dir", metavar="path", help="Directory with certificates for the registry"),
    Flag("directory", "d", metavar="directory", help="Where signatures are put instead of the lookaside store"),
    Flag("sign-by", metavar="key", help="Sign with this GPG key"),
)
GENERATE_KEY = (
    Flag("import", metavar="file", help="Take this private key (PEM: RSA, ECDSA or Ed25519) instead of a new one"),
    Flag("import-passphrase-file", metavar="file", help="File with the passphrase of the key that is imported"),
    Flag("output-prefix", metavar="prefix", help="Write PREFIX.private and PREFIX.pub"),
    Flag("passphrase-file", metavar="file", help="File with the passphrase the private key gets"),
)


def show(call: Call) -> int:
    """Show the policy for images."""
    from wherry.engine import trust_settings

    flags = call.flags
    if flags.on("raw"):
        call.out(trust_settings.raw_policy(flags.text("policypath")) + "\n")
        return 0
    rows = trust_settings.rows(flags.text("policypath"), flags.text("registrypath"))
    if flags.on("json"):
        from wherry.model.jsontext import dumps_pretty

        call.out(dumps_pretty([_json(row) for row in rows], 2) + "\n")
        return 0
    from wherry.cli.tables import table

    cells = [
        [row.transport, "default" if row.transport == "all" else row.name, row.kind, row.gpg_id, row.store]
        for row in rows
    ]
    call.out(table(cells, () if flags.on("noheading") else ("TRANSPORT", "NAME", "TYPE", "ID", "STORE")))
    return 0


def _json(row: TrustRow) -> dict[str, str]:
    found = {
        "transport": row.transport, "name": row.name, "repo_name": row.repository, "sigstore": row.store,
        "type": row.kind, "gpg_id": row.gpg_id,
    }
    return {key: value for key, value in found.items() if value}


def set_trust(call: Call) -> int:
    """Say what images of a registry must fulfil."""
    from wherry.engine import trust_settings

    flags = call.flags
    trust_settings.set_trust(call.args[0], flags.text("type"), flags.many("pubkeysfile"), flags.text("policypath"))
    return 0


def sign(call: Call) -> int:
    """Sign images of registries with a GPG key."""
    from wherry.engine import image_sign

    flags = call.flags
    if not flags.text("sign-by"):
        raise UsageError("please provide an identity", see=False)
    for name in call.args:
        image_sign.sign(
            call.runtime, name, flags.text("sign-by"), directory=flags.text("directory"), all=flags.on("all"),
            authfile=flags.text("authfile"), cert_dir=flags.text("cert-dir"),
        )
    return 0


def generate_key(call: Call) -> int:
    """Make a sigstore key pair, as ``skopeo generate-sigstore-key`` and ``cosign import-key-pair`` do."""
    from wherry.cli.images_push import ask_passphrase
    from wherry.registry.signing_params import passphrase_of
    from wherry.registry.sigstore_keys import write_pair

    flags = call.flags
    prefix = flags.text("output-prefix")
    if not prefix:
        raise UsageError("--output-prefix must be specified", see=False)
    file, old = flags.text("passphrase-file"), flags.text("import-passphrase-file")
    passphrase = passphrase_of(file) if file else ask_passphrase()
    private, public = write_pair(
        prefix, passphrase, imported_from=flags.text("import"), old_passphrase=passphrase_of(old) if old else ""
    )
    call.out(f'Key written to "{private}" and "{public}"\n')
    return 0
