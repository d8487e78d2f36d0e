"""Talking to a running container (or exec session) through conmon's attach socket.

Each packet from conmon is one byte that names the stream (2 output, 3 error) and up to 8 KiB of data; what is sent is
the container's standard input, and shutting down our sending side ends it.  conmon reads at most 32 KiB of a packet
and drops the rest.  Resizing a terminal goes through the fifo ``ctl``: ``1 ROWS COLUMNS``.

conmon writes to its clients without buffering: a client that stops reading stops the container.  While it waits for
us it does not read, so input is only ever sent when it can be taken at once.
"""

from __future__ import annotations

import _signal  # the C part of signal, without enum
import _socket
import errno
import os
import select

from wherry.errors import NotFound, from_os_error
from wherry.oci.detach_keys import DetachScanner
from wherry.sys import terminal as terminals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    #: Takes the number of the stream and the packets that arrived for it; the views are reused after it returns.
    Sink = Callable[[int, list[memoryview]], None]

STDOUT = 2
STDERR = 3
DETACHED = "detached"
CLOSED = "closed"

_ROOM = 16 * 1024 + 1       # twice what conmon sends
_BATCH = 16                 # packets taken from the socket before they are written on
_INPUT = 16 * 1024
_SUN_PATH = 108             # struct sockaddr_un: the path and its terminating zero must fit


