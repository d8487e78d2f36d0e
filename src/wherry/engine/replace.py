"""replace: a container is made anew on another image and takes the old one's name; the old one waits until that is
proven and takes the name back if it is not.

Both exist from the first step to the last, and one of them has the name at every moment: names, dependents and the
intent's step change in one transaction.  Whoever is killed leaves an intent that says how far it came; the next command
that looks reverts a replacement that had not switched and judges one that had.
"""

from __future__ import annotations

import os
import time

from wherry.engine.intents import REPLACE, undo_creation_of
from wherry.engine.locked import container_event
from wherry.errors import NoSuchContainer, StateError, WherryError
from wherry.model import status
from wherry.model.container import ContainerConfig
from wherry.model.ids import generate_id, short
from wherry.model.network import NetworkOptions, PortMapping
from wherry.model.record import EMPTY, Record, field
from wherry.model.timestamps import now, now_ns, parse_ns
from wherry.model.update import FAILED, ROLLED_BACK, UPDATED, Update
from wherry.sys import log
from wherry.sys.processes import boot_id, is_alive, start_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerState
    from wherry.model.event import Event
    from wherry.spec.host import ImageFacts
    from wherry.state.outbox import Intent

#: Seconds between two looks at a container that is not yet proven.
_INTERVAL = 0.2
PREPARED = "prepared"       # the old one has the name
SWITCHED = "switched"       # the new one has it
PROVEN = "proven"           # and keeps it


class Swap(Record):
    """What the intent says: enough for another process to finish or revert."""

    name: str = ""
    old: str = ""                       # ids
    new: str = ""
    spare: str = ""                     # name of the new one before the switch
    aside: str = ""                     # name of the old one after it
    step: str = PREPARED
    pid: int = 0                        # of the process at work
    start: int = 0
    boot: str = ""
    restart_policy: str = ""            # these three belong to whichever has the name
    restart_retries: int = 0
    auto_remove: bool = False
    networks: Mapping[str, NetworkOptions] = field(default=EMPTY, table=NetworkOptions)     # as configured, without
    ports: Sequence[PortMapping] = field(default=(), records=PortMapping)                   # what was only kept
    window: int = 0                     # ns the new one is watched before it counts as good
    health_time: int = 0                # ns its health check may take to make up its mind; 0: it has none
    allowed_restarts: int = 0
    sharers: Sequence[str] = ()         # ids of running containers in namespaces of it, in the order of starting
    update: Update = field(default=Update(), record=Update)


