"""The entry point: find the command, read its flags, run it, turn what happened into text and an exit code."""

from __future__ import annotations

import os
import sys

from wherry.cli.commands import COMMANDS, GROUPS, SHOWN, find
from wherry.cli.flags import Flag, FlagSet, Parsed, UsageError
from wherry.errors import WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from wherry.cli.call import Call
    from wherry.config.options import GlobalOptions

#: Names wherry may be called by (as symbolic links); messages then use that name.
PROGRAMS = ("podman", "docker")
FAILED = 125
INTERRUPTED = 130
BROKEN_PIPE = 141


def console() -> NoReturn:
    """Run the command line of this process and end it, without waiting for the interpreter to tidy up."""
    import gc

    # Loading code makes many objects and no garbage; looking for it each 700 of them takes a tenth of a short command.
    gc.set_threshold(100_000)
    code = main(sys.argv)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or BROKEN_PIPE
    os._exit(code)


def main(argv: list[str]) -> int:
    """Run ``argv[1:]`` as a command line; returns the exit code. Never raises."""
    program = program_name(argv)
    try:
        return _run(program, argv)
    except WherryError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    except Exception as error:
        return _crashed(error)


def program_name(argv: list[str]) -> str:
    """The name messages use."""
    name = argv[0].rpartition("/")[2] if argv else ""
    return name if name in PROGRAMS else "wherry"


def _run(program: str, argv: list[str]) -> int:
    words = argv[1:]
    leading: dict[str, Any] = {}
    if words and words[0][:1] == "-" and words[0] != "-":
        parsed = _leading(program, words)
        leading, words = parsed.values, parsed.args
        if leading.get("version"):
            from wherry import __version__

            sys.stdout.write(f"{program} version {__version__}\n")
            return 0
        if leading.get("help"):
            return _help(program, "")
    path, canonical, words = resolve(program, words)
    if not canonical:
        return _help(program, path)
    return _command(program, path, canonical, words, leading, argv)


def _leading(program: str, words: list[str]) -> Parsed:
    from wherry.cli.globals import leading

    try:
        return leading().parse(words, interspersed=False)
    except UsageError as error:
        raise _see(error, program) from None


def resolve(program: str, words: list[str]) -> tuple[str, str, list[str]]:
    """Split *words* into the command as typed, its canonical path, and the rest.

    The canonical path is empty when help for the group (the first part) was asked for.  Raises :class:`UsageError` for
    a command that does not exist and for a group without one.
    """
    path = ""
    moved: list[str] = []           # global flags between a group and its command; behind it they mean the same
    while True:
        if not words:
            _show_help(program, path)
            raise UsageError(f"missing command '{join(program, path, 'COMMAND')}'", see=False)
        word, words = words[0], words[1:]
        if path and word[:1] == "-" and len(word) > 1:
            if word in ("--help", "-h"):
                return path, "", []
            flags, words = _between(program, path, [word, *words])
            moved += flags
            continue
        candidate = f"{path} {word}" if path else word
        canonical = find(candidate)
        if canonical and words and f"{candidate} {words[0]}" in COMMANDS:
            path = candidate        # a command that has commands below it (auto-update history)
            continue
        if canonical:
            return SHOWN.get(candidate, candidate), canonical, [*moved, *words]
        if candidate not in GROUPS:
            from wherry.cli.suggest import unrecognized

            raise UsageError(unrecognized(program, path, word), see=False)
        path = candidate


def _between(program: str, path: str, words: list[str]) -> tuple[list[str], list[str]]:
    """The global flags *words* begin with, and the rest."""
    try:
        rest = _persistent().parse(words, interspersed=False).args
    except UsageError as error:
        raise _see(error, join(program, path)) from None
    return words[: len(words) - len(rest)], rest


def _command(
    program: str, path: str, canonical: str, words: list[str], leading: dict[str, Any], argv: list[str]
) -> int:
    from wherry.cli.call import Call

    target, _words, _text, _also, rule = COMMANDS[canonical]
    module_name, _, function_name = target.partition(":")
    module = __import__(f"wherry.cli.{module_name}", None, None, (function_name,))
    function: Callable[[Call], int] = getattr(module, function_name)
    try:
        parsed = flag_set(module, function_name).parse(words, interspersed=rule[:1] != "!")
        if parsed.values.get("help"):
            return _help(program, path)
        if rule.lstrip("!"):
            check_count(rule.lstrip("!"), parsed.args, f"{program} {path}")
        _refuse(getattr(module, "REFUSED", None), parsed)
        _prepare(leading, parsed)
        return function(Call(program, path, parsed, lambda: _options(leading, parsed), argv))
    except UsageError as error:
        return _failed(_see(error, f"{program} {path}"))


