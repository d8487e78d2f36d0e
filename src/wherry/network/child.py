"""A helper program at work: fed from memory, its output read when it is needed."""

from __future__ import annotations

import os

from wherry.sys.processes import spawn, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where helpers look for other programs (iptables, systemd-run).
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Child:
    """A started program. :meth:`finish` must be called."""

    def __init__(self, words: Sequence[str], document: bytes = b"", *, errors: bool = False) -> None:
        """Start *words* with *document* on standard input; *errors* collects standard error with the output.

        The document goes through a file in memory, so that writing never blocks.  Raises :class:`OSError`.
        """
        source = os.memfd_create("input")
        try:
            os.write(source, document)
            os.lseek(source, 0, os.SEEK_SET)
            self._output, write_end = os.pipe2(os.O_CLOEXEC)
            try:
                fds = {0: source, 1: write_end}
                self._pid = spawn(words, env=ENVIRONMENT, fds={**fds, 2: write_end} if errors else fds)
            except BaseException:
                os.close(self._output)
                raise
            finally:
                os.close(write_end)
        finally:
            os.close(source)

    def finish(self) -> tuple[int, bytes]:
        """Wait for its end; exit status (minus the number of a signal) and output."""
        data = b""
        while chunk := os.read(self._output, 65536):
            data += chunk
        os.close(self._output)
        return wait(self._pid), data


def start_unattended(words: Sequence[str]) -> None:
    """Start a program that outlives us; nobody waits for it or sees what it writes.

    A shell starts it and ends at once, so that it is not our child: a long-lived process would collect zombies.
    """
    with open(os.devnull, "r+b") as null:
        quiet = {0: null.fileno(), 1: null.fileno(), 2: null.fileno()}
        line = ["/bin/sh", "-c", '"$@" &', "sh", *words]
        wait(spawn(line, env=ENVIRONMENT, fds=quiet, new_session=True))
