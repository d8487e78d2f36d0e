"""What is kept of exec sessions while they run, and forgetting those nobody will finish."""

from __future__ import annotations

from wherry.errors import NotFound
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.model.exec_session import ExecSession

#: Exit code of an exec session whose monitor was killed before it could tell.
LOST_EXIT_CODE = 255


def directory_of(runtime: Runtime, session: str) -> str:
    """The session's own directory; a reboot discards it."""
    return f"{runtime.paths.run_dir}/exec/{session}"


def forget_dead(runtime: Runtime, container: str, *, ended: bool = False) -> int:
    """Forget the sessions of *container* whose command or starter is gone; how many there were.

    With *ended* the container does not run any more, and only those are left that have somebody to finish them.
    """
    count = 0
    for identity in runtime.state.exec_ids(container):
        try:
            session = runtime.state.exec_session(identity)
            if not _is_looked_after(runtime, session, ended):
                forget(runtime, session)
                count += 1
        except NotFound:
            continue
    return count


def forget(runtime: Runtime, session: ExecSession) -> None:
    """Remove what is kept of the session, with the event that tells of its end. Raises ``NoSuchExecSession``."""
    from wherry.engine.locked import container_event
    from wherry.oci.exits import read_exit
    from wherry.sys.files import remove_tree

    directory = directory_of(runtime, session.id)
    seen = read_exit(f"{directory}/exit", session.container_id)
    event = container_event(
        runtime.state.container_config(session.container_id), "exec_died",
        exit_code=LOST_EXIT_CODE if seen is None else seen.code,
    )
    runtime.state.remove_exec(session.id, event.replace(time_ns=now_ns() if seen is None else seen.time_ns))
    remove_tree(directory)
    runtime.publish()


def _is_looked_after(runtime: Runtime, session: ExecSession, ended: bool) -> bool:
    """Does the process that started the session live, or a conmon whose exit command will finish it?"""
    from wherry.oci.monitor import read_pid
    from wherry.sys.processes import arguments, is_alive

    if is_alive(session.owner_pid, session.owner_start):
        return True
    if ended and not session.config.exit_command:
        return False
    conmon = read_pid(f"{directory_of(runtime, session.id)}/conmon.pid")
    return bool(conmon) and session.id in arguments(conmon)
