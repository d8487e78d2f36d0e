"""Configurations with fields of the wrong type are refused, before anything can trip over them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import Corrupt
from wherry.registry import image_config, manifests

GOOD: dict[str, Any] = {
    "created": "2024-01-02T03:04:05.000000006+01:00", "author": "me", "architecture": "amd64", "os": "linux",
    "config": {
        "User": "1", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=b"], "Entrypoint": ["/x"], "Cmd": None,
        "Volumes": {"/data": None}, "WorkingDir": "/", "Labels": {"a": "b"}, "StopSignal": "TERM", "OnBuild": [],
        "Healthcheck": {"Test": ["NONE"], "Interval": 1_000_000_000, "Retries": 3}, "ArgsEscaped": True,
    },
    "rootfs": {"type": "layers", "diff_ids": []},
    "history": [{"created": "2024-01-02T03:04:05Z", "created_by": "x", "empty_layer": True}],
    "something": [{"unknown": 1}],
}

BAD: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("created",), "yesterday", "created is not a time"),
    (("created",), 5, "created is not a time"),
    (("architecture",), ["amd64"], "architecture is not a string"),
    (("config",), [], "config is not an object"),
    (("config", "Env"), "A=b", "config.Env is not a list of strings"),
    (("config", "Env"), [None], "config.Env is not a list of strings"),
    (("config", "Cmd"), {"a": 1}, "config.Cmd is not a list of strings"),
    (("config", "Labels"), {"a": 1}, "config.Labels is not a map of strings"),
    (("config", "Labels"), 1e300, "config.Labels is not a map of strings"),
    (("config", "ExposedPorts"), ["80"], "config.ExposedPorts is not a map of empty objects"),
    (("config", "Volumes"), {"/x": 1}, "config.Volumes is not a map of empty objects"),
    (("config", "User"), 0, "config.User is not a string"),
    (("config", "ArgsEscaped"), 1, "config.ArgsEscaped is not true or false"),
    (("config", "Healthcheck"), "x", "config.Healthcheck is not an object"),
    (("config", "Healthcheck", "Interval"), 1.5, "config.Healthcheck.Interval is not an integer"),
    (("history",), {}, "history is not a list"),
    (("history",), [5], r"history\[0\] is not an object"),
    (("history", 0, "created"), "x", r"history\[0\].created is not a time"),
    (("history", 0, "empty_layer"), "yes", r"history\[0\].empty_layer is not true or false"),
    (("rootfs",), "layers", "rootfs is not an object"),
]


def changed(path: tuple[str | int, ...], value: Any) -> bytes:
    document = json.loads(json.dumps(GOOD))
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return json.dumps(document).encode()


def test_a_good_one() -> None:
    assert manifests.diff_ids(json.dumps(GOOD).encode(), 0) == []


@pytest.mark.parametrize("field", list(GOOD["config"]))
def test_null_is_as_good_as_nothing(field: str) -> None:
    assert manifests.diff_ids(changed(("config", field), None), 0) == []


@pytest.mark.parametrize(("path", "value", "message"), BAD)
def test_bad_ones(path: tuple[str | int, ...], value: Any, message: str) -> None:
    with pytest.raises(Corrupt, match=f"^invalid image configuration: {message}$"):
        manifests.diff_ids(changed(path, value), 0)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, *GOOD["config"]]), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "os.features", "variant"]), _VALUES))
def test_any_document_is_accepted_or_refused(document: dict[str, Any]) -> None:
    try:
        image_config.check(document)
    except Corrupt:
        return
    for name in ("architecture", "os", "author"):
        assert isinstance(document.get(name) or "", str)
    assert all(isinstance(text, str) for text in (document.get("config") or {}).get("Env") or ())