class Replacement:
    """A replacement under way. :func:`prepare` makes it; then :meth:`switch`, and :meth:`finish` or :meth:`revert`."""

    def __init__(self, runtime: Runtime, swap: Swap, number: int) -> None:
        self._runtime = runtime
        self.swap = swap
        self._number = number

    @property
    def new(self) -> str:
        """Id of the new container."""
        return self.swap.new

    def switch(self) -> int:
        """Stop the old one, hand the name over, start the new one; returns how long neither ran (ns).

        Raises ``WherryError``; :meth:`revert` then.
        """
        from contextlib import ExitStack

        from wherry.engine.owner import Ownership
        from wherry.engine.stop import stop

        runtime, swap = self._runtime, self.swap
        with ExitStack() as owned:
            # Until the new one runs: exit commands might end the pod for want of running members, or remove a sharer.
            for identity in (swap.old, *swap.sharers):
                owned.enter_context(Ownership(runtime, identity))
            for identity in reversed(swap.sharers):
                stop(runtime, identity, keep=True)
            if not stop(runtime, swap.old, keep=True):
                raise StateError(f"container {swap.name} was stopped meanwhile: container state improper")
            self._exchange(SWITCHED)
            self._start()
        before, after = (runtime.state.container_state(identity) for identity in (swap.old, swap.new))
        return max(0, parse_ns(after.started_time) - parse_ns(before.finished_time))

    def _start(self) -> None:
        from wherry.engine.start import start

        runtime, swap = self._runtime, self.swap
        try:
            start(runtime, swap.new)
        except WherryError as error:
            if not self._loosen():
                raise
            log.info(f"container {swap.name} cannot have the addresses it had: {error}")
            start(runtime, swap.new)
        self._loosen()
        for identity in swap.sharers:
            start(runtime, identity)

    def finish(self, update: Update | None = None) -> None:
        """The new one is good: remove the old one, record *update*."""
        from wherry.engine.remove import remove

        self._step(self.swap.replace(step=PROVEN))
        self._loosen()
        if self._runtime.state.has_container(self.swap.old):
            remove(self._runtime, self.swap.old, force=True)
        self._close(update or self._ended(UPDATED))

    def revert(self, update: Update | None = None) -> None:
        """Back to the old one: it has its name, runs if it did, and the new one is gone.

        Raises what starting the old one raises, after all the rest was done.
        """
        from wherry.engine.remove import remove
        from wherry.engine.stop import stop

        runtime, swap = self._runtime, self.swap
        state = runtime.state
        if not state.has_container(swap.old):
            self._stay(update)
            return
        if swap.step == SWITCHED:
            for identity in reversed(swap.sharers):
                _quietly(stop, runtime, identity, keep=True)
            if state.has_container(swap.new):
                _quietly(stop, runtime, swap.new, keep=True)
            self._exchange(PREPARED)
        elif swap.auto_remove and state.has_container(swap.old):
            state.rewrite_config(swap.old, state.container_config(swap.old).replace(auto_remove=True))
        problem: WherryError | None = None
        try:
            if swap.boot == boot_id():      # after a reboot it is for the restart policy to say what runs
                for identity in (swap.old, *swap.sharers):
                    run_again(runtime, identity)
        except WherryError as error:
            problem = error
        if state.has_container(swap.new):
            remove(runtime, swap.new, force=True, volumes=True)
        else:
            undo_creation_of(runtime, swap.new)
        ended = update or self._ended(ROLLED_BACK)
        if problem is not None:
            ended = ended.replace(result=FAILED, reason=f"{ended.reason}; starting the old container: {problem}")
        self._close(ended)
        if problem is not None:
            raise problem

    def _stay(self, update: Update | None) -> None:
        """There is no old one to go back to: somebody removed it."""
        if self.swap.step == SWITCHED and self._runtime.state.has_container(self.swap.new):
            self._loosen()
        ended = update or self._ended(FAILED)
        self._close(ended.replace(result=FAILED, reason=f"{ended.reason}; the old container was removed meanwhile"))

    def forget(self) -> None:
        """Nothing shall be recorded of it: it has not been tried."""
        self._step(self.swap.replace(update=Update()))

    # -- parts -----------------------------------------------------------------------------------------------------

    def _exchange(self, step: str) -> None:
        """Let the two change names, and with the name what belongs to it."""
        swap, state = self.swap, self._runtime.state
        gets, gives = (swap.new, swap.old) if step == SWITCHED else (swap.old, swap.new)
        aside = swap.aside if step == SWITCHED else swap.spare
        with state.transaction():
            if state.has_container(gives):
                before = state.container_config(gives).replace(
                    name=aside, restart_policy="", restart_retries=0, auto_remove=False
                )
                state.rename_container(gives, aside, before, container_event(before, "rename"))
            after = state.container_config(gets).replace(
                name=swap.name, restart_policy=swap.restart_policy, restart_retries=swap.restart_retries,
                auto_remove=swap.auto_remove,
            )
            state.rename_container(gets, swap.name, after, container_event(after, "rename"))
            for identity in state.dependents(gives) if state.has_container(gives) else ():
                state.rewrite_config(identity, renamed(state.container_config(identity), gives, gets))
            self._step(swap.replace(step=step))
        self._runtime.publish()
        self._follow(gives, gets)

    def _follow(self, *identities: str) -> None:
        """The store's names and the id file follow the database."""
        from wherry.engine.rename import follow

        for identity in identities:
            follow(self._runtime, identity)
        path = self._runtime.state.container_config(identities[-1]).cid_file
        if path:
            from wherry.sys.files import atomic_write

            try:
                atomic_write(path, identities[-1].encode(), 0o644)
            except OSError as error:
                log.warning(f"writing {path}: {error.strerror}")

    def _loosen(self) -> bool:
        """Take the addresses and ports the new one was given to keep out of its configuration; were there any?"""
        swap, state = self.swap, self._runtime.state
        config = state.container_config(swap.new)
        loose = config.replace(networks=swap.networks, port_mappings=swap.ports)
        if loose == config or set(config.networks) != set(swap.networks):
            return False
        state.rewrite_config(swap.new, loose)
        return True

    def _step(self, swap: Swap) -> None:
        state = self._runtime.state
        with state.transaction():
            state.clear_intent(self._number)
            self._number = state.add_intent(REPLACE, swap.old, swap.to_json())
        self.swap = swap

    def _ended(self, result: str) -> Update:
        reason = "" if result == UPDATED else self.swap.update.reason or "the update was interrupted"
        return self.swap.update.replace(result=result, reason=reason, finished_ns=now_ns())

    def _close(self, update: Update) -> None:
        state = self._runtime.state
        with state.transaction():
            state.clear_intent(self._number)
            if update.container:
                state.add_update(update, update_event(update))
        self._runtime.publish()


