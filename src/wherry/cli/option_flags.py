"""The option table of ``create`` and ``run`` as flags; only those that are used are made."""

from __future__ import annotations

from wherry.cli.flags import Flag, FlagSet
from wherry.spec.options import BOOL, BY_NAME, BY_SHORT, CSV, FLOAT, INT, LIST, UINT, of_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.spec.options import Option

_KINDS = {BOOL: "bool", INT: "int64", UINT: "uint64", FLOAT: "float64"}


class OptionFlags(FlagSet):
    """The flags of *command* (create or run)."""

    __slots__ = ("command",)

    def __init__(self, command: str) -> None:
        super().__init__()
        self.command = command

    def owns(self, name: str) -> bool:
        return self._option(BY_NAME.get(name)) is not None or name in self.by_name

    def named(self, name: str) -> Flag | None:
        option = self._option(BY_NAME.get(name))
        return flag_of(option) if option is not None else super().named(name)

    def lettered(self, letter: str) -> Flag | None:
        option = self._option(BY_SHORT.get(letter))
        return flag_of(option) if option is not None else super().lettered(letter)

    def all(self) -> list[Flag]:
        return [flag_of(option, for_help=True) for option in of_command(self.command)]

    def _option(self, option: Option | None) -> Option | None:
        return option if option is not None and self.command in option.commands else None


def flag_of(option: Option, *, for_help: bool = False) -> Flag:
    """One row of the table as a flag. Comma-separated lines stay whole: the option's own parser splits them."""
    return Flag(
        option.name,
        option.short,
        _KINDS.get(option.kind, "string"),
        option.help,
        default=option.default if for_help else "",
        many=option.kind in (LIST, CSV),
        aliases=option.aliases,
        hidden=option.hidden,
        metavar=option.metavar,
    )
