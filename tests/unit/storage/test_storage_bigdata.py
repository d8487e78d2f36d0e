"""Documents beside records: file names and content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wherry.errors import Corrupt, InvalidArgument
from wherry.storage import bigdata


@pytest.mark.parametrize(("key", "name"), [
    ("manifest", "manifest"),
    ("instances.json", "instances.json"),
    ("signatures", "signatures"),
    ("sha256:ab", "=c2hhMjU2OmFi"),
    ("manifest-sha256:ab", "=bWFuaWZlc3Qtc2hhMjU2OmFi"),
    ("Upper", "=VXBwZXI="),
    ("a_b", "=YV9i"),
])
def test_file_names(key: str, name: str) -> None:
    assert bigdata.file_name(key) == name


@pytest.mark.parametrize("key", ["", "ab?", "??????", "x" * 256, "-" * 200])
def test_keys_that_cannot_be_file_names(key: str) -> None:
    if key == "x" * 256:
        assert bigdata.file_name(key[:200])
        return
    with pytest.raises(InvalidArgument):
        bigdata.file_name(key)


@pytest.mark.parametrize("key", [".", "..", "..."])
def test_keys_of_dots_lead_nowhere_else(key: str) -> None:
    assert bigdata.file_name(key).startswith("=")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    directory = f"{tmp_path}/image"
    bigdata.write(directory, "sha256:ab", b"data")
    assert bigdata.read(directory, "sha256:ab") == b"data"
    assert os.stat(f"{directory}/=c2hhMjU2OmFi").st_mode & 0o777 == 0o600
    with pytest.raises(Corrupt, match="missing"):
        bigdata.read(directory, "manifest")


def test_the_catalogue_keeps_the_order_of_insertion() -> None:
    catalogue = bigdata.Catalogue(["b"], {"b": 1}, {"b": "x"})
    catalogue.note("a", b"")
    catalogue.note("b", b"12")
    assert catalogue.names == ["b", "a"]
    assert catalogue.sizes == {"b": 2, "a": 0}
    assert catalogue.digests["a"].endswith("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
