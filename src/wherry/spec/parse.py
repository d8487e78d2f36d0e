"""Flags to a :class:`ContainerSpec`: each value read by the parser its option names, then all checked together."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.record import EMPTY
from wherry.spec.check import check
from wherry.spec.container_spec import ContainerSpec
from wherry.spec.options import ALL, BOOL, BY_NAME, CSV, FLOAT, INT, LIST, STRING, UINT, flag_text
from wherry.spec.parse_values import boolean, integer, number, quote, split_commas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from wherry.spec.options import Option


def read_text(path: str) -> str:
    """The text of a file named on the command line (env and label files)."""
    from wherry.sys.files import read_text as read

    return read(path)


def from_flags(
    values: Mapping[str, object],
    image: str,
    command: Sequence[str] = (),
    *,
    environment: Mapping[str, str] = EMPTY,
    reader: Callable[[str], str] = read_text,
) -> ContainerSpec:
    """The specification asked for by command-line flags.

    *values* is keyed by long option name without dashes and holds only what the user set: a truth value or text for
    flags, text or a number for single values, a list with one text per occurrence for repeatable ones (lines of
    comma-separated values are split here).  *environment* is the caller's, for variables named without a value;
    *reader* reads env and label files.  Raises :class:`InvalidArgument` in Podman's words.
    """
    fields = read_fields(values, environment=environment, reader=reader, split=True)
    spec = ContainerSpec(image=image, command=list(command), **fields)
    check(spec)
    return spec


def read_fields(
    values: Mapping[str, object],
    *,
    environment: Mapping[str, str],
    reader: Callable[[str], str],
    split: bool,
) -> dict[str, Any]:
    """Fields of :class:`ContainerSpec` from option values; *split* says whether lists hold comma-separated lines."""
    named = {name: value for name, value in values.items() if value is not None}
    unknown = named.keys() - BY_NAME.keys()
    if unknown:
        raise InvalidArgument(f"unknown flag: --{min(unknown)}")
    given = {BY_NAME[name].name: value for name, value in named.items()}
    fields: dict[str, Any] = {}
    for row in ALL:
        if row.name not in given:
            continue
        value = convert(row, given[row.name], split=split)
        if row.parse:
            value = _parser(row.parse)(value, *_needs(row.needs, environment, reader))
        if value is None:
            continue
        known = fields.get(row.field)
        if known is None:
            fields[row.field] = value
        elif isinstance(known, dict):
            known.update(value)
        else:
            known.extend(value)
    return fields


def _parser(name: str) -> Callable[..., Any]:
    """The function ``module:function`` names; its module is loaded only when an option that needs it is used."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(__import__(f"wherry.spec.{module}", None, None, (function,)), function)
    return found


def _needs(needs: str, environment: Mapping[str, str], reader: Callable[[str], str]) -> tuple[Any, ...]:
    if not needs:
        return ()
    return (environment,) if needs == "environment" else (environment, reader)


def convert(row: Option, value: object, *, split: bool = True) -> Any:
    """Bring one option's value to the type of its kind; text is read as Go reads it.

    Raises :class:`InvalidArgument` reading ``invalid argument "V" for "-s, --flag" flag: why``.
    """
    if row.kind in (LIST, CSV):
        return _list(row, value, split)
    if isinstance(value, str):
        if row.kind == STRING:
            return value
        reader = _READERS[row.kind]
        try:
            return reader(value)
        except InvalidArgument as error:
            raise InvalidArgument(
                f"invalid argument {quote(value)} for {quote(flag_text(row))} flag: {error.message}"
            ) from None
    if row.kind == STRING:
        return str(value)
    if row.kind == UINT and isinstance(value, int) and value < 0:
        raise InvalidArgument(f'invalid argument "{value}" for {quote(flag_text(row))} flag: must not be negative')
    return float(value) if row.kind == FLOAT else value  # type: ignore[arg-type]


def _list(row: Option, value: object, split: bool) -> list[str]:
    texts = [value] if isinstance(value, str) else [str(item) for item in value]  # type: ignore[attr-defined]
    if row.kind == LIST or not split:
        return texts
    out: list[str] = []
    for text in texts:
        try:
            out.extend(split_commas(text))
        except InvalidArgument as error:
            raise InvalidArgument(
                f"invalid argument {quote(text)} for {quote(flag_text(row))} flag: {error.message}"
            ) from None
    return out


_READERS: dict[str, Callable[[str], Any]] = {
    BOOL: boolean,
    INT: integer,
    UINT: lambda text: integer(text, signed=False),
    FLOAT: number,
}
