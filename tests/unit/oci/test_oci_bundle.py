"""Writing the bundle."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from wherry.errors import WherryError
from wherry.oci import bundle


def test_the_spec_is_written(tmp_path: Path) -> None:
    spec = {"ociVersion": "1.0.2", "process": {"args": ["é", "\U0001f600"]}}
    path = bundle.write(f"{tmp_path}/a/b", spec)
    assert path == f"{tmp_path}/a/b/config.json"
    with open(path, encoding="utf-8") as file:
        assert json.load(file) == spec
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_arguments_that_are_not_utf8_survive(tmp_path: Path) -> None:
    path = bundle.write(str(tmp_path), {"args": ["a\udcffb"]})
    assert Path(path).read_bytes() == b'{"args":["a\xffb"]}'


def test_it_replaces_the_old_one(tmp_path: Path) -> None:
    bundle.write(str(tmp_path), {"a": 1})
    bundle.write(str(tmp_path), {"b": 2})
    assert os.listdir(tmp_path) == ["config.json"]
    assert (tmp_path / "config.json").read_text() == '{"b":2}'


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WherryError, match="writing the OCI runtime spec"):
        bundle.write(f"{tmp_path}/file", {})
