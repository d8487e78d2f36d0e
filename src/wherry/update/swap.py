"""Updating containers no unit runs: each is made anew on the new image and takes the old one's place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.engine import replace
from wherry.errors import NotFound, WherryError
from wherry.model.update import ROLLED_BACK
from wherry.spec.host import ImageFacts
from wherry.update import hooks
from wherry.update.attempt import Attempt
from wherry.update.watch import container_judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.replace import Replacement
    from wherry.model.update import Update
    from wherry.update.plan import Task
    from wherry.update.watch import Judge


class SwapAttempt(Attempt):
    """Containers replaced one by one, proven and finished, or reverted, together."""

    _made: dict[str, Replacement]       # container name ->

    def prepare(self) -> None:
        runtime = self.context.runtime
        self._made = {}
        for item in self.items:
            hooks.before(runtime, item.task, item.task.id)
        for item in self.items:
            facts = ImageFacts(
                id=item.image.id, name=item.task.reference, raw_name=item.task.image, digest=item.image.digest,
                document=runtime.store.image_config(item.image.id),
            )
            # What the history says if this process is killed and another one has to take it back.
            update = self.update_of(item.task, item.image.id, ROLLED_BACK, "the update was interrupted")
            made = replace.prepare(
                runtime, item.task.id, facts, update, window=item.task.window, health_time=item.task.health_time,
                allowed_restarts=item.task.allowed_restarts,
            )
            self._made[item.task.name] = made
            self.new_ids[item.task.name] = made.new

    def change(self) -> None:
        for name, made in self._made.items():
            self.down_ns[name] = made.switch()

    def judge(self) -> Judge:
        return container_judge(self.context.runtime, self.identity)

    def identity(self, task: Task) -> str:
        return self.new_ids.get(task.name, "")

    def keep(self, updates: Sequence[Update]) -> None:
        for update in updates:
            self._made[update.container].finish(update)

    def take_back(self, updates: Sequence[Update]) -> None:
        self._back({update.container: update for update in updates})

    def abandon(self) -> None:
        self._back({})

    def _back(self, updates: dict[str, Update]) -> None:
        """Revert what was made, last first; every container whatever became of the others."""
        problems: list[WherryError] = []
        for name, made in reversed(self._made.items()):
            try:
                if name not in updates:
                    made.forget()
                made.revert(updates.get(name))
            except WherryError as error:
                problems.append(error)
        for item in self.items:
            try:
                self.context.images.go_back(item.task)
            except NotFound as error:
                problems.append(error)
        self._made = {}
        if problems:
            raise problems[0]
