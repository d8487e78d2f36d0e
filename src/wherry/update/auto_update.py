"""``rt.auto_update``: plan, apply, history, going back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from wherry.engine.image_lookup import exists
from wherry.errors import InUse, NotFound, TimedOut
from wherry.model.record import EMPTY
from wherry.model.update import PENDING, UNIT_LABEL, UPDATED, BadDigest, Update
from wherry.registry.progress import as_reporter
from wherry.sys.files import make_dirs
from wherry.sys.locks import FileLock
from wherry.update import units
from wherry.update.apply import Executor
from wherry.update.gather import Wanted, gather
from wherry.update.notify import notify
from wherry.update.plan import Plan, plan
from wherry.update.report import Result

if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.registry.progress import Reporter
    from wherry.update.units import UnitManager

_SECOND = 10**9


class AutoUpdate:
    """Unattended updates of the containers labelled ``io.containers.autoupdate``.

    ``plan`` looks and decides and changes nothing; ``apply`` carries a plan out; ``run`` does both after it has put in
    order what a killed run has left.
    """

    def __init__(self, runtime: Runtime, *, manager: UnitManager | None = None) -> None:
        self._runtime = runtime
        self._manager = manager

    def plan(
        self,
        names: Sequence[str] = (),
        *,
        exclude: Sequence[str] = (),
        filters: Mapping[str, Sequence[str]] = EMPTY,
        authfile: str = "",
        tls_verify: bool | None = None,
        retry_bad: bool = False,
        window: float | None = None,
    ) -> Plan:
        """What there is to update, in order, and why the rest is not.

        *names* and *exclude* are of containers, pods and units; *filters* as for ``ps``; *authfile* for containers
        whose label names none; *window* is in seconds.  With *retry_bad* digests once rolled back are tried again.
        Raises ``NoSuchContainer`` for a name, ``InvalidArgument`` for a filter; all else is in the plan's errors.
        """
        wanted = Wanted(
            names=list(names), exclude=list(exclude), filters=dict(filters), authfile=authfile, tls_verify=tls_verify,
            retry_bad=retry_bad, window=-1 if window is None else int(window * _SECOND),
        )
        with _Connection(self._runtime, self._manager) as manager:
            return plan(gather(self._runtime, wanted, manager))

    def apply(
        self,
        plan: Plan,
        *,
        rollback: bool = True,
        tls_verify: bool | None = None,
        progress: Reporter | Callable[[str], object] | None = None,
    ) -> Result:
        """Carry out *plan*: pull, restart or replace, watch, keep or roll back; then tell whom the settings name.

        Raises ``InUse`` while another process updates; what happens to containers is in the result.
        """
        with _Alone(self._runtime), _Connection(self._runtime, self._manager) as manager:
            executor = Executor(
                self._runtime, as_reporter(progress), rollback=rollback, tls_verify=tls_verify, manager=manager
            )
            problems = executor.settle()
            result = executor.apply(plan)
        result = result.replace(errors=[*problems, *result.errors])
        if result.changed or problems:
            notify(self._runtime, result)
        return result

    def settle(self) -> list[str]:
        """Finish or take back what killed runs have left; returns what went wrong with that."""
        with _Alone(self._runtime), _Connection(self._runtime, self._manager) as manager:
            return Executor(self._runtime, as_reporter(None), manager=manager).settle()

    def history(self, container: str = "", *, limit: int = 0) -> list[Update]:
        """What was done, newest first: to one container (by name) or to all; at most *limit* entries (0: all)."""
        return self._runtime.state.updates(container, limit)

    def bad_digests(self) -> list[BadDigest]:
        """Digests that were rolled back, with reason and time."""
        return self._runtime.state.bad_digests()

    def plan_rollback(self, name: str, *, window: float | None = None) -> Plan:
        """A plan that brings *name* (a container, pod or unit) back to the images it had before its last update.

        Raises ``NotFound`` when nothing was updated or the image is gone.
        """
        found = self.plan([name], window=window)
        groups = []
        for group in found.groups:
            tasks = []
            for task in group.tasks:
                last = self._last(task.name, task.old_image)
                if last is None:
                    tasks.append(task.replace(updated="false"))
                    continue
                if not exists(self._runtime.store, last.old_image):
                    raise NotFound(
                        f"the previous image {last.old_image[:12]} of container {task.name} is gone: image not known",
                        hint="containers.conf, [wherry.auto_update]: keep_images says how many are kept",
                    )
                tasks.append(task.replace(
                    updated=PENDING, policy="rollback", reference=last.image, reason="", new_image=last.old_image,
                    new_digest=last.old_digest, digest="", signature="", created="", size=0, version="", revision="",
                ))
            groups.append(group.replace(tasks=tasks))
        wanted = Plan(groups=groups)
        if not wanted.pending:
            raise NotFound(f"no update of {name} to go back from")
        return wanted

    def _last(self, container: str, image: str) -> Update | None:
        """The update that gave the container the image it has."""
        for update in self.history(container):
            if update.result == UPDATED and update.new_image == image and update.policy != "rollback":
                return update
        return None

    def rollback(
        self, name: str, *, window: float | None = None,
        progress: Reporter | Callable[[str], object] | None = None,
    ) -> Result:
        """Bring *name* back to its previous image; the digest it leaves is remembered as bad. See ``plan_rollback``."""
        wanted = self.plan_rollback(name, window=window)
        result = self.apply(wanted, progress=progress)
        for row in result.rows:
            if row.updated == UPDATED:
                self._condemn(row.task.reference, row.task.old_digest, row.task.old_image, row.task.name)
        return result

    def _condemn(self, reference: str, digest: str, image: str, container: str) -> None:
        from wherry.model.timestamps import now_ns

        digests = {digest} | {
            found for record in self._runtime.store.images() if record.id == image for found in record.digests()
        }
        for one in sorted(digests - {""}):
            self._runtime.state.add_bad_digest(BadDigest(
                image=reference, digest=one, reason="somebody went back from it", time_ns=now_ns(),
                container=container,
            ))


class _Connection:
    """``with`` gives the manager of units, or None without systemd; closes what it opened."""

    def __init__(self, runtime: Runtime, given: UnitManager | None) -> None:
        self._runtime = runtime
        self._given = given
        self._opened: UnitManager | None = None

    def __enter__(self) -> UnitManager | None:
        if self._given is not None:
            return self._given
        if any(row.labels.get(UNIT_LABEL) for row in self._runtime.state.container_rows()):
            self._opened = units.connect(self._runtime)
        return self._opened

    def __exit__(self, *_exc: object) -> None:
        if self._opened is not None:
            self._opened.close()


class _Alone:
    """One process updates at a time: two would pull the rug from under each other. Dies with the process."""

    def __init__(self, runtime: Runtime) -> None:
        directory = runtime.paths.locks
        make_dirs(directory)
        self._lock = FileLock(os.path.join(os.path.dirname(directory), "auto-update.lock"))

    def __enter__(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except TimedOut:
            raise InUse(
                "another auto-update is under way", hint="it watches what it has updated for a while; try again then"
            ) from None

    def __exit__(self, *_exc: object) -> None:
        self._lock.release()


