"""The secret store without containers: look-up, atomicity, drivers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wherry.errors import Corrupt, InvalidArgument, WherryError
from wherry.secrets.store import NoSuchSecret, SecretStore


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(str(tmp_path / "secrets"), dict(os.environ))


def test_look_up_by_name_id_and_prefix(store: SecretStore) -> None:
    made = store.create("one", b"1")
    store.create("two", b"2")
    assert store.get("one").id == made.id
    assert store.get(made.id).name == "one"
    assert store.get(made.id[:10]).name == "one"
    assert store.data(made) == b"1"
    assert [secret.name for secret in store.all()] == ["one", "two"]
    with pytest.raises(NoSuchSecret):
        store.get("three")


def test_replacing_drops_the_old_data(store: SecretStore, tmp_path: Path) -> None:
    old = store.create("one", b"1")
    new = store.create("one", b"2", replace=True)
    assert os.listdir(tmp_path / "secrets" / "filedriver") == [new.id]
    assert new.created_time == old.created_time
    store.remove("one")
    assert os.listdir(tmp_path / "secrets" / "filedriver") == []


def test_binary_data(store: SecretStore) -> None:
    data = bytes(range(256))
    assert store.data(store.create("raw", data)) == data


def test_a_failing_driver_leaves_no_secret(store: SecretStore) -> None:
    commands = {"list": "true", "lookup": "true", "store": "exit 3", "delete": "true"}
    with pytest.raises(WherryError, match="secret store command: exit status 3"):
        store.create("one", b"hidden", driver_name="shell", driver_options=commands)
    assert store.all() == []


@pytest.mark.parametrize(("driver", "options"), [
    ("shell", {"list": "x"}), ("shell", {"foo": "x"}), ("pass", {"foo": "x"}), ("nope", {}),
])
def test_bad_drivers(store: SecretStore, driver: str, options: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        store.create("one", b"1", driver_name=driver, driver_options=options)
    assert store.all() == []


def test_a_damaged_file_is_named(store: SecretStore, tmp_path: Path) -> None:
    store.create("one", b"1")
    (tmp_path / "secrets" / "secrets.json").write_text("{")
    with pytest.raises(Corrupt, match=r"secrets\.json"):
        store.all()
