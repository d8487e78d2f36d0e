"""Whole results against the files in ``golden/``; how to write them anew is said in ``golden_cases.py``."""

import json

import pytest
from golden_cases import CASES, DIRECTORY, produce


@pytest.mark.parametrize("name", CASES)
def test_golden(name):
    expected = json.loads((DIRECTORY / f"{name}.json").read_text())
    assert produce(name) == expected


def test_no_file_is_left_over():
    assert {path.stem for path in DIRECTORY.glob("*.json")} == set(CASES)
