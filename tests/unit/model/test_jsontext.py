"""JSON without the json module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wherry.model import jsontext

SOURCE = Path(jsontext.__file__).parents[2]


@pytest.mark.parametrize("text", ["", "{", "[1,", '{"a":}', '"x', "nul", "NaN", "1 2", b"\xff"])
def test_bad_texts_are_json_errors(text: str | bytes) -> None:
    with pytest.raises(jsontext.JSONError):
        jsontext.loads(text)


def test_bad_texts_are_json_errors_where_json_was_never_imported() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n"
        "from wherry.model import jsontext\n"
        "try:\n    jsontext.loads('{')\nexcept jsontext.JSONError:\n    print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-IS", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
