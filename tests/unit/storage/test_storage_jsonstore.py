"""Tables: what is read again when, and what a save leaves behind."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from wherry.errors import Corrupt, NoSpace
from wherry.storage import jsonstore
from wherry.storage.jsonstore import File, Table
from wherry.storage.records import LayerRecord
from wherry.sys.locks import FileLock


class Held:
    """``with Held(table):`` as the store's locks do it."""

    def __init__(self, table: Table[LayerRecord], exclusive: bool = True) -> None:
        self.table = table
        self.exclusive = exclusive

    def __enter__(self) -> Table[LayerRecord]:
        self.table.entered(self.table.lock.acquire(self.exclusive), self.exclusive)
        return self.table

    def __exit__(self, *_: object) -> None:
        self.table.leaving()
        self.table.lock.release()


def table_at(base: Path, *, watch: bool = False) -> Table[LayerRecord]:
    return Table(
        LayerRecord, FileLock(f"{base}/t.lock"), (File(f"{base}/t.json"), File(f"{base}/volatile-t.json", sync=False)),
        watch=watch,
    )


def rows(base: Path, name: str = "t.json") -> object:
    return json.loads((base / name).read_bytes())


def test_nothing_there_is_an_empty_table_and_no_file_is_made(tmp_path: Path) -> None:
    with Held(table_at(tmp_path), exclusive=False) as table:
        assert len(table) == 0
        assert table.get("x") is None
        assert table.named("x") is None
    assert os.listdir(tmp_path) == ["t.lock"]


def test_others_see_a_save_by_its_token(tmp_path: Path) -> None:
    one, two = table_at(tmp_path), table_at(tmp_path)
    with Held(two):
        assert len(two) == 0
    with Held(one):
        one.put(LayerRecord(id="a", names=["first"]))
        one.save()
    assert len((tmp_path / "t.lock").read_bytes()) == 64
    with Held(two, exclusive=False):
        assert two["a"].names == ["first"]
        generation = two.generation
    with Held(two, exclusive=False):
        assert two.generation == generation


def test_a_change_without_token_is_seen_only_when_times_are_watched(tmp_path: Path) -> None:
    plain, watching = table_at(tmp_path), table_at(tmp_path, watch=True)
    with Held(plain):
        plain.put(LayerRecord(id="a"))
        plain.save()
    with Held(watching):
        assert "a" in watching
    (tmp_path / "t.json").write_text("[]")
    os.utime(tmp_path / "t.json", ns=(1, 1))
    with Held(plain):
        assert "a" in plain
    with Held(watching):
        assert "a" not in watching


def test_a_short_token_always_means_reading_again(tmp_path: Path) -> None:
    table = table_at(tmp_path)
    with Held(table):
        assert len(table) == 0
    (tmp_path / "t.json").write_text('[{"id":"a"}]')
    with Held(table):
        assert "a" in table


def test_the_token_is_written_before_the_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_at(tmp_path)
    tokens = []
    real = jsonstore.atomic_write

    def recording(path: str, data: bytes, mode: int = 0o600, *, sync: bool = True) -> None:
        tokens.append((tmp_path / "t.lock").read_bytes())
        real(path, data, mode, sync=sync)

    monkeypatch.setattr(jsonstore, "atomic_write", recording)
    for name in ("a", "b"):
        with Held(table):
            table.put(LayerRecord(id=name))
            table.save()
    assert len(set(tokens)) == 2
    assert tokens[-1] == (tmp_path / "t.lock").read_bytes()


