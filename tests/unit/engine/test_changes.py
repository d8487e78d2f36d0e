"""Containerfile instructions of ``--change``."""

from __future__ import annotations

import pytest

from wherry.engine.changes import apply_changes
from wherry.errors import InvalidArgument


def test_every_instruction() -> None:
    config = apply_changes(
        {"Env": ["A=1", "B=2"]},
        [
            'CMD ["a", "b c"]',
            "ENTRYPOINT run me",
            "ENV A=3 C=x",
            "ENV D some words",
            'LABEL "k k"="v v"',
            "EXPOSE 80 53/udp",
            "VOLUME /data",
            "ONBUILD RUN x",
            "STOPSIGNAL INT",
            "USER 1:2",
            "WORKDIR /srv",
        ],
    )
    assert config == {
        "Env": ["A=3", "B=2", "C=x", "D=some words"],
        "Cmd": ["a", "b c"],
        "Entrypoint": ["/bin/sh", "-c", "run me"],
        "Labels": {"k k": "v v"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}},
        "OnBuild": ["RUN x"],
        "StopSignal": "INT",
        "User": "1:2",
        "WorkingDir": "/srv",
    }


def test_equals_form() -> None:
    assert apply_changes({}, ["CMD=/bin/sh"]) == {"Cmd": ["/bin/sh", "-c", "/bin/sh"]}


@pytest.mark.parametrize("change", ["RUN x", "CMD", "", "ENV 'unclosed"])
def test_what_is_no_instruction_is_named(change: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid|cannot parse"):
        apply_changes({}, [change])


def test_the_given_configuration_is_not_changed() -> None:
    before = {"Env": ["A=1"]}
    apply_changes(before, ["ENV A=2"])
    assert before == {"Env": ["A=1"]}
