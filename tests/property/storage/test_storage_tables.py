"""Tables and records, whatever is done to them in whatever order."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.model import jsontext
from wherry.storage import bigdata
from wherry.storage.jsonstore import File, Table
from wherry.storage.records import ImageRecord, LayerRecord
from wherry.sys.locks import FileLock

IDS = ["a" * 64, "b" * 64, "ab" * 32, "c" * 64, "d" * 64]
NAMES = ["one", "two", '{"id":"', "ünï", "a,b", "]"]

operations = st.lists(
    st.tuples(
        st.integers(0, 1),                                          # which process
        st.lists(
            st.one_of(
                st.tuples(
                    st.just("put"), st.sampled_from(IDS), st.lists(st.sampled_from(NAMES), unique=True, max_size=3),
                    st.integers(0, 1), st.dictionaries(st.sampled_from(["k", "id"]), st.text(max_size=5), max_size=2),
                ),
                st.tuples(
                    st.just("drop"), st.sampled_from(IDS), st.just([]), st.just(0), st.just({}),
                ),
            ),
            max_size=4,
        ),
        st.booleans(),                                              # saved or not
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(operations)
def test_two_processes_always_see_what_was_saved_last(steps: list[tuple[int, list[tuple[object, ...]], bool]]) -> None:
    with tempfile.TemporaryDirectory() as base:
        files = (File(f"{base}/t.json", sync=False), File(f"{base}/volatile-t.json", sync=False))
        tables = [Table(LayerRecord, FileLock(f"{base}/t.lock"), files) for _ in range(2)]
        expected: dict[str, tuple[LayerRecord, int]] = {}
        for process, changes, saved in steps:
            table = tables[process]
            table.entered(table.lock.acquire(True), True)
            working = dict(expected)
            for what, key, names, file, flags in changes:
                assert isinstance(key, str)
                if what == "put":
                    record = LayerRecord(id=key, names=names, flags={"x": flags}, created="now")
                    table.put(record, file)  # type: ignore[arg-type]
                    working[key] = (record, working[key][1] if key in working else file)  # type: ignore[assignment]
                else:
                    table.drop(key)
                    working.pop(key, None)
            if saved:
                table.save()
                expected = working
            table.leaving()
            table.lock.release()
            for number, file in enumerate(files):
                on_disk = json.loads(Path(file.path).read_bytes()) if Path(file.path).exists() else []
                assert {row["id"]: row for row in on_disk} == {
                    key: record.to_json() for key, (record, home) in expected.items() if home == number
                }
        for table in tables:
            table.entered(table.lock.acquire(False), False)
            assert {record.id: record.to_json() for record in table} == {
                key: record.to_json() for key, (record, _) in expected.items()
            }
            for name in NAMES:
                owner = table.named(name)
                assert (owner is not None) == any(name in record.names for record, _ in expected.values())
            table.leaving()
            table.lock.release()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.lists(texts, max_size=4), st.dictionaries(texts, st.integers(0, 2**62), max_size=4),
    st.dictionaries(texts, texts, max_size=4),
)
def test_images_survive_json(names: list[str], sizes: dict[str, int], digests: dict[str, str]) -> None:
    record = ImageRecord(id="a" * 64, names=names, big_data_sizes=sizes, big_data_digests=digests, created="x")
    row = record.to_json()
    assert ImageRecord.from_json(jsontext.loads(jsontext.dumps(row))).to_json() == row
    assert ImageRecord.from_json(json.loads(json.dumps(row))).to_json() == row
    assert list(ImageRecord.from_json(row).names) == names


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=80))
def test_file_names_of_keys_are_plain_and_different(key: str) -> None:
    from wherry.errors import InvalidArgument

    try:
        name = bigdata.file_name(key)
    except InvalidArgument:
        assert "?" in key
        return
    assert "/" not in name
    assert name not in (".", "..")
    assert name == key or name.startswith("=")
    assert key.startswith("=") is False or name != key
