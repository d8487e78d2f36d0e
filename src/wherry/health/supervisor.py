"""The process that has probes run where there is no systemd.

It sleeps until a probe is due, somebody writes to its fifo, a probe ends or a container's process is gone; it runs
nothing itself but starts a short wherry command per probe, so it stays small and a probe that fails in any way cannot
harm it.  It ends when nothing is scheduled.  Everything it knows is in the schedule directory
(:mod:`wherry.health.timers`): one that is killed is replaced by the next wherry command, and probes under way go on.
"""

from __future__ import annotations

import fcntl
import os
import select
import time

from wherry.health.schedule import Entry, due, next_due
from wherry.health.timers import Registry, fifo_of, remove_fifo, schedule_of
from wherry.model.jsontext import JSONError, loads
from wherry.sys import processes
from wherry.sys.files import make_dirs, try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: Probes started in one go; a moment later come the next. A hundred containers started together do not stall the host.
BATCH = 8
PAUSE_MS = 50


def supervise(directory: str, words: Sequence[str]) -> None:
    """Look after the schedule in *directory*; ``[*words, ID]`` runs the probe of a container. Returns at its end."""
    make_dirs(schedule_of(directory))
    alive = os.open(f"{directory}/alive", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with Registry(directory):
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return      # another one was faster
            try:
                # For writing too, so that it never is at its end.
                fifo = os.open(fifo_of(directory), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                return      # nothing is scheduled any more
        Supervisor(directory, words, fifo).run()
    finally:
        os.close(alive)


class Supervisor:
    def __init__(self, directory: str, words: Sequence[str], fifo: int) -> None:
        self._directory = directory
        self._schedule = schedule_of(directory)
        self._registry = Registry(directory)
        self._words = list(words)
        self._fifo = fifo
        self._entries: dict[str, Entry] = {}
        self._files: dict[str, tuple[int, int]] = {}        # container -> inode and mtime of what was read
        self._containers: dict[int, str] = {}               # pidfd -> container
        self._probes: dict[int, tuple[int, str]] = {}       # pidfd -> pid, container
        self._poller = select.poll()
        self._poller.register(fifo, select.POLLIN)
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def run(self) -> None:
        self._read_schedule()
        while self._entries or not self._leave():
            crowded = self._begin_due()
            for fd, _events in self._poller.poll(PAUSE_MS if crowded else self._patience()):
                if fd == self._fifo:
                    os.read(fd, 4096)
                    self._read_schedule()
                elif fd in self._probes:
                    self._probe_ended(fd)
                elif fd in self._containers:
                    self._container_ended(fd)

    def _patience(self) -> int | None:
        """Milliseconds until the next probe is due, None if none is."""
        at = next_due(self._entries)
        return None if at is None else max(0, (at - time.monotonic_ns() + 999_999) // 1_000_000)

    def _leave(self) -> bool:
        """Nothing is scheduled: with the registry locked it is certain, and no new entry can count on us."""
        with self._registry:
            self._read_schedule()
            if self._entries:
                return False
            remove_fifo(self._directory)
            os.close(self._fifo)
            return True

    # -- the schedule ------------------------------------------------------------------------------------------------

    def _read_schedule(self) -> None:
        """Take over what was added, changed and removed."""
        names = [name for name in os.listdir(self._schedule) if not name.startswith(".")]
        for gone in self._entries.keys() - set(names):
            self._forget(gone)
        for name in names:
            self._read_entry(name)

    def _read_entry(self, name: str) -> None:
        path = f"{self._schedule}/{name}"
        try:
            found = os.stat(path)
        except FileNotFoundError:
            self._forget(name)
            return
        stamp = (found.st_ino, found.st_mtime_ns)
        if self._files.get(name) == stamp:
            return
        data = _load(path)
        watch = _watch(data)
        if data is None or watch < 0:       # of another boot, or its container is gone by now, or it is no entry
            self._discard(name, stamp)
            return
        self._unwatch(name)
        self._files[name] = stamp
        self._containers[watch] = name
        self._poller.register(watch, select.POLLIN)
        now = time.monotonic_ns()
        entry = self._entries.get(name)
        if entry is None:
            self._entries[name] = Entry(data["interval"], now, at_once=data["at_once"])
        else:
            entry.change(data["interval"], now, at_once=data["at_once"])

    def _discard(self, name: str, stamp: tuple[int, int]) -> None:
        """Remove an entry nobody needs, unless it was written anew meanwhile."""
        path = f"{self._schedule}/{name}"
        with self._registry:
            try:
                found = os.stat(path)
                if (found.st_ino, found.st_mtime_ns) == stamp:
                    os.unlink(path)
            except FileNotFoundError:
                pass
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._entries.pop(name, None)
        self._files.pop(name, None)
        self._unwatch(name)

    def _unwatch(self, name: str) -> None:
        for fd, container in list(self._containers.items()):
            if container == name:
                self._close(fd)
                del self._containers[fd]

    def _container_ended(self, fd: int) -> None:
        name = self._containers[fd]
        stamp = self._files[name]
        self._read_entry(name)              # it may have been started again
        if self._files.get(name) == stamp:
            self._discard(name, stamp)

    # -- probes ------------------------------------------------------------------------------------------------------

    def _begin_due(self) -> bool:
        """Start the probes that are due; True when there are more than are started at once."""
        now = time.monotonic_ns()
        names = due(self._entries, now, BATCH + 1)
        for name in names[:BATCH]:
            self._begin(name)
        return len(names) > BATCH

    def _begin(self, name: str) -> None:
        entry = self._entries[name]
        entry.began()
        try:
            pid = processes.spawn(
                [*self._words, name], fds={0: self._null, 1: self._null, 2: self._null}, new_session=True
            )
            fd = os.pidfd_open(pid)
        except OSError:                     # no process to be had, or wherry is just being replaced: the next may work
            entry.ended(time.monotonic_ns())
            return
        self._probes[fd] = (pid, name)
        self._poller.register(fd, select.POLLIN)

    def _probe_ended(self, fd: int) -> None:
        pid, name = self._probes.pop(fd)
        self._close(fd)
        os.waitpid(pid, 0)
        self._read_entry(name)              # the probe may have changed what is to be run next
        entry = self._entries.get(name)
        if entry is not None:
            entry.ended(time.monotonic_ns())

    def _close(self, fd: int) -> None:
        self._poller.unregister(fd)
        os.close(fd)


def _load(path: str) -> dict[str, Any] | None:
    text = try_read_text(path)
    try:
        data = loads(text or "")
        if data["boot"] != processes.boot_id() or int(data["interval"]) <= 0:
            return None
        return {key: data[key] for key in ("interval", "at_once", "pid", "pid_start")}
    except (JSONError, KeyError, TypeError, ValueError):
        return None


def _watch(data: dict[str, Any] | None) -> int:
    """A descriptor that becomes readable when the container's process ends; -1 when it has ended."""
    if data is None:
        return -1
    try:
        fd = os.pidfd_open(data["pid"])
    except (ProcessLookupError, ValueError):
        return -1
    if processes.is_alive(data["pid"], data["pid_start"]):
        return fd
    os.close(fd)
    return -1
