"""Container states and the one table of legal moves between them.

The engine asks :func:`after` before it does anything to a container; a property test drives this table and the engine
side by side.
"""

from __future__ import annotations

from wherry.errors import StateError

CONFIGURED = "configured"     # in the database, unknown to the OCI runtime ("created" to Podman's users)
CREATED = "created"           # created in the OCI runtime, not started ("initialized")
RUNNING = "running"
STOPPED = "stopped"           # the process ended, resources are still held
PAUSED = "paused"
EXITED = "exited"             # ended and cleaned up
REMOVING = "removing"
STOPPING = "stopping"
UNKNOWN = "unknown"

ALL = (CONFIGURED, CREATED, RUNNING, STOPPED, PAUSED, EXITED, REMOVING, STOPPING, UNKNOWN)

#: What Podman's users see. libpod calls "configured" created and "created" initialized when it prints them.
DISPLAY = {CONFIGURED: "created", CREATED: "initialized"}

INIT = "init"
START = "start"
RUN = "run"                   # the OCI runtime started the process
PAUSE = "pause"
UNPAUSE = "unpause"
STOP = "stop"                 # a stop signal was sent
KILL = "kill"
EXIT = "exit"                 # the process ended
CLEANUP = "cleanup"
REMOVE = "remove"
EXEC = "exec"
ATTACH = "attach"
CHECKPOINT = "checkpoint"
RESTORE = "restore"

#: (state, action) -> state afterwards. A missing entry is an illegal move.
MOVES: dict[tuple[str, str], str] = {
    (CONFIGURED, INIT): CREATED,
    (STOPPED, INIT): CREATED,
    (EXITED, INIT): CREATED,
    (CREATED, RUN): RUNNING,
    (RUNNING, PAUSE): PAUSED,
    (PAUSED, UNPAUSE): RUNNING,
    (CREATED, STOP): STOPPING,
    (RUNNING, STOP): STOPPING,
    (STOPPING, STOP): STOPPING,
    (RUNNING, KILL): RUNNING,
    (STOPPING, KILL): STOPPING,
    (PAUSED, KILL): PAUSED,
    (RUNNING, EXEC): RUNNING,
    (CREATED, ATTACH): CREATED,
    (RUNNING, ATTACH): RUNNING,
    (STOPPING, ATTACH): STOPPING,
    (CREATED, EXIT): STOPPED,
    (RUNNING, EXIT): STOPPED,
    (PAUSED, EXIT): STOPPED,
    (STOPPING, EXIT): STOPPED,
    (CONFIGURED, CLEANUP): CONFIGURED,
    (STOPPED, CLEANUP): EXITED,
    (EXITED, CLEANUP): EXITED,
    (CREATED, CLEANUP): EXITED,
    (CONFIGURED, REMOVE): REMOVING,
    (CREATED, REMOVE): REMOVING,
    (STOPPED, REMOVE): REMOVING,
    (EXITED, REMOVE): REMOVING,
    (REMOVING, REMOVE): REMOVING,
    (UNKNOWN, REMOVE): REMOVING,
    (RUNNING, CHECKPOINT): STOPPED,
    (PAUSED, CHECKPOINT): STOPPED,
    (CONFIGURED, RESTORE): RUNNING,
    (EXITED, RESTORE): RUNNING,
}

#: States in which a process may exist.
ALIVE = frozenset((CREATED, RUNNING, PAUSED, STOPPING))


def display(state: str) -> str:
    """The state's name as Podman prints it."""
    return DISPLAY.get(state, state)


def can(state: str, action: str) -> bool:
    """Is *action* legal in *state*?"""
    return (state, action) in MOVES


def after(state: str, action: str, name: str = "") -> str:
    """The state after *action*; raises :class:`StateError` when it is not legal.  *name* is for the message."""
    try:
        return MOVES[state, action]
    except KeyError:
        who = f"container {name} " if name else ""
        raise StateError(f"cannot {action} {who}in state {display(state)}") from None
