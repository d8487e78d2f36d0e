"""Running a parsed template over a value (Go's ``text/template/exec.go``)."""

from __future__ import annotations

from wherry.cli.goquote import quote
from wherry.cli.gotemplate.errors import CallError, TemplateError
from wherry.cli.gotemplate.functions import ANY, FUNCTIONS, INT, STRING, STRINGS
from wherry.cli.gotemplate.nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Field,
    Function,
    Include,
    Jump,
    Node,
    Pipe,
    Text,
    Variable,
    Word,
)
from wherry.cli.gotemplate.values import MISSING, Method, Nil, NoField, is_true, show, show_bare, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

#: How deep templates may include each other. Go allows more than this interpreter's stack does.
MAX_DEPTH = 100
_NONE = object()            # there is no value piped into this command


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Evaluator:
    """One execution: output, variables and the node an error would name."""

    def __init__(self, name: str, text: str, trees: Mapping[str, list[Node]]) -> None:
        self.name = name
        self.text = text
        self.trees = trees
        self.out: list[str] = []
        self.variables: list[tuple[str, Any]] = []
        self.node: Node | None = None
        self.depth = 0

    def run(self, data: Any) -> str:
        """The rendered text. Raises :class:`TemplateError` carrying what was rendered until then."""
        self.variables = [("$", data)]
        try:
            self.walk_all(data, self.trees[self.name])
        except TemplateError as error:
            error.output = "".join(self.out)
            raise
        return "".join(self.out)

    def fail(self, message: str) -> TemplateError:
        if self.node is None:
            return TemplateError(f"template: {self.name}: {message}")
        before = self.text[: self.node.pos]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1:].encode())
        where = f"{self.name}:{line}:{column}"
        return TemplateError(f'template: {where}: executing "{self.name}" at <{self.node}>: {message}')

    # -- statements --------------------------------------------------------------------------------------------

    def walk_all(self, dot: Any, nodes: Sequence[Node]) -> None:
        for node in nodes:
            self.walk(dot, node)

    def walk(self, dot: Any, node: Node) -> None:
        self.node = node
        if isinstance(node, Text):
            self.out.append(node.text)
        elif isinstance(node, Action):
            value = self.pipeline(dot, node.pipe)
            if not node.pipe.variables:
                self.out.append(show_bare(value))
        elif isinstance(node, Branch):
            if node.keyword == "range":
                self.loop(dot, node)
            else:
                self.choose(dot, node)
        elif isinstance(node, Include):
            self.include(dot, node)
        elif isinstance(node, Jump):
            raise _Break if node.keyword == "break" else _Continue

    def choose(self, dot: Any, node: Branch) -> None:
        scope = len(self.variables)
        value = self.pipeline(dot, node.pipe)
        if is_true(value):
            self.walk_all(value if node.keyword == "with" else dot, node.body)
        elif node.otherwise is not None:
            self.walk_all(dot, node.otherwise)
        del self.variables[scope:]

    def loop(self, dot: Any, node: Branch) -> None:
        scope = len(self.variables)
        value = self.pipeline(dot, node.pipe)
        declared = node.pipe.variables
        inner = len(self.variables)
        ran = False
        for key, item in self.items(value):
            ran = True
            if declared:
                self.set_top(1, declared, item)
            if len(declared) > 1:
                self.set_top(2, declared, key)
            try:
                self.walk_all(item, node.body)
            except _Break:
                break
            except _Continue:
                continue
            finally:
                del self.variables[inner:]
        if not ran and node.otherwise is not None:
            self.walk_all(dot, node.otherwise)
        del self.variables[scope:]

    def set_top(self, from_end: int, declared: Sequence[Variable], value: Any) -> None:
        """Give the last or last but one declared variable of a range its value."""
        position = len(self.variables) - from_end
        self.variables[position] = (declared[-from_end].names[0], value)

    def items(self, value: Any) -> Iterator[tuple[Any, Any]]:
        if value is None or value is MISSING or isinstance(value, Nil):
            return iter(())
        if isinstance(value, (list, tuple)):
            return iter(enumerate(value))
        if isinstance(value, dict):
            return iter([(key, value[key]) for key in sorted(value)])
        if isinstance(value, int) and not isinstance(value, bool):
            return iter((number, number) for number in range(value))
        raise self.fail(f"range can't iterate over {show(value)}")

    def include(self, dot: Any, node: Include) -> None:
        tree = self.trees.get(node.name)
        if tree is None:
            raise self.fail(f"template {quote(node.name)} not defined")
        if self.depth == MAX_DEPTH:
            raise self.fail(f"exceeded maximum template depth ({MAX_DEPTH})")
        value = self.pipeline(dot, node.pipe) if node.pipe is not None else MISSING
        kept, self.variables = self.variables, [("$", value)]
        self.depth += 1
        self.walk_all(value, tree)
        self.depth -= 1
        self.variables = kept

    # -- pipelines ---------------------------------------------------------------------------------------------

    def pipeline(self, dot: Any, pipe: Pipe) -> Any:
        self.node = pipe
        value: Any = _NONE
        for command in pipe.commands:
            value = self.command(dot, command, value)
        for variable in pipe.variables:
            name = variable.names[0]
            if pipe.assigns:
                self.assign(name, value)
            else:
                self.variables.append((name, value))
        return value

    def assign(self, name: str, value: Any) -> None:
        for position in range(len(self.variables) - 1, -1, -1):
            if self.variables[position][0] == name:
                self.variables[position] = (name, value)
                return
        raise self.fail(f"undefined variable: {name}")

    def command(self, dot: Any, command: Command, final: Any) -> Any:
        first = command.args[0]
        if isinstance(first, Field):
            self.node = first
            return self.chain(dot, dot, first, first.names, command.args, final)
        if isinstance(first, Chain):
            return self.chained(dot, first, command.args, final)
        if isinstance(first, Function):
            return self.function(dot, first, command, command.args, final)
        if isinstance(first, Variable):
            return self.variable(dot, first, command.args, final)
        if not isinstance(first, Pipe):
            self.node = first
        if len(command.args) > 1 or final is not _NONE:
            raise self.fail(f"can't give argument to non-function {first}")
        if isinstance(first, Pipe):
            return self.pipeline(dot, first)
        assert isinstance(first, Word)
        if first.kind == "nil":
            raise self.fail("nil is not a command")
        return dot if first.kind == "dot" else first.value

    def variable(self, dot: Any, node: Variable, args: Sequence[Node], final: Any) -> Any:
        self.node = node
        name = node.names[0]
        value = next((value for known, value in reversed(self.variables) if known == name), MISSING)
        if len(node.names) == 1:
            if len(args) > 1 or final is not _NONE:
                raise self.fail(f"can't give argument to non-function {node}")
            return value
        return self.chain(dot, value, node, node.names[1:], args, final)

    def chained(self, dot: Any, node: Chain, args: Sequence[Node], final: Any) -> Any:
        self.node = node
        if isinstance(node.node, Word) and node.node.kind == "nil":
            raise self.fail(f"indirection through explicit nil in {node}")
        return self.chain(dot, self.argument(dot, ANY, node.node), node, node.names, args, final)

    def chain(
        self, dot: Any, receiver: Any, node: Node, names: Sequence[str], args: Sequence[Node], final: Any
    ) -> Any:
        """``receiver.A.B args``: only the last name may be a method with arguments."""
        for name in names[:-1]:
            receiver = self.field(dot, name, node, (), _NONE, receiver)
        return self.field(dot, names[-1], node, args, final, receiver)

    def field(self, dot: Any, name: str, node: Node, args: Sequence[Node], final: Any, receiver: Any) -> Any:
        if receiver is MISSING:
            return MISSING
        has_args = len(args) > 1 or final is not _NONE
        if isinstance(receiver, dict):
            if has_args:
                raise self.fail(f"{name} is not a method but has arguments")
            return receiver.get(name, MISSING)
        look = getattr(receiver, "go_field", None)
        if look is not None:
            try:
                value = look(name)
            except NoField:
                raise self.fail(f"can't evaluate field {name} in type {type_name(receiver)}") from None
            if isinstance(value, Method):
                return self.method(dot, value, node, args, final)
            if has_args:
                raise self.fail(f"{name} has arguments but cannot be invoked as function")
            return value
        if receiver is None:
            raise self.fail(f"nil pointer evaluating interface {{}}.{name}")
        if isinstance(receiver, Nil) and (not receiver.names or name in receiver.names):
            raise self.fail(f"nil pointer evaluating {type_name(receiver)}.{name}")
        raise self.fail(f"can't evaluate field {name} in type {type_name(receiver)}")

    def method(self, dot: Any, method: Method, node: Node, args: Sequence[Node], final: Any) -> Any:
        count = max(len(args) - 1, 0) + (final is not _NONE)
        if count != method.parameters:
            raise self.fail(f"wrong number of args for {method.name}: want {method.parameters} got {count}")
        values = [self.argument(dot, ANY, arg) for arg in args[1:]]
        if final is not _NONE:
            values.append(final)
        return self.invoke(method.name, method.call, values, node)

    # -- functions ---------------------------------------------------------------------------------------------

    def function(self, dot: Any, node: Function, command: Node, args: Sequence[Node], final: Any) -> Any:
        self.node = node
        function = FUNCTIONS[node.name]
        types = function.types
        count = len(args) - 1 + (final is not _NONE)
        if function.variadic:
            if count < len(types) - 1:
                raise self.fail(
                    f"wrong number of args for {node.name}: want at least {len(types) - 1} got {len(args) - 1}"
                )
        elif count != len(types):
            raise self.fail(f"wrong number of args for {node.name}: want {len(types)} got {count}")
        if node.name in ("and", "or"):
            return self.short_circuit(dot, node.name, args[1:], final)
        values = [self.argument(dot, types[min(i, len(types) - 1)], arg) for i, arg in enumerate(args[1:])]
        if final is not _NONE:
            values.append(self.checked(final, types[min(count, len(types)) - 1]))
        return self.invoke(node.name, function.call, values, command)

    def short_circuit(self, dot: Any, name: str, args: Sequence[Node], final: Any) -> Any:
        value: Any = MISSING
        for arg in args:
            value = self.argument(dot, ANY, arg)
            if is_true(value) == (name == "or"):
                return value
        return value if final is _NONE else final

    def invoke(self, name: str, call: Any, values: Sequence[Any], node: Node) -> Any:
        try:
            return call(*values)
        except CallError as error:
            self.node = node
            raise self.fail(f"error calling {name}: {error}") from None

    def argument(self, dot: Any, wanted: str, node: Node) -> Any:
        """The value of one argument, checked against the Go type *wanted*."""
        self.node = node
        if isinstance(node, Word):
            return self.constant(dot, wanted, node)
        args = [node]
        if isinstance(node, Field):
            value = self.chain(dot, dot, node, node.names, args, _NONE)
        elif isinstance(node, Variable):
            value = self.variable(dot, node, args, _NONE)
        elif isinstance(node, Pipe):
            value = self.pipeline(dot, node)
        elif isinstance(node, Chain):
            value = self.chained(dot, node, args, _NONE)
        else:
            assert isinstance(node, Function)
            value = self.function(dot, node, node, args, _NONE)
        return self.checked(value, wanted)

    def constant(self, dot: Any, wanted: str, node: Word) -> Any:
        if node.kind == "dot":
            return self.checked(dot, wanted)
        if node.kind == "nil":
            if wanted in (ANY, STRINGS):
                return None
            raise self.fail(f"cannot assign nil to {wanted}")
        value = node.value
        if wanted == STRING and node.kind != "string":
            raise self.fail(f"expected string; found {node}")
        if wanted == INT:
            if isinstance(value, float) and value.is_integer():
                return int(value)
            if node.kind != "number" or isinstance(value, float):
                raise self.fail(f"expected integer; found {node}")
        if wanted == STRINGS:
            raise self.fail(f"can't handle {node} for arg of type {wanted}")
        return value

    def checked(self, value: Any, wanted: str) -> Any:
        """*value* if a parameter of Go type *wanted* takes it."""
        if wanted == ANY:
            return None if value is MISSING else value
        if value is MISSING or value is None:
            if wanted == STRINGS:
                return []
            raise self.fail(f"invalid value; expected {wanted}")
        found = type_name(value)
        if found != wanted and not (wanted == STRINGS and found == "[]string"):
            raise self.fail(f"wrong type for value; expected {wanted}; got {found}")
        return value
