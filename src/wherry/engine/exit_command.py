"""The command conmon runs when a container ends: this engine again, with ``container cleanup ID``."""

from __future__ import annotations

from wherry.sys.program import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime

#: Global options that decide which engine it is -> field of GlobalOptions.
_TEXTS = (
    ("--root", "root"),
    ("--runroot", "runroot"),
    ("--imagestore", "imagestore"),
    ("--storage-driver", "storage_driver"),
    ("--runtime", "runtime"),
    ("--cgroup-manager", "cgroup_manager"),
    ("--events-backend", "events_backend"),
    ("--network-config-dir", "network_config_dir"),
    ("--network-backend", "network_backend"),
    ("--tmpdir", "tmpdir"),
    ("--volumepath", "volumepath"),
    ("--namespace", "namespace"),
)
_LISTS = (
    ("--storage-opt", "storage_opts"), ("--runtime-flag", "runtime_flags"), ("--module", "modules"),
    ("--hooks-dir", "hooks_dir"), ("--cdi-spec-dir", "cdi_spec_dir"),   # for restarts
)

#: Environment variables that decide the same and are handed on to conmon, the OCI runtime and the exit command.
ENVIRONMENT = (
    "PATH", "HOME", "USER", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME",
    "DBUS_SESSION_BUS_ADDRESS", "CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_STORAGE_CONF",
    "CONTAINERS_REGISTRIES_CONF", "CONTAINERS_HELPER_BINARY_DIR", "STORAGE_DRIVER", "STORAGE_OPTS",
    "WHERRY_NETWORK_BACKEND",
)


def exit_command(runtime: Runtime, identity: str) -> list[str]:
    """The words for a container of *runtime*."""
    return [*command(), *global_words(runtime), "container", "cleanup", identity]


#: Waits for the owner of the clean-up and ends if nothing is left to do; else, or where flock(1) is missing, becomes
#: the exit command.  A shell costs a tenth of what an interpreter does, and most containers that end are stopped,
#: removed or waited for by somebody.  $1: the owner's file, $2: the container's directory.
_SHORTCUT = """\
{ flock 9; } 2>/dev/null 9<"$1"
if [ -e "$1" ]; then [ ! -s "$1" ] || exit 0; elif [ ! -d "$2" ]; then exit 0; fi
shift 2
exec "$@"
"""


def with_shortcut(held: LockedContainer) -> Sequence[str]:
    """The container's exit command, spared where its owner has done its work.

    A member of a pod that goes down with its last member has no such shortcut: its end is the pod's business as well.
    """
    config = held.config
    if not config.exit_command or tells_pod(held):
        return config.exit_command
    owner = f"{held.runtime.paths.owners}/{held.id}"
    return ["/bin/sh", "-c", _SHORTCUT, "wherry", owner, config.static_dir, *config.exit_command]


def tells_pod(held: LockedContainer) -> bool:
    """Is the container's end to be noticed by its pod?"""
    config = held.config
    if not config.pod or config.is_infra:
        return False
    return held.runtime.state.pod(config.pod)[0].exit_policy == "stop"


def global_words(runtime: Runtime) -> list[str]:
    """The global options that start an engine on the same store."""
    options = runtime.settings.options
    words: list[str] = []
    for flag, name in _TEXTS:
        value = getattr(options, name)
        if value:
            words.append(f"{flag}={value}")
    for flag, name in _LISTS:
        words += [f"{flag}={value}" for value in getattr(options, name)]
    if options.transient_store:
        words.append("--transient-store")
    return words


def environment(runtime: Runtime) -> list[str]:
    """``NAME=value`` of what is handed on."""
    from wherry.config.environment import environ

    have = {**environ(), **runtime.environment_changes}
    words = [f"{name}={have[name]}" for name in ENVIRONMENT if name in have]
    if "PATH" not in have:
        words.append("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    return words
