"""What went wrong in the OCI runtime, in Podman's words.

The runtimes report in their log (``--log-format=json``: one object per line with ``msg`` and ``level``) or, without
it, on standard error.  The kind of failure can only be told from the text; the patterns are those libpod matches, so
that exit codes agree: 126 permission, 127 command not found, 126 anything else.
"""

from __future__ import annotations

from wherry.errors import RuntimeCommandNotFound, RuntimeFailed, RuntimePermissionDenied
from wherry.model.jsontext import JSONError, loads
from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PERMISSION = ("permission denied", "operation not permitted")
_NOT_FOUND = ("executable file not found in", "no such file or directory", "open executable")
_ERROR_LEVELS = ("error", "fatal", "panic")
#: What crun and runc say of a container they do not know, and of one whose process has ended.
_UNKNOWN = (" does not exist", "/status`: no such file or directory", "cannot open directory")
_NO_BUS = (
    "systemd manages control groups here and is reached over D-Bus: start it ('systemctl start dbus.socket'), or do "
    "without with '--cgroup-manager cgroupfs'"
)
_ENDED = ("no such process", "container not running", "process already finished")


class ContainerGone(RuntimeFailed):
    """The runtime has no such container, or the container's process has already ended."""


def classify(runtime: str, text: str) -> RuntimeFailed:
    """The error for what *runtime* (its name) said.

    Of a text of several lines only the telling one is shown when the failure is a known kind.
    """
    lines = text.split("\n")
    lower = [line.lower() for line in lines]
    for patterns, kind in ((_PERMISSION, RuntimePermissionDenied), (_NOT_FOUND, RuntimeCommandNotFound)):
        for line, folded in zip(lines, lower, strict=True):
            if any(pattern in folded for pattern in patterns):
                return kind(f"{runtime}: {line}")
    attribute = _security_attribute(lines)
    if attribute:
        doing = "assign" if attribute.endswith("/exec`") else "get" if attribute.endswith("/current`") else "process"
        text = f"{attribute}: OCI runtime error: unable to {doing} security attribute"
    text = text.strip("\n")
    hint = _NO_BUS if any(word in line for line in lower for word in ("sd-bus", "dbus")) else ""
    return RuntimeFailed(f"OCI runtime error: {runtime}: {text}", hint=hint)


def is_gone(text: str) -> bool:
    """Does *text* say that the container is unknown to the runtime or has ended?"""
    folded = text.lower()
    return any(pattern in folded for pattern in (*_UNKNOWN, *_ENDED))


def _security_attribute(lines: list[str]) -> str:
    """The quoted path below ``/proc/.../attr`` that a line complains of, with its backquotes; or empty."""
    for line in lines:
        start = line.find("`/proc/")
        end = line.rfind("`")
        if 0 <= start < end and "/attr" in line[start:end]:
            return line[start:end + 1]
    return ""


def message_of(text: str) -> str:
    """The error in *text*: the last JSON log line of level error or worse, else what is not JSON; empty if neither."""
    plain = []
    message = ""
    for line in text.splitlines():
        entry = _entry(line)
        if entry is None:
            plain.append(line)
        elif entry.get("level") in _ERROR_LEVELS and entry.get("msg"):
            message = str(entry["msg"])
    return message or "\n".join(plain).strip()


def _entry(line: str) -> dict[str, Any] | None:
    """One line of a JSON log, or None when it is something else."""
    if not line.startswith("{"):
        return None
    try:
        entry = loads(line)
    except JSONError:
        return None
    return entry if isinstance(entry, dict) else None


def logged(path: str) -> str:
    """The error in the runtime's log file *path*; empty when there is none."""
    text = try_read_text(path)
    return message_of(text) if text else ""
