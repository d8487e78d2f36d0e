"""User-mode networks: pasta(1) and slirp4netns(1) give a namespace the host's network without bridges or privileges.

One process per container.  pasta goes to the background by itself once the namespace is connected and ends with it;
slirp4netns says on a descriptor when it is ready and is ended by us.  Their pids are kept in the run directory, so that
any process can take them down.
"""

from __future__ import annotations

import _signal
import os
import time

from wherry.errors import InvalidArgument, Unavailable, WherryError
from wherry.model import jsontext
from wherry.model.network import NetAddress, NetInterface, NetworkStatus
from wherry.network.child import ENVIRONMENT
from wherry.sys.files import atomic_write, make_dirs, try_read_text
from wherry.sys.processes import is_alive, run, spawn, start_time, wait_gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from wherry.config.settings import Settings
    from wherry.model.network import PortMapping
    from wherry.network.protocol import AttachRequest

MODES = ("pasta", "slirp4netns")
TAP = "tap0"
MTU = 65520
CIDR = "10.0.2.0/24"
#: Where pasta takes questions for the host's name server, and how containers reach the host itself (Podman's choice).
DNS_FORWARD = "169.254.1.1"
MAP_GUEST = "169.254.1.2"
#: Takes the place of a container's id for the process that connects the namespace of rootless bridges.
SHARED = "rootless"
_BUSY_TUN = "Failed to open tun socket in namespace"
_DYING_TIMEOUT = 2.0
_OLD_PASTA = "unrecognized option '--map-guest-addr'"
_TRUE = ("true", "1", "t", "T", "TRUE", "True")
_TERMINATE: int = _signal.SIGTERM
_START_TIMEOUT = 15.0
_READY_FD = 3


def pasta_arguments(
    namespace: str, options: Sequence[str], ports: Iterable[PortMapping], pid_file: str, *, guest: bool = True
) -> list[str]:
    """The words after ``pasta``; what *options* do not say has Podman's defaults (nothing forwarded but *ports*).

    *guest* says that this pasta knows ``--map-guest-addr``.
    """
    words = ["--config-net", "--pid", pid_file]
    kinds = {"tcp": "-t", "udp": "-u"}
    given = set(options)
    for mapping in ports:
        for protocol in mapping.protocol.split(","):
            if protocol not in kinds:
                raise InvalidArgument(f"can't forward protocol: {protocol}")
            words += [kinds[protocol], _pasta_port(mapping)]
            given.add(kinds[protocol])
    words += options
    for flag, long in (("-t", "--tcp-ports"), ("-u", "--udp-ports"), ("-T", "--tcp-ns"), ("-U", "--udp-ns")):
        if flag not in given and long not in given:
            words += [flag, "none"]
    if "--map-gw" in words:
        words.remove("--map-gw")
    elif "--no-map-gw" not in words:
        words.append("--no-map-gw")
    if "--dns-forward" not in given:
        words += ["--dns-forward", DNS_FORWARD]
    if guest and "--map-guest-addr" not in given:
        words += ["--map-guest-addr", MAP_GUEST]
    return [*words, "--quiet", "--netns", namespace]


def _pasta_port(mapping: PortMapping) -> str:
    """``[address/]first[-last][:first[-last]]`` as pasta's -t and -u take it."""
    last = (mapping.range or 1) - 1
    host, inner = str(mapping.host_port), str(mapping.container_port)
    if last:
        host, inner = f"{host}-{mapping.host_port + last}", f"{inner}-{mapping.container_port + last}"
    prefix = f"{mapping.host_ip}/" if mapping.host_ip else ""
    return f"{prefix}{host}:{inner}"


def slirp_arguments(namespace: str, options: Sequence[str], socket: str) -> list[str]:
    """The words after ``slirp4netns`` for the options of ``--network slirp4netns:...``. Raises ``InvalidArgument``."""
    wanted = {"allow_host_loopback": "false", "mtu": str(MTU), "enable_ipv6": "true", "cidr": CIDR}
    words = []
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise InvalidArgument(f'invalid option for slirp4netns: "{option}"')
        if key in ("outbound_addr", "outbound_addr6"):
            words.append(f"--{key.replace('_', '-')}={value}")
        elif key == "port_handler":
            if value not in ("slirp4netns", "rootlesskit"):
                raise InvalidArgument(f'unknown port_handler for slirp4netns: "{value}"')
        elif key not in wanted:
            raise InvalidArgument(f'unknown option for slirp4netns: "{option}"')
        wanted[key] = value
    if wanted["allow_host_loopback"] not in _TRUE:
        words.append("--disable-host-loopback")
    if not wanted["mtu"].isdigit():
        raise InvalidArgument(f'invalid mtu "{wanted["mtu"]}"')
    words += [f"--mtu={wanted['mtu']}", "--enable-sandbox", "--enable-seccomp"]
    if wanted["enable_ipv6"] in _TRUE:
        words.append("--enable-ipv6")
    if wanted["cidr"] != CIDR:
        words.append(f"--cidr={wanted['cidr']}")
    if socket:
        words.append(f"--api-socket={socket}")
    return [*words, "-c", "-r", str(_READY_FD), "--netns-type=path", namespace, TAP]


