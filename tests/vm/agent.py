"""Runs in the guest: takes requests, one JSON object a line, from the port named on the command line.

``{"run": script, "timeout": seconds}`` -> ``{"code", "out", "timeout"}``; ``{"put": path, "data", "mode"}`` and
``{"get": path}`` move files (base64).  With every start it says ``{"hello": boot id}`` first.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
    "USER": "root", "LOGNAME": "root", "SHELL": "/bin/bash", "TERM": "dumb",
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "run" in request:
        return run(request["run"], request["timeout"])
    if "put" in request:
        path = request["put"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(request["data"]))
        os.chmod(path, request["mode"])
        return {}
    with open(request["get"], "rb") as file:
        return {"data": base64.b64encode(file.read()).decode()}


def run(script: str, timeout: float) -> dict[str, Any]:
    """As from a login shell. A file takes the output: what the script leaves running may keep it open."""
    with tempfile.TemporaryFile() as out:
        shell = subprocess.Popen(
            ["/bin/bash", "-c", script], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd="/root",
            env=ENVIRONMENT, start_new_session=True,
        )
        late = False
        try:
            shell.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
        out.seek(0)
        return {"code": shell.returncode, "out": out.read().decode(errors="replace"), "timeout": late}


def main() -> None:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        hello = {"hello": file.read().strip()}
    port = os.open(sys.argv[1], os.O_RDWR)
    send(port, hello)
    with open(port, "rb", closefd=False) as requests:
        for line in requests:
            try:
                reply = answer(json.loads(line))
            except Exception as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            send(port, reply)


def send(port: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(port, data):]


if __name__ == "__main__":
    main()
