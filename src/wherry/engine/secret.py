"""The handle of one secret."""

from __future__ import annotations

from wherry.secrets.store import NoSuchSecret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.engine.runtime import Runtime
    from wherry.secrets.store import Secret as Record


class Secret:
    """A secret of this engine; its data is only read when asked for. As a context manager it is removed on leaving."""

    def __init__(self, runtime: Runtime, record: Record) -> None:
        self._runtime = runtime
        self._record = record

    @property
    def id(self) -> str:
        """25 hex digits."""
        return self._record.id

    @property
    def name(self) -> str:
        return self._record.name

    @property
    def labels(self) -> Mapping[str, str]:
        return self._record.labels

    @property
    def driver(self) -> str:
        """file, pass or shell."""
        return self._record.driver

    @property
    def driver_options(self) -> Mapping[str, str]:
        return self._record.driver_options

    @property
    def created_time(self) -> str:
        return self._record.created_time

    @property
    def updated_time(self) -> str:
        return self._record.updated_time

    def data(self) -> bytes:
        """The secret itself."""
        return self._runtime.secrets.store.data(self._record)

    def remove(self) -> None:
        """Remove it; containers that have it keep what they were given. Raises ``NoSuchSecret``."""
        self._runtime.secrets.remove(self.id)

    def __enter__(self) -> Secret:
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self.remove()
        except NoSuchSecret:
            pass

    def __repr__(self) -> str:
        return f"<Secret {self.id} {self.name}>"
