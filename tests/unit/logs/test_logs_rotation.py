"""Setting full log files aside."""

from __future__ import annotations

import os
from pathlib import Path

from wherry.logs.k8sfile import LogFiles
from wherry.logs.rotation import is_full, rotate


def names(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir()}


def test_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for text in "abcde":
        log.write_text(text)
        rotate(str(log), 3, lambda: None)
        assert not log.exists()
    assert names(tmp_path) == {"log.1": "e", "log.2": "d", "log.3": "c"}


def test_what_is_written_until_the_log_is_opened_anew_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as writer:
        writer.write("one")
        writer.flush()

        def reopen() -> None:
            writer.write(" and more")
            writer.flush()
            log.write_text("two")

        rotate(str(log), 1, reopen)
    assert names(tmp_path) == {"log": "two", "log.1": "one and more"}


def test_is_full(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert not is_full(str(log), 1)
    log.write_text("123")
    assert is_full(str(log), 3)
    assert not is_full(str(log), 4)


def test_a_log_read_while_it_is_rotated_is_whole(tmp_path: Path) -> None:
    """Between two renames one number is missing, and a file is found under two."""
    log = tmp_path / "log"
    (tmp_path / "log.1").write_text("b")
    (tmp_path / "log.3").write_text("a")
    log.write_text("c")
    files = LogFiles(str(log))
    assert [files.read(), files.read(), files.read(), files.read()] == [b"a", b"b", b"c", b""]
    files.close()
    os.link(log, tmp_path / "log.2")
    os.rename(tmp_path / "log.1", tmp_path / "kept")
    os.rename(tmp_path / "log.2", tmp_path / "log.1")
    files = LogFiles(str(log))
    assert [files.read(), files.read(), files.read()] == [b"a", b"c", b""]
    files.close()
