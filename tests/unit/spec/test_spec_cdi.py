"""CDI devices put into an OCI specification."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.errors import InvalidArgument
from wherry.spec.cdi import CdiDocument, inject
from wherry.spec.host import DeviceNode

DOCUMENT = CdiDocument({
    "cdiVersion": "0.6.0", "kind": "example.com/thing",
    "containerEdits": {"env": ["ALL=1"], "hooks": [{"hookName": "createContainer", "path": "/h", "args": ["h", "x"]}]},
    "devices": [
        {"name": "one", "containerEdits": {
            "env": ["A=new"], "deviceNodes": [{"path": "/dev/a", "hostPath": "/dev/real", "permissions": "rw"}],
            "mounts": [{"hostPath": "/lib/x", "containerPath": "/x", "options": ["ro"]}], "additionalGids": [44, 45],
        }},
        {"name": "two", "containerEdits": {
            "deviceNodes": [{"path": "/dev/b", "type": "c", "major": 7, "minor": 8, "uid": 5}],
            "intelRdt": {"closID": "class"},
        }},
    ],
}, "f.json")
RULE = {"allow": False, "access": "rwm"}


def node(path: str) -> DeviceNode:
    assert path == "/dev/real"
    return DeviceNode(path=path, type="b", major=1, minor=2, mode=0o60640, uid=3, gid=4)


def spec() -> dict[str, Any]:
    return {
        "process": {"env": ["A=old", "B=1"], "user": {"uid": 0, "gid": 0, "additionalGids": [44]}},
        "linux": {"resources": {"devices": [RULE]}}, "mounts": [{"destination": "/x"}, {"destination": "/y"}],
    }


def test_edits() -> None:
    made = spec()
    inject(made, ["example.com/thing=one", "example.com/thing=two"], [DOCUMENT], node)
    assert made == {
        "process": {"env": ["B=1", "A=new", "ALL=1"], "user": {"uid": 0, "gid": 0, "additionalGids": [44, 45]}},
        "linux": {
            "devices": [
                {"path": "/dev/a", "type": "b", "major": 1, "minor": 2, "fileMode": 0o640, "uid": 3, "gid": 4},
                {"path": "/dev/b", "type": "c", "major": 7, "minor": 8, "uid": 5},
            ],
            "resources": {"devices": [
                RULE, {"allow": True, "type": "b", "major": 1, "minor": 2, "access": "rw"},
                {"allow": True, "type": "c", "major": 7, "minor": 8, "access": "rwm"},
            ]},
            "intelRdt": {"closID": "class"},
        },
        "mounts": [
            {"destination": "/y"},
            {"destination": "/x", "type": "bind", "source": "/lib/x", "options": ["bind", "ro"]},
        ],
        "hooks": {"createContainer": [{"path": "/h", "args": ["h", "x"]}]},
    }


def test_the_last_definition_counts() -> None:
    other = CdiDocument(
        {"kind": "example.com/thing", "devices": [{"name": "one", "containerEdits": {"env": ["A=last"]}}]}, "g.json"
    )
    made = spec()
    inject(made, ["example.com/thing=one"], [DOCUMENT, other], node)
    assert made["process"]["env"] == ["B=1", "A=last"]


def test_the_configuration_is_left_alone() -> None:
    shared = {"devices": [RULE]}
    made = spec()
    made["linux"]["resources"] = shared
    inject(made, ["example.com/thing=two"], [DOCUMENT], node)
    assert shared == {"devices": [RULE]}


def test_unknown_devices() -> None:
    with pytest.raises(InvalidArgument, match="unresolvable CDI devices example.com/thing=three"):
        inject(spec(), ["example.com/thing=one", "example.com/thing=three"], [DOCUMENT], node)


@pytest.mark.parametrize("document", [None, {}, {"kind": 3}, {"kind": "a/b", "devices": [{}]}])
def test_bad_files(document: Any) -> None:
    with pytest.raises(InvalidArgument, match="CDI specification f.json"):
        CdiDocument(document, "f.json")
