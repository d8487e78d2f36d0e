"""What is kept of exec sessions while they run, and forgetting those nobody will finish."""

from __future__ import annotations

from wherry.errors import NotFound
from wherry.model.exec_session import RUNNING, STOPPED
from wherry.model.status import ALIVE
from wherry.model.timestamps import SECOND, now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.model.event import Event
    from wherry.model.exec_session import ExecSession

#: How long (ns) a session made by itself is kept after its end, for its exit code to be asked for.
KEPT = 300 * SECOND
#: Exit code of an exec session whose monitor was killed before it could tell.
LOST_EXIT_CODE = 255


def directory_of(runtime: Runtime, session: str) -> str:
    """The session's own directory; a reboot discards it."""
    return f"{runtime.paths.run_dir}/exec/{session}"


def forget_dead(runtime: Runtime, container: str, *, ended: bool = False) -> None:
    """Forget the sessions of *container* that nobody will finish, and those that were kept long enough.

    With *ended* the container does not run any more, and only those are left that have somebody to finish them.
    """
    for session in dead(runtime, container, ended=ended):
        try:
            if session.kept and not ended:
                settle(runtime, session)
            else:
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
        if session.state != RUNNING:
            if ended or _is_stale(session):
                found.append(session)
        elif not _is_looked_after(runtime, session, ended):
            found.append(session)
    return found


def forget(runtime: Runtime, session: ExecSession) -> None:
    """Remove what is kept of the session, with the event that tells of its end. Raises ``NoSuchExecSession``."""
    from wherry.sys.files import remove_tree

    if session.state == RUNNING:
        code, moment = _end_of(runtime, session)
        runtime.state.remove_exec(session.id, _died(runtime, session, code, moment))
    else:
        runtime.state.remove_exec(session.id)
    remove_tree(directory_of(runtime, session.id))
    runtime.publish()


def settle(runtime: Runtime, session: ExecSession, code: int | None = None) -> None:
    """A session's command has ended, with *code* if the caller knows: a kept one is stopped now, another forgotten.

    None is kept beyond the end of its container.  Raises ``NoSuchExecSession``.
    """
    from wherry.sys.files import remove_tree

    state = runtime.state
    if not session.kept or state.container_state(session.container_id).status not in ALIVE:
        forget(runtime, session)
        return
    found, moment = (code, now_ns()) if code is not None else _end_of(runtime, session)
    with state.transaction():
        session = state.exec_session(session.id)
        if session.state == RUNNING:
            session.state, session.exit_code, session.finished_ns = STOPPED, found, moment
            session.pid = session.pid_start = session.owner_pid = session.owner_start = 0
            state.save_exec(session, _died(runtime, session, found, moment))
    if session.state != RUNNING and session.finished_ns < now_ns() - KEPT:
        state.remove_exec(session.id)
    remove_tree(directory_of(runtime, session.id))
    runtime.publish()


def _end_of(runtime: Runtime, session: ExecSession) -> tuple[int, int]:
    """Exit code and time (ns) from the session's exit file, or that it is not known."""
    from wherry.oci.exits import read_exit

    seen = read_exit(f"{directory_of(runtime, session.id)}/exit", session.container_id)
    return (LOST_EXIT_CODE, now_ns()) if seen is None else (seen.code, seen.time_ns)


def _died(runtime: Runtime, session: ExecSession, code: int, moment: int) -> Event:
    from wherry.engine.locked import container_event

    config = runtime.state.container_config(session.container_id)
    return container_event(config, "exec_died", exit_code=code).replace(time_ns=moment)


def _is_stale(session: ExecSession) -> bool:
    """Did a kept session end so long ago that nobody will ask for it?"""
    return session.state == STOPPED and session.finished_ns < now_ns() - KEPT


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
