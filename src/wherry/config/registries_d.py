"""registries.d (containers-registries.d(5)): where the signatures of images in registries are."""

from __future__ import annotations

import os

from wherry.config import places as config_places
from wherry.config.policy import scopes
from wherry.errors import InvalidArgument
from wherry.model.record import EMPTY, Record
from wherry.sys.files import try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from wherry.config.places import Places
    from wherry.model.reference import Reference

_READ = ("lookaside", "sigstore")
_WRITE = ("lookaside-staging", "sigstore-staging", *_READ)
_ATTACH = "use-sigstore-attachments"


class SignatureStore(Record):
    """Where the signatures of a repository are read from and written to (URLs), and whether attachments are used."""

    lookaside: str = ""
    staging: str = ""
    attachments: bool = False


class RegistriesD(Record):
    """The tables of all files together."""

    default: Mapping[str, Any] = EMPTY
    docker: Mapping[str, Mapping[str, Any]] = EMPTY


def load(directory: str = "", places: Places | None = None) -> RegistriesD:
    """Read *directory*, or that of user or host. Raises :class:`InvalidArgument` naming a file that is wrong."""
    docker: dict[str, Any] = {}
    origin: dict[str, str] = {}
    default: dict[str, Any] = {}
    for path in _yaml_files(directory or registries_dir(places)):
        data = _yaml(path)
        if data.get("default-docker") is not None:
            if "" in origin:
                raise InvalidArgument(
                    f'Error parsing signature storage configuration: "default-docker" defined both in '
                    f'"{origin[""]}" and "{path}"'
                )
            origin[""], default = path, _table(path, data["default-docker"])
        for scope, table in (data.get("docker") or {}).items():
            if scope in origin:
                raise InvalidArgument(
                    f'Error parsing signature storage configuration: "docker" namespace "{scope}" defined both in '
                    f'"{origin[scope]}" and "{path}"'
                )
            origin[scope], docker[scope] = path, _table(path, table)
    return RegistriesD(default=default, docker=docker)


def registries_dir(places: Places | None = None) -> str:
    """The directory that applies: the user's if there is one, else the host's."""
    where = places or config_places.current()
    own = f"{where.config_home}/containers/registries.d"
    return own if where.config_home and os.path.isdir(own) else f"{where.etc}/registries.d"


def signature_store(reference: Reference, places: Places | None = None, directory: str = "") -> SignatureStore:
    """What registries.d says of *reference*: each setting from the most specific scope that has it."""
    tables = load(directory, places)
    chosen = [tables.docker[scope] for scope in scopes(reference) if scope in tables.docker] + [tables.default]
    usual = default_lookaside(places)
    attach = next((table[_ATTACH] for table in chosen if table.get(_ATTACH) is not None), False)
    return SignatureStore(
        lookaside=next(_texts(chosen, _READ), usual), staging=next(_texts(chosen, _WRITE), usual), attachments=attach
    )


def default_lookaside(places: Places | None = None) -> str:
    """Where signatures are when registries.d does not say."""
    where = places or config_places.current()
    home = where.data_home if where.rootless else f"{where.var}/lib"
    return f"file://{home}/containers/sigstore"


def _texts(tables: list[Mapping[str, Any]], keys: tuple[str, ...]) -> Iterator[str]:
    for table in tables:
        for key in keys:
            if table.get(key):
                yield str(table[key])


def _table(path: str, value: Any) -> dict[str, Any]:
    table = {} if value is None else value
    if not isinstance(table, dict):
        raise InvalidArgument(f"parsing {path}: a namespace is not a mapping")
    for key in (*_READ, *_WRITE):
        if not isinstance(table.get(key), (str, type(None))):
            raise InvalidArgument(f"parsing {path}: {key} is not a text")
    if not isinstance(table.get(_ATTACH), (bool, type(None))):
        raise InvalidArgument(f"parsing {path}: {_ATTACH} is neither true nor false")
    return table


def _yaml_files(directory: str) -> list[str]:
    try:
        return sorted(f"{directory}/{name}" for name in os.listdir(directory) if name.endswith(".yaml"))
    except OSError:
        return []


def _yaml(path: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise InvalidArgument(f"reading {path}: the Python package PyYAML is missing") from None
    try:
        data = yaml.safe_load(try_read_text(path) or "")
    except yaml.YAMLError as error:
        raise InvalidArgument(f"parsing {path}: {error}") from None
    data = {} if data is None else data
    if not isinstance(data, dict) or not isinstance(data.get("docker"), (dict, type(None))):
        raise InvalidArgument(f"parsing {path}: not a mapping")
    return data
