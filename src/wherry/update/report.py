"""What a run tells: a row per container, in the columns and JSON keys of Podman and some more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherry.model.ids import short
from wherry.model.record import Record, field
from wherry.model.timestamps import format_ns
from wherry.model.update import Update
from wherry.update.plan import Group, Plan, Task


class Row(Record):
    """One container of a run."""

    task: Task = field(default=Task(), record=Task)
    unit: str = ""
    pod: str = ""
    updated: str = ""                   # true, false, pending, failed, rolled back
    reason: str = ""
    new_id: str = ""                    # of the container that runs now, if it is another one
    down_ns: int = 0

    def to_tree(self) -> dict[str, Any]:
        """Podman's keys first; every key is always there."""
        task = self.task
        return {
            "Unit": self.unit,
            "Container": f"{short(task.id)} ({task.name})",
            "ContainerName": task.name,
            "ContainerID": task.id,
            "Image": task.image,
            "Policy": task.policy,
            "Updated": self.updated,
            "Pod": self.pod,
            "Reason": self.reason,
            "OldDigest": task.old_digest,
            "NewDigest": task.digest or task.new_digest,
            "OldImageID": task.old_image,
            "NewImageID": task.new_image,
            "Created": task.created,
            "Size": task.size,
            "OldSize": task.old_size,
            "Version": task.version,
            "OldVersion": task.old_version,
            "Revision": task.revision,
            "Signature": task.signature,
            "Window": task.window,
            "NewContainerID": self.new_id,
            "DownTime": self.down_ns,
        }


class Result(Record):
    """What came of a run: rows in the order of the plan, and every error met. ``errors`` decide on the exit code."""

    rows: Sequence[Row] = field(default=(), records=Row)
    errors: Sequence[str] = ()

    @property
    def changed(self) -> bool:
        """Was anything done, or tried?"""
        return any(row.updated in ("true", "failed", "rolled back") for row in self.rows)


def rows_of(plan: Plan) -> list[Row]:
    """The rows of a plan nobody has carried out (``--dry-run``)."""
    return [row_of(group, task) for group in plan.groups for task in group.tasks]


def row_of(group: Group, task: Task) -> Row:
    return Row(task=task, unit=group.unit, pod=group.pod, updated=task.updated, reason=task.reason)


def history_tree(update: Update) -> dict[str, Any]:
    """An update of the history as JSON."""
    return {
        "Number": update.seq,
        "Time": format_ns(update.time_ns),
        "Finished": format_ns(update.finished_ns),
        "Container": update.container,
        "ContainerID": update.container_id,
        "NewContainerID": update.new_container_id,
        "Unit": update.unit,
        "Pod": update.pod,
        "Image": update.image,
        "Policy": update.policy,
        "OldImageID": update.old_image,
        "NewImageID": update.new_image,
        "OldDigest": update.old_digest,
        "NewDigest": update.new_digest,
        "Updated": update.result,
        "Reason": update.reason,
        "DownTime": update.down_ns,
    }
