"""The program that passes connections of published ports on, where the kernel cannot: ``python -IS forwarder.py MARK``.

It inherits bound (tcp: listening) sockets and is told what to do with each: ``FD,PROTOCOL,ADDRESS,PORT`` per argument,
the place every connection (tcp) or client (udp) of that socket is connected to.  MARK is only there to find the process
by.  It ends when it is killed.  Bytes of streams never enter the process: they are spliced through pipes (splice(2)).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import sys
import time

_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_CHUNK = 1 << 20
_PIPE = 1 << 18
_F_SETPIPE_SZ = 1031
_DATAGRAM = 65536
#: Seconds after which a client that sends no more datagrams is forgotten.
_IDLE = 180.0
_CLIENTS = 4096


class Half:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.out, self.into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.fcntl(self.into, _F_SETPIPE_SZ, _PIPE)
        except OSError:
            pass            # over the user's limit: the usual size does as well
        self.waiting = 0            # bytes in the pipe
        self.ended = False          # the source sends no more
        self.done = False           # and all of it was passed on

    def pump(self) -> None:
        """Pass on what there is. Raises :class:`OSError` when a side is broken."""
        moved = True
        while moved and not self.done:
            moved = False
            if not self.ended and not self.waiting:
                try:
                    count = os.splice(self.source.fileno(), self.into, _CHUNK, flags=os.SPLICE_F_NONBLOCK)
                except BlockingIOError:
                    return
                self.ended = count == 0
                self.waiting += count
            if self.waiting:
                try:
                    count = os.splice(self.out, self.sink.fileno(), self.waiting, flags=os.SPLICE_F_NONBLOCK)
                except BlockingIOError:
                    return
                self.waiting -= count
                moved = True
            if self.ended and not self.waiting:
                self.sink.shutdown(socket.SHUT_WR)
                self.done = True

    def close(self) -> None:
        os.close(self.out)
        os.close(self.into)


class Connection:
    """A client and the target it was connected to."""

    def __init__(self, client: socket.socket, target: socket.socket) -> None:
        self.sockets = (client, target)
        self.halves = (Half(client, target), Half(target, client))
        self.connected = False

    def work(self) -> bool:
        """Pass on what there is; False when the connection is over."""
        try:
            if not self.connected:
                if self.sockets[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    return False
                self.sockets[1].getpeername()
                self.connected = True
            for half in self.halves:
                half.pump()
        except OSError as error:
            return not self.connected and error.errno == errno.ENOTCONN      # not yet
        return not all(half.done for half in self.halves)

    def close(self) -> None:
        for half in self.halves:
            half.close()
        for end in self.sockets:
            end.close()


class Forwarder:
    """All sockets of one process."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._listeners: dict[int, tuple[socket.socket, tuple[str, int]]] = {}
        self._connections: dict[int, Connection] = {}
        self._datagrams: dict[int, Clients] = {}

    def add(self, fd: int, protocol: str, target: tuple[str, int]) -> None:
        """Serve the bound socket *fd*."""
        bound = socket.socket(fileno=fd)
        bound.setblocking(False)
        if protocol == "udp":
            clients = Clients(self._epoll, bound, target)
            self._datagrams[fd] = clients
        else:
            self._listeners[fd] = (bound, target)
        self._epoll.register(fd, select.EPOLLIN)

    def run(self) -> None:
        """For ever."""
        while True:
            for fd, _events in self._epoll.poll(_IDLE):
                if fd in self._listeners:
                    self._accept(*self._listeners[fd])
                elif fd in self._connections:
                    self._serve(self._connections[fd])
                else:
                    for clients in self._datagrams.values():
                        clients.work(fd)
            for clients in self._datagrams.values():
                clients.forget(time.monotonic() - _IDLE)

    def _accept(self, listener: socket.socket, target: tuple[str, int]) -> None:
        try:
            client = listener.accept()[0]
        except OSError:
            return          # it went away again, or there are too many
        client.setblocking(False)
        other = socket.socket(_family(target[0]), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        for end in (client, other):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        other.connect_ex(target)
        connection = Connection(client, other)
        for end in connection.sockets:
            self._connections[end.fileno()] = connection
            self._epoll.register(end.fileno(), _EVENTS)

    def _serve(self, connection: Connection) -> None:
        if not connection.work():
            for end in connection.sockets:
                del self._connections[end.fileno()]
            connection.close()


class Clients:
    """The clients of one udp socket, each with a socket of its own towards the target."""

    def __init__(self, epoll: select.epoll, bound: socket.socket, target: tuple[str, int]) -> None:
        self._epoll = epoll
        self._bound = bound
        self._target = target
        self._sockets: dict[tuple[object, ...], socket.socket] = {}
        self._peers: dict[int, tuple[object, ...]] = {}
        self._seen: dict[tuple[object, ...], float] = {}

    def work(self, fd: int) -> None:
        """Pass on one datagram that waits at *fd*, if it is one of ours."""
        try:
            if fd == self._bound.fileno():
                data, peer = self._bound.recvfrom(_DATAGRAM)
                self._towards(peer).send(data)
            elif fd in self._peers:
                peer = self._peers[fd]
                self._bound.sendto(self._sockets[peer].recv(_DATAGRAM), peer)
        except OSError:
            pass            # datagrams may get lost

    def _towards(self, peer: tuple[object, ...]) -> socket.socket:
        self._seen[peer] = time.monotonic()
        if peer not in self._sockets:
            if len(self._sockets) >= _CLIENTS:
                self.forget(sorted(self._seen.values())[_CLIENTS // 2])
            new = socket.socket(_family(self._target[0]), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            new.connect(self._target)
            self._sockets[peer] = new
            self._peers[new.fileno()] = peer
            self._epoll.register(new.fileno(), select.EPOLLIN)
        return self._sockets[peer]

    def forget(self, before: float) -> None:
        """Let go of the clients that were silent since *before*."""
        for peer in [peer for peer, seen in self._seen.items() if seen < before]:
            old = self._sockets.pop(peer, None)
            del self._seen[peer]
            if old is not None:
                del self._peers[old.fileno()]
                old.close()


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def main(words: list[str]) -> None:
    """Serve what the arguments say."""
    forwarder = Forwarder()
    for word in words:
        fd, protocol, address, port = word.split(",")
        forwarder.add(int(fd), protocol, (address, int(port)))
    forwarder.run()


if __name__ == "__main__":
    main(sys.argv[2:])
