"""Names of containers on networks with DNS, by aardvark-dns(1): its files and its process.

One file per network, named like it: first the addresses to listen on, then a line per container: id, IPv4 addresses,
IPv6 addresses, names, and name servers of its own.  The server reads the files again on SIGHUP and ends when there are
none.
"""

from __future__ import annotations

import _signal
import fcntl
import os
import time

from wherry.errors import WherryError
from wherry.sys import log
from wherry.sys.files import make_dirs, try_read_text
from wherry.sys.processes import find_program, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wherry.model.network import Network

#: The search domain of every network with DNS.
DOMAIN = "dns.podman"
_HANGUP: int = _signal.SIGHUP
_TERMINATE: int = _signal.SIGTERM
_START_TIMEOUT = 15.0


def _listens(pid: int) -> bool:
    """Wait until the server handles SIGHUP, which a fresh one does not for a moment; False when it ends meanwhile."""
    for _attempt in range(400):
        status = try_read_text(f"/proc/{pid}/status")
        if status is None:
            return False
        caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
        if int(caught, 16) >> (_HANGUP - 1) & 1:
            return True
        time.sleep(0.005)
    return True


class Entry:
    """One container as a network's file tells of it."""

    __slots__ = ("addresses", "container", "names", "servers")

    def __init__(
        self, container: str, addresses: Iterable[str], names: Iterable[str], servers: Iterable[str] = ()
    ) -> None:
        self.container = container
        self.addresses = list(addresses)
        self.names = list(dict.fromkeys(name.lower() for name in names if name))
        self.servers = list(servers)

    def line(self) -> str:
        first = ",".join(address for address in self.addresses if ":" not in address)
        second = ",".join(address for address in self.addresses if ":" in address)
        words = [self.container, first, second, ",".join(self.names)]
        return " ".join([*words, ",".join(self.servers)] if self.servers else words)


class Names:
    """The name server of one engine."""

    def __init__(self, run_dir: str, program: str, port: int = 0) -> None:
        self._directory = run_dir + "/aardvark-dns"
        self._lock_path = run_dir + "/aardvark.lock"
        self._draft = run_dir + "/aardvark.new"
        self._program = program
        self._port = port or 53

    @property
    def available(self) -> bool:
        """Is the program there?"""
        return bool(self._program)

    def change(self, added: Mapping[str, tuple[Network, Entry]], removed: Mapping[str, str]) -> None:
        """Add entries (network name -> network and entry) and take containers (network name -> id) out, then tell.

        Raises ``WherryError`` when the server cannot be started.
        """
        if not added and not os.path.isdir(self._directory):
            return
        make_dirs(self._directory)
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for name, container in removed.items():
                self._remove(name, container)
            for name, (network, entry) in added.items():
                self._add(name, network, entry)
            self._tell()
        finally:
            os.close(lock)

    def containers(self) -> dict[str, list[str]]:
        """Network name -> ids of the containers its file names."""
        try:
            names = os.listdir(self._directory)
        except FileNotFoundError:
            return {}
        return {
            name: [line.partition(" ")[0] for line in self._lines(name)[1:]]
            for name in names if not name.startswith("aardvark.")
        }

    def _add(self, name: str, network: Network, entry: Entry) -> None:
        head = ",".join(subnet.gateway for subnet in network.subnets if subnet.gateway)
        if network.network_dns_servers:
            head += " " + ",".join(network.network_dns_servers)
        rest = [line for line in self._lines(name)[1:] if not line.startswith(entry.container + " ")]
        self._write(name, [head, *rest, entry.line()])

    def _remove(self, name: str, container: str) -> None:
        lines = self._lines(name)
        left = [line for line in lines[1:] if not line.startswith(container + " ")]
        if not lines or len(left) == len(lines) - 1:
            return
        if left:
            self._write(name, [lines[0], *left])
        else:
            os.unlink(f"{self._directory}/{name}")

    def _lines(self, name: str) -> list[str]:
        return (try_read_text(f"{self._directory}/{name}") or "").splitlines()

    def _write(self, name: str, lines: Sequence[str]) -> None:
        """By rename from elsewhere: the server takes every file of its directory for a network."""
        with open(self._draft, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        os.replace(self._draft, f"{self._directory}/{name}")

    def _tell(self) -> None:
        """Let the server read its files; start it when it is not there and there is something to serve."""
        pid = self._pid()
        wanted = bool(self.containers())
        try:
            if pid and not wanted:
                os.kill(pid, _TERMINATE)
            elif pid and _listens(pid):
                os.kill(pid, _HANGUP)
                return
        except ProcessLookupError:
            pass
        if wanted:
            self._start()

    def _pid(self) -> int:
        """The server's pid, 0 when it does not run; a pid that was reused is another program's."""
        text = (try_read_text(f"{self._directory}/aardvark.pid") or "").strip()
        if not text.isdigit():
            return 0
        line = try_read_text(f"/proc/{text}/cmdline") or ""
        return int(text) if self._directory in line.split("\0") else 0

    def _start(self) -> None:
        words = [self._program, "--config", self._directory, "-p", str(self._port), "run"]
        if os.path.isdir("/run/systemd/system") and find_program("systemd-run"):
            # Otherwise it would end with the unit that happened to start the first container.
            words = ["systemd-run", "-q", "--scope", *words]
        done = run(words, timeout=_START_TIMEOUT)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
            raise WherryError(f"aardvark-dns failed to start: {said}")
        log.debug(f"started {' '.join(words)}")
