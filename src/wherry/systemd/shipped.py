"""The units that ship with wherry: coming back after a reboot, auto-update once a day, and the REST service's socket.

They name the program that runs now, so they are written where they are wanted
(``wherry system install-units``) instead of lying in the package.
"""

from __future__ import annotations

import os

from wherry.errors import WherryError, from_os_error
from wherry.sys import log
from wherry.sys.files import atomic_write, make_dirs
from wherry.sys.program import command
from wherry.systemd.unit import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime

SYSTEM_DIRECTORY = "/etc/systemd/system"

_RESTART = """\
[Unit]
Description=Start containers that come back after a reboot, and stop all containers before one
Wants=network-online.target
After=network-online.target
RequiresMountsFor={store}
StartLimitIntervalSec=0

[Service]
Type=oneshot
# What a container's monitor runs in shall not be this service, which ends before the container.
UnsetEnvironment=INVOCATION_ID
KillMode=process
RemainAfterExit=yes
ExecStart={wherry} system restart-all
ExecStop={wherry} system stop-all
TimeoutStopSec=infinity

[Install]
WantedBy=default.target
"""
_AUTO_UPDATE = """\
[Unit]
Description=Update containers to newer images
Documentation=man:podman-auto-update(1)
Wants=network-online.target
After=network-online.target
RequiresMountsFor={store}

[Service]
Type=oneshot
# What a container's monitor runs in shall not be this service, which ends before the container.
UnsetEnvironment=INVOCATION_ID
KillMode=process
ExecStart={wherry} auto-update
ExecStartPost={wherry} image prune -f

[Install]
WantedBy=default.target
"""
_TIMER = """\
[Unit]
Description=Update containers to newer images once a day

[Timer]
OnCalendar=daily
RandomizedDelaySec=900
Persistent=true

[Install]
WantedBy=timers.target
"""
_SOCKET = """\
[Unit]
Description=Socket of wherry's REST service

[Socket]
ListenStream=%t/wherry/wherry.sock
SocketMode=0660

[Install]
WantedBy=sockets.target
"""
_SERVICE = """\
[Unit]
Description=wherry's REST service
Requires=wherry.socket
After=wherry.socket
RequiresMountsFor={store}
StartLimitIntervalSec=0

[Service]
Type=exec
Delegate=true
# Containers outlive the service that started them.
KillMode=process
ExecStart={wherry} system service

[Install]
WantedBy=default.target
"""
UNITS = {
    "wherry-restart.service": _RESTART,
    "wherry-auto-update.service": _AUTO_UPDATE,
    "wherry-auto-update.timer": _TIMER,
    "wherry.socket": _SOCKET,
    "wherry.service": _SERVICE,
}


def units(runtime: Runtime) -> dict[str, str]:
    """Name -> text, for the store *runtime* works on."""
    from wherry.engine.exit_command import global_words

    wherry = " ".join(quoted(word) for word in (*command(), *global_words(runtime)))
    store = quoted(runtime.settings.storage.graph_root)
    return {name: text.format(wherry=wherry, store=store) for name, text in UNITS.items()}


def directory(runtime: Runtime) -> str:
    """Where the administrator's units are; without root the user's own."""
    if not runtime.settings.rootless:
        return SYSTEM_DIRECTORY
    from wherry.config.environment import environ

    variables = environ()
    return f"{variables.get('XDG_CONFIG_HOME') or variables.get('HOME', '') + '/.config'}/systemd/user"


def install(runtime: Runtime, place: str = "") -> list[str]:
    """Write the units to the directory *place* and have systemd, where it runs, read them; returns the paths.

    Nothing is enabled.  Raises in case a file cannot be written.
    """
    target = place or directory(runtime)
    paths = []
    for name, text in units(runtime).items():
        path = os.path.join(target, name)
        try:
            make_dirs(target, 0o755)
            atomic_write(path, text.encode(), mode=0o644)
        except OSError as error:
            raise from_os_error(error, "writing unit") from None
        paths.append(path)
    _reload(runtime)
    return paths


def _reload(runtime: Runtime) -> None:
    from wherry.engine.systemd_units import connect
    from wherry.sys.systemd_bus import is_booted

    if not is_booted():
        return
    try:
        with connect(runtime) as bus:
            bus.reload()
    except WherryError as error:
        log.warning(f"systemd was not told of the new units: {error}")