def connect(bundle: str) -> Attachment:
    """Attach to the container or exec session whose conmon serves the bundle directory *bundle*.

    Output from now on is seen; attach before the start to see all.  Raises :class:`wherry.errors.NotFound` when
    nothing serves it (ended, or log driver *passthrough*).
    """
    path = f"{bundle}/attach"
    socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    try:
        if len(os.fsencode(path)) < _SUN_PATH:
            socket.connect(path)
        else:
            directory = os.open(bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                socket.connect(f"/proc/self/fd/{directory}/attach")
            finally:
                os.close(directory)
    except OSError as error:
        socket.close()
        if error.errno in (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR):
            reason = (error.strerror or "").lower()
            raise NotFound(f"failed to connect to container's attach socket: {path}: {reason}") from None
        error.filename = path
        raise from_os_error(error, "failed to connect to container's attach socket") from error
    return Attachment(socket, bundle)


class Attachment:
    """One connection. Close it to leave; the container goes on."""

    def __init__(self, socket: _socket.socket, bundle: str) -> None:
        self._socket = socket
        self._bundle = bundle

    def fileno(self) -> int:
        return self._socket.fileno()

    def resize(self, rows: int, columns: int) -> None:
        """Tell the container's terminal its size; nothing happens when it has ended."""
        resize(self._bundle, rows, columns)

    def close_input(self) -> None:
        """End the container's standard input."""
        try:
            self._socket.shutdown(_socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        stdin: int | None,
        stdout: int | None,
        stderr: int | None,
        *,
        detach_keys: bytes = b"",
        terminal: int | None = None,
    ) -> str:
        """Copy between our descriptors and the container until it ends (:data:`CLOSED`) or the keys are typed
        (:data:`DETACHED`).

        A stream that is None is not read, or thrown away.  The end of *stdin* ends the container's.  *terminal* is a
        descriptor of the user's terminal: the container's follows its size (in the main thread only).  The caller
        puts it into raw mode.  Raises :class:`BrokenPipeError` when nobody reads our output any more.
        """
        sink = _Descriptors(stdout, stderr)
        if terminal is None:
            return self.relay(sink, stdin, detach_keys=detach_keys)
        with _SizeFollower(self, terminal):
            return self.relay(sink, stdin, detach_keys=detach_keys)

    def collect(self, data: bytes | None = b"") -> tuple[bytes, bytes]:
        """Everything the container writes until it ends: (output, error). Its standard input is *data*, then closed;
        None leaves it open.
        """
        streams: dict[int, list[bytes]] = {}

        def keep(stream: int, packets: list[memoryview]) -> None:
            streams.setdefault(stream, []).append(b"".join(packets))

        self.relay(keep, None, first=data or b"", then_close=data is not None)
        return b"".join(streams.get(STDOUT, ())), b"".join(streams.get(STDERR, ()))

    def relay(
        self,
        sink: Sink,
        stdin: int | None,
        *,
        detach_keys: bytes = b"",
        first: bytes = b"",
        then_close: bool = False,
    ) -> str:
        """:meth:`run` with a function that takes the output instead of descriptors (the service frames it).

        *first* is sent before anything is read from *stdin*; without *stdin*, *then_close* ends the input after it.
        """
        return _Relay(self, sink, stdin, DetachScanner(detach_keys), first, then_close).run()


class _Relay:
    """The poll loop: packets from the socket to the sink, input to the socket whenever it has room."""

    def __init__(
        self,
        attachment: Attachment,
        sink: Sink,
        stdin: int | None,
        scanner: DetachScanner,
        first: bytes,
        then_close: bool,
    ) -> None:
        self._attachment = attachment
        self._socket = attachment._socket
        self._sink = sink
        self._stdin = -1 if stdin is None else stdin
        self._scanner = scanner
        self._pending = memoryview(first)
        self._detached = False
        self._input_ended = then_close      # the container's input is to be ended once nothing is pending
        self._slots = [memoryview(bytearray(_ROOM)) for _ in range(_BATCH)]

    def run(self) -> str:
        socket = self._socket.fileno()
        poller = select.poll()
        poller.register(socket, select.POLLIN)
        self._send(poller)
        while not self._detached:
            for fd, events in poller.poll():
                if fd != socket:
                    self._take_input(poller)
                    continue
                if events & ~select.POLLOUT and self._drain():
                    return CLOSED
                if events & select.POLLOUT:
                    self._send(poller)
        return DETACHED

    def _drain(self) -> bool:
        """Pass on the packets that are there, one batch at most so that input gets its turn; True at the end."""
        receive = self._socket.recv_into
        batch: list[memoryview] = []
        stream = 0
        for slot in self._slots:
            size = _receive(receive, slot)
            if size <= 0:
                break
            if slot[0] != stream and batch:
                self._sink(stream, batch)
                batch = []
            stream = slot[0]
            batch.append(slot[1:size])
        if batch:
            self._sink(stream, batch)
        return size == 0

    def _take_input(self, poller: select.poll) -> None:
        try:
            data = os.read(self._stdin, _INPUT)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            data = b""      # a terminal that hung up
        if data:
            passed, self._detached = self._scanner.feed(data)
        else:
            passed = self._scanner.flush()
            poller.unregister(self._stdin)
            self._stdin = -1
            self._input_ended = True
        self._pending = memoryview(passed)
        self._send(poller)
        if self._pending and self._stdin >= 0:
            poller.unregister(self._stdin)

    def _send(self, poller: select.poll) -> None:
        """Send what is pending as far as conmon takes it; then read on, or end the input."""
        waiting = False
        while self._pending:
            try:
                sent = self._socket.send(self._pending[:_INPUT], _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
            except BlockingIOError:
                waiting = True
                break
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                    raise
                sent = len(self._pending)       # the container's input is closed: nobody wants the rest
            self._pending = self._pending[sent:]
        poller.modify(self._socket.fileno(), select.POLLIN | (select.POLLOUT if waiting else 0))
        if waiting:
            return
        if self._stdin >= 0:
            poller.register(self._stdin, select.POLLIN)
        elif self._input_ended:
            self._input_ended = False
            self._attachment.close_input()


def _receive(receive: Callable[..., int], slot: memoryview) -> int:
    """One packet into *slot*: its size, 0 at the end of the connection, -1 when there is none now."""
    while True:
        try:
            return receive(slot, _ROOM, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return -1
        except ConnectionResetError:
            # conmon closed with input of ours unread. The error is reported once and before the packets that came
            # first, which are still to be had.
            continue


class _Descriptors:
    """A sink that writes to two descriptors, None for a stream nobody wants."""

    def __init__(self, stdout: int | None, stderr: int | None) -> None:
        self._target = {STDOUT: stdout, STDERR: stderr}

    def __call__(self, stream: int, packets: list[memoryview]) -> None:
        fd = self._target.get(stream)
        if fd is None:
            return
        total = sum(map(len, packets))
        written = _write(fd, packets)
        if written < total:
            rest = memoryview(b"".join(packets))[written:]
            while rest:
                rest = rest[_write(fd, [rest]):]


def _write(fd: int, packets: list[memoryview]) -> int:
    """writev that waits for room in a descriptor somebody made non-blocking."""
    while True:
        try:
            return os.writev(fd, packets)
        except BlockingIOError:
            poller = select.poll()
            poller.register(fd, select.POLLOUT)
            poller.poll()


class _SizeFollower:
    """While entered, passes the size of the user's terminal on, now and at every SIGWINCH."""

    def __init__(self, attachment: Attachment, terminal: int) -> None:
        self._attachment = attachment
        self._terminal = terminal
        self._previous: object = None

    def __enter__(self) -> None:
        try:
            self._previous = _signal.signal(_signal.SIGWINCH, self._pass_on)
        except ValueError:      # not the main thread: Python allows no handlers here
            pass
        self._pass_on()

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            _signal.signal(_signal.SIGWINCH, self._previous)

    def _pass_on(self, *_: object) -> None:
        try:
            rows, columns = terminals.size(self._terminal)
        except OSError:         # not a terminal, or it hung up
            return
        self._attachment.resize(rows, columns)


def resize(bundle: str, rows: int, columns: int) -> None:
    """Set the size of the terminal of the container or exec session served in *bundle*; a no-op when it has ended."""
    try:
        fifo = os.open(f"{bundle}/ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return
        raise from_os_error(error, "could not open ctl file for terminal resize") from error
    try:
        os.write(fifo, f"1 {rows} {columns}\n".encode())
    except (BrokenPipeError, BlockingIOError):
        pass
    finally:
        os.close(fifo)
