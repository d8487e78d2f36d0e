"""Checking a database: its pages, its references, and its derived rows against the configurations."""

from __future__ import annotations

from wherry.errors import WherryError
from wherry.model.container import ContainerConfig, ContainerState
from wherry.model.jsontext import JSONError, loads
from wherry.state.relations import dependencies_of, volumes_of
from wherry.state.rows import CONFIG_COLUMNS, STATE_COLUMNS, config_columns, state_columns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from wherry.state.sqlite import SqliteState

_COLUMNS = CONFIG_COLUMNS + STATE_COLUMNS
_CONTAINERS = (
    f"SELECT {', '.join(f'c.{name}' for name in _COLUMNS)}, c.state, k.config "
    "FROM containers AS c LEFT JOIN configs AS k ON k.n=c.n ORDER BY c.n"
)
_ORPHANS = (
    ("configuration of no container", "SELECT n FROM configs WHERE n NOT IN (SELECT n FROM containers)"),
    (
        "infra container of a pod is missing",
        "SELECT infra_id FROM pods WHERE infra_id<>'' AND infra_id NOT IN (SELECT id FROM containers)",
    ),
)


def check(state: SqliteState) -> list[str]:
    """Everything found wrong, one sentence each; see :meth:`SqliteState.check`."""
    try:
        with state.transaction():
            return list(_findings(state))
    except WherryError as error:
        return [str(error)]


def _findings(state: SqliteState) -> Iterator[str]:
    for (text,) in state._rows("PRAGMA integrity_check"):
        if text != "ok":
            yield f"database: {text}"
    for table, row, parent, _ in state._rows("PRAGMA foreign_key_check"):
        yield f"database: row {row} of {table} refers to a missing row of {parent}"
    for what, statement in _ORPHANS:
        for (value,) in state._rows(statement):
            yield f"database: {what}: {value}"
    for row in state._rows(_CONTAINERS):
        yield from _container(state, row)


def _container(state: SqliteState, row: tuple[object, ...]) -> Iterator[str]:
    """Compare the columns and relations of one container with the configuration and state they derive from."""
    identity = row[0]
    stored_state, stored_config = row[-2:]
    if not isinstance(stored_config, str) or not isinstance(stored_state, str):
        yield f"container {identity} has no configuration"
        return
    try:
        config = ContainerConfig.from_json(loads(stored_config))
        columns = config_columns(config) + state_columns(ContainerState.from_json(loads(stored_state)))
    except (JSONError, ValueError, AttributeError, TypeError) as error:
        yield f"container {identity} cannot be decoded: {error}"
        return
    for name, have, want in zip(_COLUMNS, row, columns, strict=False):
        if have != want:
            yield f"container {identity}: column {name} is {have!r} and should be {want!r}"
    relations = (
        ("dependencies", "dependency", dependencies_of(config)),
        ("volume_uses", "volume", volumes_of(config)),
        ("network_uses", "network", sorted(config.networks)),
    )
    for table, column, expected in relations:
        rows = state._rows(f"SELECT {column} FROM {table} WHERE container=? ORDER BY {column}", (identity,))
        if [found for (found,) in rows] != expected:
            yield f"container {identity}: {table} does not agree with its configuration"
