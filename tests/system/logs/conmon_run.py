"""A real conmon writing a log, with a shell script where the OCI runtime would be: no container, no root."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CONMON = "/usr/bin/conmon"

_RUNTIME = """#!/bin/sh
create=
for word; do
    case $last in --pid-file) pidfile=$word;; --bundle) bundle=$word;; esac
    [ "$word" = create ] && create=1
    last=$word
done
[ "$create" ] || exit 0
sh "$bundle/command" &
echo $! > "$pidfile"
"""


def run(directory: Path, command: str, driver: str, *options: str, wait: bool = True) -> tuple[str, int]:
    """Have conmon log what *command* (a shell script) writes; the container's id and conmon's pid.

    With *wait* conmon has ended on return.
    """
    identity = os.urandom(32).hex()
    runtime, bundle, sockets = directory / "runtime", directory / "bundle", directory / "sockets"
    for made in (bundle, sockets):
        made.mkdir(exist_ok=True)
    runtime.write_text(_RUNTIME)
    runtime.chmod(0o755)
    (bundle / "command").write_text(command)
    argv = [
        CONMON, "--sync", "--api-version", "1", "--cid", identity, "--cuuid", identity, "--name", "test",
        "--runtime", str(runtime), "--bundle", str(bundle), "--container-pidfile", str(directory / "pid"),
        "--exit-dir", str(directory), "--socket-dir-path", str(sockets), "--log-path", driver, *options,
    ]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if wait:
        process.wait(30)
    return identity, process.pid
