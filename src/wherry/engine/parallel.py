"""Doing the same to several objects at once: for work that waits for processes to end."""

from __future__ import annotations

from wherry.errors import WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry.engine.runtime import Runtime

#: How many objects are worked on at the same time.
WORKERS = 8


def for_each(
    runtime: Runtime, identities: Sequence[str], work: Callable[[Runtime, str], None]
) -> dict[str, WherryError]:
    """Call *work* for every identity; returns what failed. One failure does not stop the others.

    Every thread has an engine of its own: database connections are not shared.
    """
    if len(identities) < 2:
        return {identity: error for identity in identities if (error := _attempt(runtime, identity, work)) is not None}
    import threading

    from wherry.engine.runtime import Runtime

    waiting = list(identities)[::-1]
    failed: dict[str, WherryError] = {}
    options = runtime.settings.options

    def run() -> None:
        with Runtime(options) as own:
            while waiting:
                try:
                    identity = waiting.pop()
                except IndexError:
                    return
                error = _attempt(own, identity, work)
                if error is not None:
                    failed[identity] = error

    threads = [threading.Thread(target=run) for _ in range(min(WORKERS, len(waiting)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def _attempt(runtime: Runtime, identity: str, work: Callable[[Runtime, str], None]) -> WherryError | None:
    try:
        work(runtime, identity)
    except WherryError as error:
        return error
    except OSError as error:
        from wherry.errors import from_os_error

        return from_os_error(error, "system call failed")
    return None
