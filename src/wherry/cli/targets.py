"""Which objects a command is about: names, ``--all``, ``--latest``, ``--filter``, ``--cidfile``; and doing it to each.

Commands for several objects go on after a failure: every error but the last is printed at once, the last one ends the
command.
"""

from __future__ import annotations

import sys

from wherry.cli.flags import UsageError
from wherry.errors import NoSuchContainer, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.cli.call import Call
    from wherry.engine.container import Container
    from wherry.engine.runtime import Runtime

#: How many containers are worked on at the same time.
WORKERS = 8


class Target:
    """A container: ``text`` finds it, ``shown`` is printed when the work is done."""

    __slots__ = ("shown", "text")

    def __init__(self, text: str, shown: str = "") -> None:
        self.text = text
        self.shown = shown or text


def check(call: Call, *, id_file: str = "") -> None:
    """Refuse contradictory or missing targets, in Podman's words. Raises :class:`UsageError`.

    *id_file* is the name of the command's ``--cidfile``-like flag, if it has one.
    """
    flags, args = call.flags, call.args
    everything, latest = flags.on("all"), flags.on("latest")
    from_file = bool(id_file) and flags.given(id_file)
    if flags.given("filter"):
        if args:
            raise UsageError("--filter takes no arguments", see=False)
        return
    if from_file and (everything or latest):
        raise UsageError(f"--all, --latest, and --{id_file} cannot be used together", see=False)
    if everything and latest:
        raise UsageError("--all and --latest cannot be used together", see=False)
    if args and everything:
        raise UsageError("no arguments are needed with --all", see=False)
    if args and latest:
        raise UsageError("--latest and containers cannot be used together", see=False)
    if args and from_file:
        raise UsageError(f"no arguments are needed with --latest or --{id_file}", see=False)
    if not (args or everything or latest or from_file):
        raise UsageError("you must provide at least one name or id", see=False)


def filters(call: Call, flag: str = "filter") -> dict[str, list[str]]:
    """``--filter key=value`` as key -> values; ``key!=value`` gives the key ``key!``."""
    found: dict[str, list[str]] = {}
    for text in call.flags.many(flag):
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f'invalid filter "{text}"', see=False)
        found.setdefault(key, []).append(value)
    return found


def select(call: Call, *, ignore_missing_file: bool = False) -> list[Target]:
    """The containers the command line asks for."""
    flags = call.flags
    if flags.given("filter"):
        found = call.runtime.containers.list(all=True, filters=filters(call))
        return [Target(summary.id) for summary in found]
    if _has(call, "all") and flags.on("all"):
        return [Target(summary.id) for summary in call.runtime.containers.list(all=True)]
    if _has(call, "latest") and flags.on("latest"):
        return [Target(latest(call.runtime))]
    targets = [Target(text) for text in call.args]
    for path in flags.many("cidfile"):
        text = read_id(path, ignore_missing=ignore_missing_file)
        if text:
            targets.append(Target(text))
    return targets


def _has(call: Call, flag: str) -> bool:
    return call.flags.flags.owns(flag)


def latest(runtime: Runtime) -> str:
    """The id of the container created last. Raises :class:`NoSuchContainer`."""
    found = runtime.containers.list(all=True)
    if not found:
        raise NoSuchContainer("no such container")
    return found[-1].id


def read_id(path: str, *, ignore_missing: bool = False) -> str:
    """The first line of an id file; empty if *ignore_missing* and there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.readline().strip()
    except FileNotFoundError as error:
        if ignore_missing:
            return ""
        raise _cidfile_error(error) from None
    except OSError as error:
        raise _cidfile_error(error) from None


def _cidfile_error(error: OSError) -> WherryError:
    return WherryError(f"reading CIDFile: open {error.filename}: {(error.strerror or str(error)).lower()}")


def one(call: Call) -> Container:
    """The single container of a command that takes a name or ``--latest``."""
    runtime = call.runtime
    return runtime.containers.get(latest(runtime) if call.flags.on("latest") else call.args[0])


def check_one(call: Call) -> None:
    """Exactly one name or ``--latest``."""
    if len(call.args) > 1:
        raise UsageError(f"`{call.command}` accepts at most one argument", see=False)
    if not call.args and not call.flags.on("latest"):
        raise UsageError(f'"{call.command}" requires a name, id, or the "--latest" flag', see=False)


def each(
    call: Call,
    targets: Sequence[Target],
    work: Callable[[Container], None],
    *,
    parallel: bool = False,
    code: Callable[[Sequence[WherryError]], int] | None = None,
) -> int:
    """Do *work* to every target, printing what was done; returns 0 or raises the last error. See :func:`each_named`."""
    return each_named(
        call, targets, lambda runtime, text: work(runtime.containers.get(text)), parallel=parallel, code=code
    )


def each_named(
    call: Call,
    targets: Sequence[Target],
    work: Callable[[Runtime, str], None],
    *,
    parallel: bool = False,
    code: Callable[[Sequence[WherryError]], int] | None = None,
) -> int:
    """Do *work*, which looks the container up itself, to every target, printing what was done.

    ``parallel`` does several at a time, for work that waits (stopping, killing); ``code`` chooses the exit code when
    there were errors.  Returns 0 or raises the last error.
    """
    outcome = _in_threads(call, targets, work) if parallel and len(targets) > 1 else {}
    errors: list[WherryError] = []
    for index, target in enumerate(targets):
        try:
            if outcome:
                failure = outcome[index]
                if failure is not None:
                    raise failure
            else:
                work(call.runtime, target.text)
        except WherryError as error:
            errors.append(error)
        else:
            call.out(target.shown + "\n")
    return finish(errors, code)


def _in_threads(
    call: Call, targets: Sequence[Target], work: Callable[[Runtime, str], None]
) -> dict[int, WherryError | None]:
    """Outcome by target number. Every thread has an engine of its own: database connections are not shared."""
    import threading

    from wherry.engine.runtime import Runtime

    options = call.runtime.settings.options
    waiting = list(range(len(targets)))[::-1]
    outcome: dict[int, WherryError | None] = {}

    def run() -> None:
        with Runtime(options) as runtime:
            while waiting:
                try:
                    index = waiting.pop()
                except IndexError:
                    return
                try:
                    work(runtime, targets[index].text)
                    outcome[index] = None
                except WherryError as error:
                    outcome[index] = error
                except Exception as error:
                    outcome[index] = WherryError(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run) for _ in range(min(WORKERS, len(targets)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def finish(errors: Sequence[WherryError], code: Callable[[Sequence[WherryError]], int] | None = None) -> int:
    """Print all errors but the last and raise that one, with the exit code *code* says; 0 when there is none."""
    if not errors:
        return 0
    sys.stdout.flush()
    for error in errors[:-1]:
        sys.stderr.write(f"Error: {error}\n")
    last = errors[-1]
    if code is not None:
        raise WherryError(str(last), hint=last.hint, kind=last.kind, exit_code=code(errors))
    raise last
