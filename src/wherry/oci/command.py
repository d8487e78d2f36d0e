"""One run of the OCI runtime, started now and waited for when its result is needed."""

from __future__ import annotations

import os

from wherry.errors import from_os_error
from wherry.oci.failures import message_of
from wherry.sys import processes
from wherry.sys.files import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Command:
    """A runtime command in flight.

    What it prints goes to memory, so nothing has to be drained while it runs.  It gets a session of its own: an
    interrupt typed at the terminal must not stop a deletion half-way.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], *, input: bytes = b"") -> None:
        """Start *argv*. Raises a :class:`wherry.errors.WherryError` when the program cannot be executed."""
        self._output = os.memfd_create("runtime-output")
        try:
            stdin = _standard_input(input)
            try:
                self._pid = processes.spawn(
                    argv, env=env, fds={0: stdin, 1: self._output, 2: self._output}, new_session=True
                )
            finally:
                os.close(stdin)
        except OSError as error:
            os.close(self._output)
            raise from_os_error(error, "running OCI runtime") from error

    def finish(self) -> str:
        """Wait for the command: empty when it succeeded, else what it said went wrong."""
        try:
            status = self._wait()
            if status == 0:
                return ""
            text = message_of(os.pread(self._output, 1 << 20, 0).decode("utf-8", "replace"))
            return text or f"exit status {status}"
        finally:
            os.close(self._output)

    def _wait(self) -> int:
        try:
            return processes.wait(self._pid)
        except BaseException:       # an interrupt: these commands take milliseconds, leave no zombie
            processes.wait(self._pid)
            raise


def _standard_input(data: bytes) -> int:
    if not data:
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    fd = os.memfd_create("runtime-input")
    write_all(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
