"""Credentials for registries: containers-auth.json(5), Docker's files, credential helpers."""

from __future__ import annotations

import binascii
import os

from wherry.config import places as config_places
from wherry.config.registries import load as load_registries
from wherry.errors import Unauthorized, from_os_error
from wherry.model import jsontext
from wherry.model.record import Record
from wherry.sys.files import try_read_text
from wherry.sys.processes import find_program, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.config.places import Places
    from wherry.config.settings import Settings

AUTH_FILES = "containers-auth.json"      # the credential "helper" that means the files
_TOKEN_USER = "<token>"                   # the user name under which helpers keep identity tokens
_HELPER_TIMEOUT = 60.0                    # seconds; a helper may ask the user to unlock a key ring
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


class Credentials(Record):
    """User and password, or an *identity_token* (OAuth refresh token) in place of the password."""

    username: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, ...)"


def credentials(
    settings: Settings,
    registry: str,
    repository: str = "",
    authfile: str = "",
    *,
    helpers: Sequence[str] | None = None,
    places: Places | None = None,
) -> Credentials | None:
    """What is known for *repository* (a path below *registry*, may be empty); None when nothing is.

    The most specific entry wins, from ``registry/name/space/repo`` to ``registry``.  *authfile* (``--authfile``) or
    ``REGISTRY_AUTH_FILE`` is the only file looked at when given.  *helpers* are those of registries.conf
    (``credential-helpers``, read when None) in order; ``containers-auth.json`` means the files.  Raises
    :class:`Unauthorized` when a named file is missing, a file is damaged or a helper fails.
    """
    places = places or config_places.current()
    keys = _keys(registry, repository)
    for helper in load_registries(settings, places=places).credential_helpers if helpers is None else helpers:
        if helper == AUTH_FILES:
            found = _from_files(settings, places, registry, keys, authfile)
        else:
            found = _first(_ask(settings, helper, key) for key in keys)
        if found is not None:
            return found
    return None


def auth_files(settings: Settings, places: Places, authfile: str = "") -> list[str]:
    """The files that are read, first match wins. The first is also where a login is stored."""
    facts = settings.environment
    named = authfile or facts.registry_auth_file
    if named:
        return [named]
    if facts.docker_config:
        return [f"{facts.docker_config}/config.json"]
    if facts.xdg_runtime_dir or places.rootless:
        primary = f"{facts.xdg_runtime_dir or places.runtime_dir}/containers/auth.json"
    else:
        primary = f"{places.run}/containers/{places.uid}/auth.json"
    return [
        primary,
        f"{places.config_home}/containers/auth.json",
        f"{places.home}/.docker/config.json",
        f"{places.home}/.dockercfg",
    ]


def _keys(registry: str, repository: str) -> list[str]:
    """``registry/a/b``, ``registry/a``, ``registry``."""
    parts = [part for part in repository.split("/") if part]
    return ["/".join([registry, *parts[:count]]) for count in range(len(parts), -1, -1)]


def _first(found: Any) -> Credentials | None:
    return next((item for item in found if item is not None), None)


def _from_files(
    settings: Settings, places: Places, registry: str, keys: Sequence[str], authfile: str
) -> Credentials | None:
    files = auth_files(settings, places, authfile)
    for path in files:
        try:
            text = try_read_text(path)
        except OSError as error:
            raise from_os_error(error, "reading credentials") from error
        if text is None:
            if authfile:
                raise Unauthorized(f"credential file is not accessible: stat {path}: no such file or directory")
            continue
        found = _from_file(settings, path, _decode(path, text), registry, keys)
        if found is not None:
            return found
    return None


def _decode(path: str, text: str) -> dict[str, Any]:
    try:
        data = jsontext.loads(text) if text.strip() else {}
    except jsontext.JSONError as error:
        raise Unauthorized(f"unmarshaling JSON at {path!r}: {error}") from None
    if not isinstance(data, dict):
        raise Unauthorized(f"unmarshaling JSON at {path!r}: not an object")
    # The old ~/.dockercfg is the table of hosts itself.
    return {"auths": data} if path.endswith("/.dockercfg") else data


def _from_file(
    settings: Settings, path: str, data: dict[str, Any], registry: str, keys: Sequence[str]
) -> Credentials | None:
    helper = _table(data, "credHelpers").get(registry)
    if helper:
        return _ask(settings, str(helper), registry)
    auths = _table(data, "auths")
    for key in keys:
        if key in auths:
            found = _entry(path, key, auths[key])
            if found is not None:
                return found
    wanted = _host(registry)
    for key, entry in auths.items():
        if _host(key) == wanted:
            found = _entry(path, key, entry)
            if found is not None:
                return found
    store = data.get("credsStore")
    return _ask(settings, str(store), _server(registry)) if store else None


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _host(key: str) -> str:
    """The host of an entry Docker wrote as a URL; all names of Docker Hub are one. Other entries are as they are."""
    rest = key.removeprefix("http://").removeprefix("https://")
    host = rest.partition("/")[0] if rest != key else key
    return _DOCKER_HUB[0] if host in _DOCKER_HUB else host


def _server(registry: str) -> str:
    """The name Docker's own store keeps Docker Hub under."""
    return "https://index.docker.io/v1/" if registry in _DOCKER_HUB else registry


def _entry(path: str, key: str, entry: Any) -> Credentials | None:
    """Decode ``{"auth": base64("user:password"), "identitytoken": ...}``; None for an empty one."""
    if not isinstance(entry, dict):
        raise Unauthorized(f"reading credentials for {key} from {path}: not an object")
    token = str(entry.get("identitytoken") or "")
    encoded = str(entry.get("auth") or "")
    try:
        plain = binascii.a2b_base64(encoded, strict_mode=True).decode()
    except (ValueError, UnicodeDecodeError):
        raise Unauthorized(f"reading credentials for {key} from {path}: illegal base64 data") from None
    user, colon, password = plain.partition(":")
    if not colon and not token:
        return None
    return Credentials(username=user, password=password.strip("\0"), identity_token=token)


def find_helper(settings: Settings, helper: str, server: str) -> str:
    """The path of ``docker-credential-HELPER``. Raises :class:`Unauthorized` naming *server* when there is none."""
    if "/" in helper:
        raise Unauthorized(f"invalid credential helper name {helper!r}")
    program = find_program(f"docker-credential-{helper}", [
        directory for directory in settings.environment.path.split(":") if directory
    ])
    if not program:
        raise Unauthorized(
            f"error getting credentials for {server}: exec: \"docker-credential-{helper}\": executable file not found "
            "in $PATH"
        )
    return program


def _ask(settings: Settings, helper: str, server: str) -> Credentials | None:
    """``docker-credential-HELPER get``: the server on standard input, a JSON object back.

    Protocol: docker-credential-helpers.  "Not found" is exit status 1 with a message that says so on standard output.
    """
    program = find_helper(settings, helper, server)
    try:
        done = run([program, "get"], input=server.encode(), timeout=_HELPER_TIMEOUT)
    except OSError as error:
        raise from_os_error(error, "running credential helper") from error
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0:
        if "credentials not found" in said:
            return None
        stderr = done.stderr.decode(errors="replace").strip()
        raise Unauthorized(f"error getting credentials - err: exit status {done.returncode}, out: `{said or stderr}`")
    try:
        answer = jsontext.loads(said)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, TypeError, LookupError):
        raise Unauthorized(f"error getting credentials: {os.path.basename(program)} did not answer in JSON") from None
    if user == _TOKEN_USER:
        return Credentials(username=user, identity_token=secret)
    return Credentials(username=user, password=secret)
