"""Netlink sockets (netlink(7)): requests, several in one datagram, and their answers."""

from __future__ import annotations

import os
from _socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW
from _socket import socket as Socket
from _struct import Struct

from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP = 0x300
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLA_TYPE_MASK = 0x3FFF
_NLA_F_NESTED = 0x8000
_HEADER = Struct("=IHHII")          # length, type, flags, sequence number, port
_ATTRIBUTE = Struct("=HH")          # length, type
_ERROR = Struct("=i")
_BUFFER = 1 << 16


class Message(Record):
    """One request. *fine* are error numbers that count as success (the thing exists, or is gone already)."""

    type: int = 0
    flags: int = 0
    body: bytes = b""
    about: str = ""
    fine: Sequence[int] = ()


class Netlink:
    """A netlink socket of the network namespace the calling thread is in when it is made."""

    def __init__(self, protocol: int = NETLINK_ROUTE) -> None:
        self._socket = Socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
        self._sequence = 0

    def change(self, messages: Sequence[Message]) -> None:
        """Send *messages* in one datagram; the kernel does them in order, whether or not one fails.

        Raises :class:`OSError` for the first that failed, with what it was about as file name.
        """
        if not messages:
            return
        first = self._sequence + 1
        self._socket.send(b"".join([self._pack(message, NLM_F_ACK) for message in messages]))
        failure: OSError | None = None
        answered = 0
        while answered < len(messages):
            for kind, sequence, body in _messages(self._socket.recv(_BUFFER)):
                if kind != _NLMSG_ERROR or not first <= sequence <= self._sequence:
                    continue
                answered += 1
                number = -_ERROR.unpack_from(body)[0]
                message = messages[sequence - first]
                if number and number not in message.fine and failure is None:
                    failure = OSError(number, os.strerror(number), message.about)
        if failure is not None:
            raise failure

    def ask(self, message: Message) -> list[bytes]:
        """The bodies of the answers to one request. Raises :class:`OSError`."""
        self._socket.send(self._pack(message, 0 if message.flags & NLM_F_DUMP else NLM_F_ACK))
        found: list[bytes] = []
        while True:
            for kind, sequence, body in _messages(self._socket.recv(_BUFFER)):
                if sequence != self._sequence:
                    continue
                if kind == _NLMSG_DONE:
                    return found
                if kind == _NLMSG_ERROR:
                    number = -_ERROR.unpack_from(body)[0]
                    if number:
                        raise OSError(number, os.strerror(number), message.about)
                    return found
                found.append(body)

    def _pack(self, message: Message, flags: int) -> bytes:
        self._sequence += 1
        length = _HEADER.size + len(message.body)
        padding = b"\0" * (-length % 4)
        flags |= message.flags | NLM_F_REQUEST
        return _HEADER.pack(length, message.type, flags, self._sequence, 0) + message.body + padding

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence number, body) of each message in a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _flags, sequence, _port = _HEADER.unpack_from(data, offset)
        yield kind, sequence, data[offset + _HEADER.size:offset + length]
        offset += length + -length % 4


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded."""
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, kind) + data + b"\0" * (-length % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds others."""
    return attribute(kind | _NLA_F_NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """An attribute with a text, ended by a zero byte."""
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes in *data* from *offset* on, by type."""
    found = {}
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _NLA_TYPE_MASK] = data[offset + _ATTRIBUTE.size:offset + length]
        offset += length + -length % 4
    return found
