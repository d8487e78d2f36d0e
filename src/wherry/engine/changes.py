"""Containerfile instructions given to ``import --change`` and ``commit --change``."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def apply_changes(inner: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A copy of the image's run-time configuration with *changes* applied in order.

    Raises ``InvalidArgument`` naming the instruction that is not understood.
    """
    result = dict(inner)
    for change in changes:
        word, _space, rest = change.strip().partition(" ")
        if "=" in word and not rest:
            # Podman also takes CMD=... and ENV=... forms.
            word, _equals, rest = change.strip().partition("=")
        instruction = _INSTRUCTIONS.get(word.upper())
        rest = rest.strip()
        if not rest:
            raise InvalidArgument(f'invalid change "{change}" - must be formatted as KEY VALUE')
        if instruction is None:
            raise InvalidArgument(f'invalid change "{change}" - invalid instruction {word.upper()}')
        instruction(result, rest)
    return result


def _command(key: str) -> Any:
    def apply(config: dict[str, Any], text: str) -> None:
        config[key] = _words(text)

    return apply


def _words(text: str) -> list[str]:
    """Exec form (a JSON list) or shell form."""
    if text.startswith("["):
        try:
            words = jsontext.loads(text)
        except jsontext.JSONError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return ["/bin/sh", "-c", text]


def _pairs(text: str) -> list[tuple[str, str]]:
    import shlex

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidArgument(f"cannot parse {text!r}: {error}: invalid argument") from None
    if words and "=" not in words[0]:
        return [(words[0], text[len(words[0]):].strip())]
    return [(key, value) for key, _equals, value in (word.partition("=") for word in words)]


def _env(config: dict[str, Any], text: str) -> None:
    environment = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    environment.update(_pairs(text))
    config["Env"] = [f"{key}={value}" for key, value in environment.items()]


def _label(config: dict[str, Any], text: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(text))}


def _expose(config: dict[str, Any], text: str) -> None:
    ports: dict[str, Any] = {word if "/" in word else f"{word}/tcp": {} for word in text.split()}
    config["ExposedPorts"] = {**(config.get("ExposedPorts") or {}), **ports}


def _volume(config: dict[str, Any], text: str) -> None:
    words = _words(text) if text.startswith("[") else text.split()
    config["Volumes"] = {**(config.get("Volumes") or {}), **{word: {} for word in words}}


def _onbuild(config: dict[str, Any], text: str) -> None:
    config["OnBuild"] = [*(config.get("OnBuild") or ()), text]


def _plain(key: str) -> Any:
    def apply(config: dict[str, Any], text: str) -> None:
        config[key] = text

    return apply


_INSTRUCTIONS = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _env,
    "LABEL": _label,
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _plain("StopSignal"),
    "USER": _plain("User"),
    "WORKDIR": _plain("WorkingDir"),
}
