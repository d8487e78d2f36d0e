"""The secrets of an engine: names, labels, times and driver of each in one file, the data with its driver."""

from __future__ import annotations

import os

from wherry.errors import AlreadyExists, Corrupt, InvalidArgument, NotFound, from_os_error
from wherry.model.jsontext import JSONError, dumps, loads
from wherry.model.record import EMPTY, Record, field
from wherry.model.timestamps import now
from wherry.secrets.drivers import driver
from wherry.sys.files import atomic_write, make_dirs, read_bytes
from wherry.sys.locks import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from wherry.secrets.drivers import Driver

#: Bytes, as in containers/common.
MAX_SIZE = 512000
MAX_NAME = 253
ID_LENGTH = 25


class NoSuchSecret(NotFound):
    cause = "no such secret"


class SecretExists(AlreadyExists):
    cause = "secret name in use"


class InvalidSecretName(InvalidArgument):
    cause = "invalid secret name"


class Secret(Record):
    """What is known of a secret; the data is not part of it."""

    id: str = ""
    name: str = ""
    labels: Mapping[str, str] = EMPTY
    metadata: Mapping[str, str] = EMPTY
    created_time: str = field(default="", key="createdAt")
    updated_time: str = field(default="", key="updatedAt")
    driver: str = "file"
    driver_options: Mapping[str, str] = field(default=EMPTY, key="driverOptions")


def check_name(name: str) -> None:
    """Raises :class:`InvalidSecretName`."""
    if not name or len(name) > MAX_NAME or any(character in name for character in "=/,\0"):
        raise InvalidSecretName(
            f"secret name \"{name}\" can not include '=', '/', ',', or the '\\0' (NULL) and be between 1 and "
            f"{MAX_NAME} characters"
        )


class SecretStore:
    """Secrets below *directory*; *environment* is handed to the commands of external drivers."""

    def __init__(self, directory: str, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment

    # -- reading -------------------------------------------------------------------------------------------------

    def all(self) -> list[Secret]:
        """In the order of creation."""
        return sorted(self._read(), key=lambda secret: (secret.created_time, secret.name))

    def get(self, text: str) -> Secret:
        """By name, id or unique beginning of an id. Raises :class:`NoSuchSecret`, ``InvalidArgument``."""
        found = self._find(self._read(), text)
        if found is None:
            raise NoSuchSecret(f'no secret with name or id "{text}"')
        return found

    @staticmethod
    def _find(secrets: list[Secret], text: str) -> Secret | None:
        for secret in secrets:
            if text in (secret.name, secret.id):
                return secret
        matching = [secret for secret in secrets if text and secret.id.startswith(text)]
        if len(matching) > 1:
            raise InvalidArgument(f"more than one result secret with prefix {text}: secret is ambiguous")
        return matching[0] if matching else None

    def data(self, secret: Secret) -> bytes:
        """The secret itself. Raises ``WherryError``."""
        return self._driver(secret).look_up(secret.id)

    def _driver(self, secret: Secret) -> Driver:
        directory = f"{self._directory}/filedriver"
        return driver(secret.driver, secret.driver_options, directory, self._environment)

    # -- changing ------------------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        data: bytes,
        *,
        driver_name: str = "file",
        driver_options: Mapping[str, str] = EMPTY,
        labels: Mapping[str, str] = EMPTY,
        replace: bool = False,
        exist_ok: bool = False,
    ) -> Secret:
        """Store a secret. With *replace* one of that name is replaced by it, with *exist_ok* that one is returned.

        Raises :class:`InvalidSecretName`, :class:`SecretExists`, ``InvalidArgument``.
        """
        check_name(name)
        with self._lock():
            secrets = self._read()
            old = next((secret for secret in secrets if secret.name == name), None)
            if old is not None and exist_ok:
                return old
            if not 0 < len(data) < MAX_SIZE:
                raise InvalidArgument(f"secret data must be larger than 0 and less than {MAX_SIZE} bytes")
            if old is not None and not replace:
                raise SecretExists(name)
            made = now()
            options = dict(driver_options)
            if driver_name == "file":
                options.setdefault("path", f"{self._directory}/filedriver")
            secret = Secret(
                id=self._free_id(secrets), name=name, labels=dict(labels), driver=driver_name,
                driver_options=options, created_time=old.created_time if old else made, updated_time=made,
            )
            keeper = self._driver(secret)
            keeper.store(secret.id, data)
            try:
                self._write([*(other for other in secrets if other is not old), secret])
            except BaseException:
                keeper.delete(secret.id)
                raise
            if old is not None:
                self._driver(old).delete(old.id)
        return secret

    def remove(self, text: str) -> Secret:
        """Remove a secret and its data; returns what it was. Raises :class:`NoSuchSecret`."""
        with self._lock():
            secrets = self._read()
            found = self._find(secrets, text)
            if found is None:
                raise NoSuchSecret(f'no secret with name or id "{text}"')
            self._write([secret for secret in secrets if secret is not found])
            self._driver(found).delete(found.id)
        return found

    @staticmethod
    def _free_id(secrets: list[Secret]) -> str:
        taken = {secret.id for secret in secrets}
        while True:
            new = os.urandom(16).hex()[:ID_LENGTH]
            if new not in taken:
                return new

    # -- the file ------------------------------------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return f"{self._directory}/secrets.json"

    def _lock(self) -> Any:
        make_dirs(self._directory)
        return FileLock(f"{self._directory}/secrets.lock").exclusive()

    def _read(self) -> list[Secret]:
        try:
            text = read_bytes(self._path).decode()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise from_os_error(error, "reading secrets") from None
        try:
            return [Secret.from_json(tree) for tree in loads(text)["secrets"].values()]
        except (JSONError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise Corrupt(f"secrets file {self._path}: {error}") from None

    def _write(self, secrets: list[Secret]) -> None:
        tree = {"secrets": {secret.id: secret.to_json() for secret in secrets}}
        try:
            atomic_write(self._path, dumps(tree).encode())
        except OSError as error:
            raise from_os_error(error, "storing secrets") from None
