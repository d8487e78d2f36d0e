"""This process's standard streams connected to a container: descriptors, raw terminal, detach keys, signals."""

from __future__ import annotations

import _signal  # the C part of signal, without enum

from wherry.engine.foreground import Streams
from wherry.engine.signals import send_to_process
from wherry.errors import InvalidArgument
from wherry.sys.terminal import RawMode, is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from wherry.cli.call import Call

#: Never passed on: they cannot be caught, or mean something to this process only (its children, its pipes, its
#: terminal's size).
NOT_PROXIED = frozenset((
    _signal.SIGKILL, _signal.SIGSTOP, _signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGWINCH, _signal.SIGURG,
    _signal.SIGTTIN, _signal.SIGTTOU,
))


def detach_keys(call: Call) -> bytes:
    """``--detach-keys``, or what the host's configuration says."""
    from wherry.oci.detach_keys import parse

    if call.flags.given("detach-keys"):
        return parse(call.flags.text("detach-keys"))
    return parse(call.runtime.settings.engine.detach_keys)


def standard(*, stdin: bool, terminal: bool, keys: bytes) -> Streams:
    """This process's streams; *terminal*: the container has one of its own."""
    return Streams(
        stdin=0 if stdin else -1,
        stdout=1,
        stderr=2,
        detach_keys=keys,
        terminal=terminal and stdin and is_terminal(0),
    )


def chosen(streams: Streams, names: list[str], *, interactive: bool) -> Streams:
    """Only the streams ``--attach`` names. Raises :class:`InvalidArgument`."""
    wanted = {name.lower() for name in names}
    for name in names:
        if name.lower() not in ("stdin", "stdout", "stderr"):
            raise InvalidArgument(
                f'invalid stream "{name}" for --attach - must be one of stdin, stdout, or stderr: invalid argument'
            )
    return streams.replace(
        stdin=0 if "stdin" in wanted or interactive else -1,
        stdout=1 if "stdout" in wanted else -1,
        stderr=2 if "stderr" in wanted else -1,
    )


def warn_without_terminal(*, stdin: bool, terminal: bool) -> None:
    """Say so when a terminal was asked for and the caller has none to give."""
    if terminal and stdin and not is_terminal(0):
        from wherry.sys import log

        log.warning("The input device is not a TTY. The --tty and --interactive flags might not work properly")


def check_preserved(count: int, numbers: Sequence[int] = ()) -> None:
    """Refuse descriptors to hand on that are not open: *count* from 3 on, or these *numbers*."""
    import os

    for number in [*range(3, 3 + count), *numbers]:
        try:
            os.fstat(number)
        except OSError:
            raise InvalidArgument(
                f"file descriptor {number} is not available - the preserve-fds option requires that file descriptors "
                "must be passed"
            ) from None


def raw_mode(streams: Streams) -> RawMode:
    """The caller's terminal in raw mode while a container's terminal is shown on it; nothing otherwise."""
    return RawMode(streams.stdin if streams.terminal else -1)


class SignalProxy:
    """While entered, signals to this process go to the container's instead.

    Those that arrive before the container's process is known wait for :meth:`started`.
    """

    def __init__(self, enabled: bool = True) -> None:
        self._enabled = enabled
        self._process = (0, 0)
        self._waiting: list[int] = []
        self._previous: dict[int, object] = {}

    def started(self, pid: int, start: int) -> None:
        """The process to pass signals to, by pid and start time."""
        self._process = (pid, start)
        waiting, self._waiting = self._waiting, []
        for number in waiting:
            send_to_process(pid, start, number)

    def _pass_on(self, number: int, _frame: object) -> None:
        pid, start = self._process
        if pid:
            send_to_process(pid, start, number)
        else:
            self._waiting.append(number)

    def __enter__(self) -> Self:
        if self._enabled:
            for number in range(1, _signal.NSIG):
                if number in NOT_PROXIED:
                    continue
                try:
                    self._previous[number] = _signal.signal(number, self._pass_on)
                except (OSError, ValueError):       # reserved by the C library
                    continue
        return self

    def __exit__(self, *_: object) -> None:
        for number, previous in self._previous.items():
            if previous is not None:
                _signal.signal(number, previous)
        self._previous.clear()
