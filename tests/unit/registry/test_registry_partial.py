"""What of the blobs kept between pulls goes once they are in the store."""

from __future__ import annotations

import threading
from pathlib import Path

from wherry.registry.partial import PartialBlobs, remove_stored

ONE, TWO, THREE = (f"sha256:{digit * 64}" for digit in "123")


def test_blobs_an_earlier_pull_left_go_and_those_of_another_pull_stay(tmp_path: Path) -> None:
    begun = PartialBlobs(str(tmp_path))
    begun.open(ONE, 10, threading.Event())
    begun.close()
    other = PartialBlobs(str(tmp_path))
    other.open(TWO, 10, threading.Event())
    remove_stored(str(tmp_path), [ONE, TWO, THREE])
    assert [path.name for path in tmp_path.iterdir()] == [TWO.replace(":", "-")]
    other.forget_all()
    other.close()
    assert list(tmp_path.iterdir()) == []