def update_event(update: Update) -> Event:
    """The event that tells what became of a container's update."""
    from wherry.model.event import Event

    attributes = {
        "policy": update.policy, "oldDigest": update.old_digest, "newDigest": update.new_digest,
        "result": update.result, "unit": update.unit, "reason": update.reason,
    }
    return Event(
        id=update.new_container_id if update.result == UPDATED else update.container_id,
        name=update.container, image=update.image, type="container", status="auto-update", time_ns=now_ns(),
        attributes={key: value for key, value in attributes.items() if value},
    )


def run_again(runtime: Runtime, identity: str) -> None:
    """Let a container run that ran before: one that was sent a stop signal is let end first."""
    from wherry.engine.start import start
    from wherry.engine.stop import stop

    with runtime.lock(identity) as held:
        stopping = held.alive and held.state.stopped_by_user
    if stopping:
        stop(runtime, identity, keep=True)
    start(runtime, identity)


def prepare(
    runtime: Runtime, identity: str, image: ImageFacts, update: Update | None = None, *,
    window: int = 0, health_time: int = 0, allowed_restarts: int = 0,
) -> Replacement:
    """Make the container that shall replace *identity*, which runs: like it in everything, but of *image*.

    *update* is what the history shall say if another process has to conclude; *window* and the rest are what it then
    judges by.  Nothing is left when it fails.
    """
    from wherry.engine.create import add
    from wherry.engine.rebase import rebase

    state = runtime.state
    with runtime.lock(identity) as held:
        old, was = held.config, held.state
    new = rebase(old, stored_image(runtime, old), image)
    new = _moved(runtime, new, old)
    spare = f"{old.name}-{short(new.id)}"
    swap = Swap(
        name=old.name, old=old.id, new=new.id, spare=spare, aside=f"{old.name}-{short(old.id)}",
        pid=os.getpid(), start=start_time(os.getpid()), boot=boot_id(),
        restart_policy=old.restart_policy, restart_retries=old.restart_retries, auto_remove=old.auto_remove,
        networks=new.networks, ports=new.port_mappings, sharers=_sharers(runtime, old.id),
        window=window, health_time=health_time, allowed_restarts=allowed_restarts,
        update=(update or Update()).replace(new_container_id=new.id),
    )
    new = new.replace(
        name=spare, restart_policy="", restart_retries=0, auto_remove=False,
        networks=_with_addresses(new.networks, was), port_mappings=was.port_mappings or new.port_mappings,
    )
    number = state.add_intent(REPLACE, old.id, swap.to_json())
    made = Replacement(runtime, swap, number)
    try:
        if old.auto_remove:         # or the exit command would remove it once it is stopped
            state.rewrite_config(old.id, old.replace(auto_remove=False))
        add(runtime, new)
    except BaseException:
        made.swap = swap.replace(update=Update())
        made.revert()
        raise
    return made


def stored_image(runtime: Runtime, config: ContainerConfig) -> ImageFacts:
    """The image a container was made from, as far as it is still there."""
    from wherry.spec.host import ImageFacts

    return ImageFacts(
        id=config.rootfs_image_id, name=config.rootfs_image_name, raw_name=config.raw_image_name,
        document=runtime.store.image_config(config.rootfs_image_id),
    )


def renamed(config: ContainerConfig, old: str, new: str) -> ContainerConfig:
    """*config* with every mention of the id *old* replaced (an id is nowhere by chance)."""
    from wherry.model.jsontext import dumps, loads

    return ContainerConfig.from_json(loads(dumps(config.to_json()).replace(old, new)))


def _moved(runtime: Runtime, config: ContainerConfig, old: ContainerConfig) -> ContainerConfig:
    """*config* as that of another container: new id, directories, exit command; volumes named."""
    from wherry.engine import volumes
    from wherry.engine.exit_command import exit_command

    identity = generate_id()
    config = renamed(config, old.id, identity)
    networks = {
        name: options.replace(
            aliases=[short(identity) if alias == short(old.id) else alias for alias in options.aliases]
        )
        for name, options in config.networks.items()
    }
    return config.replace(
        networks=networks, created_time=now(), exit_command=exit_command(runtime, identity),
        named_volumes=volumes.named(config.named_volumes),
    )