def slirp_status(options: Sequence[str]) -> dict[str, NetworkStatus]:
    """The addresses slirp4netns gives: .100 to the container, .2 is the host, .3 the name server."""
    from wherry.network.addresses import parse_cidr, to_text

    cidr = next((option.partition("=")[2] for option in options if option.startswith("cidr=")), CIDR)
    subnet = parse_cidr(cidr)
    own, gateway, server = (to_text(subnet.base + offset, 32) for offset in (100, 2, 3))
    address = NetAddress(ipnet=f"{own}/{subnet.length}", gateway=gateway)
    return {"slirp4netns": NetworkStatus(interfaces={TAP: NetInterface(subnets=[address])}, dns_server_ips=[server])}


def pasta_status(namespace: str, words: Sequence[str]) -> dict[str, NetworkStatus]:
    """What pasta, started with *words*, gave the namespace: the addresses of its interface, and a name server.

    The "gateway" is where the host is found, with a pasta that has an address for that.
    """
    from wherry.sys import rtnetlink

    with rtnetlink.open_in(namespace) as inside:
        found = [text for text in rtnetlink.subnets(inside) if not text.startswith(("127.", "::1/", "fe80"))]
        names = [link.name for link in rtnetlink.links(inside) if link.name != "lo"]
    option = "--map-guest-addr"
    host = words[words.index(option) + 1] if option in words else ""
    interface = NetInterface(subnets=[NetAddress(ipnet=text, gateway=host) for text in found])
    server = words[words.index("--dns-forward") + 1]
    return {"pasta": NetworkStatus(interfaces=dict.fromkeys(names[:1], interface), dns_server_ips=[server])}


