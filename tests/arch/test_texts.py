"""Project files do not name the place where somebody happens to have them."""

from __future__ import annotations

import subprocess

import pytest
from tests.arch.sources import ROOT


def tracked() -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        pytest.skip("not a git clone")
    return [name for name in done.stdout.split("\0") if name]


def test_no_path_of_this_clone() -> None:
    place = str(ROOT)
    if len(ROOT.parts) < 3:
        pytest.skip(f"{place} is too short a path to look for")
    found = []
    for name in tracked():
        path = ROOT / name
        if not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{name}:{number}" for number, line in enumerate(text.splitlines(), 1) if place in line]
    assert not found, "\n".join(found)
