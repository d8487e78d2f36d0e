"""The secrets of a runtime."""

from __future__ import annotations

from wherry.engine.secret import Secret
from wherry.errors import InvalidArgument, NotFound
from wherry.model.event import Event
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import list as List
    from collections.abc import Mapping, Sequence

    from wherry.engine.runtime import Runtime
    from wherry.secrets.store import Secret as Record
    from wherry.secrets.store import SecretStore


class SecretCollection:
    """``rt.secrets``: make, find and list secrets."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def store(self) -> SecretStore:
        from wherry.config.environment import environ
        from wherry.secrets.store import SecretStore

        return self._runtime.cached(
            "secret store", lambda: SecretStore(self._runtime.paths.secrets, environ())
        )

    def create(
        self,
        name: str,
        data: bytes,
        *,
        driver: str = "",
        driver_options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        replace: bool = False,
        exist_ok: bool = False,
    ) -> Secret:
        """Store *data* (1 to 511999 bytes) under *name*; containers made before keep what they were given.

        Raises ``SecretExists`` unless *replace* or *exist_ok* is given.
        """
        settings = self._runtime.settings.secrets
        secret = self.store.create(
            name,
            data,
            driver_name=driver or settings.driver,
            driver_options=dict(settings.opts) if driver_options is None else driver_options,
            labels=labels or {},
            replace=replace,
            exist_ok=exist_ok,
        )
        self._tell("create", secret)
        return Secret(self._runtime, secret)

    def get(self, text: str) -> Secret:
        """The secret with this name, id or unique beginning of an id. Raises ``NoSuchSecret``."""
        return Secret(self._runtime, self.store.get(text))

    def exists(self, text: str) -> bool:
        try:
            self.store.get(text)
        except NotFound:
            return False
        return True

    def data(self, text: str) -> bytes:
        """The secret itself."""
        return self.store.data(self.store.get(text))

    def list(self, filters: Mapping[str, Sequence[str]] | None = None) -> List[Secret]:
        """Secrets in the order of creation; *filters* may have ``name`` and ``id`` (regular expressions)."""
        found = [Secret(self._runtime, record) for record in self.store.all()]
        for key, values in (filters or {}).items():
            if key not in ("name", "id"):
                raise InvalidArgument(f'invalid filter "{key}"')
            found = [secret for secret in found if _matches(getattr(secret, key), values)]
        return found

    def remove(self, text: str) -> Secret:
        """Remove a secret; returns what it was. Raises ``NoSuchSecret``."""
        secret = self.store.remove(text)
        self._tell("remove", secret)
        return Secret(self._runtime, secret)

    def _tell(self, what: str, secret: Record) -> None:
        event = Event(id=secret.id, name=secret.name, type="secret", status=what, time_ns=now_ns())
        self._runtime.state.add_events(event)
        self._runtime.publish()


def _matches(text: str, patterns: Sequence[str]) -> bool:
    import re

    try:
        return any(re.search(pattern, text) for pattern in patterns)
    except re.error as error:
        raise InvalidArgument(f"invalid regular expression: {error}: invalid argument") from None
