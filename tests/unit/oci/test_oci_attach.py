"""The attach protocol, with the test in the part of conmon."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.oci.conftest import descriptors

from wherry.errors import NotFound
from wherry.oci import attach
from wherry.oci.attach import CLOSED, DETACHED, Attachment


class Conmon:
    """The other end of the attach socket, for one client."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        directory = os.open(bundle, os.O_PATH)
        self.listener.bind(f"/proc/self/fd/{directory}/attach")
        os.close(directory)
        self.listener.listen(1)
        self.peer: socket.socket | None = None

    def accept(self) -> socket.socket:
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(20)
        return self.peer

    def close(self) -> None:
        self.listener.close()
        if self.peer is not None:
            self.peer.close()


@pytest.fixture
def conmon(tmp_path: Path) -> Iterator[Conmon]:
    before = descriptors()
    served = Conmon(tmp_path)
    yield served
    served.close()
    assert descriptors() <= before


@pytest.fixture
def pair(conmon: Conmon) -> Iterator[tuple[Attachment, socket.socket]]:
    with attach.connect(str(conmon.bundle)) as attachment:
        yield attachment, conmon.accept()


class Pipes:
    """Descriptors for a run, and what was written to them."""

    def __init__(self) -> None:
        self.stdin, self.typed = os.pipe()
        self.out, self.stdout = os.pipe()
        self.err, self.stderr = os.pipe()

    def close(self) -> None:
        for fd in (self.stdin, self.typed, self.out, self.stdout, self.err, self.stderr):
            try:
                os.close(fd)
            except OSError:
                pass

    def written(self) -> tuple[bytes, bytes]:
        os.close(self.stdout)
        os.close(self.stderr)
        return read_all(self.out), read_all(self.err)


@pytest.fixture
def pipes(conmon: Conmon) -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.close()


def read_all(fd: int) -> bytes:
    data = b""
    while chunk := os.read(fd, 1 << 16):
        data += chunk
    return data


def background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def received(peer: socket.socket) -> bytes:
    """Everything the client sends until it ends its side."""
    data = b""
    while chunk := peer.recv(1 << 16):
        data += chunk
    return data


def test_streams_are_told_apart(pair: tuple[Attachment, socket.socket], pipes: Pipes) -> None:
    attachment, peer = pair
    for packet in (b"\x02out1", b"\x03err", b"\x02out2", b"\x02out3", b"\x03", b"\x07what"):
        peer.send(packet)
    peer.close()
    assert attachment.run(None, pipes.stdout, pipes.stderr) == CLOSED
    assert pipes.written() == (b"out1out2out3", b"err")


def test_more_packets_than_a_batch_in_order(pair: tuple[Attachment, socket.socket]) -> None:
    attachment, peer = pair
    lines = [b"%d\n" % number for number in range(2000)]

    def serve() -> None:
        for number, line in enumerate(lines):
            peer.send((b"\x03" if number % 7 == 0 else b"\x02") + line)
        peer.close()

    thread = background(serve)
    out, err = attachment.collect(None)
    thread.join()
    assert out == b"".join(line for number, line in enumerate(lines) if number % 7)
    assert err == b"".join(lines[::7])


def test_full_sized_packets(pair: tuple[Attachment, socket.socket]) -> None:
    attachment, peer = pair
    data = os.urandom(8192 * 40)

    def serve() -> None:
        for start in range(0, len(data), 8192):
            peer.send(b"\x02" + data[start:start + 8192])
        peer.close()

    thread = background(serve)
    assert attachment.collect() == (data, b"")
    thread.join()


def test_streams_nobody_wants_are_thrown_away(pair: tuple[Attachment, socket.socket], pipes: Pipes) -> None:
    attachment, peer = pair
    peer.send(b"\x02out")
    peer.send(b"\x03err")
    peer.close()
    assert attachment.run(None, None, pipes.stderr) == CLOSED
    assert pipes.written() == (b"", b"err")


def test_input_and_its_end_are_passed_on(pair: tuple[Attachment, socket.socket], pipes: Pipes) -> None:
    attachment, peer = pair
    data = os.urandom(300_000)
    got: list[bytes] = []

    def type_in() -> None:
        os.write(pipes.typed, data)
        os.close(pipes.typed)

    def serve() -> None:
        got.append(received(peer))
        peer.send(b"\x02done")
        peer.close()

    threads = [background(type_in), background(serve)]
    assert attachment.run(pipes.stdin, pipes.stdout, None) == CLOSED
    for thread in threads:
        thread.join()
    assert got == [data]
    assert pipes.written()[0] == b"done"


