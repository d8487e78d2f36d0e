"""A journald of one's own: on a host without systemd, and without touching the journal of one that has it."""

from __future__ import annotations

import os
import subprocess
import sys

JOURNALD = "/usr/lib/systemd/systemd-journald"

# Everything journald writes lies below /run/systemd and /run/log; both are covered in a mount namespace of our own.
_SCRIPT = f"""
set -e
mount -t tmpfs tmpfs /run/systemd
mkdir -p /run/systemd/journal /run/log
mount -t tmpfs tmpfs /run/log
mkdir -p /run/log/journal
{JOURNALD} >/dev/null 2>&1 &
journald=$!
trap 'kill $journald; wait $journald 2>/dev/null || true' EXIT
tries=0
until [ -S /run/systemd/journal/socket ] && [ -S /run/systemd/journal/stdout ]; do
    tries=$((tries + 1)); [ $tries -lt 200 ]; sleep 0.05
done
"$@"
"""


def usable() -> bool:
    """Can a journald be run here?"""
    return os.geteuid() == 0 and os.path.exists(JOURNALD) and os.path.exists("/usr/bin/journalctl")


def run_python(code: str, *arguments: str) -> str:
    """Run Python *code* where a fresh journald listens; its standard output. Fails the test when the code fails."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SCRIPT, "sh", sys.executable, "-c", code]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
