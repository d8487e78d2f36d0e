"""Events in the systemd journal: sending entries and reading them back.

Fields are Podman's (``PODMAN_EVENT``, ``PODMAN_TYPE``, ``PODMAN_TIME``, ``PODMAN_ID``, ...; podman-events(1)), so that
journal queries made for Podman work.  Two differ: ``SYSLOG_IDENTIFIER`` is ``wherry``, which keeps the two engines'
events apart, and ``WHERRY_ROOT`` is the graph root, which does so for engines with different stores.  A reader
matches those two and ``_UID``.

Sending speaks the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/); reading runs journalctl(1).
"""

from __future__ import annotations

import errno
import os

from wherry.errors import Unavailable
from wherry.events.human import line
from wherry.model.event import Event
from wherry.model.jsontext import JSONError, dumps, loads
from wherry.model.timestamps import SECOND, format_ns, parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "wherry"

#: Journal field -> attribute of Event.
_TEXT_FIELDS = {
    "PODMAN_EVENT": "status",
    "PODMAN_TYPE": "type",
    "PODMAN_ID": "id",
    "PODMAN_NAME": "name",
    "PODMAN_IMAGE": "image",
    "PODMAN_POD_ID": "pod_id",
    "PODMAN_NETWORK_NAME": "network",
    "PODMAN_HEALTH_STATUS": "health_status",
    "PODMAN_HEALTH_LOG": "health_log",
    "PODMAN_CONTAINER_INSPECT_DATA": "inspect_data",
    "ERROR": "error",
}
#: Seconds to wait for a journal that does not take what it is sent.
_PATIENCE = 2
# Syslog severities. Health events are notices: a unit that runs checks may keep lesser messages out of the journal.
_NOTICE, _INFO = 5, 6

_POLL_CHUNK = 1 << 16


def fields_of(event: Event, root: str = "") -> dict[str, str]:
    """The journal entry of an event."""
    fields = {
        "MESSAGE": line(event),
        "PRIORITY": str(_NOTICE if event.health_status else _INFO),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "PODMAN_TIME": format_ns(event.time_ns),
    }
    if root:
        fields["WHERRY_ROOT"] = root
    fields.update({key: getattr(event, name) for key, name in _TEXT_FIELDS.items() if getattr(event, name)})
    if event.exit_code is not None:
        fields["PODMAN_EXIT_CODE"] = str(event.exit_code)
    if event.health_status:
        fields["PODMAN_HEALTH_FAILING_STREAK"] = str(event.health_failing_streak)
    if event.attributes:
        fields["PODMAN_LABELS"] = dumps(event.attributes, sort_keys=True)
    return fields


def event_of(fields: Mapping[str, Any]) -> Event:
    """The event of a journal entry. Raises :class:`ValueError` when the entry is none."""
    if not fields.get("PODMAN_EVENT") or not fields.get("PODMAN_TYPE"):
        raise ValueError("the journal entry is no event")
    values: dict[str, Any] = {name: str(fields[key]) for key, name in _TEXT_FIELDS.items() if fields.get(key)}
    values["time_ns"] = parse_ns(str(fields.get("PODMAN_TIME", "")))
    if fields.get("PODMAN_EXIT_CODE"):
        values["exit_code"] = int(fields["PODMAN_EXIT_CODE"])
    if fields.get("PODMAN_HEALTH_FAILING_STREAK"):
        values["health_failing_streak"] = int(fields["PODMAN_HEALTH_FAILING_STREAK"])
    if fields.get("PODMAN_LABELS"):
        values["attributes"] = loads(fields["PODMAN_LABELS"])
    return Event(**values)


def send(event: Event, root: str = "") -> None:
    """Write the event to the journal. Raises :class:`Unavailable` when no journal listens."""
    from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM, socket

    message = _datagram(fields_of(event, root))
    link = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC)
    link.settimeout(_PATIENCE)      # a journal that hangs must not hold up the engine
    try:
        try:
            link.sendto(message, SOCKET)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            _send_file(link, message)
    except OSError as error:
        raise Unavailable(
            f"writing event to the journal: {SOCKET}: {(error.strerror or str(error)).lower()}",
            hint="without systemd-journald use --events-backend=file or none",
        ) from error
    finally:
        link.close()


def _datagram(fields: Mapping[str, str]) -> bytes:
    """Serialise: ``NAME=value`` lines, and for values of several lines the name, a length and the bytes."""
    parts = []
    for name, value in fields.items():
        data = value.encode("utf-8", "replace")
        if b"\n" in data:
            parts += [name.encode(), b"\n", len(data).to_bytes(8, "little"), data, b"\n"]
        else:
            parts += [name.encode(), b"=", data, b"\n"]
    return b"".join(parts)


def _send_file(link: Any, message: bytes) -> None:
    """Hand over what is too long for a datagram as a sealed memory file."""
    import fcntl
    from _socket import SCM_RIGHTS, SOL_SOCKET

    from wherry.sys.files import write_all

    fd = os.memfd_create("wherry-event", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        write_all(fd, message)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        link.sendmsg([], [(SOL_SOCKET, SCM_RIGHTS, fd.to_bytes(4, "little"))], 0, SOCKET)
    finally:
        os.close(fd)


class JournalEvents:
    """Events a journalctl process prints: those of *uid* (-1: our user) and of the engine with graph root *root*.

    *since* (ns, 0 for none) lets it skip older entries; with *follow* it waits for new ones, and *live* leaves out
    those already there.
    """

    def __init__(self, *, root: str, uid: int, since: int, follow: bool, live: bool) -> None:
        from wherry.sys.identity import effective_uid
        from wherry.sys.processes import find_program, spawn

        program = find_program("journalctl")
        if not program:
            raise Unavailable("reading events from the journal needs journalctl, which is not installed")
        argv = [program, "--quiet", "--no-pager", "--all", "--output=json", f"SYSLOG_IDENTIFIER={IDENTIFIER}"]
        argv.append(f"_UID={effective_uid() if uid < 0 else uid}")
        if root:
            argv.append(f"WHERRY_ROOT={root}")
        if since:
            argv.append(f"--since=@{since // SECOND}")
        if follow:
            argv += ["--follow", "--lines=0" if live else "--no-tail"]
        self._out, writer = os.pipe()
        try:
            self._pid = spawn(argv, fds={1: writer})
        except BaseException:
            os.close(self._out)
            raise
        finally:
            os.close(writer)
        self._rest = b""

    def read(self, timeout: float) -> list[Event] | None:
        """Events that arrive within *timeout* seconds, perhaps none; None after the last one."""
        import select

        if not select.select([self._out], [], [], timeout)[0]:
            return []
        chunk = os.read(self._out, _POLL_CHUNK)
        if not chunk:
            self._end()
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        events = []
        for text in lines:
            try:
                events.append(event_of(loads(text)))
            except (JSONError, ValueError, TypeError, AttributeError):
                continue        # somebody else's entry under our name
        return events

    def close(self) -> None:
        """End the process."""
        from wherry.sys.processes import SIGKILL, wait

        if self._out >= 0:
            os.close(self._out)
            self._out = -1
        if self._pid:
            os.kill(self._pid, SIGKILL)
            wait(self._pid)
            self._pid = 0

    def _end(self) -> None:
        """The process has closed its output; raise :class:`Unavailable` if that was not because all is said."""
        from wherry.sys.processes import wait

        status = wait(self._pid)
        self._pid = 0
        if status:
            raise Unavailable(f"reading events from the journal: journalctl exited with status {status}")
