"""Short names with several registries to search: asked at a terminal, refused or tried in turn elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.system
PLAIN = "--tls-verify=false"


@pytest.fixture
def searched(wherry: Any, registry: Any, loaded: str) -> Any:
    """Two registries to search, the second of which has the image ``app``; names are not to be guessed."""
    where = Path(wherry.environment["HOME"], ".config/containers")
    where.mkdir(parents=True)
    wherry.ok("push", "-q", PLAIN, loaded, f"{registry.host}/app:1")
    wherry.ok("rmi", loaded)

    def write(mode: str) -> None:
        (where / "registries.conf").write_text(
            f'unqualified-search-registries = ["127.0.0.1:1", "{registry.host}"]\nshort-name-mode = "{mode}"\n'
            f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n'
        )

    return write


def at_a_terminal(wherry: Any, cache: Path, *words: str, answer: str) -> tuple[int, str]:
    """Run wherry with a terminal, in a mount namespace where *cache* is what tools remember."""
    store = ["--root", wherry.tools.graph_root, "--runroot", wherry.tools.run_root]
    script = f'mkdir -p /var/cache/containers && mount --bind {cache} /var/cache/containers && exec "$@"'
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(wherry.program), *store, *words], stdin=theirs,
        stdout=theirs, stderr=theirs, env=wherry.environment, start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    said = b""
    try:
        while data := os.read(ours, 4096):
            said += data
    except OSError:         # the other end is closed
        pass
    os.close(ours)
    return process.wait(), said.decode()


def test_which_image_is_asked_once(wherry: Any, registry: Any, searched: Any, tmp_path: Path) -> None:
    searched("enforcing")
    assert "short-name resolution enforced but cannot prompt without a TTY" in wherry.fails("pull", "-q", "app:1")
    code, said = at_a_terminal(wherry, tmp_path, "pull", "-q", "app:1", answer="7\n2\n")
    assert code == 0 and "Please select an image:" in said and f"2) {registry.host}/app:1" in said, said
    alias = tmp_path / "short-name-aliases.conf"
    assert alias.read_text() == f'[aliases]\n  "app" = "{registry.host}/app"\n'
    wherry.ok("rmi", f"{registry.host}/app:1")
    code, said = at_a_terminal(wherry, tmp_path, "pull", "-q", "app:1", answer="")
    assert code == 0 and "Please select" not in said, said


def test_all_are_tried_where_nobody_can_be_asked(wherry: Any, registry: Any, searched: Any) -> None:
    searched("permissive")
    wherry.ok("pull", "-q", "--retry", "0", "app:1")
    assert wherry.ok("images", "--format", "{{.Repository}}") == f"{registry.host}/app"
    said = wherry.fails("pull", "-q", "--retry", "0", "nope:1")
    assert said.startswith("Error: 2 errors occurred while pulling:\n * initializing source docker://127.0.0.1:1/")
    assert "127.0.0.1:1" in said and "manifest unknown" in said
