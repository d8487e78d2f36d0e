"""Python values in the shapes Go programs show: structs, methods, nil pointers, types, truth and printing.

A template sees ``str int float bool None list dict`` as their Go counterparts; the classes here add what JSON trees do
not have: which dictionaries are structs, which nulls are pointers, and points in time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


class _Missing:
    """No value at all: an absent map key (prints ``<no value>``)."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False


MISSING = _Missing()


class NoField(Exception):
    """The value has no such field or method."""


class Struct:
    """A Go struct: fields by their Go names, in order; ``keys`` maps further accepted names (JSON keys) to them.

    ``json`` is the tree the ``json`` function and ``--format json`` print.
    """

    __slots__ = ("fields", "json", "keys", "pointer", "type_name")

    def __init__(
        self,
        type_name: str,
        fields: Mapping[str, Any],
        *,
        keys: Mapping[str, str] | None = None,
        json: Any = None,
        pointer: bool = False,
    ) -> None:
        self.type_name = type_name
        self.fields = fields
        self.keys = keys or {}
        self.json = fields if json is None else json
        self.pointer = pointer

    def go_field(self, name: str) -> Any:
        if name in self.fields:
            return self.fields[name]
        other = self.keys.get(name)
        if other is None:
            raise NoField(name)
        return self.fields[other]

    def go_values(self) -> Sequence[Any]:
        return list(self.fields.values())


class Nil:
    """A nil pointer to a struct of a known type."""

    __slots__ = ("names", "type_name")

    def __init__(self, type_name: str, names: Sequence[str] = ()) -> None:
        self.type_name = type_name
        self.names = names

    def __bool__(self) -> bool:
        return False


class NilMap(dict[str, "Any"]):
    """A nil map: like an empty one, but JSON has null for it."""


class NilList(list["Any"]):
    """A nil slice: like an empty one, but JSON has null for it."""


class Method:
    """A method bound to its receiver: called by the evaluator with the arguments the template gives."""

    __slots__ = ("call", "name", "parameters")

    def __init__(self, name: str, call: Callable[..., Any], parameters: int = 0) -> None:
        self.name = name
        self.call = call
        self.parameters = parameters


class View:
    """A row as a command reports it: Go names are methods or fields computed when a template asks for them.

    Subclasses list Go name -> Python attribute in ``go_names``; an attribute that is a function of the class becomes a
    Go method (it may take arguments), a property a field.
    """

    type_name = ""
    go_names: Mapping[str, str] = {}

    def go_field(self, name: str) -> Any:
        attribute = self.go_names.get(name)
        if attribute is None:
            raise NoField(name)
        value = getattr(self, attribute)
        if callable(value):
            return Method(name, value, value.__code__.co_argcount - 1)
        return value

    def go_values(self) -> Sequence[Any]:
        values = (getattr(self, attribute) for attribute in dict.fromkeys(self.go_names.values()))
        return [value for value in values if not callable(value)]

    @property
    def json(self) -> Any:
        """The tree the ``json`` function prints."""
        return {name: value for name in self.go_names if not isinstance(value := self.go_field(name), Method)}


def type_name(value: Any) -> str:
    """What ``%T`` prints."""
    if value is None or value is MISSING:
        return "<nil>"
    if isinstance(value, bool):
        return "bool"
    for kind, name in ((int, "int"), (float, "float64"), (str, "string")):
        if isinstance(value, kind):
            return name
    if isinstance(value, (list, tuple)):
        return "[]" + _common_type(value)
    if isinstance(value, dict):
        return "map[string]" + _common_type(list(value.values()))
    name = getattr(value, "type_name", type(value).__name__)
    return "*" + name if isinstance(value, Nil) or getattr(value, "pointer", False) else name


def _common_type(values: Sequence[Any]) -> str:
    """The element type of a list or map; an empty one is taken for strings, the commonest."""
    names = {type_name(value) for value in values}
    if not names:
        return "string"
    return names.pop() if len(names) == 1 else "interface {}"


def is_true(value: Any) -> bool:
    """Go's truth: not the zero value; a struct always is."""
    if value is None or value is MISSING:
        return False
    if isinstance(value, (bool, int, float, str, list, tuple, dict, Nil)):
        return bool(value)
    return True


def show(value: Any, *, top: bool = True) -> str:
    """What ``%v`` prints (a struct pointer at the *top* gets its ``&``; see :func:`show_bare` for ``{{.}}``)."""
    if value is None or value is MISSING or isinstance(value, Nil):
        return "<nil>"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return show_float(value)
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(show(item, top=False) for item in value) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{show(value[key], top=False)}" for key in sorted(value)) + "]"
    values = getattr(value, "go_values", None)
    if values is None:
        return str(value)
    text = "{" + " ".join(show(item, top=False) for item in values()) + "}"
    return "&" + text if top and getattr(value, "pointer", False) else text


def show_bare(value: Any) -> str:
    """What an action prints: pointers are followed, an absent value is ``<no value>``."""
    if value is MISSING:
        return "<no value>"
    return show(value, top=not getattr(value, "pointer", False))


def show_float(value: float) -> str:
    """Shortest text that gives the number back; with an exponent below 1e-4 and from 1e6 (``strconv`` format g)."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    sign, digits, point = decompose(value)
    if digits == "0":
        return sign + "0"
    exponent = point - 1
    if exponent < -4 or exponent >= 6:
        tail = "." + digits[1:] if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits.ljust(point, "0")
    return f"{sign}{digits[:point]}.{digits[point:]}"


def decompose(value: float) -> tuple[str, str, int]:
    """Sign, shortest decimal digits and the place of the point among them (``0.012`` -> ``""``, ``"12"``, -1)."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    return "-" if value < 0 or str(value).startswith("-") else "", digits, point


def to_json(value: Any) -> Any:
    """The JSON tree of a value: maps sorted by key, structs in order."""
    if value is MISSING or isinstance(value, (Nil, NilMap, NilList)):
        return None
    if isinstance(value, dict):
        return {str(key): to_json(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, Struct) and value.json is value.fields:
        return {name: to_json(item) for name, item in value.fields.items()}
    if isinstance(value, (Struct, View)):
        return value.json
    return value.to_json() if hasattr(value, "to_json") else value
