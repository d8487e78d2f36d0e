"""Broken JSON is a JSONError, also in an interpreter that has not imported the json module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
TEXTS = [
    "", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,', "[", "[1", "[1,", '"a', "tru", "-", "{}x", "{1:2}", "[1 2]",
]
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from wherry.model.jsontext import JSONError, loads
for text in sys.argv[2:]:
    try:
        loads(text)
    except JSONError:
        continue
    print("accepted", text)
"""


def test_broken_texts_in_a_bare_interpreter() -> None:
    done = subprocess.run(
        [sys.executable, "-IS", "-c", PROGRAM, str(REPOSITORY / "src"), *TEXTS], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
