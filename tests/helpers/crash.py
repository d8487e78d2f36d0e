"""Killing wherry at chosen points: a child process runs engine code and sends itself SIGKILL before its Nth effect.

An effect is a call that leaves the process: a file made, renamed or removed, a statement for the database, a lock, a
program started, a signal sent, a mount.  They are counted by a profile function, so no code is prepared for it and
every place between two effects is reached by some N.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

#: What the child runs before the test's own code: ``arm(n)`` begins to count, ``effects()`` tells how many there were.
PRELUDE = '''
import os, sys
CALLS = frozenset("""open close mkdir rename replace unlink rmdir link symlink write writev pwrite ftruncate chmod
    fchmod chown lchown utime posix_spawn fork start_new_thread flock fcntl execute
    pidfd_send_signal kill killpg connect send
    """.split())
LIBC = os.sep + os.path.join("wherry", "sys", "libc.py")
seen = target = 0
deadly = 9

def watch(frame, event, argument):
    global seen
    if event == "c_call":
        if argument.__name__ not in CALLS or "wherry" not in frame.f_code.co_filename:
            return
        name = argument.__name__
    elif event == "call" and frame.f_code.co_filename.endswith(LIBC):
        name = frame.f_code.co_name
    else:
        return
    seen += 1
    if seen == target:
        where = frame if event == "c_call" else frame.f_back
        code = where.f_code
        place = f"{name} in {os.path.basename(code.co_filename)}:{code.co_name}:{where.f_lineno}"
        os.write(2, (place + "\\n").encode())
        sys.setprofile(None)
        os.kill(os.getpid(), deadly)

def arm(number, signal=9):
    global target, seen, deadly
    seen, target, deadly = 0, number, signal
    sys.setprofile(watch)

def effects():
    sys.setprofile(None)
    return seen
'''


class Outcome:
    """How a child ended: ``killed`` or ``finished`` (it had no Nth effect); ``place`` is where it was killed."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.killed = status == -signal.SIGKILL
        self.finished = status == 0
        self.status = status
        self.output = output
        self.errors = errors

    @property
    def place(self) -> str:
        lines = self.errors.strip().splitlines()
        return lines[-1] if lines else ""


def run_killed(code: str, number: int, *arguments: str) -> Outcome:
    """Run *code* in a new interpreter and kill it before its effect *number*, counted from 1 after ``arm(number)``.

    *code* finds ``number`` and ``arguments`` and must call ``arm`` itself.  Its output goes to a file, so that what it
    leaves running may keep the descriptor.
    """
    child = start(code, number, *arguments)
    return finish(child)


def start(code: str, number: int, *arguments: str) -> subprocess.Popen[bytes]:
    """The same without waiting; hand the result to :func:`finish`."""
    text = f"{PRELUDE}\nnumber = {number}\narguments = {list(arguments)!r}\n{code}"
    out, err = (os.fdopen(os.memfd_create(name), "w+b") for name in ("out", "err"))
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}"}
    child = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment
    )
    child.stdout, child.stderr = out, err
    return child


def finish(child: subprocess.Popen[bytes], timeout: float = 60) -> Outcome:
    """Wait for a child of :func:`start`."""
    assert child.stdout is not None and child.stderr is not None
    status = child.wait(timeout)
    texts = []
    for file in (child.stdout, child.stderr):
        file.seek(0)
        texts.append(file.read().decode(errors="replace"))
        file.close()
    return Outcome(status, *texts)
