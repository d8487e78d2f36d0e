"""``wherry exec``."""

from __future__ import annotations

from wherry.cli.containers_stop import LATEST
from wherry.cli.flags import Flag, UsageError
from wherry.errors import NOT_FOUND, STATE, InvalidArgument, StateError, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.engine.container import Container
    from wherry.model.exec_session import ExecConfig

EXEC = (
    Flag("cidfile", metavar="file", help="Read the container's id from this file"),
    Flag("detach", "d", "bool", "Leave the process running in the background and print the session's id"),
    Flag("detach-keys", default="ctrl-p,ctrl-q", metavar="sequence",
         help="Keys that leave the process without ending it; empty for none"),
    Flag("env", "e", many=True, metavar="env", help="Set an environment variable"),
    Flag("env-file", many=True, metavar="file", help="Read environment variables from a file"),
    Flag("interactive", "i", "bool", "Pass standard input on"),
    LATEST,
    Flag("no-session", kind="bool", help="Accepted and ignored"),
    Flag("preserve-fd", kind="uint", many=True, split=True, metavar="FD1[,FD2,...]",
         help="Pass these file descriptors on"),
    Flag("preserve-fds", kind="uint", default="0", metavar="N", help="Pass this many file descriptors on, from 3"),
    Flag("privileged", kind="bool", help="Give the process all capabilities"),
    Flag("tty", "t", "bool", "Give the process a terminal"),
    Flag("user", "u", metavar="user[:group]", help="User (and group) to run as"),
    Flag("wait", kind="int32", hidden=True),
    Flag("workdir", "w", metavar="dir", help="Directory to run in"),
)
#: Exit code when the container does not run.
NOT_RUNNING = 255


def exec(call: Call) -> int:
    """Run a process in a running container; returns its exit code."""
    _check_descriptors(call)
    call.runtime.warm_up()
    container, command = _split(call)
    if not command:
        raise InvalidArgument(
            "must provide a non-empty command to start an exec session: invalid argument", exit_code=NOT_RUNNING
        )
    flags = call.flags
    if flags.number("wait") > 0:
        container.wait("running", timeout=flags.number("wait"))
    config = _config(call, command)
    try:
        return _detached(call, container, config) if flags.on("detach") else _attached(call, container, config)
    except StateError as error:
        raise WherryError(str(error), kind=STATE, hint=error.hint, exit_code=NOT_RUNNING) from None
    except WherryError as error:
        if error.kind != NOT_FOUND:
            raise
        # A user nobody knows: nothing was run.
        raise WherryError(str(error), kind=NOT_FOUND, hint=error.hint, exit_code=NOT_RUNNING) from None


def _check_descriptors(call: Call) -> None:
    """Before we open any ourselves: what is handed on must be the caller's."""
    flags = call.flags
    if flags.given("preserve-fds") or flags.given("preserve-fd"):
        from wherry.cli.streams import check_preserved

        check_preserved(flags.number("preserve-fds"), [int(number) for number in flags.many("preserve-fd")])


def _split(call: Call) -> tuple[Container, list[str]]:
    """The container and the command: the first word names the container unless a flag does."""
    from wherry.cli import targets

    flags, args = call.flags, call.args
    runtime = call.runtime
    if flags.given("cidfile"):
        if flags.on("latest"):
            raise UsageError("--latest and --cidfile can not be used together", see=False)
        path = flags.text("cidfile")
        return runtime.containers.get(targets.read_id(path)), args
    if flags.on("latest"):
        return runtime.containers.get(targets.latest(runtime)), args
    if not args:
        raise UsageError("exec requires the name or ID of a container or the --latest flag", see=False)
    return runtime.containers.get(args[0]), args[1:]


def _config(call: Call, command: list[str]) -> ExecConfig:
    from wherry.model.exec_session import ExecConfig

    flags = call.flags
    keep = [int(number) for number in flags.many("preserve-fd")]
    return ExecConfig(
        command=list(command),
        terminal=flags.on("tty"),
        attach_stdin=flags.on("interactive") and not flags.on("detach"),
        attach_stdout=not flags.on("detach"),
        attach_stderr=not flags.on("detach"),
        environment=_environment(call),
        privileged=flags.on("privileged"),
        user=flags.text("user"),
        workdir=flags.text("workdir"),
        preserve_fds=flags.number("preserve-fds"),
        preserve_fd=keep,
    )


def _environment(call: Call) -> dict[str, str]:
    files, words = call.flags.many("env-file"), call.flags.many("env")
    if not (files or words):
        return {}
    from wherry.config.environment import environ
    from wherry.spec.parse import read_text
    from wherry.spec.parse_environment import variable_files, variables

    environment = environ()
    return {**variable_files(files, environment, read_text), **variables(words, environment)}


def _attached(call: Call, container: Container, config: ExecConfig) -> int:
    from wherry.cli import streams as standard_streams
    from wherry.engine.execs import run_attached

    standard_streams.warn_without_terminal(stdin=config.attach_stdin, terminal=config.terminal)
    streams = standard_streams.standard(
        stdin=config.attach_stdin, terminal=config.terminal, keys=standard_streams.detach_keys(call)
    )
    with standard_streams.raw_mode(streams):
        ended = run_attached(call.runtime, container.id, config, streams)
    return ended if isinstance(ended, int) else 0


def _detached(call: Call, container: Container, config: ExecConfig) -> int:
    from wherry.engine.execs import run_detached

    call.out(run_detached(call.runtime, container.id, config) + "\n")
    return 0