class UserMode:
    """The user-mode networks of one engine."""

    def __init__(self, settings: Settings, run_dir: str) -> None:
        self._settings = settings
        self._directory = run_dir + "/usermode"

    def begin(self, request: AttachRequest, mode: str, options: Mapping[str, Sequence[str]]) -> PendingUserMode:
        """Connect ``request.net_ns`` by *mode*, with the words of ``--network MODE:...``; done on return."""
        words = list(options.get(mode) or ())
        make_dirs(self._directory)
        if mode == "pasta":
            return PendingUserMode(self, request, self._pasta(request, words))
        return PendingUserMode(self, request, self._slirp(request, words))

    def _program(self, name: str) -> str:
        from wherry.config.helpers import find

        configured = self._settings.engine.network_cmd_path if name == "slirp4netns" else ""
        program = configured or find(self._settings, name)
        if not program:
            raise Unavailable(f'could not find {name}, the network namespace can\'t be configured: exec: "{name}": '
                              "executable file not found in $PATH")
        return program

    def _pasta(self, request: AttachRequest, options: Sequence[str]) -> dict[str, NetworkStatus]:
        program = self._program("pasta")
        every = [*self._settings.network.pasta_options, *options]
        if self._settings.uid == 0 and "--runas" not in every:
            every += ["--runas", "0"]       # it would become nobody, who may not open the namespace
        namespace, ports = request.net_ns, request.port_mappings
        for guest in (True, False):
            words = pasta_arguments(namespace, every, ports, self._file(request.container_id), guest=guest)
            done = run([program, *words], env=ENVIRONMENT, timeout=_START_TIMEOUT)
            if not done.returncode or _OLD_PASTA not in done.stderr.decode(errors="replace"):
                break
        if done.returncode:
            raise WherryError(f"pasta failed with exit code {done.returncode}:\n{_said(done.stderr)}")
        return pasta_status(namespace, words)

    def connect_shared(self, namespace: str) -> None:
        """Connect the namespace of rootless bridges. Raises ``Unavailable``, ``WherryError``."""
        from wherry.network.protocol import AttachRequest

        make_dirs(self._directory)
        self.stop(SHARED)
        request = AttachRequest(container_id=SHARED, net_ns=namespace)
        deadline = time.monotonic() + _DYING_TIMEOUT
        while True:
            try:
                self._pasta(request, [])
                return
            except WherryError as error:
                # The interface of one that was killed takes a moment to go.
                if _BUSY_TUN not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.02)

    def _slirp(self, request: AttachRequest, options: Sequence[str]) -> dict[str, NetworkStatus]:
        program = self._program("slirp4netns")
        every = [*self._settings.engine.network_cmd_options, *options]
        socket = f"{self._directory}/{request.container_id[:12]}.sock" if request.port_mappings else ""
        words = slirp_arguments(request.net_ns, every, socket)
        ready, theirs = os.pipe2(os.O_CLOEXEC)
        log = os.memfd_create("slirp4netns")
        try:
            with open(os.devnull, "r+b") as null:
                fds = {0: null.fileno(), 1: null.fileno(), 2: log, _READY_FD: theirs}
                pid = spawn([program, *words], env=ENVIRONMENT, fds=fds, new_session=True)
            os.close(theirs)
            theirs = -1
            atomic_write(self._file(request.container_id), f"{pid} {start_time(pid)}".encode(), sync=False)
            if not os.read(ready, 1):
                os.waitpid(pid, 0)
                raise WherryError(f"slirp4netns failed: {_said(os.pread(log, 4096, 0))}")
            for call in _forwardings(request.port_mappings):
                _ask(socket, call)
        except BaseException:
            self.stop(request.container_id)
            raise
        finally:
            os.close(ready)
            os.close(log)
            if theirs >= 0:
                os.close(theirs)
        return slirp_status(every)

    def _file(self, container: str) -> str:
        return f"{self._directory}/{container}.pid"

    def alive(self, container: str) -> bool:
        """Does the container's process run?"""
        return self._pid(container) > 0

    def _pid(self, container: str) -> int:
        """Pid of the container's process, 0 when there is none."""
        text = (try_read_text(self._file(container)) or "").split()
        if not text or not text[0].isdigit():
            return 0
        pid = int(text[0])
        line = try_read_text(f"/proc/{pid}/cmdline") or ""
        return pid if any(mode in line for mode in MODES) and is_alive(pid) else 0

    def stop(self, container: str) -> None:
        """End the container's process, if there is one."""
        pid = self._pid(container)
        if pid:
            try:
                os.kill(pid, _TERMINATE)
                wait_gone(pid, timeout=5)
                os.waitpid(pid, os.WNOHANG)
            except (ProcessLookupError, ChildProcessError):
                pass
        for path in (self._file(container), f"{self._directory}/{container[:12]}.sock"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass


class PendingUserMode:
    """A namespace that is connected already."""

    def __init__(self, network: UserMode, request: AttachRequest, status: Mapping[str, NetworkStatus]) -> None:
        self._network = network
        self._request = request
        self._status = status

    def result(self) -> Mapping[str, NetworkStatus]:
        return self._status

    def cancel(self) -> None:
        """Give up: end the process."""
        self._network.stop(self._request.container_id)


def _forwardings(ports: Iterable[PortMapping]) -> Iterator[dict[str, object]]:
    """Requests to slirp4netns's API socket (slirp4netns(1) "API SOCKET")."""
    for mapping in ports:
        for protocol in mapping.protocol.split(","):
            for offset in range(mapping.range or 1):
                yield {
                    "execute": "add_hostfwd",
                    "arguments": {
                        "proto": protocol,
                        "host_addr": mapping.host_ip or "0.0.0.0",
                        "host_port": mapping.host_port + offset,
                        "guest_port": mapping.container_port + offset,
                    },
                }


def _ask(path: str, call: Mapping[str, object]) -> None:
    from _socket import AF_UNIX, SHUT_WR, SOCK_CLOEXEC, SOCK_STREAM
    from _socket import socket as Socket

    client = Socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
    try:
        client.connect(path)
        client.send(jsontext.dumps(call).encode())
        client.shutdown(SHUT_WR)
        answer = client.recv(4096).decode(errors="replace")
    finally:
        client.close()
    if '"error"' in answer:
        raise WherryError(f"slirp4netns: {answer.strip()}")


def _said(output: bytes) -> str:
    return output.decode(errors="replace").strip()
