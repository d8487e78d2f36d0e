"""Errors of wherry: the kinds, the exception classes and the one table kind -> exit code and HTTP status.

Every error a user can see is a :class:`WherryError` with a *kind* (what went wrong, from a short closed list), a
message in the words Podman uses where scripts match on them, and optionally a *hint* saying what to do about it.
Front ends never choose a status by looking at a message: they look the kind up in :data:`TABLE`.

Classes that only one package raises live beside the code that raises them and derive from one of these.
"""

from __future__ import annotations

# Kinds. Plain strings: they travel over the wire and into JSON unchanged.
INVALID = "invalid"                      # the request itself is wrong: bad flag, bad value, contradictory options
NOT_FOUND = "not-found"                  # the named object does not exist
EXISTS = "exists"                        # the name or id is taken
IN_USE = "in-use"                        # the object is used by another and was left alone
STATE = "state"                          # the object is in a state that does not allow the action
ALREADY = "already"                      # nothing to do: already started, already stopped
PERMISSION = "permission"                # the operating system refused
UNSUPPORTED = "unsupported"              # the host or this build cannot do it
UNAVAILABLE = "unavailable"              # a program, socket or service that is needed is missing or does not answer
RUNTIME = "runtime"                      # the OCI runtime failed
RUNTIME_PERMISSION = "runtime-permission"    # the OCI runtime found the command but may not run it
RUNTIME_NOT_FOUND = "runtime-not-found"      # the OCI runtime did not find the command
REGISTRY = "registry"                    # a registry refused, or what it sent was wrong
UNAUTHORIZED = "unauthorized"            # credentials missing or refused
CORRUPT = "corrupt"                      # stored data does not have the shape or digest it must have
MISMATCH = "mismatch"                    # the database was made for other paths or a newer schema
NO_SPACE = "no-space"                    # the file system is full or over quota
READ_ONLY = "read-only"                  # the file system is mounted read-only
TIMEOUT = "timeout"                      # it did not happen in the time allowed
CANCELLED = "cancelled"                  # the user interrupted
INTERNAL = "internal"                    # a bug in wherry

#: kind -> (process exit code, HTTP status). Verbs that differ (``rm``: 1 missing, 2 running; ``exists``: 1) say so in
#: the command table, not here.  Source: podman(1) "Exit Codes" and the Docker Engine API error conventions.
TABLE: dict[str, tuple[int, int]] = {
    INVALID: (125, 400),
    NOT_FOUND: (125, 404),
    EXISTS: (125, 409),
    IN_USE: (125, 409),
    STATE: (125, 409),
    ALREADY: (0, 304),
    PERMISSION: (125, 500),
    UNSUPPORTED: (125, 501),
    UNAVAILABLE: (125, 500),
    RUNTIME: (126, 500),
    RUNTIME_PERMISSION: (126, 500),
    RUNTIME_NOT_FOUND: (127, 500),
    REGISTRY: (125, 500),
    UNAUTHORIZED: (125, 401),
    CORRUPT: (125, 500),
    MISMATCH: (125, 500),
    NO_SPACE: (125, 507),
    READ_ONLY: (125, 500),
    TIMEOUT: (125, 408),
    CANCELLED: (130, 499),
    INTERNAL: (125, 500),
}


