"""The images of a run: each pulled once, its name moved forth and back, the replaced one kept from prune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.engine.image import Image
from wherry.engine.image_pull import PullOptions, pull
from wherry.errors import NoSuchImage, StateError, WherryError
from wherry.model.timestamps import now_ns
from wherry.model.update import BadDigest, KeptImage
from wherry.update import plan as planner

if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.registry.progress import Reporter
    from wherry.storage.records import ImageRecord
    from wherry.update.plan import Task


class RolledBack(StateError):
    """The image was rolled back earlier in this run: nobody else is updated to it."""


class RunImages:
    """Pulls, tags and memory of one run."""

    def __init__(self, runtime: Runtime, reporter: Reporter, *, tls_verify: bool | None = None) -> None:
        self._runtime = runtime
        self._reporter = reporter
        self._tls_verify = tls_verify
        self._pulled: dict[tuple[str, ...], ImageRecord | WherryError] = {}
        self._bad: dict[str, str] = {}          # reference -> reason

    def fetch(self, task: Task) -> ImageRecord:
        """The image *task* is to be updated to, pulled if it was not yet in this run; the name is its from now on.

        Raises :class:`RolledBack`, or what pulling raised the first time.
        """
        if task.reference in self._bad:
            raise RolledBack(f"the image was rolled back in this run: {self._bad[task.reference]}")
        followed = task.policy == planner.REGISTRY
        record = self._once(task) if followed else self._runtime.store.image(task.new_image)
        self._keep(task)
        self._name(record, task.reference)
        return record

    def _once(self, task: Task) -> ImageRecord:
        key = (task.reference, task.authfile, task.platform)
        if key not in self._pulled:
            try:
                self._pulled[key] = self._pull(task)
            except WherryError as error:
                self._pulled[key] = error
        found = self._pulled[key]
        if isinstance(found, WherryError):
            raise found
        return found

    def _pull(self, task: Task) -> ImageRecord:
        system, _, rest = task.platform.partition("/")
        architecture, _, variant = rest.partition("/")
        options = PullOptions(
            authfile=task.authfile, tls_verify=self._tls_verify, os=system, architecture=architecture, variant=variant
        )
        # The old image loses its name with the pull: from here on nobody may prune it.
        self._keep(task)
        return pull(self._runtime, task.reference, options, self._reporter)

    def _keep(self, task: Task, spare: int = 1) -> None:
        kept = KeptImage(image=task.reference, id=task.old_image, digest=task.old_digest, time_ns=now_ns())
        self._runtime.state.keep_image(kept, self._runtime.settings.auto_update.keep_images + spare)

    def _name(self, record: ImageRecord, reference: str) -> None:
        image = Image(self._runtime, self._runtime.store.image(record.id))
        if _is_name(reference) and reference not in image.names:
            image.tag(reference)

    def commit(self, task: Task) -> None:
        """*task* was updated: its old image is kept as the settings say; what it is now is not bad."""
        state = self._runtime.state
        self._keep(task, spare=0)
        for digest in (task.new_digest, task.digest):
            state.forget_bad_digest(task.reference, digest)

    def go_back(self, task: Task) -> None:
        """Give the name back to the image *task* had. Raises ``NoSuchImage`` when it is gone."""
        try:
            self._name(self._runtime.store.image(task.old_image), task.reference)
        except NoSuchImage:
            raise NoSuchImage(
                f"falling back to previous image: {task.old_image}", hint="it was removed while the update went on"
            ) from None
        self._runtime.state.release_image(task.reference, task.old_image)

    def condemn(self, task: Task, reason: str) -> None:
        """Remember what *task* was updated to as bad."""
        self._bad[task.reference] = reason
        digests = {task.new_digest, task.digest} - {""}
        with self._runtime.state.transaction():
            for digest in sorted(digests):
                self._runtime.state.add_bad_digest(BadDigest(
                    image=task.reference, digest=digest, reason=reason, time_ns=now_ns(), container=task.name
                ))


def _is_name(reference: str) -> bool:
    """A local policy may follow what is no name (an id, a digest); that is not tagged."""
    from wherry.errors import InvalidArgument
    from wherry.model.ids import is_hex
    from wherry.model.reference import parse

    try:
        return not parse(reference).digest and not is_hex(reference)
    except InvalidArgument:
        return False
