"""Storing and removing credentials: containers-auth.json(5), Docker's config.json, credential helpers."""

from __future__ import annotations

import binascii
import os

from wherry.config import places as config_places
from wherry.config.auth import AUTH_FILES, Credentials, auth_files, find_helper
from wherry.config.registries import load as load_registries
from wherry.errors import InvalidArgument, Unauthorized, from_os_error
from wherry.model import jsontext
from wherry.sys.files import atomic_write, make_dirs, try_read_text
from wherry.sys.processes import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.config.settings import Settings

_HELPER_TIMEOUT = 60.0      # seconds
#: Under which Docker's own file keeps Docker Hub.
_HUB_KEY = "https://index.docker.io/v1/"


class LoginFile:
    """Where a login is kept: the file *path*; ``docker`` when it is in Docker's dialect (hosts only)."""

    def __init__(self, settings: Settings, authfile: str = "", compat_file: str = "") -> None:
        self._settings = settings
        self.docker = bool(compat_file)
        self.path = compat_file or auth_files(settings, config_places.current(), authfile)[0]

    def store(self, key: str, credentials: Credentials) -> str:
        """Keep *credentials* for ``registry[/path]``; returns where they are now. Raises wherry errors."""
        for helper in self._helpers():
            if helper == AUTH_FILES:
                data = self._read()
                own = self._own_helper(data, key)
                if own:
                    return self._store_in(own, key, credentials)
                plain = f"{credentials.username}:{credentials.password}".encode()
                entry = {"auth": binascii.b2a_base64(plain, newline=False).decode()}
                data.setdefault("auths", {})[self._key(key)] = entry
                self._write(data)
                return self.path
            return self._store_in(helper, key, credentials)
        raise Unauthorized("no credential helpers are configured")

    def remove(self, key: str) -> bool:
        """Forget the credentials for *key*; False when there were none."""
        found = False
        for helper in self._helpers():
            if helper != AUTH_FILES:
                found |= self._erase_in(helper, key)
                continue
            data = self._read()
            own = self._own_helper(data, key)
            if own:
                found |= self._erase_in(own, key)
            if self._key(key) in (data.get("auths") or {}):
                del data["auths"][self._key(key)]
                self._write(data)
                found = True
        return found

    def remove_all(self) -> None:
        """Forget everything, what helpers named in the file keep included."""
        data = self._read()
        for key, helper in (data.get("credHelpers") or {}).items():
            self._erase_in(str(helper), key)
        for helper in self._helpers():
            if helper != AUTH_FILES:
                for key in self._listed(helper):
                    self._erase_in(helper, key)
        data["auths"] = {}
        self._write(data)

    def _helpers(self) -> list[str]:
        return [AUTH_FILES] if self.docker else list(load_registries(self._settings).credential_helpers)

    def _key(self, key: str) -> str:
        return _HUB_KEY if self.docker and key == "docker.io" else key

    def _own_helper(self, data: dict[str, Any], key: str) -> str:
        """The helper the file itself names for *key*, or for everything (Docker's dialect)."""
        helpers = data.get("credHelpers")
        if isinstance(helpers, dict) and helpers.get(key):
            return str(helpers[key])
        return str(data.get("credsStore") or "") if self.docker else ""

    def _read(self) -> dict[str, Any]:
        try:
            text = try_read_text(self.path)
        except OSError as error:
            raise from_os_error(error, "reading credentials") from None
        if not (text or "").strip():
            return {}
        try:
            data = jsontext.loads(text or "")
        except jsontext.JSONError as error:
            raise Unauthorized(f"unmarshaling JSON at {self.path!r}: {error}") from None
        if not isinstance(data, dict):
            raise Unauthorized(f"unmarshaling JSON at {self.path!r}: not an object")
        return data

    def _write(self, data: dict[str, Any]) -> None:
        try:
            make_dirs(os.path.dirname(os.path.abspath(self.path)), 0o700)
            atomic_write(self.path, _tabbed(jsontext.dumps_pretty(data, 1)).encode(), 0o600)
        except OSError as error:
            raise from_os_error(error, "writing credentials") from None

    def _store_in(self, helper: str, key: str, credentials: Credentials) -> str:
        document = {"ServerURL": key, "Username": credentials.username, "Secret": credentials.password}
        self._call(helper, "store", jsontext.dumps(document))
        return f"credential helper: {helper}"

    def _erase_in(self, helper: str, key: str) -> bool:
        try:
            self._call(helper, "erase", key)
        except Unauthorized as error:
            if "not found" in str(error):
                return False
            raise
        return True

    def _listed(self, helper: str) -> list[str]:
        try:
            return list(jsontext.loads(self._call(helper, "list", "") or "{}"))
        except jsontext.JSONError:
            return []

    def _call(self, helper: str, verb: str, text: str) -> str:
        program = find_helper(self._settings, helper, text)
        try:
            done = run([program, verb], input=text.encode(), timeout=_HELPER_TIMEOUT)
        except OSError as error:
            raise from_os_error(error, "running credential helper") from None
        said = done.stdout.decode(errors="replace").strip()
        if done.returncode:
            raise Unauthorized(f"error {verb}ing credentials - err: exit status {done.returncode}, out: `{said}`")
        return said


def _tabbed(text: str) -> str:
    """One tab per level of indentation, as every tool of the family writes this file."""
    lines = []
    for line in text.split("\n"):
        bare = line.lstrip(" \t")
        lines.append("\t" * (len(line) - len(bare)) + bare)
    return "\n".join(lines) + "\n"


def check_key(text: str) -> tuple[str, str]:
    """Take ``registry[/path]`` apart; a scheme is dropped as Docker does. Raises ``InvalidArgument`` for a tag."""
    key = text
    for scheme in ("https://", "http://"):
        if key.startswith(scheme):
            key = key.removeprefix(scheme).partition("/")[0]
    key = key.rstrip("/")
    if key.rpartition("/")[2].partition(":")[1] and "/" in key:
        raise InvalidArgument(f"credentials key {text!r} must not have a tag")
    registry = key.partition("/")[0]
    return key, registry

