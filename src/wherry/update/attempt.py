"""One group's update: prepared, made, watched, then kept or taken back. How it is made is the attempt's business."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from wherry.errors import WherryError
from wherry.model.record import Record
from wherry.model.timestamps import now_ns
from wherry.model.update import FAILED, ROLLED_BACK, UPDATED, Update
from wherry.update import hooks
from wherry.update.watch import Judge, Verdict, watch

if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.storage.records import ImageRecord
    from wherry.update.images import RunImages
    from wherry.update.plan import Group, Task


class Item(Record):
    """A task with the image it is to be updated to."""

    task: Task
    image: ImageRecord


class Context:
    """What the attempts of a run share."""

    def __init__(
        self, runtime: Runtime, images: RunImages, *, rollback: bool = True,
        clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.runtime = runtime
        self.images = images
        self.rollback = rollback
        self.clock = clock
        self.sleep = sleep


class NotAttempted(WherryError):
    """Nothing was changed, and nothing is known against the new image."""


class Attempt:
    """What an attempt must do; :func:`carry_out` calls it in this order."""

    def __init__(self, context: Context, group: Group, items: Sequence[Item]) -> None:
        self.context = context
        self.group = group
        self.items = items
        self.began_ns = now_ns()
        self.down_ns: dict[str, int] = {}       # container name -> time without it
        self.new_ids: dict[str, str] = {}       # container name -> the one that runs now

    def prepare(self) -> None:
        """Everything that can go wrong before something is changed. Raises ``WherryError``."""

    def change(self) -> None:
        """Let the containers run on their new images. Raises ``WherryError``."""
        raise NotImplementedError

    def judge(self) -> Judge:
        """How to look at them afterwards."""
        raise NotImplementedError

    def identity(self, task: Task) -> str:
        """The container that runs for *task* now; empty if there is none."""
        raise NotImplementedError

    def keep(self, updates: Sequence[Update]) -> None:
        """The change stays; record *updates*."""
        raise NotImplementedError

    def take_back(self, updates: Sequence[Update]) -> None:
        """Undo :meth:`change`, names of images included, and record *updates*. Raises ``WherryError``."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Undo :meth:`prepare`."""

    def update_of(self, task: Task, image: str, result: str, reason: str) -> Update:
        """What the history shall say of *task*."""
        return Update(
            time_ns=self.began_ns, finished_ns=now_ns(), container=task.name, container_id=task.id,
            new_container_id=self.new_ids.get(task.name, ""), unit=self.group.unit, pod=self.group.pod,
            image=task.reference, policy=task.policy, old_image=task.old_image, new_image=image,
            old_digest=task.old_digest, new_digest=task.digest or task.new_digest, result=result, reason=reason,
            down_ns=self.down_ns.get(task.name, 0),
        )


class Outcome(Record):
    """What became of a group: one result for all of it."""

    result: str = ""
    reason: str = ""
    errors: Sequence[str] = ()


def carry_out(attempt: Attempt) -> Outcome:
    """Do it all. Never raises ``WherryError``: what went wrong is in the outcome."""
    context = attempt.context
    try:
        attempt.prepare()
    except WherryError as error:
        return _nothing_done(attempt, error)
    try:
        attempt.change()
        verdict = judged(attempt)
    except NotAttempted as error:
        return _nothing_done(attempt, error)
    except WherryError as error:
        verdict = Verdict(problem=str(error))
    return conclude(attempt, verdict, rollback=context.rollback)


def judged(attempt: Attempt) -> Verdict:
    """Watch the containers, then run what the labels want run afterwards."""
    context = attempt.context
    tasks = [item.task for item in attempt.items]
    verdict = watch(tasks, attempt.judge(), clock=context.clock, sleep=context.sleep)
    if verdict.problem:
        return verdict
    for task in tasks:
        try:
            hooks.after(context.runtime, task, attempt.identity(task))
        except WherryError as error:
            return Verdict(name=task.name, problem=str(error))
    return verdict


def conclude(attempt: Attempt, verdict: Verdict, *, rollback: bool) -> Outcome:
    """Keep it, leave it as it is, or take it back."""
    images = attempt.context.images
    if not verdict.problem:
        try:
            for item in attempt.items:
                images.commit(item.task)
            attempt.keep(_updates(attempt, UPDATED, ""))
        except WherryError as error:
            return Outcome(result=UPDATED, errors=[f"{_who(attempt)}: clearing up after the update: {error}"])
        return Outcome(result=UPDATED)
    reason = f"container {verdict.name}: {verdict.problem}" if verdict.name else verdict.problem
    if not rollback:
        errors = [f"{_who(attempt)}: {reason}"]
        try:
            attempt.keep(_updates(attempt, FAILED, reason))
        except WherryError as error:
            errors.append(f"{_who(attempt)}: {error}")
        return Outcome(result=FAILED, reason=reason, errors=errors)
    for item in attempt.items:
        if verdict.name in ("", item.task.name):
            images.condemn(item.task, reason)
    try:
        attempt.take_back(_updates(attempt, ROLLED_BACK, reason))
    except WherryError as error:
        return Outcome(result=FAILED, reason=reason, errors=[f"{_who(attempt)}: {reason}; rolling back: {error}"])
    return Outcome(result=ROLLED_BACK, reason=reason)


def _nothing_done(attempt: Attempt, error: WherryError) -> Outcome:
    errors = [f"{_who(attempt)}: {error}"]
    try:
        attempt.abandon()
    except WherryError as another:
        errors.append(f"{_who(attempt)}: {another}")
    return Outcome(result=FAILED, reason=str(error), errors=errors)


def _updates(attempt: Attempt, result: str, reason: str) -> list[Update]:
    return [attempt.update_of(item.task, item.image.id, result, reason) for item in attempt.items]


def _who(attempt: Attempt) -> str:
    group = attempt.group
    return f"auto-updating {group.kind} {group.name}"
