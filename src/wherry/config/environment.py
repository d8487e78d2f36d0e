"""The environment of this process. No other module looks at it."""

from __future__ import annotations

import os

from wherry.model.record import EMPTY, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Variables that ``http_proxy = true`` hands on to containers.
PROXY_NAMES = (
    "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY",
)


class EnvironmentFacts(Record):
    """What the engine wants to know of the environment. Texts as found, empty when unset."""

    proxies: Mapping[str, str] = EMPTY       # those of PROXY_NAMES that are set
    path: str = ""
    tmpdir: str = ""
    term: str = ""
    xdg_runtime_dir: str = ""
    dbus_session_bus_address: str = ""
    notify_socket: str = ""
    listen_fds: str = ""
    listen_pid: str = ""
    listen_fdnames: str = ""
    systemd_unit: str = ""                   # PODMAN_SYSTEMD_UNIT or WHERRY_SYSTEMD_UNIT: the unit we run for
    invocation_id: str = ""                  # set by systemd.exec(5) for what a service starts
    userns: str = ""                         # PODMAN_USERNS: default of --userns
    source_date_epoch: str = ""
    helper_binary_dir: str = ""              # CONTAINERS_HELPER_BINARY_DIR
    registry_auth_file: str = ""
    docker_config: str = ""
    kubeconfig: str = ""
    network_backend: str = ""                # WHERRY_NETWORK_BACKEND: native or netavark


_TEXTS = {
    "path": "PATH",
    "tmpdir": "TMPDIR",
    "term": "TERM",
    "xdg_runtime_dir": "XDG_RUNTIME_DIR",
    "dbus_session_bus_address": "DBUS_SESSION_BUS_ADDRESS",
    "notify_socket": "NOTIFY_SOCKET",
    "listen_fds": "LISTEN_FDS",
    "listen_pid": "LISTEN_PID",
    "listen_fdnames": "LISTEN_FDNAMES",
    "invocation_id": "INVOCATION_ID",
    "systemd_unit": "PODMAN_SYSTEMD_UNIT",
    "userns": "PODMAN_USERNS",
    "source_date_epoch": "SOURCE_DATE_EPOCH",
    "helper_binary_dir": "CONTAINERS_HELPER_BINARY_DIR",
    "registry_auth_file": "REGISTRY_AUTH_FILE",
    "docker_config": "DOCKER_CONFIG",
    "kubeconfig": "KUBECONFIG",
    "network_backend": "WHERRY_NETWORK_BACKEND",
}


def environ() -> Mapping[str, str]:
    """The whole environment, for ``--env-host`` and a bare ``--env NAME``."""
    return os.environ


def facts(variables: Mapping[str, str], engine_env: Sequence[str] = ()) -> EnvironmentFacts:
    """The facts in *variables*, those of containers.conf ``[engine] env`` (``NAME=value``) taking precedence."""
    if engine_env:
        variables = {**variables, **dict(_split(line) for line in engine_env)}
    found = {field: value for field, name in _TEXTS.items() if (value := variables.get(name))}
    if "systemd_unit" not in found and (unit := variables.get("WHERRY_SYSTEMD_UNIT")):
        found["systemd_unit"] = unit
    proxies = {name: value for name in PROXY_NAMES if (value := variables.get(name))}
    return EnvironmentFacts(proxies=proxies or EMPTY, **found)


def _split(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name, value
