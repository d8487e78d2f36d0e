"""``wherry pull``."""

from __future__ import annotations

from wherry.cli.flags import Flag
from wherry.cli.progress import reporter
from wherry.cli.targets import finish
from wherry.errors import InvalidArgument, WherryError
from wherry.sys.terminal import is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.cli.call import Call
    from wherry.model.reference import Reference

PULL = (
    Flag("all-tags", "a", "bool", "Pull all tags of the repository"),
    Flag("arch", metavar="ARCH", help="Pull for this processor architecture"),
    Flag("authfile", metavar="path", help="File with the credentials for registries"),
    Flag("cert-dir", metavar="path", help="Directory with certificates for the registry"),
    Flag("creds", metavar="[username[:password]]", help="Credentials for the registry"),
    Flag("decryption-key", many=True, metavar="key[:passphrase]", help="Key for an encrypted image"),
    Flag("disable-content-trust", kind="bool", help="Accepted for Docker's sake; does nothing"),
    Flag("os", metavar="OS", help="Pull for this operating system"),
    Flag("platform", metavar="OS/ARCH", help="Pull for this platform"),
    Flag("policy", default="always", metavar="policy", help="When to pull: always, missing, newer or never"),
    Flag("quiet", "q", "bool", "Show nothing but the image's id"),
    Flag("retry", kind="uint", default="3", metavar="attempts", help="How often to try again"),
    Flag("retry-delay", metavar="duration", help="Time between two attempts"),
    Flag("signature-policy", hidden=True, help="Signature policy file"),
    Flag("tls-verify", kind="bool", default="true", help="Insist on HTTPS and valid certificates"),
    Flag("variant", metavar="VARIANT", help="Pull for this variant of the architecture"),
)
#: Accepted, but an error when used.
REFUSED = {
    "decryption-key": "encrypted images are not supported yet",
}

_MOST_TAGS = 10_000


def pull(call: Call) -> int:
    """Pull images and print their ids."""
    options = _options(call)
    errors: list[WherryError] = []
    progress = reporter(quiet=call.flags.on("quiet"))
    for name in _all_tags(call) if call.flags.on("all-tags") else call.args:
        try:
            image = call.runtime.images.pull(name, progress=progress, **options)
        except WherryError as error:
            errors.append(error)
        else:
            call.out(image.id + "\n")
    return finish(errors)


def _all_tags(call: Call) -> list[str]:
    """Every tag of the repositories named, as full names."""
    from wherry.cli import transfer
    from wherry.model.reference import normalize

    access = {key: value for key, value in transfer.access(call.flags).items() if not key.startswith("retry")}
    found: list[str] = []
    for text in call.args:
        named = normalize(text.removeprefix("docker://"))
        if named.tag or named.digest:
            raise InvalidArgument("--all-tags can only be used without a tag or digest")
        tags = call.runtime.images.search(named.repository, list_tags=True, limit=_MOST_TAGS, **access)
        found += [f"{one.name}:{one.tag}" for one in tags]
    return found


def _choose(candidates: Sequence[Reference]) -> Reference:
    """Ask which registry's image a short name means."""
    import sys

    sys.stdout.write("Please select an image:\n")
    for number, candidate in enumerate(candidates, 1):
        sys.stdout.write(f"  {number}) {candidate}\n")
    while True:
        sys.stdout.write(f"Number (1-{len(candidates)}): ")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            raise InvalidArgument("short-name resolution: no image was selected")
        text = line.strip()
        if text.isascii() and text.isdigit() and 1 <= int(text) <= len(candidates):
            return candidates[int(text) - 1]


def _options(call: Call) -> dict[str, Any]:
    flags = call.flags
    if flags.given("platform") and (flags.given("arch") or flags.given("os")):
        raise InvalidArgument("--platform option can not be specified with --arch or --os")
    options: dict[str, Any] = {"policy": flags.text("policy")}
    if is_terminal(0) and is_terminal(1):
        options["choose"] = _choose
    if flags.given("platform"):
        options["platform"] = flags.text("platform")
    for flag, option in (("os", "os"), ("arch", "architecture"), ("variant", "variant"), ("authfile", "authfile"),
                         ("creds", "credentials"), ("cert-dir", "cert_dir"), ("signature-policy", "signature_policy")):
        if flags.given(flag):
            options[option] = flags.text(flag)
    if flags.given("tls-verify"):
        options["tls_verify"] = flags.on("tls-verify")
    if flags.given("retry"):
        options["retry"] = flags.number("retry")
    if flags.given("retry-delay"):
        options["retry_delay"] = _delay(flags.text("retry-delay"))
    return options


def _delay(text: str) -> float:
    from wherry.spec.parse_values import duration

    try:
        return duration(text) / 1e9
    except InvalidArgument as error:
        raise InvalidArgument(f'parsing value for "retry-delay" flag: {error.message}') from None
