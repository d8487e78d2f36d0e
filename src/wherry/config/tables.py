"""TOML tables: reading them, checking values against the annotations of a record, merging one file over another."""

from __future__ import annotations

from wherry.config.settings import ServiceDestination, SubnetPool
from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.model.record import Record

_GO_TYPES = {str: "string", bool: "bool", int: "int64", float: "float64", list: "slice", dict: "map"}
_DESTINATIONS = {
    "str": "string", "bool": "boolean", "int": "integer", "int | None": "integer", "bool | None": "boolean",
    "Sequence[str]": "slice",
}


class InvalidConfiguration(InvalidArgument):
    """A configuration file is wrong; the message names the file and, where there is one, the key."""


def parse(path: str, data: bytes) -> dict[str, Any]:
    """The tables of a TOML file. Raises :class:`InvalidConfiguration` naming *path*."""
    import tomllib

    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"decode configuration {path}: toml: {error}") from None


def mismatch(path: str, key: str, value: object, wanted: str) -> InvalidConfiguration:
    """The error for a value of the wrong type, in the words of the decoder Podman uses."""
    kind = _GO_TYPES.get(type(value), type(value).__name__)
    return InvalidConfiguration(
        f'decode configuration {path}: toml: (last key "{key}"): incompatible types: TOML value has type {kind}; '
        f"destination has type {wanted}"
    )


class Merger:
    """One section of containers.conf built up from file after file.

    A later file replaces scalars and lists and adds to maps.  A list that contains ``{append=true}`` is added to what
    was there before, and so are lists for the same key in later files until one says ``{append=false}``.
    """

    def __init__(self, section: str, record: type[Record], renamed: dict[str, str] | None = None) -> None:
        self.section = section
        self.record = record
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}      # key -> the file that set it last
        self._renamed = renamed or {}
        self._appending: dict[str, bool] = {}

    def add(self, path: str, table: dict[str, Any]) -> list[str]:
        """Merge *table* of the file *path*; returns the keys nobody knows."""
        unknown = []
        annotations = self.record.__annotations__
        for written, value in table.items():
            key = self._renamed.get(written, written)
            wanted = annotations.get(key)
            if wanted is None:
                unknown.append(f"{self.section}.{written}")
                continue
            self.values[key] = self._merged(path, key, value, wanted)
            self.origins[key] = path
        return unknown

    def get(self, key: str) -> Any:
        """The merged value, or the default."""
        return self.values[key] if key in self.values else getattr(self.record, key)

    def _merged(self, path: str, key: str, value: Any, wanted: str) -> Any:
        name = f"{self.section}.{key}"
        if wanted == "Sequence[str]":
            items = self._list(path, name, value, key)
            return [*self.get(key), *items] if self._appending.get(key) else items
        if wanted.startswith("Mapping["):
            if not isinstance(value, dict):
                raise mismatch(path, name, value, "map")
            element = wanted[len("Mapping[str, "):-1]
            added = {inner: _element(path, f"{name}.{inner}", item, element) for inner, item in value.items()}
            return {**self.get(key), **added}
        if wanted == "Sequence[SubnetPool]":
            return _subnet_pools(path, name, value)
        return scalar(path, name, value, wanted)

    def _list(self, path: str, name: str, value: Any, key: str) -> list[str]:
        if not isinstance(value, list):
            raise mismatch(path, name, value, "slice")
        items = []
        for item in value:
            if isinstance(item, dict):
                append = item.get("append")
                if set(item) != {"append"} or not isinstance(append, bool):
                    raise InvalidConfiguration(
                        f'decode configuration {path}: toml: (last key "{name}"): unsupported inline table in a string '
                        "array: only {append=true} and {append=false} are"
                    )
                self._appending[key] = append
            else:
                items.append(scalar(path, name, item, "str"))
        return items


def scalar(path: str, name: str, value: Any, wanted: str) -> Any:
    """*value* if it has the type *wanted* names (``str``, ``bool``, ``int``); raises :class:`InvalidConfiguration`."""
    kind = {"str": str, "bool": bool, "int": int, "int | None": int, "bool | None": bool}[wanted]
    if name == "engine.events_logfile_max_size" and isinstance(value, str):
        return size_in_bytes(path, name, value)
    if type(value) is not kind:
        raise mismatch(path, name, value, _DESTINATIONS[wanted])
    return value


def strings(path: str, name: str, value: Any) -> list[str]:
    """A plain list of strings."""
    if not isinstance(value, list):
        raise mismatch(path, name, value, "slice")
    return [scalar(path, name, item, "str") for item in value]


def _element(path: str, name: str, value: Any, wanted: str) -> Any:
    if wanted == "Sequence[str]":
        return strings(path, name, value)
    if wanted == "ServiceDestination":
        merger = Merger(name, ServiceDestination)
        if not isinstance(value, dict):
            raise mismatch(path, name, value, "struct")
        merger.add(path, value)
        return ServiceDestination(**merger.values)
    return scalar(path, name, value, wanted)


def _subnet_pools(path: str, name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise mismatch(path, name, value, "slice")
    pools = []
    for item in value:
        if not isinstance(item, dict):
            raise mismatch(path, name, item, "struct")
        pools.append(SubnetPool(
            base=scalar(path, f"{name}.base", item.get("base", ""), "str"),
            size=scalar(path, f"{name}.size", item.get("size", 0), "int"),
        ))
    return pools


# Unit -> power of the factor (go-units): k, kb, kib and so on.
_UNITS = {"": 0, "b": 0} | {
    letter + end: power for power, letter in enumerate("kmgtp", start=1) for end in ("", "b", "ib")
}


def size_in_bytes(path: str, name: str, text: str, factor: int = 1000) -> int:
    """A size such as ``1m`` or ``2.5GiB``; *factor* is what ``k`` stands for."""
    lowered = text.strip().lower()
    number = lowered.rstrip("abcdefghijklmnopqrstuvwxyz ")
    power = _UNITS.get(lowered[len(number):].strip())
    try:
        amount = float(number)
    except ValueError:
        amount = -1.0
    if power is None or not 0 <= amount < float("inf"):
        raise InvalidConfiguration(f"decode configuration {path}: {name}: invalid size: '{text}'")
    return int(amount * factor**power)
