"""Volume plugins: programs that keep volumes elsewhere, asked over a Unix socket.

The protocol is version 1 of Docker's plugin API (https://docs.docker.com/engine/extend/plugins_volume/): JSON over
HTTP, always POST; an answer's ``Err`` is empty when it went well.  Plugins are named in ``[engine.volume_plugins]`` of
containers.conf, ``volume_plugin_timeout`` says how long each answer may take.
"""

from __future__ import annotations

import os
import stat
from http.client import HTTPConnection, HTTPException

from wherry.errors import TimedOut, Unavailable, WherryError
from wherry.model.jsontext import JSONError, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.engine.runtime import Runtime

CONTENT_TYPE = "application/vnd.docker.plugins.v1.1+json"
#: Bytes an answer may have; a list of volumes is the longest.
LONGEST_ANSWER = 16 << 20


class MissingPlugin(Unavailable):
    cause = "required plugin missing"


class NotAPlugin(Unavailable):
    cause = "target does not appear to be a valid plugin"


class NotAVolumePlugin(Unavailable):
    cause = "plugin is not a volume plugin"


class PluginFailed(WherryError):
    """The plugin answered that it could not do it."""


def plugin(runtime: Runtime, name: str, timeout: int | None = None) -> Plugin:
    """The plugin called *name*, asked whether it is one; answers may take *timeout* seconds (None: as configured).

    Raises :class:`Unavailable` and its kin.
    """
    engine = runtime.settings.engine
    path = engine.volume_plugins.get(name)
    if path is None:
        raise MissingPlugin(
            f"no volume plugin with name {name} available",
            hint="name it and its socket in [engine.volume_plugins] of containers.conf",
        )
    seconds = engine.volume_plugin_timeout if timeout is None else timeout
    made: Plugin = runtime.cached(f"volume plugin {name} {seconds}", lambda: Plugin(name, path, seconds))
    made.activate()
    return made


