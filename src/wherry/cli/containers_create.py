"""``wherry create`` and ``wherry run``."""

from __future__ import annotations

from wherry.cli.flags import UsageError
from wherry.cli.option_flags import OptionFlags
from wherry.errors import InvalidArgument, WherryError
from wherry.spec.parse import from_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.cli.call import Call
    from wherry.cli.flags import FlagSet
    from wherry.engine.container import Container
    from wherry.model.container import ContainerConfig
    from wherry.registry.progress import Reporter
    from wherry.spec.container_spec import ContainerSpec


_FAILED = 125
_NOT_STARTED = 126
_NOT_FOUND = 127


def CREATE() -> FlagSet:
    """The flags of ``create``."""
    return OptionFlags("create")


def RUN() -> FlagSet:
    """The flags of ``run``."""
    return OptionFlags("run")


def create(call: Call) -> int:
    """Create a container and print its id."""
    config = _create(call, read_spec(call))
    call.out(config.id + "\n")
    return 0


def run(call: Call) -> int:
    """Create a container and run it: in the foreground to its end, or with ``--detach`` in the background."""
    spec = read_spec(call)
    if spec.preserve_fds or spec.preserve_fd:       # before we open any ourselves
        from wherry.cli.streams import check_preserved

        check_preserved(spec.preserve_fds or 0, spec.preserve_fd or ())
    call.runtime.warm_up()
    if spec.detach and spec.attach:
        raise UsageError("cannot specify both --attach and --detach", see=False)
    if spec.detach:
        container = _container(call, _create(call, spec))
        try:
            container.start()
        except WherryError as error:
            if spec.remove:
                container.remove(force=True, timeout=0)
            raise _failed_start(error) from None
        call.out(container.id + "\n")
        return 0
    return _foreground(call, spec)


def read_spec(call: Call) -> ContainerSpec:
    """The specification the command line asks for. Raises :class:`UsageError` for a value a flag does not take."""
    from wherry.config.environment import environ

    own = call.flags.flags.owns
    values = {name: value for name, value in call.flags.values.items() if own(name) and name != "help"}
    try:
        spec = from_flags(values, call.args[0], call.args[1:], environment=environ())
    except InvalidArgument as error:
        if error.message.startswith('invalid argument "') and '" flag: ' in error.message:
            raise UsageError(error.message) from None
        raise
    return spec.replace(create_command=list(call.argv))


def _create(call: Call, spec: ContainerSpec) -> ContainerConfig:
    from wherry.engine.create import create as create_container

    return create_container(call.runtime, spec, _progress(spec))


def _container(call: Call, config: ContainerConfig) -> Container:
    from wherry.engine.container import Container

    return Container(call.runtime, config)


def _progress(spec: ContainerSpec) -> Reporter | None:
    """Progress of a pull, should one be needed."""
    return LazyReporter(bool(spec.quiet))  # type: ignore[return-value]


class LazyReporter:
    """Becomes a real reporter when the first thing is reported: most runs pull nothing, and need not load it."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def __getattr__(self, name: str) -> object:
        from wherry.cli.progress import reporter

        real = reporter(quiet=self._quiet)
        for method in ("start", "update", "finish", "message"):
            setattr(self, method, getattr(real, method))
        return getattr(real, name)


def _foreground(call: Call, spec: ContainerSpec) -> int:
    from wherry.cli import streams as standard_streams
    from wherry.engine.foreground import run_attached

    stdin, terminal = bool(spec.stdin), bool(spec.terminal)
    standard_streams.warn_without_terminal(stdin=stdin, terminal=terminal)
    streams = standard_streams.standard(stdin=stdin, terminal=terminal, keys=standard_streams.detach_keys(call))
    if spec.attach is not None:
        streams = standard_streams.chosen(streams, list(spec.attach), interactive=stdin)
    proxy = standard_streams.SignalProxy(spec.signal_proxy is not False)
    config = _create(call, spec)
    with proxy, standard_streams.raw_mode(streams):
        try:
            ended = run_attached(call.runtime, config, streams, proxy.started)
        except WherryError as error:
            raise _failed_start(error) from None
    return ended if isinstance(ended, int) else 0


def _failed_start(error: WherryError) -> WherryError:
    """``run`` ends with 127 when something was not found and 126 when the container could not be started otherwise."""
    if error.exit_code == _FAILED:
        text = str(error).lower()
        error.ending_with(_NOT_FOUND if "not found" in text or "no such file" in text else _NOT_STARTED)
    return error
