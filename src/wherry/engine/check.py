"""system check: store, database, mounts, leases and processes against each other; repair without ever wiping."""

from __future__ import annotations

import os

from wherry.engine import exec_sessions, intents, owner, volumes
from wherry.errors import Corrupt, NotFound, TimedOut, WherryError
from wherry.model import status
from wherry.model.record import Record
from wherry.sys import log
from wherry.sys.processes import boot_id, is_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wherry.engine.runtime import Runtime
    from wherry.state.rows import ContainerRow


class Finding(Record):
    """One thing that is not as it should be."""

    area: str = ""               # storage, database, container, mount, namespace, lock, intent, network
    object_id: str = ""
    text: str = ""
    repairable: bool = True
    repaired: bool = False
    remedy: str = ""             # what to do where repairing cannot help


def check(runtime: Runtime, *, quick: bool = False, repair: bool = False) -> list[Finding]:
    """Everything found wrong; with *repair* each finding says whether it was mended.

    *quick* leaves out reading the content of every layer.
    """
    findings = _storage(runtime, quick, repair)
    findings += [
        Finding(area="database", text=text, repairable=False) for text in runtime.state.check()
    ]
    findings += _intents(runtime, repair)
    findings += _containers(runtime, repair)
    findings += _leftovers(runtime, repair)
    findings += _locks(runtime, repair)
    findings += _network(runtime, repair)
    return findings


def _storage(runtime: Runtime, quick: bool, repair: bool) -> list[Finding]:
    store = runtime.store
    damages = store.check(full=not quick)
    wanted = repair and any(damage.repairable for damage in damages)
    left = {(damage.kind, damage.id) for damage in store.repair(damages)} if wanted else None
    return [
        Finding(
            area="storage",
            object_id=damage.id,
            text=damage.text,
            repairable=damage.repairable,
            remedy=damage.remedy,
            repaired=left is not None and (damage.kind, damage.id) not in left,
        )
        for damage in damages
    ]


_INTENTS = {
    intents.CREATE: "creation of container",
    intents.RENAME: "renaming of container",
    intents.REPLACE: "update of container",
    volumes.REMOVE: "removal of the files of volume",
}


def _intents(runtime: Runtime, repair: bool) -> list[Finding]:
    """What a killed process left half done: creations without container, removed volumes whose files are there."""
    findings = []
    for intent in intents.abandoned(runtime):
        what = _INTENTS.get(intent.kind, "change of")
        finding = Finding(area="intent", object_id=intent.object_id, text=f"{what} {intent.object_id} was interrupted")
        if repair:
            finding = _try(finding, intents.settle, runtime, intent)
        findings.append(finding)
    return findings


def _containers(runtime: Runtime, repair: bool) -> list[Finding]:
    rows = runtime.state.container_rows(all=True)
    try:
        stored = {container.id for container in runtime.store.containers()}
    except Corrupt:
        stored = {row.id for row in rows}       # nobody can tell; the store's own check says so
    findings = []
    for row in rows:
        text = _complaint(row)
        if text and not _is_looked_after(runtime, row):
            finding = Finding(area="container", object_id=row.id, text=f"container {row.id[:12]} {text}")
            findings.append(_try(finding, _mend, runtime, row.id) if repair else finding)
        findings += _sessions(runtime, row.id, repair)
        if row.id not in stored and row.image_id and row.status != status.REMOVING:
            findings.append(
                Finding(
                    area="container", object_id=row.id, repairable=False,
                    text=f"container {row.name} has lost its storage; remove it with 'wherry rm {row.id[:12]}'",
                )
            )
    return findings


def _complaint(row: ContainerRow) -> str:
    """What is wrong with a container as recorded, empty when nothing is."""
    shown = status.display(row.status)
    if row.status in status.ALIVE and row.boot_id != boot_id():
        return "is recorded as running in an earlier boot"
    if row.owner_pid and not is_alive(row.owner_pid, row.owner_start):
        return f"is {shown} and the process that was changing it is dead"
    if row.status in status.ALIVE and not is_alive(row.pid, row.pid_start):
        return f"is recorded as {shown} but its process is gone"
    if row.status == status.REMOVING:
        return "is half removed"
    if row.status == status.STOPPED:
        return "ended but was not cleaned up"
    if row.status == status.EXITED and row.auto_remove:
        return "ended but was not removed"
    return ""


