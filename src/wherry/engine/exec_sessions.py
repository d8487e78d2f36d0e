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


def forget_dead(runtime: Runtime, container: str, *, ended: bool = False) -> None:
    """Forget the sessions of *container* that nobody will finish.

    With *ended* the container does not run any more, and only those are left that have somebody to finish them.
    """
    for session in dead(runtime, container, ended=ended):
        try:
            forget(runtime, session)
        except NotFound:
            continue


def dead(runtime: Runtime, container: str, *, ended: bool = False) -> list[ExecSession]:
    """The sessions of *container* whose starter is gone and that do not run, or with *ended* cannot."""
    found = []
    for identity in runtime.state.exec_ids(container):
        try:
            session = runtime.state.exec_session(identity)
        except NotFound:
            continue
        if not _is_looked_after(runtime, session, ended):
            found.append(session)
    return found


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
