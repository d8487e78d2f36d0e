"""Typed records that cost nothing to define: the lean counterpart of a dataclass.

A record is declared like a dataclass and type-checked like one (PEP 681), but defining a class executes no generated
code: field values that differ from the default live in ``__dict__``, all others are read from the class.  That makes
decoding a stored record one dictionary update, and encoding it a walk over what was actually set.

    class Mount(Record):
        source: str = ""
        options: Sequence[str] = ()
        uid_maps: Sequence[IDMap] = field(default=(), key="uidMaps", records=IDMap)

Records are immutable unless declared with ``mutable=True`` (the container's *state* is; its *config* is not).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self, dataclass_transform

else:
    def dataclass_transform(**_options):
        return lambda decorated: decorated

#: An empty mapping that cannot be changed; the default of map-valued fields.
EMPTY: Mapping[str, Any] = type(type.__dict__)({})


class FieldSpec:
    """What :func:`field` recorded; replaced by the plain default once the class is complete."""

    __slots__ = ("default", "key", "record", "records", "table")

    def __init__(self, default: Any, key: str, record: Any, records: Any, table: Any) -> None:
        self.default = default
        self.key = key
        self.record = record
        self.records = records
        self.table = table


def field(
    *,
    default: Any = None,
    key: str = "",
    record: type[Record] | None = None,
    records: type[Record] | None = None,
    table: type[Record] | None = None,
) -> Any:
    """Describe a field: its JSON *key* when that is not the attribute's name, and how nested records are decoded.

    ``record`` says the value is one record, ``records`` a list of them, ``table`` a map from string to record.
    """
    return FieldSpec(default, key, record, records, table)


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class Record:
    """Base of all records. Equality is by class and field values."""

    _keys: dict[str, str] = {}                 # attribute -> JSON key, in declaration order
    _nested: dict[str, tuple[str, Any]] = {}   # attribute -> (shape, record class)
    _names: dict[str, str] = {}                # JSON key -> attribute
    _mutable = False

    def __init_subclass__(cls, mutable: bool = False) -> None:
        keys = dict(cls._keys)
        nested = dict(cls._nested)
        for name in cls.__dict__.get("__annotations__", ()):
            if name.startswith("_"):
                continue
            spec = cls.__dict__.get(name)
            key = name
            if isinstance(spec, FieldSpec):
                key = spec.key or name
                if spec.record:
                    nested[name] = ("one", spec.record)
                elif spec.records:
                    nested[name] = ("list", spec.records)
                elif spec.table:
                    nested[name] = ("map", spec.table)
                setattr(cls, name, spec.default)
            elif name not in cls.__dict__:
                setattr(cls, name, None)
            keys[name] = key
        cls._keys = keys
        cls._nested = nested
        cls._names = {key: name for name, key in keys.items()}
        cls._mutable = mutable or cls._mutable

    def __init__(self, **values: Any) -> None:
        keys = self._keys
        for name in values:
            if name not in keys:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
        self.__dict__.update(values)

    if not TYPE_CHECKING:
        def __setattr__(self, name, value):
            if not self._mutable:
                raise AttributeError(f"{type(self).__name__} is immutable; use replace({name}=...)")
            if name not in self._keys:
                raise AttributeError(f"{type(self).__name__} has no field {name!r}")
            self.__dict__[name] = value

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._keys)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._keys if name in self.__dict__)
        return f"{type(self).__name__}({shown})"

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        new = type(self)(**changes)
        new.__dict__.update({name: value for name, value in self.__dict__.items() if name not in changes})
        return new

    def to_json(self) -> dict[str, Any]:
        """The JSON object: every field that differs from its default, in declaration order."""
        out: dict[str, Any] = {}
        values = self.__dict__
        nested = self._nested
        cls = type(self)
        for name, key in self._keys.items():
            if name not in values:
                continue
            value = values[name]
            if value == getattr(cls, name):
                continue
            if name in nested and value is not None:
                shape = nested[name][0]
                if shape == "one":
                    value = value.to_json()
                elif shape == "list":
                    value = [item.to_json() for item in value]
                else:
                    value = {k: item.to_json() for k, item in value.items()}
            out[key] = value
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Decode a JSON object. Unknown keys are ignored (a newer wherry may have written them)."""
        new = cls.__new__(cls)
        values = new.__dict__
        names = cls._names
        nested = cls._nested
        for key, value in data.items():
            name = names.get(key)
            if name is None:
                continue
            if name in nested and value is not None:
                shape, record = nested[name]
                if shape == "one":
                    value = record.from_json(value)
                elif shape == "list":
                    value = [record.from_json(item) for item in value]
                else:
                    value = {k: record.from_json(item) for k, item in value.items()}
            values[name] = value
        return new


