"""OCI hooks: which containers they are for."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.errors import InvalidArgument
from wherry.spec.hooks import Hook

SPEC = {"process": {"args": ["/usr/bin/server", "-x"]}, "annotations": {"org.example.key": "some value"}}


def hook(**when: Any) -> Hook:
    document = {"version": "1.0.0", "hook": {"path": "/bin/true", "timeout": 3}, "when": when, "stages": ["prestart"]}
    return Hook(document, "x.json")


@pytest.mark.parametrize(
    ("when", "binds", "matches"),
    [
        ({}, False, False),
        ({"always": True}, False, True),
        ({"always": False}, False, False),
        ({"always": False, "commands": [".*"]}, False, False),
        ({"hasBindMounts": True}, False, False),
        ({"hasBindMounts": True}, True, True),
        ({"annotations": {"^org\\.example\\.": "val"}}, False, True),
        ({"annotations": {"^org\\.example\\.": "^val"}}, False, False),
        ({"annotations": {"key": ".", "other": "."}}, False, False),
        ({"commands": ["^nothing", "/server$"]}, False, True),
        ({"commands": ["^server"]}, False, False),
        ({"hasBindMounts": True, "commands": ["server"]}, False, False),
    ],
)
def test_conditions(when: dict[str, Any], binds: bool, matches: bool) -> None:
    assert hook(**when).matches(SPEC, has_bind_mounts=binds) is matches


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "not a JSON object"),
        ({"version": "0.9"}, 'unrecognized hook version: "0.9"'),
        ({"version": "1.0.0", "stages": ["prestart"]}, "missing required property: hook.path"),
        ({"version": "1.0.0", "hook": {"path": "/x"}}, "missing required property: stages"),
        ({"version": "1.0.0", "hook": {"path": "/x"}, "stages": ["later"]}, 'unknown stage "later"'),
    ],
)
def test_bad_files(document: Any, said: str) -> None:
    with pytest.raises(InvalidArgument, match='parsing hook "x.json": ' + said):
        Hook(document, "x.json")


def test_bad_pattern() -> None:
    with pytest.raises(InvalidArgument, match='invalid pattern "\\("'):
        hook(commands=["("]).matches(SPEC, has_bind_mounts=False)