def test_without_input_the_containers_stays_open(pair: tuple[Attachment, socket.socket]) -> None:
    attachment, peer = pair

    def serve() -> None:
        peer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.recv(10)
        peer.close()

    thread = background(serve)
    assert attachment.run(None, None, None) == CLOSED
    thread.join()


def test_collect_sends_its_data_then_the_end(pair: tuple[Attachment, socket.socket]) -> None:
    attachment, peer = pair
    data = os.urandom(200_000)

    def serve() -> None:
        peer.send(b"\x02" + str(len(received(peer))).encode())
        peer.close()

    thread = background(serve)
    assert attachment.collect(data) == (b"200000", b"")
    thread.join()


def test_a_conmon_busy_writing_does_not_deadlock_us(pair: tuple[Attachment, socket.socket]) -> None:
    """conmon does not read while it writes; both directions are full at once."""
    attachment, peer = pair

    def serve() -> None:
        for _ in range(400):
            peer.send(b"\x02" + b"x" * 8192)
        received(peer)
        peer.close()

    thread = background(serve)
    out, _ = attachment.collect(b"y" * 3_000_000)
    thread.join()
    assert len(out) == 400 * 8192


def test_output_is_not_lost_when_input_was_left_unread(pair: tuple[Attachment, socket.socket]) -> None:
    """Closing with unread data resets the connection, yet what was sent before must be seen."""
    attachment, peer = pair
    os.write(attachment.fileno(), b"nobody reads this")
    for number in range(50):
        peer.send(b"\x02%02d" % number)
    peer.close()
    assert attachment.collect(None)[0] == b"".join(b"%02d" % number for number in range(50))


def test_input_after_the_container_closed_its_own(pair: tuple[Attachment, socket.socket], pipes: Pipes) -> None:
    attachment, peer = pair
    peer.shutdown(socket.SHUT_RD)
    os.write(pipes.typed, b"into the void")

    def serve() -> None:
        peer.send(b"\x02still here")
        peer.close()

    thread = background(serve)
    assert attachment.run(pipes.stdin, pipes.stdout, None) == CLOSED
    thread.join()
    assert pipes.written()[0] == b"still here"


def test_detaching(pair: tuple[Attachment, socket.socket], pipes: Pipes) -> None:
    attachment, peer = pair
    os.write(pipes.typed, b"ls\n\x10")

    def serve() -> None:
        assert peer.recv(100) == b"ls\n"
        os.write(pipes.typed, b"\x11ignored")

    thread = background(serve)
    assert attachment.run(pipes.stdin, pipes.stdout, None, detach_keys=b"\x10\x11") == DETACHED
    thread.join()
    attachment.close()
    assert peer.recv(100) == b""


def test_half_a_sequence_is_sent_at_the_end_of_input(pair: tuple[Attachment, socket.socket], pipes: Pipes) -> None:
    attachment, peer = pair
    os.write(pipes.typed, b"x\x10")
    os.close(pipes.typed)
    got: list[bytes] = []

    def serve() -> None:
        got.append(received(peer))
        peer.close()

    thread = background(serve)
    assert attachment.run(pipes.stdin, None, None, detach_keys=b"\x10\x11") == CLOSED
    thread.join()
    assert got == [b"x\x10"]


def test_a_slow_reader_of_a_full_pipe(pair: tuple[Attachment, socket.socket], pipes: Pipes) -> None:
    """Partial writes, and a descriptor somebody made non-blocking."""
    attachment, peer = pair
    os.set_blocking(pipes.stdout, False)
    data = os.urandom(1 << 20)
    got: list[bytes] = []

    def serve() -> None:
        for start in range(0, len(data), 8000):
            peer.send(b"\x02" + data[start:start + 8000])
        peer.close()

    threads = [background(serve), background(lambda: got.append(read_all(pipes.out)))]
    assert attachment.run(None, pipes.stdout, None) == CLOSED
    os.close(pipes.stdout)
    for thread in threads:
        thread.join()
    assert got == [data]


def test_a_reader_that_is_gone(pair: tuple[Attachment, socket.socket], pipes: Pipes) -> None:
    attachment, peer = pair
    os.close(pipes.out)
    peer.send(b"\x02x")
    with pytest.raises(BrokenPipeError):
        attachment.run(None, pipes.stdout, None)


