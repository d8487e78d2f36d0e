"""Updating containers a systemd unit runs: the images get their new names, the unit is restarted and makes them anew.

An intent tells of a restarted unit until it has proven itself.  Who finds it abandoned (also after a reboot, which
started the unit on the new image) watches and concludes in place of the one who was killed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wherry.engine import intents
from wherry.engine.listing import listing
from wherry.engine.replace import update_event
from wherry.errors import NoSuchContainer, NotFound, RuntimeFailed, WherryError
from wherry.model.timestamps import SECOND, now_ns
from wherry.model.update import UNIT_LABEL
from wherry.spec.parse_values import quote
from wherry.sys import log
from wherry.sys.processes import is_alive, start_time
from wherry.update import hooks, units
from wherry.update.attempt import Attempt, Item, NotAttempted, Outcome, conclude, judged
from wherry.update.plan import Group
from wherry.update.watch import container_judge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.engine.listing import Summary
    from wherry.model.update import Update
    from wherry.state.outbox import Intent
    from wherry.update.attempt import Context
    from wherry.update.plan import Task
    from wherry.update.units import UnitManager
    from wherry.update.watch import Judge


#: Seconds the units of a pod's containers may take to follow it.
MEMBERS_TIMEOUT = 300.0
_INTERVAL = 0.2


class UnitAttempt(Attempt):
    """One restart for all containers of a unit."""

    def __init__(self, context: Context, group: Group, items: Sequence[Item], manager: UnitManager) -> None:
        super().__init__(context, group, items)
        self.manager = manager
        self._intent = 0
        self._restarts: dict[str, int] = {}     # unit -> how often systemd had restarted it when the watch began

    def prepare(self) -> None:
        units.check_loaded(self.manager, self.group.name)
        for item in self.items:
            hooks.before(self.context.runtime, item.task, item.task.id)
        self._intent = self.context.runtime.state.add_intent(intents.WATCH, self.group.name, self._note())

    def _note(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(), "start": start_time(os.getpid()), "group": self.group.to_json(),
            "images": {item.task.name: item.image.id for item in self.items}, "began_ns": self.began_ns,
        }

    def change(self) -> None:
        self._restart()
        for item in self.items:
            found = self._find(item.task)
            if found is not None:
                self.new_ids[item.task.name] = found.id
                if found.image_id == item.task.old_image != item.image.id:
                    raise NotAttempted(
                        f"systemd unit {quote(self.group.name)} was restarted and container {item.task.name} has its "
                        "old image: the unit does not create its container anew, as units of "
                        "'generate systemd --new' do"
                    )

    def _restart(self) -> None:
        """Raises :class:`RuntimeFailed` when the job does not end well, in the words of the original."""
        unit = self.group.name
        try:
            result = self.manager.restart_unit(unit)
        except WherryError as error:
            raise RuntimeFailed(f"restarting systemd unit {quote(unit)} failed: {error}") from None
        if result != units.DONE:
            raise RuntimeFailed(
                f"restarting systemd unit {quote(unit)} failed: expected {quote(units.DONE)} but received "
                f"{quote(result)}"
            )
        self._wait_for_members()
        self._count()

    def _count(self) -> None:
        names = {self.group.name, *(item.task.own_unit for item in self.items)} - {""}
        self._restarts = {name: units.restarts(self.manager, name) for name in names}

    def _wait_for_members(self) -> None:
        """A pod's unit is done before those of its containers, which systemd restarts with it."""
        context = self.context
        others = {item.task.own_unit for item in self.items} - {"", self.group.name}
        end = context.clock() + MEMBERS_TIMEOUT
        while any(units.is_busy(self.manager, name) for name in others) and context.clock() < end:
            context.sleep(_INTERVAL)

    def judge(self) -> Judge:
        look = container_judge(self.context.runtime, self.identity)

        def judge(task: Task) -> str | None:
            count = max(
                units.restarts(self.manager, name) - self._restarts[name]
                for name in {self.group.name, task.own_unit} - {""}
            )
            if count > task.allowed_restarts:
                return f"its unit was restarted {count} times ({task.allowed_restarts} allowed)"
            seen = look(task)
            if seen:
                state = units.active_state(self.manager, self.group.name)
                if state == "activating" and task.allowed_restarts:
                    return None         # systemd is about to start it again, which it may
            return seen

        return judge

    def identity(self, task: Task) -> str:
        found = self._find(task)
        return found.id if found is not None else ""

    def _find(self, task: Task) -> Summary | None:
        """The container that now does what *task*'s did: of the same name, or of the same unit and image."""
        everything = listing(self.context.runtime, all=True)
        named = [summary for summary in everything if task.name in summary.names]
        if named:
            return named[0]
        for summary in everything:
            if summary.labels.get(UNIT_LABEL) == self.group.name:
                try:
                    config = self.context.runtime.state.container_config(summary.id)
                except NoSuchContainer:
                    continue
                if config.raw_image_name == task.image:
                    return summary
        return None

    def keep(self, updates: Sequence[Update]) -> None:
        self._record(updates)

    def take_back(self, updates: Sequence[Update]) -> None:
        problem: WherryError | None = None
        for item in self.items:
            try:
                self.context.images.go_back(item.task)
            except NotFound as error:
                problem = problem or error
        for name in sorted({self.group.name} | {item.task.own_unit for item in self.items} - {""}):
            try:
                self.manager.reset_failed(name)
            except WherryError as error:
                log.debug(f"resetting unit {name}: {error}")
        try:
            self._restart()
        except WherryError as error:
            problem = problem or RuntimeFailed(f"restarting unit with old image during fallback: {error}")
        if problem is not None:
            self._record([update.replace(result="failed", reason=f"{update.reason}; {problem}") for update in updates])
            raise problem
        self.new_ids = {item.task.name: self.identity(item.task) for item in self.items}
        self._record([
            update.replace(new_container_id=self.new_ids.get(update.container, "")) for update in updates
        ])

    def abandon(self) -> None:
        for item in self.items:
            self.context.images.go_back(item.task)
        self._record(())

    def _record(self, updates: Sequence[Update]) -> None:
        state = self.context.runtime.state
        with state.transaction():
            state.clear_intent(self._intent)
            for update in updates:
                state.add_update(update, update_event(update))
        self.context.runtime.publish()

    # -- after a crash ---------------------------------------------------------------------------------------------

    @classmethod
    def resumed(cls, context: Context, intent: Intent, manager: UnitManager) -> UnitAttempt | None:
        """The attempt a dead process has left; None where another process was faster. Raises ``NotFound``."""
        state = context.runtime.state
        group = Group.from_json(intent.data["group"])
        images = intent.data["images"]
        with state.transaction():
            there = [one for one in state.intents() if one.seq == intent.seq]
            if not there or not is_abandoned(there[0]):
                return None
            state.clear_intent(intent.seq)
            items = [
                Item(task=task, image=context.runtime.store.image(images[task.name]))
                for task in group.tasks if task.name in images
            ]
            attempt = cls(context, group, items, manager)
            attempt.began_ns = int(intent.data["began_ns"])
            attempt._intent = state.add_intent(intents.WATCH, group.name, attempt._note())
        attempt._count()
        return attempt

    def conclude(self) -> Outcome:
        """Watch what the dead process has changed and keep it or take it back; nothing if it had changed nothing."""
        found = {item.task.name: self._find(item.task) for item in self.items}
        if all(summary is not None and summary.image_id == item.task.old_image
               for item in self.items for summary in (found[item.task.name],)):
            self.abandon()
            return Outcome()
        self.new_ids = {name: summary.id for name, summary in found.items() if summary is not None}
        self.items = [_elapsed(item, found[item.task.name]) for item in self.items]
        return conclude(self, judged(self), rollback=self.context.rollback)


def _elapsed(item: Item, summary: Summary | None) -> Item:
    """The time a container has run already counts."""
    if summary is None or not summary.started_at:
        return item
    age = max(0, now_ns() - summary.started_at * SECOND)
    return item.replace(task=item.task.replace(window=max(0, item.task.window - age)))


def is_abandoned(intent: Intent) -> bool:
    """Is the process that noted it dead?"""
    return not is_alive(int(intent.data.get("pid", 0)), int(intent.data.get("start", 0)))