def _is_looked_after(runtime: Runtime, row: ContainerRow) -> bool:
    """Is a process about to do what is missing: one that holds the lock, its owner, or the exit command?"""
    lock = runtime.container_lock(row.id)
    try:
        lock.acquire(timeout=0)
    except TimedOut:
        return True
    try:
        if owner.is_owned(runtime, row.id):
            return True
        ending = row.boot_id == boot_id() and not is_alive(row.pid, row.pid_start)
        return ending and is_alive(row.conmon_pid, row.conmon_start)
    finally:
        lock.release(remove=not runtime.state.has_container(row.id))


def _mend(runtime: Runtime, identity: str) -> None:
    """Entering the lock finds out what is; then bring it to rest."""
    from wherry.engine.exits import after_exit
    from wherry.engine.remove import remove_locked

    with runtime.lock(identity) as held:
        if held.state.status == status.REMOVING:
            remove_locked(held)
        else:
            after_exit(held)


def _sessions(runtime: Runtime, identity: str, repair: bool) -> Iterator[Finding]:
    for session in exec_sessions.dead(runtime, identity):
        finding = Finding(
            area="exec session", object_id=session.id, text=f"exec session {session.id[:12]} has ended unnoticed"
        )
        if repair:
            finding = _try(finding, exec_sessions.forget, runtime, session)
        yield finding


def _try(finding: Finding, step: Callable[..., object], *arguments: object) -> Finding:
    try:
        step(*arguments)
    except NotFound:
        pass        # somebody else was faster
    except (WherryError, OSError) as error:
        log.warning(f"repairing {finding.object_id}: {error}")
        return finding
    return finding.replace(repaired=True)


def _leftovers(runtime: Runtime, repair: bool) -> list[Finding]:
    """Namespaces, exit files and run directories of containers and exec sessions that do not exist."""
    paths = runtime.paths
    places = {
        "namespace": paths.net_namespaces,
        "exit file": paths.exits,
        "run directory": paths.persist,
        "socket": paths.sockets,
        "owner file": paths.owners,
        "session directory": os.path.dirname(exec_sessions.directory_of(runtime, "x")),
    }
    # First the files, then the rows: what is made meanwhile is not mistaken for a leftover.
    there = [(area, f"{where}/{name}", name) for area, where in places.items() for name in _listed(where)]
    known = {row.id for row in runtime.state.container_rows(all=True)}
    known.update(session for identity in tuple(known) for session in runtime.state.exec_ids(identity))
    findings = []
    for area, path, name in there:
        if name in known or len(name) != 64:
            continue
        finding = Finding(area=area, object_id=name, text=f"{area} {path} belongs to nothing")
        if repair:
            finding = _try(finding, _remove_leftover, area, path)
        findings.append(finding)
    return findings


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _locks(runtime: Runtime, repair: bool) -> list[Finding]:
    """Lock files of containers that do not exist and are not being created."""
    prefix = os.path.basename(runtime.paths.lock("container", ""))
    findings = []
    for name in _listed(runtime.paths.locks):
        identity = name.removeprefix(prefix)
        if not name.startswith(prefix) or runtime.state.has_container(identity):
            continue
        lock = runtime.container_lock(identity)
        try:
            lock.acquire(timeout=0)
        except TimedOut:
            continue
        gone = not runtime.state.has_container(identity)
        if gone:
            findings.append(
                Finding(area="lock", object_id=identity, text=f"lock file {name} belongs to nothing", repaired=repair)
            )
        lock.release(remove=gone and repair)
    return findings


def _remove_leftover(area: str, path: str) -> None:
    from wherry.sys.files import remove_tree
    from wherry.sys.namespaces import remove_netns

    if area == "namespace":
        remove_netns(path)
    elif os.path.isdir(path):
        remove_tree(path)
    else:
        os.unlink(path)


class _Living:
    """Ids of the containers that run or are being started, looked up when asked for.

    The driver reads its own files first; a container that is being started meanwhile must not look dead to it.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def __iter__(self) -> Iterator[str]:
        rows = self._runtime.state.container_rows(all=True)
        return iter([row.id for row in rows if row.status in status.ALIVE or row.owner_pid])

    def __contains__(self, identity: object) -> bool:
        return identity in set(self)

    def __len__(self) -> int:
        return len(set(self))


def _network(runtime: Runtime, repair: bool) -> list[Finding]:
    living = _Living(runtime)
    try:
        driver = runtime.networking.driver
        problems = driver.check(living)
        left = problems
        if repair:
            driver.repair(living)
            left = driver.check(living)
    except WherryError as error:
        return [Finding(area="network", text=str(error), repairable=False)]
    return [Finding(area="network", text=text, repaired=text not in left) for text in problems]
