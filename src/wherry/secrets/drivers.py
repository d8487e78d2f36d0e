"""Where the data of secrets is kept: in files, with pass(1), or by the user's own commands (containers/common)."""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument, NotFound, Unavailable, WherryError, from_os_error
from wherry.sys.files import atomic_write, make_dirs, read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    class Driver(Protocol):
        """*identity* is a secret's id. Methods raise ``WherryError``, never with the data in its message."""

        def store(self, identity: str, data: bytes) -> None: ...
        def look_up(self, identity: str) -> bytes: ...
        def delete(self, identity: str) -> None: ...


#: Seconds an external command may take (gpg may ask for a passphrase).
TIMEOUT = 60.0


class NoSecretData(NotFound):
    cause = "no secret data with ID"


def driver(name: str, options: Mapping[str, str], directory: str, environment: Mapping[str, str]) -> Driver:
    """The driver called *name*; *directory* is where ``file`` keeps data unless its option ``path`` says otherwise.

    *environment* is what external commands get.  Raises ``InvalidArgument`` (``invalid driver``).
    """
    if name == "file":
        return FileDriver(options.get("path") or directory)
    if name == "pass":
        return PassDriver(options, environment)
    if name == "shell":
        return ShellDriver(options, environment)
    raise InvalidArgument("invalid driver")


class FileDriver:
    """One file per secret, 0600."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def _path(self, identity: str) -> str:
        return f"{self._directory}/{identity}"

    def store(self, identity: str, data: bytes) -> None:
        try:
            make_dirs(self._directory)
            atomic_write(self._path(identity), data)
        except OSError as error:
            raise from_os_error(error, "storing secret data") from None

    def look_up(self, identity: str) -> bytes:
        try:
            return read_bytes(self._path(identity))
        except FileNotFoundError:
            raise NoSecretData(identity) from None
        except OSError as error:
            raise from_os_error(error, "reading secret data") from None

    def delete(self, identity: str) -> None:
        try:
            os.unlink(self._path(identity))
        except FileNotFoundError:
            return
        except OSError as error:
            raise from_os_error(error, "removing secret data") from None


def _run(argv: list[str], environment: Mapping[str, str], data: bytes = b"", what: str = "") -> bytes:
    """Standard output of a command that ended well."""
    from wherry.sys.processes import run

    try:
        done = run(argv, input=data, env=environment, timeout=TIMEOUT)
    except OSError as error:
        raise from_os_error(error, what) from None
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise WherryError(f"{what}: exit status {done.returncode}" + (f": {reason}" if reason else ""))
    return done.stdout


class PassDriver:
    """Files encrypted with GnuPG in the layout of pass(1). Options: ``root``, ``key``, ``gpghomedir``."""

    _KNOWN = ("root", "key", "gpghomedir")

    def __init__(self, options: Mapping[str, str], environment: Mapping[str, str]) -> None:
        for name in options:
            if name not in self._KNOWN:
                raise InvalidArgument(f"invalid pass driver option {name!r}: key must be one of {self._KNOWN}")
        self._root = options.get("root") or self._default_root(environment)
        self._key = options.get("key") or self._default_key()
        self._home = options.get("gpghomedir", "")
        self._environment = environment

    @staticmethod
    def _default_root(environment: Mapping[str, str]) -> str:
        return environment.get("PASSWORD_STORE_DIR") or f"{environment.get('HOME', '/root')}/.password-store"

    def _default_key(self) -> str:
        from wherry.sys.files import try_read_text

        return (try_read_text(f"{self._root}/.gpg-id") or "").strip()

    def _gpg(self, words: list[str], data: bytes = b"") -> bytes:
        from wherry.sys.processes import find_program

        program = find_program("gpg")
        if not program:
            raise Unavailable("the pass secret driver needs gpg, which is not installed")
        home = ["--homedir", self._home] if self._home else []
        return _run([program, *home, "--batch", "--quiet", *words], self._environment, data, "running gpg")

    def _path(self, identity: str) -> str:
        return f"{self._root}/{identity}.gpg"

    def store(self, identity: str, data: bytes) -> None:
        if not self._key:
            raise InvalidArgument("the pass secret driver needs a key: set the driver option key")
        encrypted = self._gpg(["--trust-model", "always", "--encrypt", "-r", self._key, "-o", "-"], data)
        try:
            make_dirs(self._root)
            atomic_write(self._path(identity), encrypted)
        except OSError as error:
            raise from_os_error(error, "storing secret data") from None

    def look_up(self, identity: str) -> bytes:
        if not os.path.exists(self._path(identity)):
            raise NoSecretData(identity)
        return self._gpg(["--decrypt", self._path(identity)])

    def delete(self, identity: str) -> None:
        FileDriver(self._root).delete(f"{identity}.gpg")


class ShellDriver:
    """Commands of the user's, run by ``sh -c`` with ``SECRET_ID`` set. Options: list, lookup, store, delete."""

    _KNOWN = ("list", "lookup", "store", "delete")

    def __init__(self, options: Mapping[str, str], environment: Mapping[str, str]) -> None:
        for name in options:
            if name not in self._KNOWN:
                raise InvalidArgument(f"invalid shell driver option {name!r}: key must be one of {self._KNOWN}")
        for name in self._KNOWN:
            if not options.get(name):
                raise InvalidArgument(f"missing config value: {name}")
        self._options = options
        self._environment = environment

    def _shell(self, action: str, identity: str, data: bytes = b"") -> bytes:
        environment = {**self._environment, "SECRET_ID": identity}
        return _run(["/bin/sh", "-c", self._options[action]], environment, data, f"secret {action} command")

    def store(self, identity: str, data: bytes) -> None:
        self._shell("store", identity, data)

    def look_up(self, identity: str) -> bytes:
        return self._shell("lookup", identity)

    def delete(self, identity: str) -> None:
        self._shell("delete", identity)