def test_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    bundle = tmp_path / ("d" * 120)
    bundle.mkdir()
    served = Conmon(bundle)
    with attach.connect(str(bundle)) as attachment:
        peer = served.accept()
        peer.send(b"\x02far")
        served.close()
        assert attachment.collect(None) == (b"far", b"")


@pytest.mark.parametrize("length", [10, 130])
def test_nothing_to_attach_to(tmp_path: Path, length: int) -> None:
    bundle = tmp_path / ("d" * length)
    before = descriptors()
    with pytest.raises(NotFound, match=r"failed to connect to container's attach socket: .*/attach: no such file"):
        attach.connect(str(bundle))
    bundle.mkdir()
    Conmon(bundle).close()
    with pytest.raises(NotFound, match="connection refused"):
        attach.connect(str(bundle))
    assert descriptors() <= before


def fifo(bundle: Path) -> int:
    os.mkfifo(bundle / "ctl")
    return os.open(bundle / "ctl", os.O_RDONLY | os.O_NONBLOCK)


def test_resizing(tmp_path: Path) -> None:
    reader = fifo(tmp_path)
    attach.resize(str(tmp_path), 24, 80)
    assert os.read(reader, 100) == b"1 24 80\n"
    os.close(reader)


def test_resizing_what_has_ended(tmp_path: Path) -> None:
    before = descriptors()
    attach.resize(str(tmp_path), 24, 80)
    os.close(fifo(tmp_path))
    attach.resize(str(tmp_path), 24, 80)
    assert descriptors() <= before


def next_line(reader: int) -> bytes:
    """The next message in a fifo whose writers come and go."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if line := os.read(reader, 100):
                return line
        except BlockingIOError:
            pass
        time.sleep(0.005)
    return b""


def set_size(fd: int, rows: int, columns: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def test_the_size_of_the_terminal_is_followed(pair: tuple[Attachment, socket.socket], conmon: Conmon) -> None:
    attachment, peer = pair
    reader = fifo(conmon.bundle)
    main, terminal = os.openpty()
    previous = signal.getsignal(signal.SIGWINCH)
    set_size(terminal, 10, 20)
    sizes: list[bytes] = []

    def serve() -> None:
        sizes.append(next_line(reader))
        set_size(terminal, 30, 40)
        os.kill(os.getpid(), signal.SIGWINCH)
        sizes.append(next_line(reader))
        peer.close()

    thread = background(serve)
    try:
        assert attachment.run(None, None, None, terminal=terminal) == CLOSED
    finally:
        thread.join()
        for fd in (reader, main, terminal):
            os.close(fd)
    assert sizes == [b"1 10 20\n", b"1 30 40\n"]
    assert signal.getsignal(signal.SIGWINCH) == previous


def test_following_in_another_thread_sets_the_size_once(
    pair: tuple[Attachment, socket.socket], conmon: Conmon
) -> None:
    attachment, peer = pair
    reader = fifo(conmon.bundle)
    main, terminal = os.openpty()
    set_size(terminal, 5, 6)
    peer.close()
    how: list[str] = []
    background(lambda: how.append(attachment.run(None, None, None, terminal=terminal))).join()
    assert how == [CLOSED]
    assert os.read(reader, 100) == b"1 5 6\n"
    for fd in (reader, main, terminal):
        os.close(fd)


def test_relay_hands_packets_to_a_function(pair: tuple[Attachment, socket.socket]) -> None:
    attachment, peer = pair
    for packet in (b"\x02a", b"\x02b", b"\x03c"):
        peer.send(packet)
    peer.close()
    seen: list[tuple[int, bytes]] = []
    attachment.relay(lambda stream, packets: seen.append((stream, b"".join(packets))), None)
    assert seen == [(attach.STDOUT, b"ab"), (attach.STDERR, b"c")]


def test_first_words_go_before_what_is_read(pair: tuple[Attachment, socket.socket], pipes: Pipes) -> None:
    attachment, peer = pair
    os.write(pipes.typed, b"second")
    os.close(pipes.typed)
    got: list[bytes] = []

    def serve() -> None:
        got.append(received(peer))
        peer.close()

    thread = background(serve)
    attachment.relay(lambda stream, packets: None, pipes.stdin, first=b"first ")
    thread.join()
    assert got == [b"first second"]
