"""``wherry pod``: the verbs that act on whole pods."""

from __future__ import annotations

from wherry.cli.containers_prune import confirm
from wherry.cli.containers_stop import seconds
from wherry.cli.flags import Flag, UsageError
from wherry.cli.targets import finish, read_id
from wherry.errors import NOT_FOUND, NoSuchPod, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.cli.call import Call
    from wherry.engine.pod import Pod

ALL = Flag("all", "a", "bool", "All pods")
LATEST = Flag("latest", "l", "bool", "The pod created last")
ID_FILE = Flag("pod-id-file", many=True, metavar="file", help="Read the pod's id from this file")
IGNORE = Flag("ignore", "i", "bool", "Missing pods are no error")
TIME = Flag("time", "t", "int", "Seconds to wait before a container is killed", default="10", metavar="seconds")

KILL = (ALL, LATEST, Flag("signal", "s", default="KILL", metavar="signal", help="Signal to send, by name or number"))
PAUSE = UNPAUSE = RESTART = (ALL, LATEST)
START = (ALL, LATEST, ID_FILE)
STOP = (ALL, IGNORE, LATEST, ID_FILE, TIME)
RM = (
    ALL,
    Flag("force", "f", "bool", "Stop and remove running containers as well"),
    IGNORE,
    LATEST,
    ID_FILE,
    TIME,
)
PRUNE = (Flag("force", "f", "bool", "Do not ask"),)


def latest(call: Call) -> Pod:
    """The pod created last. Raises ``NoSuchPod``."""
    found = call.runtime.pods.list()
    if not found:
        raise NoSuchPod("no such pod")
    return found[-1]


def _check(call: Call) -> None:
    flags, args = call.flags, call.args
    everything, newest = flags.on("all"), flags.on("latest")
    from_file = flags.flags.owns("pod-id-file") and flags.given("pod-id-file")
    if everything and newest:
        raise UsageError("--all and --latest cannot be used together", see=False)
    if from_file and (everything or newest):
        raise UsageError("--all, --latest, and --pod-id-file cannot be used together", see=False)
    if args and everything:
        raise UsageError("no arguments are needed with --all", see=False)
    if args and newest:
        raise UsageError("--latest and pods cannot be used together", see=False)
    if not (args or everything or newest or from_file):
        raise UsageError("you must provide at least one name or id", see=False)


def _each(
    call: Call,
    work: Callable[[Pod], None],
    *,
    ignore: bool = False,
    full: bool = False,
    code: Callable[[Sequence[WherryError]], int] | None = None,
) -> int:
    """Do *work* to every pod asked for; prints its name as typed, or its id when it was not typed (or *full*)."""
    _check(call)
    flags = call.flags
    collection = call.runtime.pods
    if flags.on("all"):
        words = [pod.id for pod in collection.list()]
    elif flags.on("latest"):
        words = [latest(call).id]
    else:
        files = flags.many("pod-id-file") if flags.flags.owns("pod-id-file") else []
        words = [*call.args, *(read_id(path, ignore_missing=ignore) for path in files)]
    errors: list[WherryError] = []
    for word in words:
        if not word:
            continue
        try:
            pod = collection.get(word)
            work(pod)
        except NoSuchPod as error:
            if not ignore:
                errors.append(error)
        except WherryError as error:
            errors += flattened(error)
        else:
            call.out((pod.id if full else word) + "\n")
    return finish(errors, code)


def flattened(error: WherryError) -> list[WherryError]:
    """What went wrong with each container, then what that means for the pod."""
    parts: dict[str, WherryError] = getattr(error, "errors", {})
    return [*parts.values(), error]


def start(call: Call) -> int:
    """Start pods."""
    return _each(call, lambda pod: pod.start())


def stop(call: Call) -> int:
    """Stop pods."""
    timeout = seconds(call)
    return _each(call, lambda pod: pod.stop(timeout), ignore=call.flags.on("ignore"))


def restart(call: Call) -> int:
    """Stop pods and start them again."""
    return _each(call, lambda pod: pod.restart())


def kill(call: Call) -> int:
    """Send a signal to all containers of pods."""
    from wherry.spec.signals import parse

    number = parse(call.flags.text("signal"))
    return _each(call, lambda pod: pod.kill(number))


def pause(call: Call) -> int:
    """Freeze pods."""
    return _each(call, lambda pod: pod.pause())


def unpause(call: Call) -> int:
    """Thaw pods."""
    return _each(call, lambda pod: pod.unpause())


def rm(call: Call) -> int:
    """Remove pods."""
    force, timeout = call.flags.on("force"), seconds(call)

    def code(errors: Sequence[WherryError]) -> int:
        return 1 if any(error.kind == NOT_FOUND for error in errors) else 125

    return _each(
        call, lambda pod: pod.remove(force=force, timeout=timeout),
        ignore=force or call.flags.on("ignore"), full=True, code=code,
    )


def exists(call: Call) -> int:
    """0 when there is such a pod, 1 when not."""
    return 0 if call.runtime.pods.exists(call.args[0]) else 1


def prune(call: Call) -> int:
    """Remove all pods that have ended, after asking; prints their ids."""
    if not call.flags.on("force") and not confirm(call, "WARNING! This will remove all stopped/exited pods.."):
        return 0
    gone, failed = call.runtime.pods.prune()
    for identity in gone:
        call.out(identity + "\n")
    return finish([part for error in failed.values() for part in flattened(error)])