class WherryError(Exception):
    """Base of every error wherry raises on purpose.

    ``kind`` is one of this module's constants; ``cause`` is the sentinel text that ends the message (what Podman's
    REST service calls *cause*), empty when there is none; ``hint`` is one sentence of advice, or empty.
    """

    kind = INTERNAL
    cause = ""

    def __init__(self, message: str, *, hint: str = "", kind: str = "", exit_code: int = -1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if kind:
            self.kind = kind
        self._exit_code = exit_code

    def __str__(self) -> str:
        if self.cause and not self.message.endswith(self.cause):
            return f"{self.message}: {self.cause}"
        return self.message

    def ending_with(self, exit_code: int) -> None:
        """Let the process end with *exit_code*, whatever the kind."""
        self._exit_code = exit_code

    @property
    def exit_code(self) -> int:
        """Process exit code for this error, 0-255."""
        return self._exit_code if self._exit_code >= 0 else TABLE[self.kind][0]

    @property
    def http_status(self) -> int:
        """HTTP status the REST service answers with."""
        return TABLE[self.kind][1]


class InvalidArgument(WherryError):
    """A value the caller gave is not acceptable; the message names it and says what would be."""

    kind = INVALID


class NotFound(WherryError):
    kind = NOT_FOUND


class NoSuchContainer(NotFound):
    cause = "no such container"


class NoSuchPod(NotFound):
    cause = "no such pod"


class NoSuchImage(NotFound):
    cause = "image not known"


class NoSuchLayer(NotFound):
    cause = "layer not known"


class NoSuchVolume(NotFound):
    cause = "no such volume"


class NoSuchNetwork(NotFound):
    cause = "network not found"


class NoSuchExecSession(NotFound):
    cause = "no such exec session"


class NoSuchExitCode(NotFound):
    cause = "no such exit code"


class AlreadyExists(WherryError):
    kind = EXISTS


class ContainerExists(AlreadyExists):
    cause = "container already exists"


class PodExists(AlreadyExists):
    cause = "pod already exists"


class VolumeExists(AlreadyExists):
    cause = "volume already exists"


class ExecSessionExists(AlreadyExists):
    cause = "exec session already exists"


class NameInUse(AlreadyExists):
    """A name of the storage library is taken (its duplicate-name sentinel)."""

    cause = "that name is already in use"


class InUse(WherryError):
    kind = IN_USE


class ImageInUse(InUse):
    cause = "image is in use by a container"


class VolumeInUse(InUse):
    cause = "volume is being used"


class DependencyExists(InUse):
    cause = "dependency exists"


class StateError(WherryError):
    """The container (pod, session) is in a state in which this cannot be done."""

    kind = STATE
    cause = "container state improper"


class ExecStateError(StateError):
    cause = "exec session state improper"


class ObjectRemoved(StateError):
    """The object went away between look-up and use."""

    kind = NOT_FOUND
    cause = "container has already been removed"


class PermissionRefused(WherryError):
    kind = PERMISSION


class Unsupported(WherryError):
    kind = UNSUPPORTED


class Unavailable(WherryError):
    kind = UNAVAILABLE


class RuntimeFailed(WherryError):
    """The OCI runtime (or conmon) failed."""

    kind = RUNTIME


class RuntimePermissionDenied(RuntimeFailed):
    kind = RUNTIME_PERMISSION
    cause = "OCI permission denied"


class RuntimeCommandNotFound(RuntimeFailed):
    kind = RUNTIME_NOT_FOUND
    cause = "OCI runtime attempted to invoke a command that was not found"


class ConmonDied(RuntimeFailed):
    kind = RUNTIME
    cause = "conmon process killed"


class RegistryError(WherryError):
    kind = REGISTRY


class Unauthorized(RegistryError):
    kind = UNAUTHORIZED


class Corrupt(WherryError):
    kind = CORRUPT


class ConfigurationMismatch(WherryError):
    kind = MISMATCH
    cause = "database configuration mismatch"


class NoSpace(WherryError):
    kind = NO_SPACE


class ReadOnly(WherryError):
    kind = READ_ONLY


class TimedOut(WherryError):
    kind = TIMEOUT


class Cancelled(WherryError):
    kind = CANCELLED


class InternalError(WherryError):
    kind = INTERNAL
    cause = "internal wherry error"


def from_os_error(error: OSError, doing: str) -> WherryError:
    """Translate an :class:`OSError` met while *doing* something into the fitting wherry error.

    The message reads ``doing: PATH: strerror`` in the order Podman's chains use.
    """
    import errno

    where = f" {error.filename}:" if error.filename else ""
    text = f"{doing}:{where} {(error.strerror or str(error)).lower()}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(text, hint="free some space, for example with 'wherry system prune', and try again")
    if error.errno == errno.EROFS:
        return ReadOnly(text)
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionRefused(text)
    if error.errno == errno.ENOENT:
        return NotFound(text)
    return WherryError(text)
