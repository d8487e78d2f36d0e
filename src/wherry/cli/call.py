"""One invocation of a command: what a verb function is given."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.cli.flags import Parsed
    from wherry.config.options import GlobalOptions
    from wherry.engine.runtime import Runtime


class Call:
    """``args`` are the positional words, ``flags`` the flags' values, ``path`` the command as it was typed
    (``container rm``), ``program`` the name wherry was called by, ``argv`` all words.
    """

    def __init__(
        self, program: str, path: str, flags: Parsed, make_options: Callable[[], GlobalOptions], argv: list[str]
    ) -> None:
        self.program = program
        self.path = path
        self.flags = flags
        self.args = flags.args
        self.argv = argv
        self._make_options = make_options
        self._runtime: Runtime | None = None

    @property
    def command(self) -> str:
        """``wherry container rm``: how messages name this command."""
        return f"{self.program} {self.path}"

    @property
    def runtime(self) -> Runtime:
        """The engine, opened when first asked for."""
        if self._runtime is None:
            from wherry.engine.runtime import Runtime

            self._runtime = Runtime(self._make_options())
        return self._runtime

    @staticmethod
    def out(text: str) -> None:
        """Write *text*, a line with its end, to standard output."""
        sys.stdout.write(text)

    @staticmethod
    def note(text: str) -> None:
        """Write a line to standard error, after what was written to standard output."""
        sys.stdout.flush()
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    @staticmethod
    def flush() -> None:
        """Let what was written be seen, for commands that go on for long."""
        sys.stdout.flush()