def _refuse(refused: dict[str, str] | None, parsed: Parsed) -> None:
    """Fail for a flag of *refused* (flag -> reason): those a verb's module accepts but cannot honour."""
    for name, reason in (refused or {}).items():
        if parsed.given(name):
            from wherry.errors import Unsupported

            raise Unsupported(f"--{name}: {reason}: not yet implemented")


HELP = Flag("help", kind="bool", hidden=True)


def flag_set(module: Any, function_name: str) -> FlagSet:
    """The flags of a verb: the module's constant named like the function, in capitals, and ``--help``."""
    declared = getattr(module, function_name.upper(), ())
    flags: FlagSet = declared() if callable(declared) else FlagSet(declared)
    if not flags.owns("help"):
        flags.by_name["help"] = HELP
        if flags.lettered("h") is None:
            flags.by_short["h"] = HELP
    flags.more = _persistent
    return flags


def _persistent() -> FlagSet:
    from wherry.cli.globals import persistent

    return persistent()


def _options(leading: dict[str, Any], parsed: Parsed) -> GlobalOptions:
    own = parsed.flags.owns
    if not leading and all(own(name) for name in parsed.values):
        from wherry.config.options import GlobalOptions

        return GlobalOptions()
    from wherry.cli.globals import global_options

    values = dict(leading)
    for name, value in parsed.values.items():
        if own(name):
            continue
        values[name] = [*values.get(name, ()), *value] if isinstance(value, list) else value
    return global_options(values)


def _prepare(leading: dict[str, Any], parsed: Parsed) -> None:
    """Act on the flags that concern this process: message level and where output goes."""
    values = leading
    if "log-level" in parsed.values and not parsed.flags.owns("log-level"):
        values = {**leading, "log-level": parsed.values["log-level"]}
    if "log-level" in values or "debug" in values:
        from wherry.cli.globals import log_level
        from wherry.sys import log

        log.set_level(log_level(values))
    target = "/dev/null" if values.get("noout") else values.get("out")
    if target:
        from wherry.errors import from_os_error

        try:
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise from_os_error(error, "opening the output file") from None
        os.dup2(fd, 1)
        os.close(fd)


def check_count(rule: str, args: list[str], command: str) -> None:
    """Refuse a wrong number of positional words, in cobra's terms. Raises :class:`UsageError`."""
    count = len(args)
    if rule == "0":
        if count:
            raise UsageError(f"`{command}` takes no arguments", see=False)
        return
    if rule.endswith("+"):
        if count < int(rule[:-1]):
            raise UsageError(f"requires at least {rule[:-1]} arg(s), only received {count}", see=False)
        return
    least, dash, most = rule.partition("-")
    if not dash:
        if count != int(rule):
            raise UsageError(f"accepts {rule} arg(s), received {count}", see=False)
    elif least == "0":
        if count > int(most):
            raise UsageError(f"accepts at most {most} arg(s), received {count}", see=False)
    elif not int(least) <= count <= int(most):
        raise UsageError(f"accepts between {least} and {most} arg(s), received {count}", see=False)


def join(*words: str) -> str:
    """The words that are not empty, with blanks."""
    return " ".join(word for word in words if word)


def _see(error: UsageError, command: str) -> UsageError:
    """*error* with the line that says where help is, if it wants one."""
    if error.see:
        error.message += f"\nSee '{command} --help'"
        error.see = False
    return error


def _help(program: str, path: str) -> int:
    _show_help(program, path)
    return 0


def _show_help(program: str, path: str) -> None:
    from wherry.cli.help import show

    sys.stdout.write(show(program, path))


def _failed(error: WherryError) -> int:
    """Print *error* as every command does; returns its exit code."""
    text = str(error)
    if not getattr(error, "bare", False):
        text = "Error: " + text
    if error.hint:
        text += "\n" + error.hint
    _to_stderr(text)
    return error.exit_code


def _crashed(error: Exception) -> int:
    """A bug, or an operating system error nobody translated."""
    from wherry.sys import log

    if log.enabled("debug"):
        import traceback

        _to_stderr("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, OSError) and error.strerror:
        from wherry.errors import from_os_error

        _to_stderr(f"Error: {from_os_error(error, 'system call failed')}")
    else:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        _to_stderr(f"Error: internal error: {what}; please report")
    return FAILED


def _to_stderr(text: str) -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        pass
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
