"""The executor: carries out a plan, group by group; what happens to one never keeps the others from their turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wherry.engine import intents, replace
from wherry.errors import Unavailable, WherryError
from wherry.model.event import Event
from wherry.model.timestamps import now_ns
from wherry.model.update import CURRENT, FAILED
from wherry.spec.parse_values import quote
from wherry.sys import log
from wherry.update import units
from wherry.update.attempt import Attempt, Context, Item, Outcome, carry_out
from wherry.update.images import RolledBack, RunImages
from wherry.update.plan import Group, Plan, Task
from wherry.update.report import Result, Row, row_of
from wherry.update.swap import SwapAttempt
from wherry.update.unit import UnitAttempt, is_abandoned

if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.registry.progress import Reporter
    from wherry.update.units import UnitManager


class Executor:
    """Carries out plans with one connection to systemd, made when the first unit is met."""

    def __init__(
        self, runtime: Runtime, reporter: Reporter, *, rollback: bool = True, tls_verify: bool | None = None,
        manager: UnitManager | None = None,
        clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._runtime = runtime
        self._manager = manager
        self._context = Context(
            runtime, RunImages(runtime, reporter, tls_verify=tls_verify), rollback=rollback, clock=clock, sleep=sleep
        )

    def apply(self, plan: Plan) -> Result:
        """Carry out *plan*; every group has its turn."""
        rows: list[Row] = []
        errors = list(plan.errors)
        if plan.groups:
            self._tell_begin()
        for group in plan.groups:
            done, problems = self._group(group)
            rows += done
            errors += problems
        return Result(rows=rows, errors=errors)

    def settle(self) -> list[str]:
        """Finish or take back what killed runs have left; returns problems."""
        problems: list[str] = []
        for intent in self._runtime.state.intents():
            try:
                if intent.kind == intents.REPLACE and replace.is_abandoned(intent):
                    replace.settle(self._runtime, intent)
                elif intent.kind == intents.WATCH and is_abandoned(intent):
                    attempt = UnitAttempt.resumed(self._context, intent, self._units())
                    if attempt is not None:
                        log.info(f"taking up the interrupted update of unit {intent.object_id}")
                        problems += attempt.conclude().errors
            except WherryError as error:
                problems.append(f"the interrupted update of {intent.data.get('name') or intent.object_id}: {error}")
        return problems

    def _tell_begin(self) -> None:
        self._runtime.state.add_events(Event(type="system", status="auto-update", time_ns=now_ns()))
        self._runtime.publish()

    def _group(self, group: Group) -> tuple[list[Row], list[str]]:
        rows = {task.id: row_of(group, task) for task in group.tasks}
        errors: list[str] = []
        items: list[Item] = []
        for task in group.tasks:
            if not task.pending:
                continue
            try:
                items.append(Item(task=task, image=self._context.images.fetch(task)))
            except RolledBack as error:
                rows[task.id] = rows[task.id].replace(updated=CURRENT, reason=str(error))
            except WherryError as error:
                rows[task.id] = rows[task.id].replace(updated=FAILED, reason=str(error))
                errors.append(_pull_failed(task, error))
        if items:
            outcome, attempt = self._attempt(group, items)
            errors += outcome.errors
            for item in items:
                rows[item.task.id] = _concluded(rows[item.task.id], item, outcome, attempt)
        return list(rows.values()), errors

    def _attempt(self, group: Group, items: Sequence[Item]) -> tuple[Outcome, Attempt | None]:
        try:
            attempt: Attempt = (
                UnitAttempt(self._context, group, items, self._units()) if group.unit
                else SwapAttempt(self._context, group, items)
            )
        except WherryError as error:
            for item in items:
                self._context.images.go_back(item.task)
            return Outcome(result=FAILED, reason=str(error), errors=[f"auto-updating unit {group.name}: {error}"]), None
        return carry_out(attempt), attempt

    def _units(self) -> UnitManager:
        if self._manager is None:
            self._manager = units.connect(self._runtime)
        if self._manager is None:
            raise Unavailable(
                "systemd is not the init system here", hint="containers of units are updated where their units run"
            )
        return self._manager


def _pull_failed(task: Task, error: WherryError) -> str:
    doing = "registry auto-updating" if task.policy == "registry" else "locally auto-updating"
    return f"{doing} container {quote(task.id)}: image update for {quote(task.image)} failed: {error}"


def _concluded(row: Row, item: Item, outcome: Outcome, attempt: Attempt | None) -> Row:
    name = item.task.name
    return row.replace(
        task=item.task.replace(new_image=item.image.id),
        updated=outcome.result,
        reason=outcome.reason,
        new_id=attempt.new_ids.get(name, "") if attempt is not None else "",
        down_ns=attempt.down_ns.get(name, 0) if attempt is not None else 0,
    )
