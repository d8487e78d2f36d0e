"""Commands in image labels; the expected words are what Podman 4.3.1 shows with ``runlabel --display``."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.engine.runlabel import default_name, expand, words_of
from wherry.errors import NotFound

VARIABLES = {"IMAGE": "localhost/x/lab:v1", "NAME": "lab", "PWD": "/tmp", "OPT1": ""}


class Labelled:
    def __init__(self, **labels: str) -> None:
        self._labels = labels

    def inspect(self) -> dict[str, Any]:
        return {"Config": {"Labels": self._labels}}


def words(text: str, *more: str) -> list[str]:
    return words_of(Labelled(RUN=text), "lab", "run", more, VARIABLES)  # type: ignore[arg-type]


def test_names_are_filled_in() -> None:
    text = "podman run --name NAME -e I=$IMAGE -e IMAGE=IMAGE -e N=${NAME} -e O=${OPT1} -e P=$PWD IMAGE echo hello"
    assert words(text, "more", "args") == [
        "", "run", "--name", "lab", "-e", "I=localhost/x/lab:v1", "-e", "IMAGE=localhost/x/lab:v1", "-e", "N=lab",
        "-e", "O=", "-e", "P=/tmp", "localhost/x/lab:v1", "echo", "hello", "more", "args",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [("/usr/bin/docker ps", ["", "ps"]), ("/bin/echo IMAGES $UNKNOWN x", ["/bin/echo", "IMAGES", "x"]),
     ("echo 'a b'", ["echo", "a", "b"])],
)
def test_other_commands(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_missing_label() -> None:
    with pytest.raises(NotFound, match="cannot find the value of label: install in image: lab"):
        words_of(Labelled(RUN="x"), "lab", "install", (), VARIABLES)  # type: ignore[arg-type]


def test_default_names() -> None:
    assert [default_name(name) for name in ("localhost/x/lab:v1", "a@sha256:0", "host:5000/b")] == ["lab", "a", "b"]
    assert expand("$A-${A}$B$", {"A": "1"}) == "1-1$"
