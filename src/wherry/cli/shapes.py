"""JSON trees as the Go structs they came from: what ``--format`` templates of inspect and info see.

A shape is written as text, parsed when a template is used::

    *define.Data{ID=Id:str, Args:[]str, Labels:map[str], State:*define.State{Pid:int, StartedAt:time}}

``GoName=key`` names a field (one word when both are the same), then its type: ``str int float bool time any``,
``[]TYPE``, ``map[TYPE]`` (keys are always text), a struct ``name{...}`` or a pointer to one ``*name{...}``.  A field
that is absent from the JSON has its type's zero value, so that a template never fails for want of it.
"""

from __future__ import annotations

from wherry.cli.gotemplate.values import Nil, NilList, NilMap, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SCALARS = ("str", "int", "float", "bool", "time", "any")


class Shape:
    """A parsed type: ``kind`` is a scalar's name, list, map, struct or pointer."""

    __slots__ = ("element", "fields", "keys", "kind", "name")

    def __init__(self, kind: str, element: Shape | None = None, name: str = "") -> None:
        self.kind = kind
        self.element = element
        self.name = name
        self.fields: dict[str, tuple[str, Shape]] = {}      # Go name -> (JSON key, shape)
        self.keys: dict[str, str] = {}                      # JSON key -> Go name, where they differ


def parse(text: str) -> Shape:
    """The shape *text* describes. Raises :class:`ValueError`: it is a constant of the program."""
    text = "".join(text.split())
    shape, end = _type(text, 0)
    if end != len(text):
        raise ValueError(f"shape: unexpected {text[end:end + 20]!r}")
    return shape


def _type(text: str, index: int) -> tuple[Shape, int]:
    if text.startswith("[]", index):
        element, index = _type(text, index + 2)
        return Shape("list", element), index
    if text.startswith("map[", index):
        element, index = _type(text, index + 4)
        return Shape("map", element), index + 1
    end = index
    while end < len(text) and text[end] not in ",{}]":
        end += 1
    name = text[index:end]
    if text[end:end + 1] != "{":
        if name not in _SCALARS:
            raise ValueError(f"shape: no such type {name!r}")
        return Shape(name), end
    shape = Shape("pointer" if name.startswith("*") else "struct", None, name.removeprefix("*"))
    return shape, _fields(text, end + 1, shape)


def _fields(text: str, index: int, shape: Shape) -> int:
    """Read the fields of a struct; the index behind its closing brace."""
    while text[index:index + 1] != "}":
        end = text.index(":", index)
        name, _, key = text[index:end].partition("=")
        field, index = _type(text, end + 1)
        shape.fields[name] = (key or name, field)
        if key and key != name:
            shape.keys[key] = name
        index += text[index:index + 1] == ","
    return index + 1


def wrap(shape: Shape, value: Any) -> Any:
    """*value*, a piece of a JSON tree, as the Go value its *shape* says it was."""
    kind = shape.kind
    if kind in ("struct", "pointer"):
        if value is None and kind == "pointer":
            return Nil(shape.name, tuple(shape.fields))
        return _struct(shape, value or {})
    if kind == "list":
        assert shape.element is not None
        return NilList() if value is None else [wrap(shape.element, item) for item in value]
    if kind == "map":
        assert shape.element is not None
        return NilMap() if value is None else {key: wrap(shape.element, item) for key, item in value.items()}
    if kind == "time":
        from wherry.cli.gotemplate.gotime import GoTime

        return GoTime.parse(value or "")
    if value is None:
        return {"str": "", "int": 0, "float": 0.0, "bool": False}.get(kind)
    return value


def _struct(shape: Shape, tree: dict[str, Any]) -> Struct:
    fields = {name: wrap(field, tree.get(key)) for name, (key, field) in shape.fields.items()}
    for key, value in tree.items():
        if key not in shape.keys and key not in fields:
            fields[key] = value         # wherry's own additions are visible too
    return Struct(shape.name, fields, keys=shape.keys, json=tree, pointer=shape.kind == "pointer")
