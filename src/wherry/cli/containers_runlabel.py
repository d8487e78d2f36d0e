"""``wherry container runlabel``."""

from __future__ import annotations

import os
import sys

from wherry.cli import transfer
from wherry.cli.flags import Flag
from wherry.errors import NoSuchContainer, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.cli.call import Call

RUNLABEL = (
    *transfer.ACCESS,
    Flag("display", kind="bool", help="Show the command instead of running it"),
    Flag("name", "n", metavar="name", help="Name for the container, instead of the image's"),
    Flag("opt1", hidden=True),
    Flag("opt2", hidden=True),
    Flag("opt3", hidden=True),
    Flag("pull", "p", "bool", default="true", hidden=True),
    Flag("quiet", "q", "bool", "Show nothing of the pull and of the command"),
    Flag("replace", kind="bool", help="Remove a container that has the name already"),
    transfer.SIGNATURE_POLICY,
)


def runlabel(call: Call) -> int:
    """Run the command that a label of an image holds."""
    from wherry.cli.progress import reporter
    from wherry.engine.runlabel import default_name, words_of

    flags = call.flags
    label, name, *more = call.args
    access = transfer.access(flags)
    if flags.given("signature-policy"):
        access["signature_policy"] = flags.text("signature-policy")
    image = call.runtime.images.pull(name, policy="missing", progress=reporter(quiet=flags.on("quiet")), **access)
    full = image.names[0] if image.names else image.id
    variables = {
        "IMAGE": full, "NAME": flags.text("name") or default_name(full), "PWD": os.getcwd(),
        **{option.upper(): flags.text(option) for option in ("opt1", "opt2", "opt3")},
    }
    words = words_of(image, name, label, more, variables)
    if flags.on("display"):
        program = call.command.partition(" ")[0]
        call.out(f"command: {' '.join([program, *words[1:]])}\n")
        return 0
    if flags.on("replace") and "--name" in words[:-1]:
        try:
            call.runtime.containers.remove(words[words.index("--name") + 1], force=True)
        except NoSuchContainer:
            pass
    _run(call, words)
    return 0


def _run(call: Call, words: Sequence[str]) -> None:
    import subprocess

    from wherry.config.environment import environ
    from wherry.engine.exit_command import global_words
    from wherry.sys.program import command

    real = [*command(), *global_words(call.runtime), *words[1:]] if not words[0] else list(words)
    silent = subprocess.DEVNULL if call.flags.on("quiet") else None
    shown = " ".join([words[0] or call.command.partition(" ")[0], *words[1:]])
    sys.stdout.flush()
    try:
        done = subprocess.run(
            real, env={**environ(), "PODMAN_RUNLABEL_NESTED": "1"}, stdin=silent, stdout=silent, stderr=silent,
            check=False,
        )
    except FileNotFoundError:
        raise WherryError(f'`{shown}` failed: exec: "{words[0]}": executable file not found in $PATH') from None
    except OSError as error:
        raise WherryError(f"`{shown}` failed: {(error.strerror or str(error)).lower()}") from None
    if done.returncode != 0:
        raise WherryError(f"`{shown}` failed: exit status {done.returncode}")