def test_records_go_back_to_the_file_they_came_from(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('[{"id":"a"},{"id":"both","names":["stable"]}]')
    (tmp_path / "volatile-t.json").write_text('[{"id":"both","names":["volatile"]},{"id":"v"}]')
    with Held(table_at(tmp_path)) as table:
        assert [record.id for record in table] == ["a", "both", "v"]
        assert table["both"].names == ["stable"]
        table.put(table["v"].replace(names=["x"]))
        table.save()
        assert "x" not in (tmp_path / "t.json").read_text()
        table.put(LayerRecord(id="new"), 1)
        table.drop("a")
        table.save()
    assert rows(tmp_path) == [{"id": "both", "names": ["stable"]}]
    assert [row["id"] for row in rows(tmp_path, "volatile-t.json")] == ["v", "new"]  # type: ignore[attr-defined]


def test_unknown_keys_are_dropped_and_flags_kept(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('[{"id":"a","future":1,"flags":{"their":{"own":1}}},{"id":"b","names":null}]')
    with Held(table_at(tmp_path)) as table:
        assert table["b"].names == ()
        table.put(table["b"].replace(parent="a"))
        table.save()
    assert rows(tmp_path) == [
        {"id": "a", "flags": {"their": {"own": 1}}}, {"id": "b", "parent": "a", "created": "0001-01-01T00:00:00Z"},
    ]


def test_the_later_of_two_records_has_a_name_both_claim(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('[{"id":"a","names":["n"]},{"id":"b","names":["n"]}]')
    with Held(table_at(tmp_path)) as table:
        owner = table.named("n")
        assert owner is not None
        assert owner.id == "b"


@pytest.mark.parametrize("text", ['[{"id":"a"}', '{"id":"a"}', "[1]", '[{"names":[]}]', '[{"id":["a"]}]', "\x00\x00"])
def test_damaged_files_are_reported_and_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    lock = table_at(tmp_path)
    with pytest.raises(Corrupt, match=r"t\.json"):
        lock.entered(lock.lock.acquire(True), True)
    lock.lock.release()
    assert (tmp_path / "t.json").read_text() == text


@pytest.mark.parametrize("text", ["", "null", "[]", " [ ] \n"])
def test_empty_files_are_empty_tables(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with Held(table_at(tmp_path)) as table:
        assert len(table) == 0
        table.put(LayerRecord(id="a"))
        table.save()
    assert rows(tmp_path) == [{"id": "a", "created": "0001-01-01T00:00:00Z"}]


def test_a_failed_save_changes_neither_file_nor_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_at(tmp_path)
    with Held(table):
        table.put(LayerRecord(id="a"))
        table.save()
    before = (tmp_path / "t.json").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Held(table):
        with monkeypatch.context() as patch:
            patch.setattr(jsonstore, "atomic_write", full)
            table.put(LayerRecord(id="b"))
            table.drop("a")
            with pytest.raises(NoSpace, match="no space left"):
                table.save()
        assert [record.id for record in table] == ["a"]
    with Held(table):
        assert "b" not in table
    assert (tmp_path / "t.json").read_bytes() == before


def test_changes_not_saved_are_forgotten(tmp_path: Path) -> None:
    table = table_at(tmp_path)
    with Held(table):
        table.put(LayerRecord(id="a"))
    with Held(table):
        assert "a" not in table


@pytest.mark.parametrize("text", [
    '[{"id":"a","names":["x"]},{"id":"b","flags":{"x":{"id":"c"}}},{"id":"c"}]',
    '[ {"id":"a"}, {"id":"b"},\n{"id":"c"} ]\n',
    '[{"names":["{\\"id\\":\\"b\\""],"id":"a"},{"id":"b"},{"id":"c"}]',
    '[{"id":"a","metadata":"{\\"id\\":\\"b\\"}"},{"id":"b"},{"id":"c"}]',
])
@pytest.mark.parametrize("victim", ["a", "b", "c"])
def test_text_written_in_other_ways_is_changed_correctly(tmp_path: Path, text: str, victim: str) -> None:
    (tmp_path / "t.json").write_text(text)
    expected = {row["id"]: row for row in json.loads(text)}
    with Held(table_at(tmp_path)) as table:
        table.put(table[victim].replace(parent="p", created="now"))
        table.save()
        expected[victim] |= {"parent": "p", "created": "now"}
        assert {row["id"]: row for row in rows(tmp_path)} == expected  # type: ignore[attr-defined]
        table.drop(victim)
        table.save()
        del expected[victim]
    assert [row["id"] for row in rows(tmp_path)] == list(expected)  # type: ignore[attr-defined]
    assert {row["id"]: row for row in rows(tmp_path)} == expected  # type: ignore[attr-defined]


def test_tokens_are_all_different() -> None:
    tokens = {jsonstore.new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert {len(token) for token in tokens} == {64}
