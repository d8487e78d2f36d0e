"""Help texts, made from the command table and the flags."""

from __future__ import annotations

from wherry.cli.commands import COMMANDS, GROUPS, children, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from wherry.cli.call import Call
    from wherry.cli.flags import Flag

#: A longer description of a value would push the texts too far to the right.
LONGEST_WORD = 24
SUMMARY = "Run containers, manage images: an engine without a daemon"


def help_command(call: Call) -> int:
    """``wherry help [COMMAND]``."""
    path = ""
    for word in call.args:
        candidate = f"{path} {word}" if path else word
        if not find(candidate) and candidate not in GROUPS:
            if not path:
                call.out(f"Unknown help topic [`{'` `'.join(call.args)}`]\n")
            break
        path = candidate
    call.out(show(call.program, path))
    return 0


def show(program: str, path: str) -> str:
    """The help of a command, a group or (empty *path*) wherry itself."""
    canonical = find(path) if path else ""
    return _command(program, path, canonical) if canonical else _group(program, path)


def _group(program: str, path: str) -> str:
    command = f"{program} {path}" if path else program
    usage = f"{command} [command]" if path else f"{command} [options] [command]"
    listed = sorted(children(path))
    width = max(11, *(len(name) for name, _help in listed))
    lines = [GROUPS.get(path, SUMMARY), "", "Usage:", f"  {usage}", "", "Available Commands:"]
    lines += [f"  {name.ljust(width)} {text}" for name, text in listed]
    if not path:
        from wherry.cli.globals import leading

        lines += ["", "Options:", *_flags(leading().all())]
    return "\n".join(lines) + "\n\n"


def _command(program: str, path: str, canonical: str) -> str:
    from wherry.cli.main import flag_set

    target, words, text, also, _rule = COMMANDS[canonical]
    module_name, _, function_name = target.partition(":")
    module = __import__(f"wherry.cli.{module_name}", None, None, (function_name,))
    flags = [flag for flag in flag_set(module, function_name).all() if not flag.hidden]
    usage = " ".join(part for part in (program, path, "[options]" if flags else "", words) if part)
    lines = [text, "", "Usage:", f"  {usage}"]
    names = [name for name in (canonical, *also.split(", ")) if name and name != path]
    if names:
        lines += ["", "Aliases:", "  " + ", ".join(f"{program} {name}" for name in names)]
    if flags:
        lines += ["", "Options:", *_flags(flags)]
    return "\n".join(lines) + "\n\n"


def _flags(flags: Iterable[Flag]) -> list[str]:
    """Lines of ``-s, --long type   text (default X)``, aligned."""
    rows = []
    for flag in flags:
        if flag.hidden:
            continue
        left = f"  -{flag.short}, --{flag.name}" if flag.short else f"      --{flag.name}"
        kind = value_word(flag)
        text = flag.help
        if flag.default not in ("", "0", "false"):
            shown = f'"{flag.default}"' if flag.kind == "string" and not flag.many else flag.default
            text += f" (default {shown})"
        rows.append((f"{left} {kind}" if kind else left, text))
    width = max((len(left) for left, _text in rows), default=0)
    return [f"{left.ljust(width)}   {text}" for left, text in rows]


def value_word(flag: Flag) -> str:
    """The word help puts after the flag's name for its value."""
    if flag.kind in ("bool", "count"):
        return ""
    if flag.metavar and len(flag.metavar) <= LONGEST_WORD:
        return flag.metavar
    if flag.many:
        return "strings" if flag.split else "stringArray"
    return flag.kind
