"""A virtual machine running the guest; the processor is emulated, no KVM is needed."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.vm import recipe
from tests.vm.guest import Guest, run

#: Seconds from power-on to the agent's greeting; some ten on an idle machine.
BOOT = 300.0
#: How long the agent may be busy beyond a request's own limit.
GRACE = 60.0


class Completed(NamedTuple):
    """A script that ran in the guest."""

    code: int
    out: str            # standard output and error


class MachineFailed(AssertionError):
    """A script failed, or the guest does not answer."""


class Machine:
    """One guest on a copy-on-write disk of its own. :meth:`close` discards it."""

    def __init__(self, guest: Guest, payload: Path, directory: Path) -> None:
        self._directory = directory
        disk = directory / "disk.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", guest.disk, "-F", "raw", disk)
        self._console = directory / "console.log"
        # cache=unsafe: a power cut takes the guest's memory, not the host's.
        self._qemu = subprocess.Popen([
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048",
            "-nodefaults", "-display", "none", "-nic", "none", "-no-user-config",
            "-serial", f"file:{self._console}", "-kernel", str(guest.kernel), "-initrd", str(guest.initrd),
            "-append", "console=ttyS0 root=/dev/vda rw panic=-1 quiet mitigations=off",
            "-drive", f"file={disk},if=virtio,format=qcow2,cache=unsafe",
            "-drive", f"file={payload},if=virtio,format=raw,read-only=on",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={directory}/agent,server=on,wait=off",
            "-device", f"virtserialport,chardev=agent,name={recipe.PORT}",
            "-qmp", f"unix:{directory}/qmp,server=on,wait=off",
        ], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(directory / "qemu.log").open("wb"))
        self._boot = ""
        self._buffer = b""
        try:
            self._agent = self._connect("agent")
            self._greeting()
        except BaseException:
            self._qemu.kill()
            self._qemu.wait()
            raise

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, script: str, *, timeout: float = 120, check: bool = True) -> Completed:
        """Run *script* with bash as root.

        It may leave processes behind.  With *check*, MachineFailed unless it exits with 0; always MachineFailed when
        it takes longer than *timeout* seconds.
        """
        reply = self._ask({"run": script, "timeout": timeout}, timeout + GRACE)
        done = Completed(reply["code"], reply["out"])
        if reply["timeout"]:
            raise MachineFailed(f"not finished in {timeout:g} s: {script}\n{done.out}")
        if check and done.code:
            raise MachineFailed(f"exit code {done.code}: {script}\n{done.out}")
        return done

    def put(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        """Write a file, making directories as needed."""
        content = data.encode() if isinstance(data, str) else data
        self._ask({"put": path, "data": base64.b64encode(content).decode(), "mode": mode}, GRACE)

    def get(self, path: str) -> bytes:
        """Read a file."""
        return base64.b64decode(self._ask({"get": path}, GRACE)["data"])

    def reboot(self, *, hard: bool = False) -> None:
        """Shut down and start again, or cut the power; returns when the agent answers again."""
        if hard:
            self._reset()
        else:
            self._ask({"run": "systemctl reboot --no-block", "timeout": 60}, GRACE)
        self._greeting()

    def console(self) -> str:
        """What the kernel and systemd said, the last of it."""
        return self._console.read_text(errors="replace")[-4000:] if self._console.exists() else ""

    def close(self) -> None:
        """Switch the machine off."""
        self._agent.close()
        self._qemu.kill()
        self._qemu.wait()

    def _connect(self, name: str) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 30
        while True:
            try:
                connection.connect(f"{self._directory}/{name}")
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                if self._qemu.poll() is not None or time.monotonic() > deadline:
                    text = (self._directory / "qemu.log").read_text(errors="replace")
                    raise MachineFailed(f"qemu did not start: {text}") from None
                time.sleep(0.05)

    def _reset(self) -> None:
        with self._connect("qmp") as control, control.makefile("rwb") as stream:
            for command in ("", "qmp_capabilities", "system_reset"):
                if command:
                    stream.write(json.dumps({"execute": command}).encode() + b"\n")
                    stream.flush()
                stream.readline()

    def _greeting(self) -> None:
        """Wait for the agent of a boot we have not seen; what an old one still says is dropped."""
        deadline = time.monotonic() + BOOT
        while True:
            hello = self._line(deadline).get("hello")
            if hello and hello != self._boot:
                self._boot = hello
                return

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        self._agent.settimeout(timeout)
        self._agent.sendall(json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + timeout
        while True:
            reply = self._line(deadline)
            if "hello" in reply:
                raise MachineFailed(f"the guest or its agent started anew meanwhile\n{self.console()}")
            if "error" in reply:
                raise MachineFailed(reply["error"])
            return reply

    def _line(self, deadline: float) -> dict[str, Any]:
        """The next object from the agent."""
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0:
                raise MachineFailed(f"the guest does not answer\n{self.console()}")
            self._agent.settimeout(left)
            try:
                data = self._agent.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                raise MachineFailed(f"the machine stopped\n{self.console()}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError:
            return {}       # cut off by a reset
        return found
