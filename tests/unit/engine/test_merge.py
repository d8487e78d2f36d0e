"""Three-way merge: what an option changes, applied to a configuration that already has other options."""

from __future__ import annotations

from wherry.engine.merge import merged, merged_fields
from wherry.model.container import ContainerConfig


def test_what_did_not_change_stays() -> None:
    assert merged("own", "x", "x") == "own"
    assert merged({"a": 1}, {"b": 2}, {"b": 2}) == {"a": 1}


def test_values_are_replaced() -> None:
    assert merged("own", "x", "y") == "y"


def test_mappings_key_by_key() -> None:
    base = {"mine": 1, "both": {"x": 1, "y": 2}, "gone": 3}
    before = {"both": {"x": 1}, "gone": 3}
    after = {"both": {"x": 5}, "new": 4}
    assert merged(base, before, after) == {"mine": 1, "both": {"x": 5, "y": 2}, "new": 4}


def test_lists_element_by_element() -> None:
    assert merged(["mine", "old", "kept"], ["old", "kept"], ["kept", "new"]) == ["mine", "kept", "new"]
    assert merged(["new"], [], ["new"]) == ["new"]


def test_records() -> None:
    base = ContainerConfig(id="a", shm_size=5, spec={"linux": {"sysctl": {"x": "1"}}}, labels={"l": "1"})
    before = ContainerConfig(id="b", shm_size=1)
    after = ContainerConfig(id="c", shm_size=2, spec={"linux": {"sysctl": {"y": "2"}}})
    assert merged_fields(base, before, after, but=("id",)) == {
        "shm_size": 2, "spec": {"linux": {"sysctl": {"x": "1", "y": "2"}}},
    }
