"""A parsed template, ready to render."""

from __future__ import annotations

from wherry.cli.gotemplate.errors import TemplateError
from wherry.cli.gotemplate.evaluate import Evaluator
from wherry.cli.gotemplate.functions import FUNCTIONS
from wherry.cli.gotemplate.parser import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Template:
    """``text/template``: *name* appears in error messages. Raises ``TemplateError`` if *text* does not parse."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        try:
            self._trees = parse(name, text, FUNCTIONS)
        except RecursionError:
            raise TemplateError(f"template: {name}: nested too deeply") from None

    def render(self, data: Any) -> str:
        """The text for *data*; raises ``TemplateError`` when it cannot be made."""
        try:
            return Evaluator(self.name, self.text, self._trees).run(data)
        except RecursionError:
            raise TemplateError(f"template: {self.name}: nested too deeply") from None
