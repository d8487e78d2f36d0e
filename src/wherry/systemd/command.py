"""A stored command line taken apart, so that a unit can run it again with some options changed."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.spec.options import BOOL, BY_NAME, BY_SHORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Options of ``pod create`` that are not also the container's: name -> does it take a value?
_POD_OPTIONS = {
    "exit-policy": True, "infra": False, "infra-command": True, "infra-conmon-pidfile": True, "infra-image": True,
    "infra-name": True, "name": True, "pod-id-file": True, "replace": False, "share": True, "share-parent": False,
}
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))


class Given:
    """One option as it was typed: its long name, its value (None if it has none) and its words."""

    __slots__ = ("name", "value", "words")

    def __init__(self, name: str, value: str | None, words: list[str]) -> None:
        self.name = name
        self.value = value
        self.words = words

    @property
    def on(self) -> bool:
        """A bool option's value."""
        return self.value is None or self.value not in _FALSE

    def with_value(self, value: str) -> Given:
        """The same with another value, written the same way."""
        if len(self.words) == 2:
            words = [self.words[0], value]
        elif "=" in self.words[0]:
            words = [f"{self.words[0].partition('=')[0]}={value}"]
        else:
            words = [f"--{self.name}={value}"]
        return Given(self.name, value, words)


class CreateCommand:
    """``leading`` are the global options, ``options`` those of the verb, ``words`` what follows them."""

    __slots__ = ("leading", "options", "words")

    def __init__(self, leading: list[str], options: list[Given], words: list[str]) -> None:
        self.leading = leading
        self.options = options
        self.words = words

    def given(self, name: str) -> Given | None:
        """The last option of that name."""
        return next((option for option in reversed(self.options) if option.name == name), None)

    def without(self, *names: str) -> list[Given]:
        """The options but those named; of combined letters (``-dit``) none is taken out."""
        return [option for option in self.options if option.name not in names]


def of_container(words: Sequence[str]) -> CreateCommand:
    """Take apart the command that created a container. Raises ``InvalidArgument``."""
    return _parse(words, ("run", "create"), _container_option, ends_at_word=True)


def of_pod(words: Sequence[str]) -> CreateCommand:
    """Take apart the command that created a pod. Raises ``InvalidArgument``."""
    return _parse(words, ("create",), _pod_option, ends_at_word=False)


def _container_option(spelling: str) -> tuple[str, bool] | None:
    """Name of an option (by its name or letter), and does it take a value?"""
    option = BY_SHORT.get(spelling) if len(spelling) == 1 else BY_NAME.get(spelling)
    return (option.name, option.kind != BOOL) if option is not None else None


def _pod_option(spelling: str) -> tuple[str, bool] | None:
    name = "name" if spelling == "n" else spelling
    return (name, _POD_OPTIONS[name]) if name in _POD_OPTIONS else _container_option(spelling)


def _parse(
    words: Sequence[str], verbs: Sequence[str], look_up: Callable[[str], tuple[str, bool] | None], *,
    ends_at_word: bool,
) -> CreateCommand:
    verb = next((number for number, word in enumerate(words) if number and word in verbs), 0)
    if not verb:
        raise InvalidArgument(f"cannot make out the create command {' '.join(words)}")
    leading = [*words[1:verb]]
    if leading and leading[-1] in ("container", "pod"):
        leading.pop()
    options: list[Given] = []
    rest: list[str] = []
    queue = list(words[verb + 1:])
    while queue:
        word = queue.pop(0)
        if word == "--":
            rest += queue
            break
        if len(word) < 2 or word[0] != "-":
            rest.append(word)
            if ends_at_word:
                rest += queue
                break
            continue
        options.append(_option(word, queue, look_up))
    return CreateCommand(leading, options, rest)


def _option(word: str, queue: list[str], look_up: Callable[[str], tuple[str, bool] | None]) -> Given:
    """The option that begins with *word*; its value is taken from *queue* if it stands there."""
    if word.startswith("--"):
        spelling, equals, value = word[2:].partition("=")
        name, valued = look_up(spelling) or (spelling, not equals and _global(spelling))
        if equals or not valued or not queue:
            return Given(name, value if equals else None, [word])
        value = queue.pop(0)
        return Given(name, value, [word, value])
    for number, letter in enumerate(word[1:], 2):
        name, valued = look_up(letter) or (letter, False)
        if word[number:number + 1] == "=" and len(word) > number + 1:
            return Given(name if number == 2 else "", word[number + 1:], [word])
        if valued:
            if word[number:] or not queue:
                return Given(name if number == 2 else "", word[number:], [word])
            value = queue.pop(0)
            return Given(name if number == 2 else "", value, [word, value])
    # Bools only: a single letter has its name, combined ones keep together.
    found = look_up(word[1:]) if len(word) == 2 else None
    return Given(found[0] if found else "", None, [word])


def _global(spelling: str) -> bool:
    """Global options may follow the verb as well; all but these take a value."""
    return spelling not in ("syslog", "trace", "transient-store")
