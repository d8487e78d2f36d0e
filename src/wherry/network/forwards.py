"""Published ports that need a process: one of :mod:`wherry.network.forwarder` for each container that has any.

IPv4 ports on loopback addresses reach containers by routing (``route_localnet``); the kernel has nothing like it for
``::1``, and a network namespace without an uplink of its own (rootless bridges) cannot be reached by routing at all.

The sockets are bound here, so that a port in use is an error of the caller; the process inherits them.  Its pid and
what it forwards are kept in a file per container of the run directory.
"""

from __future__ import annotations

import _signal
import os
import sys
from _socket import AF_INET, AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, SO_REUSEADDR, SOCK_CLOEXEC, SOL_SOCKET
from _socket import socket as Socket

from wherry.errors import RuntimeFailed, Unsupported
from wherry.network.child import ENVIRONMENT
from wherry.network.ports import KINDS, is_local, listening
from wherry.sys.files import atomic_write, make_dirs, try_read_text
from wherry.sys.namespaces import call_in_netns
from wherry.sys.processes import is_alive, spawn, start_time, wait_gone, with_argument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from wherry.model.network import PortMapping
    from wherry.network.protocol import AttachRequest

_PROGRAM = os.path.dirname(os.path.abspath(__file__)) + "/forwarder.py"
_TERMINATE: int = _signal.SIGTERM
_FIRST_FD = 3
_BACKLOG = 1024


class Forward:
    """One socket: where it listens and where it leads."""

    __slots__ = ("address", "container_port", "host_ip", "host_port", "protocol")

    def __init__(self, protocol: str, host_ip: str, host_port: int, address: str, container_port: int) -> None:
        self.protocol = protocol
        self.host_ip = host_ip
        self.host_port = host_port
        self.address = address
        self.container_port = container_port

    def text(self) -> str:
        return f"{self.protocol},{self.host_ip},{self.host_port},{self.address},{self.container_port}"

    def bind(self) -> Socket:
        """A socket bound to the host's side. Raises ``RuntimeFailed`` in Podman's words."""
        six = ":" in self.host_ip
        bound = Socket(AF_INET6 if six else AF_INET, KINDS[self.protocol] | SOCK_CLOEXEC)
        try:
            bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            if six:
                bound.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
            bound.bind((self.host_ip, self.host_port))
            if self.protocol == "tcp":
                bound.listen(_BACKLOG)      # clients may come before the process is there
        except OSError as error:
            bound.close()
            raise listening(self.protocol, self.host_ip, self.host_port, error) from None
        return bound


def local_forwards(request: AttachRequest, targets: Mapping[int, str]) -> list[Forward]:
    """What an attached container publishes on ``::1``; *targets* are its addresses by IP version."""
    target = targets.get(6) or targets.get(4)
    if not target:
        return []
    return [
        Forward(protocol, mapping.host_ip, mapping.host_port + offset, target, mapping.container_port + offset)
        for mapping in request.port_mappings if is_local(mapping)
        for protocol, offset in each(mapping)
    ]


def each(mapping: PortMapping) -> Iterator[tuple[str, int]]:
    """(protocol, offset) of every port of a mapping. Raises ``Unsupported`` for sctp, which no process forwards."""
    for protocol in mapping.protocol.split(","):
        if protocol not in KINDS:
            raise Unsupported(
                f"port {mapping.host_port}/{protocol} cannot be published on {mapping.host_ip or 'the host'}: "
                f"{protocol} is not forwarded by a process",
                hint="publish it on an address that is not ::1, on a bridge of the host",
            )
        for offset in range(mapping.range or 1):
            yield protocol, offset


class Forwards:
    """The forwarding processes of one engine."""

    def __init__(self, run_dir: str) -> None:
        self._directory = run_dir + "/forward"

    def follow(self, container: str, forwards: Iterable[Forward], namespace: str = "") -> None:
        """Let the container's process forward this and nothing else. Raises ``RuntimeFailed``; nothing runs then.

        Sockets listen in our network namespace and are connected in *namespace* (a path; by default ours as well).
        """
        wanted = list(forwards)
        text = "".join(f"{forward.text()}\n" for forward in wanted)
        pid, have = self._known(container)
        if have == text and (not wanted or pid):
            return
        self.stop(container)
        if wanted:
            self._start(container, wanted, text, namespace)

    def _file(self, container: str) -> str:
        return f"{self._directory}/{container}"

    def _known(self, container: str) -> tuple[int, str]:
        """Pid of the container's process (0 when it does not run) and what it forwards."""
        head, _newline, rest = (try_read_text(self._file(container)) or "").partition("\n")
        words = head.split()
        if len(words) != 2 or not head.replace(" ", "").isdigit():
            return 0, rest
        pid, start = int(words[0]), int(words[1])
        return (pid if is_alive(pid, start) else 0), rest

    def _start(self, container: str, forwards: Iterable[Forward], text: str, namespace: str) -> None:
        make_dirs(self._directory)
        bound: list[Socket] = []
        try:
            words = [_interpreter(), "-ISXutf8", _PROGRAM, self._file(container)]
            for number, forward in enumerate(forwards, _FIRST_FD):
                bound.append(forward.bind())
                words.append(f"{number},{forward.protocol},{forward.address},{forward.container_port}")
            with open(os.devnull, "r+b") as null:
                fds = dict.fromkeys((0, 1, 2), null.fileno())
                fds |= {number: each.fileno() for number, each in enumerate(bound, _FIRST_FD)}

                atomic_write(self._file(container), f"0 0\n{text}".encode(), sync=False)     # so that it can be found

                def start() -> int:
                    return spawn(words, env=ENVIRONMENT, fds=fds, new_session=True)

                pid = call_in_netns(namespace, start) if namespace else start()
        except OSError as error:
            raise RuntimeFailed(f"forwarding published ports: {(error.strerror or str(error)).lower()}") from None
        finally:
            for each in bound:
                each.close()
        atomic_write(self._file(container), f"{pid} {start_time(pid)}\n{text}".encode(), sync=False)

    def stop(self, container: str) -> None:
        """End the container's process; nothing to end is fine."""
        path = self._file(container)
        if not os.path.exists(path):
            return
        pid, _text = self._known(container)
        # Without a pid its starter was killed before it could write one down.
        for each in [pid] if pid else list(with_argument(path)):
            try:
                start = start_time(each)
                os.kill(each, _TERMINATE)
                wait_gone(each, start, timeout=5)
                os.waitpid(each, os.WNOHANG)
            except (ProcessLookupError, ChildProcessError):
                pass        # it was gone, or is not our child
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass

    def stale(self, alive: Collection[str]) -> list[str]:
        """Ids of containers that are not in *alive* and have a process."""
        return [name for name in self._all() if name not in alive]

    def problems(self, alive: Collection[str]) -> list[str]:
        """Processes of containers that do not run, and dead ones of those that do; a sentence each."""
        found = [f"container {name[:12]} does not run, but its ports are still forwarded" for name in self.stale(alive)]
        return found + [
            f"the process that forwards ports of container {name[:12]} is gone"
            for name in self._all() if name in alive and not self._known(name)[0]
        ]

    def _all(self) -> list[str]:
        try:
            return sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return []


def _interpreter() -> str:
    return sys.executable or "/usr/bin/python3"
