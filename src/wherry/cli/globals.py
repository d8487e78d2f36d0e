"""The flags every command takes, and how they become :class:`~wherry.config.options.GlobalOptions`.

A *persistent* flag may also follow the command's name; the others stand before it.
"""

from __future__ import annotations

from wherry.cli.flags import Flag, FlagSet, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.config.options import GlobalOptions

LOG_LEVELS = "trace, debug, info, warn, warning, error, fatal, panic"

PERSISTENT = (
    Flag("cdi-spec-dir", many=True, metavar="path", help="Directory with CDI device specifications"),
    Flag("cgroup-manager", metavar="manager", help="Who makes cgroups: cgroupfs or systemd"),
    Flag("conmon", metavar="path", help="The conmon program to use"),
    Flag("cpu-profile", hidden=True, help="Accepted and ignored"),
    Flag("db-backend", hidden=True, help="Accepted and ignored"),
    Flag("default-mounts-file", hidden=True, help="File naming default mounts of containers"),
    Flag("events-backend", metavar="type", help="Where events go: file, journald or none"),
    Flag("hooks-dir", many=True, metavar="path", help="Directory with OCI hooks"),
    Flag("imagestore", metavar="path", help="Directory for images, apart from the one for containers"),
    Flag("log-level", default="warn", metavar="level", help=f"Least level of messages to show ({LOG_LEVELS})"),
    Flag("max-workers", kind="int", hidden=True, help="Accepted and ignored"),
    Flag("memory-profile", hidden=True, help="Accepted and ignored"),
    Flag("namespace", hidden=True, help="Keep containers and pods of this name space apart from all others"),
    Flag("network-backend", hidden=True, help="The network backend: native or netavark"),
    Flag("network-cmd-path", metavar="path", help="The slirp4netns program to use"),
    Flag("network-config-dir", metavar="path", help="Directory with network definitions"),
    Flag("pull-option", many=True, hidden=True, help="Accepted and ignored"),
    Flag("registries-conf", hidden=True, help="registries.conf to use instead of the host's"),
    Flag("root", metavar="path", help="Directory for images and containers"),
    Flag("runroot", metavar="path", help="Directory for what a reboot may discard"),
    Flag("runtime", metavar="path", help="OCI runtime, by name or path"),
    Flag("runtime-flag", many=True, metavar="flag", help="Flag for the OCI runtime, without its dashes"),
    Flag("storage-driver", metavar="name", help="Storage driver: overlay or vfs"),
    Flag("storage-opt", many=True, metavar="option", help="Option of the storage driver"),
    Flag("syslog", kind="bool", help="Accepted and ignored: messages go to standard error"),
    Flag("tmpdir", metavar="path", help="Directory for state of the engine that a reboot may discard"),
    Flag("trace", kind="bool", hidden=True, help="Accepted and ignored"),
    Flag("transient-store", kind="bool", help="Keep containers only until the next boot"),
    Flag("volumepath", metavar="path", help="Directory for volumes"),
)
LEADING = (
    Flag("config", metavar="path", help="Directory of client configuration; accepted and ignored"),
    Flag("connection", "c", metavar="name", help="Remote service to use; wherry has none"),
    Flag("context", hidden=True, help="Accepted for Docker's sake and ignored"),
    Flag("debug", "D", kind="bool", hidden=True, help="The same as --log-level=debug"),
    Flag("help", kind="bool", help="Show this help"),
    Flag("host", "H", hidden=True, help="Remote service to use; wherry has none"),
    Flag("identity", metavar="path", help="SSH identity for a remote service; accepted and ignored"),
    Flag("module", many=True, metavar="path", help="containers.conf module to load"),
    Flag("noout", kind="bool", hidden=True, help="Write nothing to standard output"),
    Flag("out", metavar="path", help="Write standard output to this file"),
    Flag("remote", "r", kind="bool", help="Use a remote service; wherry has none"),
    Flag("ssh", hidden=True, help="Accepted and ignored"),
    Flag("tls-ca", metavar="path", help="Accepted and ignored"),
    Flag("tls-cert", metavar="path", help="Accepted and ignored"),
    Flag("tls-key", metavar="path", help="Accepted and ignored"),
    Flag("url", metavar="url", help="Remote service to use; wherry has none"),
    Flag("version", "v", kind="bool", help="Show the version"),
)

#: Flag -> field of GlobalOptions, where the words differ by more than dashes.
_FIELDS = {
    "cdi-spec-dir": "cdi_spec_dir",
    "runtime-flag": "runtime_flags",
    "storage-opt": "storage_opts",
    "module": "modules",
}
_IGNORED = frozenset((
    "config", "context", "cpu-profile", "db-backend", "debug", "help", "identity", "max-workers", "memory-profile",
    "network-cmd-path", "noout", "out", "pull-option", "ssh", "tls-ca", "tls-cert", "tls-key", "trace", "version",
))
_REMOTE = ("remote", "connection", "host", "url")

_persistent: list[FlagSet] = []


def persistent() -> FlagSet:
    """The flags that may follow the command's name."""
    if not _persistent:
        _persistent.append(FlagSet(PERSISTENT))
    return _persistent[0]


def leading() -> FlagSet:
    """All global flags: those that may stand before the command's name."""
    return FlagSet((*PERSISTENT, *LEADING))


class BadLogLevel(UsageError):
    """Printed without ``Error:`` and ends the process with 1, as Podman does."""

    bare = True

    def __init__(self, message: str) -> None:
        super().__init__(message, see=False, exit_code=1)


def log_level(values: Mapping[str, Any]) -> str:
    """The level asked for by ``--log-level`` or ``--debug``, empty for the default. Raises :class:`BadLogLevel`."""
    level: str = values.get("log-level", "")
    if values.get("debug"):
        if "log-level" in values:
            raise BadLogLevel("Setting --log-level and --debug is not allowed")
        return "debug"
    if "log-level" in values and level.lower() not in LOG_LEVELS.split(", "):
        raise BadLogLevel(f'Log Level "{level}" is not supported, choose from: {LOG_LEVELS}')
    return level.lower()


def global_options(values: Mapping[str, Any]) -> GlobalOptions:
    """The engine's options of the global flags among *values*. Raises :class:`UsageError` for a remote service."""
    from wherry.config.options import GlobalOptions

    for name in _REMOTE:
        if values.get(name):
            raise UsageError(f"--{name}: wherry works on this machine and has no remote client", see=False)
    known = GlobalOptions._keys
    fields: dict[str, Any] = {}
    for flag in (*PERSISTENT, *LEADING):
        if flag.name not in values or flag.name in _IGNORED or flag.name in _REMOTE:
            continue
        field = _FIELDS.get(flag.name) or flag.name.replace("-", "_")
        if field in known:
            fields[field] = values[flag.name]
    return GlobalOptions(**fields)
