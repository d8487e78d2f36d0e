"""Tokens to tree (the grammar of Go's ``text/template/parse``)."""

from __future__ import annotations

from wherry.cli.goquote import quote
from wherry.cli.gotemplate import constants, lexer
from wherry.cli.gotemplate.errors import TemplateError
from wherry.cli.gotemplate.lexer import Token
from wherry.cli.gotemplate.nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Field,
    Function,
    Include,
    Jump,
    Mark,
    Node,
    Pipe,
    Text,
    Variable,
    Word,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

_OPERANDS = frozenset((
    lexer.BOOL, lexer.CHARACTER, lexer.FIELD, lexer.IDENTIFIER, lexer.NUMBER, lexer.RAW_STRING, lexer.STRING,
    lexer.VARIABLE, lexer.OPEN,
))
_PASSIVE = frozenset(("bool", "dot", "nil", "number", "string"))


def parse(name: str, text: str, functions: Container[str]) -> dict[str, list[Node]]:
    """The trees of *text*: the main one under *name*, those of ``define`` and ``block`` under theirs.

    Raises :class:`TemplateError`.
    """
    parser = _Parser(name, text, functions)
    return parser.run()


class _Parser:
    def __init__(self, name: str, text: str, functions: Container[str]) -> None:
        self.name = name
        self.functions = functions
        self.tokens = lexer.tokenize(text)
        self.index = 0
        self.last = self.tokens[0]
        self.variables = ["$"]
        self.ranges = 0
        self.action_line = 0
        self.trees: dict[str, list[Node]] = {}

    # -- tokens ------------------------------------------------------------------------------------------------

    def next(self) -> Token:
        token = self.tokens[self.index]
        if self.index < len(self.tokens) - 1:
            self.index += 1
        self.last = token
        return token

    def peek(self) -> Token:
        self.last = self.tokens[self.index]
        return self.last

    def next_solid(self) -> Token:
        """The next token that is no space."""
        token = self.next()
        while token.kind == lexer.SPACE:
            token = self.next()
        return token

    def peek_solid(self) -> Token:
        token = self.peek()
        while token.kind == lexer.SPACE:
            self.next()
            token = self.peek()
        return token

    def back_to(self, token: Token) -> None:
        self.index = token.index

    def fail(self, message: str) -> TemplateError:
        return TemplateError(f"template: {self.name}:{self.last.line}: {message}")

    def unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind != lexer.ERROR:
            return self.fail(f"unexpected {token} in {context}")
        extra = ""
        if self.action_line and self.action_line != token.line:
            extra = f" in action started at {self.name}:{self.action_line}"
            if token.text.endswith(" action"):
                extra = extra.removeprefix(" in action")
        return self.fail(f"{token}{extra}")

    def expect_right(self, context: str) -> None:
        token = self.next_solid()
        if token.kind != lexer.RIGHT:
            raise self.unexpected(token, context)

    # -- statements --------------------------------------------------------------------------------------------

    def run(self) -> dict[str, list[Node]]:
        root: list[Node] = []
        while self.peek().kind != lexer.EOF:
            if self.peek().kind == lexer.LEFT:
                start = self.next()
                token = self.next_solid()
                if token.kind == lexer.KEYWORD and token.text == "define":
                    self.definition()
                    continue
                self.back_to(start)
            node = self.text_or_action()
            if isinstance(node, Mark):
                raise self.fail(f"unexpected {node}")
            root.append(node)
        self.trees[self.name] = root
        return self.trees

    def definition(self) -> None:
        context = "define clause"
        name = self.template_name(self.next_solid(), context)
        self.expect_right(context)
        kept, self.variables = self.variables, ["$"]
        body, mark = self.item_list()
        self.variables = kept
        if mark.keyword != "end":
            raise self.fail(f"unexpected {mark} in {context}")
        self.trees[name] = body

    def item_list(self) -> tuple[list[Node], Mark]:
        """Nodes up to the ``end`` or ``else`` that closes them."""
        nodes: list[Node] = []
        while self.peek_solid().kind != lexer.EOF:
            node = self.text_or_action()
            if isinstance(node, Mark):
                return nodes, node
            nodes.append(node)
        raise self.fail("unexpected EOF")

    def text_or_action(self) -> Node:
        token = self.next_solid()
        if token.kind == lexer.TEXT:
            return Text(token.pos, token.text)
        if token.kind != lexer.LEFT:
            raise self.unexpected(token, "input")
        self.action_line = token.line
        node = self.action()
        self.action_line = 0
        return node

    def action(self) -> Node:
        token = self.next_solid()
        if token.kind == lexer.KEYWORD:
            keyword = token.text
            if keyword in ("if", "range", "with"):
                return self.branch(token.pos, keyword)
            if keyword in ("break", "continue"):
                return self.jump(token.pos, keyword)
            if keyword == "else":
                return self.otherwise(token.pos)
            if keyword == "end":
                self.expect_right("end")
                return Mark(token.pos, "end")
            if keyword == "template":
                return self.include()
            if keyword == "block":
                return self.block()
        self.back_to(token)
        return Action(token.pos, self.pipeline("command", lexer.RIGHT))

    def jump(self, pos: int, keyword: str) -> Node:
        token = self.next_solid()
        if token.kind != lexer.RIGHT:
            raise self.unexpected(token, f"{{{{{keyword}}}}}")
        if not self.ranges:
            raise self.fail(f"{{{{{keyword}}}}} outside {{{{range}}}}")
        return Jump(pos, keyword)

    def branch(self, pos: int, keyword: str) -> Node:
        scope = len(self.variables)
        pipe = self.pipeline(keyword, lexer.RIGHT)
        self.ranges += keyword == "range"
        body, mark = self.item_list()
        self.ranges -= keyword == "range"
        otherwise: list[Node] | None = None
        if mark.keyword == "else":
            token = self.peek()
            if keyword != "range" and token.kind == lexer.KEYWORD and token.text == keyword:
                self.next()
                otherwise = [self.branch(token.pos, keyword)]       # its {{end}} closes this one too
            else:
                otherwise, mark = self.item_list()
                if mark.keyword != "end":
                    raise self.fail(f"expected end; found {mark}")
        del self.variables[scope:]
        return Branch(pos, keyword, pipe, body, otherwise)

    def otherwise(self, pos: int) -> Node:
        token = self.peek_solid()
        if not (token.kind == lexer.KEYWORD and token.text in ("if", "with")):
            self.expect_right("else")
        return Mark(pos, "else")

    def include(self) -> Node:
        context = "template clause"
        named = self.next_solid()
        name = self.template_name(named, context)
        pipe = None
        token = self.next_solid()
        if token.kind != lexer.RIGHT:
            self.back_to(token)
            pipe = self.pipeline(context, lexer.RIGHT)
        return Include(named.pos, name, pipe)

    def block(self) -> Node:
        context = "block clause"
        named = self.next_solid()
        name = self.template_name(named, context)
        pipe = self.pipeline(context, lexer.RIGHT)
        kept, self.variables = self.variables, ["$"]
        body, mark = self.item_list()
        self.variables = kept
        if mark.keyword != "end":
            raise self.fail(f"unexpected {mark} in {context}")
        self.trees.setdefault(name, body)
        return Include(named.pos, name, pipe)

    def template_name(self, token: Token, context: str) -> str:
        if token.kind not in (lexer.STRING, lexer.RAW_STRING):
            raise self.unexpected(token, context)
        return self.unquote(token)

    def unquote(self, token: Token) -> str:
        try:
            return constants.unquote(token.text)
        except ValueError as error:
            raise self.fail(str(error)) from None

    # -- pipelines ---------------------------------------------------------------------------------------------

    def pipeline(self, context: str, end: str) -> Pipe:
        pipe = Pipe(self.peek_solid().pos)
        self.declarations(pipe, context)
        while True:
            token = self.next_solid()
            if token.kind == end:
                self.check(pipe, context)
                return pipe
            if token.kind not in _OPERANDS and not (token.kind == lexer.KEYWORD and token.text in (".", "nil")):
                raise self.unexpected(token, context)
            self.back_to(token)
            pipe.commands.append(self.command())

    def declarations(self, pipe: Pipe, context: str) -> None:
        while self.peek_solid().kind == lexer.VARIABLE:
            variable = self.next()
            following = self.peek_solid()
            if following.kind in (lexer.ASSIGN, lexer.DECLARE):
                self.next_solid()
                pipe.assigns = following.kind == lexer.ASSIGN
                self.declare(pipe, variable)
                return
            if not (following.kind == lexer.CHAR and following.text == ","):
                self.back_to(variable)
                return
            self.next_solid()
            self.declare(pipe, variable)
            if context != "range" or len(pipe.variables) >= 2:
                raise self.fail(f"too many declarations in {context}")
            if self.peek_solid().kind not in (lexer.VARIABLE, lexer.RIGHT, lexer.CLOSE):
                raise self.fail("range can only initialize variables")

    def declare(self, pipe: Pipe, token: Token) -> None:
        pipe.variables.append(Variable(token.pos, [token.text]))
        self.variables.append(token.text)

    def check(self, pipe: Pipe, context: str) -> None:
        if not pipe.commands:
            raise self.fail(f"missing value for {context}")
        for stage, command in enumerate(pipe.commands[1:], start=2):
            first = command.args[0]
            if isinstance(first, Word) and first.kind in _PASSIVE:
                raise self.fail(f"non executable command in pipeline stage {stage}")

    def command(self) -> Command:
        command = Command(self.peek_solid().pos, [])
        while True:
            self.peek_solid()
            operand = self.operand()
            if operand is not None:
                command.args.append(operand)
            token = self.next()
            if token.kind == lexer.SPACE:
                continue
            if token.kind in (lexer.RIGHT, lexer.CLOSE):
                self.back_to(token)
            elif token.kind != lexer.PIPE:
                raise self.unexpected(token, "operand")
            break
        if not command.args:
            raise self.fail("empty command")
        return command

    def operand(self) -> Node | None:
        node = self.term()
        if node is None or self.peek().kind != lexer.FIELD:
            return node
        pos = self.peek().pos
        names: list[str] = []
        while self.peek().kind == lexer.FIELD:
            names.append(self.next().text[1:])
        if isinstance(node, Field):
            return Field(pos, [*node.names, *names])
        if isinstance(node, Variable):
            return Variable(pos, [*node.names, *names])
        if isinstance(node, Word):
            raise self.fail(f"unexpected . after term {quote(str(node))}")
        return Chain(pos, node, names)

    def term(self) -> Node | None:
        token = self.next_solid()
        kind, pos, text = token.kind, token.pos, token.text
        if kind == lexer.IDENTIFIER:
            if text not in self.functions:
                raise self.fail(f"function {quote(text)} not defined")
            return Function(pos, text)
        if kind == lexer.KEYWORD and text in (".", "nil"):
            return Word(pos, "dot" if text == "." else "nil", text)
        if kind == lexer.VARIABLE:
            if text not in self.variables:
                raise self.fail(f"undefined variable {quote(text)}")
            return Variable(pos, [text])
        if kind == lexer.FIELD:
            return Field(pos, [text[1:]])
        if kind == lexer.BOOL:
            return Word(pos, "bool", text, text == "true")
        if kind in (lexer.NUMBER, lexer.CHARACTER):
            return self.number(token)
        if kind == lexer.OPEN:
            return self.pipeline("parenthesized pipeline", lexer.CLOSE)
        if kind in (lexer.STRING, lexer.RAW_STRING):
            return Word(pos, "string", text, self.unquote(token))
        self.back_to(token)
        return None

    def number(self, token: Token) -> Node:
        try:
            value = constants.number(token.text)
        except ValueError as error:
            raise self.fail(str(error)) from None
        return Word(token.pos, "number", token.text, value)
