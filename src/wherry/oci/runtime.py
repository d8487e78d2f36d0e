"""An OCI runtime program (crun, runc or a relative): its commands as methods, its failures as wherry errors.

The command line is runc's (its man pages); every runtime libpod supports follows it.
"""

from __future__ import annotations

import _signal  # the C part of signal, without enum
import os

from wherry.errors import WherryError, from_os_error
from wherry.model.jsontext import JSONError, dumps, loads
from wherry.model.record import EMPTY
from wherry.oci.command import Command
from wherry.oci.failures import ContainerGone, classify, is_gone, message_of
from wherry.sys import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from wherry.oci.features import Features

#: Runtimes that understand ``--log-format=json`` (containers.conf, ``runtime_supports_json``).
JSON_LOG = frozenset(("crun", "crun-vm", "crun-wasm", "krun", "runc", "kata", "runsc", "youki", "ocijail"))
#: Runtimes whose container is a plain process of this kernel, so that a signal needs no help from the runtime.
_PLAIN_PROCESS = frozenset(("crun", "crun-wasm", "runc", "youki"))
_STATE_BELOW_RUN = frozenset(("crun", "runc"))
_PATH = ":".join(processes.STANDARD_PATH)


class OciRuntime:
    """One runtime as wherry uses it.

    ``flags`` are global options the user wants (``--debug``); ``env`` is its whole environment (``PATH`` is added when
    missing), also below conmon.  ``root`` is the directory for the runtime's own state.  By default that of crun and
    runc is theirs below ``XDG_RUNTIME_DIR`` of *env*, or else below /run; it is always named, because crun would
    follow the variable wherever it is set, even for root, and not find a container again without it.
    """

    def __init__(
        self,
        name: str,
        path: str,
        *,
        flags: Sequence[str] = (),
        root: str = "",
        systemd_cgroup: bool = False,
        supports_json: bool | None = None,
        env: Mapping[str, str] = EMPTY,
    ) -> None:
        self.name = name
        self.path = path
        self.flags = tuple(flags)
        self.env = {"PATH": _PATH, **env}
        self.root = root
        if not root and self.kind in _STATE_BELOW_RUN:
            self.root = f"{self.env.get('XDG_RUNTIME_DIR') or '/run'}/{self.kind}"
        self.systemd_cgroup = systemd_cgroup
        self.supports_json = os.path.basename(name) in JSON_LOG if supports_json is None else supports_json

    @property
    def kind(self) -> str:
        """The program's base name: ``crun`` for a runtime named by the path ``/opt/bin/crun``."""
        return os.path.basename(self.name)

    def arguments(self) -> list[str]:
        """Global options for every call: the user's flags and the state directory."""
        return [*self.flags, "--root", self.root] if self.root else list(self.flags)

    def state_dir(self, container_id: str) -> str:
        """Where the runtime keeps the state of a container; empty when that is not known."""
        return f"{self.root}/{container_id}" if self.root else ""

    def start(self, container_id: str) -> None:
        """Let a created container run its command."""
        self._do("start", container_id)

    def kill(self, container_id: str, signal: int, *, all: bool = False, pid: int = 0, pid_start: int = 0) -> None:
        """Send *signal* to the container's first process, or with *all* to every process in its cgroup.

        When its *pid* and start time are given and the runtime runs plain processes, the signal goes straight there
        through a pidfd: what crun and runc do, without a process of their own.  Raises :class:`ContainerGone` when
        there is nothing left to signal.
        """
        if pid > 0 and not all and self.kind in _PLAIN_PROCESS:
            self._signal_process(container_id, signal, pid, pid_start)
        else:
            self._do("kill", *(("--all",) if all else ()), container_id, str(signal))

    def _signal_process(self, container_id: str, signal: int, pid: int, pid_start: int) -> None:
        try:
            pidfd = os.pidfd_open(pid)
            try:
                if not processes.is_alive(pid, pid_start):
                    raise ProcessLookupError
                _signal.pidfd_send_signal(pidfd, signal)
            finally:
                os.close(pidfd)
        except ProcessLookupError:
            raise ContainerGone(f"{self.name}: kill container {container_id}: no such process") from None
        except OSError as error:
            raise from_os_error(error, f"sending signal {signal} to container {container_id}") from error

    def delete(self, container_id: str, *, force: bool = False) -> None:
        """Remove what the runtime keeps of a container (state, cgroup); missing is fine.

        Only a stopped or created container is removed, unless *force*, which kills it first.
        """
        self.begin_delete(container_id, force=force).finish()

    def begin_delete(self, container_id: str, *, force: bool = False) -> Deletion:
        """:meth:`delete` in the background: do other work, then call ``finish()`` on the result."""
        return Deletion(self, self._command("delete", *(("--force",) if force else ()), container_id))

    def begin_delete_all(self, container_ids: Sequence[str]) -> Deletions:
        """:meth:`begin_delete` with force for several containers, in one process where the runtime can do that."""
        if self.kind != "crun" or len(container_ids) < 2:
            return Deletions([self.begin_delete(container_id, force=True) for container_id in container_ids])
        pattern = f"^({'|'.join(container_ids)})$"
        # A failure for one of them is only a warning then: whatever is left is deleted by its own name.
        return Deletions(
            [Deletion(self, self._command("delete", "--force", "--regex", pattern))],
            lambda: [key for key in container_ids if os.path.exists(self.state_dir(key))], self,
        )

    def state(self, container_id: str) -> dict[str, Any] | None:
        """The runtime's view (``status``, ``pid``, ...: OCI runtime spec, "State"), or None when it has none."""
        done = self._run("state", container_id)
        if done.returncode == 0:
            try:
                return dict(loads(done.stdout))
            except (JSONError, ValueError, TypeError):
                raise classify(self.name, f"state of {container_id} is not JSON") from None
        text = message_of(done.stderr.decode("utf-8", "replace"))
        if is_gone(text):
            return None
        raise classify(self.name, text)

    def pause(self, container_id: str) -> None:
        """Freeze all processes of the container."""
        self._do("pause", container_id)

    def resume(self, container_id: str) -> None:
        """Thaw a paused container."""
        self._do("resume", container_id)

    def update(self, container_id: str, resources: Mapping[str, Any]) -> None:
        """Change resource limits; *resources* is ``linux.resources`` of the runtime spec, only what changes."""
        data = dumps(dict(resources)).encode()
        failure = self._command("update", "--resources", "-", container_id, input=data).finish()
        if failure:
            raise self.failure(failure)

    def version(self) -> str:
        """What ``--version`` prints, several lines."""
        done = self._run("--version")
        if done.returncode != 0:
            raise classify(self.name, message_of(done.stderr.decode("utf-8", "replace")))
        return done.stdout.decode("utf-8", "replace").strip()

    def features(self) -> Features:
        """What the runtime can do (:mod:`wherry.oci.features`), asked once per version of the program."""
        from wherry.oci.features import features

        return features(self)

    def failure(self, text: str) -> Exception:
        """The error for what a command said."""
        return ContainerGone(f"{self.name}: {text}") if is_gone(text) else classify(self.name, text)

    def _do(self, *words: str) -> None:
        failure = self._command(*words).finish()
        if failure:
            raise self.failure(failure)

    def _command(self, *words: str, input: bytes = b"") -> Command:
        return Command(self._argv(words), self.env, input=input)

    def _run(self, *words: str) -> processes.Completed:
        try:
            return processes.run(self._argv(words), env=self.env)
        except OSError as error:
            raise from_os_error(error, "running OCI runtime") from error

    def _argv(self, words: Sequence[str]) -> list[str]:
        log = ("--log-format=json",) if self.supports_json else ()
        return [self.path, *log, *self.arguments(), *words]


class Deletion:
    """A deletion under way (:meth:`OciRuntime.begin_delete`)."""

    def __init__(self, runtime: OciRuntime, command: Command) -> None:
        self._runtime = runtime
        self._command = command

    def finish(self) -> None:
        """Wait for it; raises :class:`wherry.errors.RuntimeFailed` when the container is still there."""
        failure = self._command.finish()
        if failure and not is_gone(failure):
            raise classify(self._runtime.name, failure)


class Deletions:
    """Several deletions under way; *left* tells what they did not delete although none of them failed."""

    def __init__(
        self,
        running: Sequence[Deletion],
        left: Callable[[], Sequence[str]] = tuple,
        runtime: OciRuntime | None = None,
    ) -> None:
        self._running = list(running)
        self._left = left
        self._runtime = runtime

    def finish(self) -> None:
        """Wait for all; raises the first failure. May be called again."""
        running, self._running = self._running, []
        failed = None
        for deletion in running:
            try:
                deletion.finish()
            except WherryError as error:
                failed = failed or error
        if self._runtime is not None and running:
            for container_id in self._left():
                self._runtime.delete(container_id, force=True)
        if failed is not None:
            raise failed
