"""The parse tree of a template. ``str(node)`` gives the source form that error messages quote."""

from __future__ import annotations

from wherry.cli.goquote import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Node:
    """Base of all nodes; ``pos`` is the offset in the template's text."""

    __slots__ = ("pos",)

    def __init__(self, pos: int) -> None:
        self.pos = pos


class Text(Node):
    __slots__ = ("text",)

    def __init__(self, pos: int, text: str) -> None:
        super().__init__(pos)
        self.text = text

    def __str__(self) -> str:
        return quote(self.text)


class Word(Node):
    """A constant (bool, number, string), ``.`` or ``nil``: its source text and its value."""

    __slots__ = ("kind", "text", "value")

    def __init__(self, pos: int, kind: str, text: str, value: object = None) -> None:
        super().__init__(pos)
        self.kind = kind
        self.text = text
        self.value = value

    def __str__(self) -> str:
        return self.text


class Function(Node):
    """The name of a function."""

    __slots__ = ("name",)

    def __init__(self, pos: int, name: str) -> None:
        super().__init__(pos)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Field(Node):
    """``.A.B.C``."""

    __slots__ = ("names",)

    def __init__(self, pos: int, names: Sequence[str]) -> None:
        super().__init__(pos)
        self.names = names

    def __str__(self) -> str:
        return "." + ".".join(self.names)


class Variable(Node):
    """``$x.A.B``; ``names[0]`` includes the dollar."""

    __slots__ = ("names",)

    def __init__(self, pos: int, names: Sequence[str]) -> None:
        super().__init__(pos)
        self.names = names

    def __str__(self) -> str:
        return ".".join(self.names)


class Chain(Node):
    """``(pipeline).A.B`` or ``function.A``."""

    __slots__ = ("names", "node")

    def __init__(self, pos: int, node: Node, names: Sequence[str]) -> None:
        super().__init__(pos)
        self.node = node
        self.names = names

    def __str__(self) -> str:
        head = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return head + "".join("." + name for name in self.names)


class Command(Node):
    __slots__ = ("args",)

    def __init__(self, pos: int, args: list[Node]) -> None:
        super().__init__(pos)
        self.args = args

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipe) else str(arg) for arg in self.args)


class Pipe(Node):
    __slots__ = ("assigns", "commands", "variables")

    def __init__(self, pos: int) -> None:
        super().__init__(pos)
        self.variables: list[Variable] = []
        self.assigns = False            # "=" instead of ":="
        self.commands: list[Command] = []

    def __str__(self) -> str:
        head = ""
        if self.variables:
            head = ", ".join(str(variable) for variable in self.variables) + (" = " if self.assigns else " := ")
        return head + " | ".join(str(command) for command in self.commands)


class Action(Node):
    __slots__ = ("pipe",)

    def __init__(self, pos: int, pipe: Pipe) -> None:
        super().__init__(pos)
        self.pipe = pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


class Branch(Node):
    """``if``, ``with`` or ``range``."""

    __slots__ = ("body", "keyword", "otherwise", "pipe")

    def __init__(self, pos: int, keyword: str, pipe: Pipe, body: list[Node], otherwise: list[Node] | None) -> None:
        super().__init__(pos)
        self.keyword = keyword
        self.pipe = pipe
        self.body = body
        self.otherwise = otherwise

    def __str__(self) -> str:
        text = f"{{{{{self.keyword} {self.pipe}}}}}" + "".join(str(node) for node in self.body)
        if self.otherwise is not None:
            text += "{{else}}" + "".join(str(node) for node in self.otherwise)
        return text + "{{end}}"


class Jump(Node):
    """``break`` or ``continue``."""

    __slots__ = ("keyword",)

    def __init__(self, pos: int, keyword: str) -> None:
        super().__init__(pos)
        self.keyword = keyword

    def __str__(self) -> str:
        return f"{{{{{self.keyword}}}}}"


class Include(Node):
    """``template`` (and the use that ``block`` implies)."""

    __slots__ = ("name", "pipe")

    def __init__(self, pos: int, name: str, pipe: Pipe | None) -> None:
        super().__init__(pos)
        self.name = name
        self.pipe = pipe

    def __str__(self) -> str:
        return f"{{{{template {quote(self.name)}{f' {self.pipe}' if self.pipe else ''}}}}}"


class Mark(Node):
    """``end`` or ``else`` met by a list; never part of the finished tree."""

    __slots__ = ("keyword",)

    def __init__(self, pos: int, keyword: str) -> None:
        super().__init__(pos)
        self.keyword = keyword

    def __str__(self) -> str:
        return f"{{{{{self.keyword}}}}}"