class Plugin:
    """One plugin. Every method raises :class:`PluginFailed`, ``TimedOut`` or ``Unavailable``.

    *timeout* is in seconds; 0 waits for ever.
    """

    def __init__(self, name: str, path: str, timeout: int) -> None:
        self.name = name
        self.path = path
        self.timeout = timeout
        self._active = False

    def activate(self) -> None:
        """The handshake: is it there, and a volume plugin?"""
        if self._active:
            return
        try:
            mode = os.stat(self.path).st_mode
        except OSError as error:
            raise Unavailable(
                f'cannot access plugin {self.name} socket "{self.path}": stat {self.path}: {_lower(error)}',
                hint="is the plugin running?",
            ) from None
        if not stat.S_ISSOCK(mode):
            raise NotAPlugin(f'volume {self.name} path "{self.path}" is not a unix socket')
        answer = self._ask("/Plugin.Activate", None)
        implements = answer.get("Implements")
        if not isinstance(implements, list) or "VolumeDriver" not in implements:
            shown = ", ".join(map(str, implements)) if isinstance(implements, list) else "nothing"
            raise NotAVolumePlugin(f"plugin {self.name} does not implement volume plugin, instead provides {shown}")
        self._active = True

    def create(self, name: str, options: Mapping[str, str]) -> None:
        """Make a volume; *options* are the plugin's own."""
        self._volume("Create", name, Opts=dict(options))

    def remove(self, name: str) -> None:
        self._volume("Remove", name)

    def mount(self, name: str, user: str) -> str:
        """Mount a volume for *user*, any text that names who uses it; the directory on this host."""
        return self._directory("Mount", name, self._volume("Mount", name, ID=user))

    def unmount(self, name: str, user: str) -> None:
        """*user* does not need it any more."""
        self._volume("Unmount", name, ID=user)

    def mount_point(self, name: str) -> str:
        """Where the volume is mounted; empty when it is not."""
        return str(self._volume("Path", name).get("Mountpoint") or "")

    def get(self, name: str) -> dict[str, Any]:
        """``Name``, ``Mountpoint``, ``Status``, ... of a volume. Raises :class:`PluginFailed` if there is none."""
        found = self._volume("Get", name).get("Volume")
        if not isinstance(found, dict):
            raise self._failed("Get", name, "the answer has no volume")
        return found

    def has(self, name: str) -> bool:
        try:
            self.get(name)
        except PluginFailed:
            return False
        return True

    def names(self) -> list[str]:
        """All volumes the plugin has, whoever made them."""
        found = self._checked("List", "", self._ask("/VolumeDriver.List", None)).get("Volumes") or []
        return sorted(str(entry["Name"]) for entry in found if isinstance(entry, dict) and entry.get("Name"))

    def scope(self) -> str:
        """``local`` or ``global``: whether its volumes are this host's or a cluster's; old plugins do not say."""
        try:
            found = self._ask("/VolumeDriver.Capabilities", None).get("Capabilities")
        except PluginFailed:
            return "local"
        return str((found or {}).get("Scope") or "local").lower() if isinstance(found, dict) else "local"

    # -- the wire --------------------------------------------------------------------------------------------------

    def _volume(self, verb: str, name: str, **fields: object) -> dict[str, Any]:
        return self._checked(verb, name, self._ask(f"/VolumeDriver.{verb}", {"Name": name, **fields}))

    def _checked(self, verb: str, name: str, answer: dict[str, Any]) -> dict[str, Any]:
        if answer.get("Err"):
            raise self._failed(verb, name, str(answer["Err"]))
        return answer

    def _failed(self, verb: str, name: str, why: str) -> PluginFailed:
        volume = f" on volume {name}" if name else ""
        return PluginFailed(f"on /VolumeDriver.{verb}{volume} in volume plugin {self.name}: {why}")

    def _directory(self, verb: str, name: str, answer: dict[str, Any]) -> str:
        path = str(answer.get("Mountpoint") or "")
        if not path.startswith("/") or not os.path.isdir(path):
            raise self._failed(verb, name, f"the mount point {path!r} is no directory of this host")
        return path

    def _ask(self, endpoint: str, body: dict[str, Any] | None) -> dict[str, Any]:
        connection = _UnixConnection(self.path, self.timeout or None)
        data = b"" if body is None else dumps(body).encode()
        headers = {"Accept": CONTENT_TYPE, "Content-Type": CONTENT_TYPE, "Connection": "close"}
        try:
            connection.request("POST", endpoint, data, headers)
            response = connection.getresponse()
            status, text = response.status, response.read(LONGEST_ANSWER + 1)
        except TimeoutError:
            raise TimedOut(
                f"sending request to volume plugin {self.name} endpoint {endpoint}: no answer within {self.timeout} "
                "seconds", hint="volume_plugin_timeout of containers.conf or -o o=timeout=N of the volume allows more",
            ) from None
        except OSError as error:
            raise Unavailable(
                f"sending request to volume plugin {self.name} endpoint {endpoint}: dial unix {self.path}: "
                f"{_lower(error)}", hint="is the plugin running?",
            ) from None
        except HTTPException as error:
            raise NotAPlugin(
                f"sending request to volume plugin {self.name} endpoint {endpoint}: {error or type(error).__name__}"
            ) from None
        finally:
            connection.close()
        return self._read(endpoint, status, text)

    def _read(self, endpoint: str, status: int, text: bytes) -> dict[str, Any]:
        """The answer's object. What is not successful must say why, in JSON or not."""
        answer: Any = None
        if len(text) <= LONGEST_ANSWER:
            try:
                answer = loads(text)
            except (JSONError, ValueError):
                pass
        if status != 200:
            why = answer.get("Err") if isinstance(answer, dict) else text[:200].decode("utf-8", "replace").strip()
            raise PluginFailed(
                f"on {endpoint} in volume plugin {self.name}: {why or 'empty error from plugin'} (status {status})"
            )
        if not isinstance(answer, dict):
            raise NotAPlugin(f"the answer of plugin {self.name} to {endpoint} is not a JSON object")
        return answer


def _lower(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("plugin", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        import socket

        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