def _with_addresses(networks: Mapping[str, NetworkOptions], was: ContainerState) -> dict[str, NetworkOptions]:
    """*networks* with the addresses the old container has now, so that its neighbours still find it there."""
    found = dict(networks)
    for name, options in networks.items():
        seen = was.network_status.get(name)
        if seen is None:
            continue
        interfaces = list(seen.interfaces.values())
        addresses = [str(net.ipnet).partition("/")[0] for interface in interfaces for net in interface.subnets]
        mac = interfaces[0].mac_address if interfaces else ""
        found[name] = options.replace(
            static_ips=options.static_ips or addresses, static_mac=options.static_mac or mac
        )
    return found


_SHARED = ("ipc_ns_ctr", "mount_ns_ctr", "net_ns_ctr", "pid_ns_ctr", "user_ns_ctr", "uts_ns_ctr", "cgroup_ns_ctr")


def _sharers(runtime: Runtime, identity: str) -> list[str]:
    """Running containers that live in namespaces of *identity*, or of one that does: they end and begin with it."""
    found: list[str] = []
    for other in runtime.state.dependents(identity):
        config, state = runtime.state.container(other)
        if state.status in status.ALIVE and any(getattr(config, name) == identity for name in _SHARED):
            found += [name for name in (other, *_sharers(runtime, other)) if name not in found]
    return found


def _quietly(verb: Any, *arguments: Any, **options: Any) -> None:
    try:
        verb(*arguments, **options)
    except (StateError, NoSuchContainer) as error:
        log.debug(str(error))


# -- after a crash -------------------------------------------------------------------------------------------------


def is_abandoned(intent: Intent) -> bool:
    return not is_alive(int(intent.data.get("pid", 0)), int(intent.data.get("start", 0)))


def settle(runtime: Runtime, intent: Intent, *, wait: bool = True) -> bool:
    """Finish or revert a replacement whose process is dead. Raises ``WherryError``; the intent stays then.

    A new container that runs but has not done so for its window is waited for, or without *wait* left for another
    time; returns whether it was settled.
    """
    while True:
        swap = Swap.from_json(intent.data)
        good = {PREPARED: False, SWITCHED: verdict(runtime, swap), PROVEN: True}[swap.step]
        if good is not None:
            break
        if not wait:
            return False
        time.sleep(_INTERVAL)
    made = claim(runtime, intent)
    if made is None:
        return True
    if good:
        made.finish()
    else:
        made.revert()
    return True


def claim(runtime: Runtime, intent: Intent) -> Replacement | None:
    """The replacement, with this process now at work on it; None if another one was faster."""
    with runtime.state.transaction():
        there = [one for one in runtime.state.intents() if one.seq == intent.seq]
        if not there or not is_abandoned(there[0]):
            return None
        swap = Swap.from_json(there[0].data)
        made = Replacement(runtime, swap, intent.seq)
        made._step(swap.replace(pid=os.getpid(), start=start_time(os.getpid())))
    for identity in (swap.old, swap.new):
        if runtime.state.has_container(identity):
            from wherry.engine.rename import follow

            follow(runtime, identity)
    return made


def verdict(runtime: Runtime, swap: Swap) -> bool | None:
    """Has the new container proven itself? None: it runs, but not yet for long enough."""
    try:
        with runtime.lock(swap.new) as held:
            state = held.state
    except NoSuchContainer:
        return False
    if state.status not in (status.RUNNING, status.PAUSED) or state.restart_count > swap.allowed_restarts:
        return False
    if state.health_status == "unhealthy":
        return False
    age = now_ns() - parse_ns(state.started_time)
    if age < swap.window:
        return None
    if state.health_status == "starting" and swap.health_time:
        return None if age < swap.health_time else False
    return True


def settle_all(runtime: Runtime) -> bool:
    """Settle every abandoned replacement; for commands that look at containers. Problems are told, not raised."""
    abandoned = [intent for intent in runtime.state.intents() if intent.kind == REPLACE and is_abandoned(intent)]
    for intent in abandoned:
        try:
            settle(runtime, intent, wait=False)
        except (WherryError, OSError) as error:
            log.warning(f"the interrupted update of container {intent.data.get('name')}: {error}")
    return bool(abandoned)
