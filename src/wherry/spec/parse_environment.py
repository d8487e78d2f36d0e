"""Environment variables and labels: words, files, and names copied from the caller's environment.

The rules are those of podman-run(1) ``--env``, ``--env-file`` and ``--label-file``: a bare ``NAME`` takes the value
the caller has (nothing when there is none), ``NAME*`` every variable beginning with NAME.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument, WherryError
from wherry.spec.parse_values import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SPACE = " \t"


def variables(texts: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """The words of ``--env``; *environment* is the caller's, for names without a value."""
    out: dict[str, str] = {}
    for text in texts:
        _add(out, text, environment)
    return out


def _add(out: dict[str, str], text: str, environment: Mapping[str, str]) -> None:
    key, equals, value = text.partition("=")
    if not key:
        raise InvalidArgument(f"invalid variable: {quote(text)}")
    name = key.lstrip(_SPACE)
    if equals:
        out[name] = value
    elif name.endswith("*"):
        beginning = name[:-1]
        out.update({known: value for known, value in environment.items() if known.startswith(beginning)})
    elif name in environment:
        out[name] = environment[name]


def _lines(text: str) -> list[str]:
    """The lines that count: leading blanks dropped, empty lines and comments left out, a final CR is not content."""
    lines = [line.removesuffix("\r").lstrip(_SPACE) for line in text.split("\n")]
    return [line for line in lines if line and not line.startswith("#")]


def parse_file(text: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The content of an env file."""
    return variables(_lines(text), environment)


def variable_files(
    paths: Sequence[str], environment: Mapping[str, str], reader: Callable[[str], str]
) -> dict[str, str]:
    """``--env-file``: later files win. *reader* gives a file's text or raises :class:`OSError`."""
    out: dict[str, str] = {}
    for path in paths:
        try:
            out.update(parse_file(_read(path, reader), environment))
        except WherryError as error:
            raise InvalidArgument(f"parsing file {quote(path)}: {error.message}") from None
    return out


def _read(path: str, reader: Callable[[str], str]) -> str:
    try:
        text = reader(path)
        text.encode()           # undecodable bytes arrive as surrogates
    except UnicodeError:
        raise InvalidArgument(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise InvalidArgument(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    return text


def labels(texts: Sequence[str], doing: str = "unable to process labels") -> dict[str, str]:
    """The words of ``--label``; one without ``=`` has an empty value. *doing* begins the message of a bad one."""
    out: dict[str, str] = {}
    for text in texts:
        key, _, value = text.partition("=")
        if not key:
            raise InvalidArgument(f"{doing}: invalid label format: {quote(text)}")
        out[key] = value
    return out


def label_files(paths: Sequence[str], environment: Mapping[str, str], reader: Callable[[str], str]) -> dict[str, str]:
    """``--label-file``: lines ``key=value``; a key without value is left out, ``KEY*`` copies variables."""
    out: dict[str, str] = {}
    for path in paths:
        try:
            lines = _lines(_read(path, reader))
            for line in lines:
                _add_label(out, line, environment)
        except WherryError as error:
            raise InvalidArgument(f"unable to process labels: {error.message}") from None
    return out


def _add_label(out: dict[str, str], line: str, environment: Mapping[str, str]) -> None:
    key, equals, value = line.partition("=")
    if not key:
        raise InvalidArgument(f"invalid environment variable: {quote(line)}")
    if " " in key or "\t" in key:
        raise InvalidArgument(f"name {quote(key)} has white spaces, poorly formatted name")
    if equals:
        out[key] = value
    elif key.endswith("*"):
        out.update({known: value for known, value in environment.items() if known.startswith(key[:-1])})


def annotation(texts: Sequence[str]) -> dict[str, str]:
    """The words of ``--annotation``."""
    out: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidArgument("annotations must be formatted KEY=VALUE")
        out[key] = value
    return out
