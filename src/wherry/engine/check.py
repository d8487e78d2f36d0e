"""system check: store, database, mounts, leases and processes against each other; repair without ever wiping."""

from __future__ import annotations

import os

from wherry.errors import WherryError
from wherry.model import status
from wherry.model.record import Record
from wherry.sys import log
from wherry.sys.processes import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime


class Finding(Record):
    """One thing that is not as it should be."""

    area: str = ""               # storage, database, container, mount, namespace, lock, intent, network
    object_id: str = ""
    text: str = ""
    repairable: bool = True
    repaired: bool = False


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
    findings += _network(runtime, repair)
    return findings


def _storage(runtime: Runtime, quick: bool, repair: bool) -> list[Finding]:
    store = runtime.store
    damages = store.check(full=not quick)
    left = {(damage.kind, damage.id) for damage in store.repair(damages)} if repair and damages else None
    return [
        Finding(
            area="storage",
            object_id=damage.id,
            text=damage.text,
            repairable=damage.repairable,
            repaired=left is not None and (damage.kind, damage.id) not in left,
        )
        for damage in damages
    ]


def _intents(runtime: Runtime, repair: bool) -> list[Finding]:
    """Creations a killed process left half done: a storage container without a record."""
    findings = []
    for intent in runtime.state.intents():
        if intent.kind != "create" or _in_progress(runtime, intent.object_id):
            continue
        finding = Finding(
            area="intent", object_id=intent.object_id, text=f"creation of container {intent.object_id} was interrupted"
        )
        if repair:
            finding = _try(finding, lambda found=intent: abandon_creation(runtime, found.object_id, found.sequence))
        findings.append(finding)
    return findings


def _in_progress(runtime: Runtime, identity: str) -> bool:
    """A creation that is not older than a minute may still be going on in another process."""
    import time

    try:
        made = os.stat(os.path.dirname(runtime.store.container_dir(identity))).st_mtime
    except OSError:
        return False
    return time.time() - made < 60


def abandon_creation(runtime: Runtime, identity: str, sequence: int) -> None:
    """Undo a creation that never reached the database."""
    if not runtime.state.has_container(identity):
        runtime.store.delete_container(identity)
    runtime.state.clear_intent(sequence)


def _containers(runtime: Runtime, repair: bool) -> list[Finding]:
    findings = []
    stored = {container.id for container in runtime.store.containers()}
    for row in runtime.state.container_rows(all=True):
        if row.status in status.ALIVE and row.boot_id != boot_id():
            findings.append(_reconcile(runtime, row.id, "is recorded as running in an earlier boot", repair))
        elif row.status in status.ALIVE and not _running(row.pid):
            findings.append(_reconcile(runtime, row.id, f"is recorded as {row.status} but its process is gone", repair))
        elif row.status == status.REMOVING:
            findings.append(_finish_removal(runtime, row.id, repair))
        elif row.status == status.STOPPED:
            findings.append(_cleanup(runtime, row.id, repair))
        if row.id not in stored and row.image_id and row.status != status.REMOVING:
            findings.append(
                Finding(
                    area="container", object_id=row.id, repairable=False,
                    text=f"container {row.name} has lost its storage; remove it with 'wherry rm {row.id[:12]}'",
                )
            )
    return findings


def _running(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _try(finding: Finding, step: object) -> Finding:
    try:
        step()  # type: ignore[operator]
    except (WherryError, OSError) as error:
        log.warning(f"repairing {finding.object_id}: {error}")
        return finding
    return finding.replace(repaired=True)


def _reconcile(runtime: Runtime, identity: str, text: str, repair: bool) -> Finding:
    finding = Finding(area="container", object_id=identity, text=f"container {identity[:12]} {text}")

    def mend() -> None:
        with runtime.lock(identity) as held:
            from wherry.engine.exits import after_exit

            after_exit(held)

    return _try(finding, mend) if repair else finding


def _cleanup(runtime: Runtime, identity: str, repair: bool) -> Finding:
    return _reconcile(runtime, identity, "ended but was not cleaned up", repair)


def _finish_removal(runtime: Runtime, identity: str, repair: bool) -> Finding:
    text = f"removal of container {identity[:12]} was interrupted"
    finding = Finding(area="container", object_id=identity, text=text)

    def mend() -> None:
        from wherry.engine.remove import remove_locked

        with runtime.lock(identity) as held:
            remove_locked(held)

    return _try(finding, mend) if repair else finding


def _leftovers(runtime: Runtime, repair: bool) -> list[Finding]:
    """Namespaces, exit files and run directories of containers that do not exist."""
    findings = []
    known = {row.id for row in runtime.state.container_rows(all=True)}
    places = {
        "namespace": runtime.paths.net_namespaces,
        "exit file": runtime.paths.exits,
        "run directory": runtime.paths.persist,
        "socket": runtime.paths.sockets,
        "owner file": runtime.paths.owners,
    }
    for area, directory in places.items():
        try:
            entries = os.listdir(directory)
        except FileNotFoundError:
            continue
        for name in entries:
            if name in known or len(name) != 64:
                continue
            path = f"{directory}/{name}"
            finding = Finding(area=area, object_id=name, text=f"{area} {path} belongs to no container")
            if repair:
                finding = _try(finding, lambda kind=area, where=path: _remove_leftover(kind, where))
            findings.append(finding)
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


def _network(runtime: Runtime, repair: bool) -> list[Finding]:
    alive = {row.id for row in runtime.state.container_rows(all=True) if row.status in status.ALIVE}
    try:
        driver = runtime.networking.driver
        found = [Finding(area="network", text=text) for text in driver.check(alive)]
        if repair:
            driver.repair(alive)
            found = [finding.replace(repaired=True) for finding in found]
    except WherryError as error:
        return [Finding(area="network", text=str(error), repairable=False)]
    return found
