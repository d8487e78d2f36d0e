#!/usr/bin/env python3
"""Does anything grow while one process runs thousands of execs in one container?

    growth.py [N]        N execs, 5000 unless said otherwise; as root

Prints resident memory (KiB) and open descriptors of this process and of the container's conmon on the way, and what is
left in the run directory at the end.  Exit code 1 if memory grew by more than a tenth, or anything else at all, after
the first tenth of the execs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import wherry

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = "growth/busybox:latest"


def resident(pid: int) -> int:
    """KiB of memory in use."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def files_below(directory: str) -> int:
    return sum(len(files) for _, _, files in os.walk(directory))


def measure(base: str, count: int) -> bool:
    layout, archive = f"{base}/layout", f"{base}/image.tar"
    subprocess.run([sys.executable, f"{HERE}/../scripts/busybox_image.py", layout], check=True)
    subprocess.run(["skopeo", "copy", "-q", f"oci:{layout}:latest", f"docker-archive:{archive}:{NAME}"], check=True)
    with wherry.Runtime(root=f"{base}/root", runroot=f"{base}/run", network_config_dir=f"{base}/networks") as rt:
        rt.images.load(archive)
        with rt.containers.create(NAME, ["sleep", "100000"], network="none") as ctr:
            ctr.start()
            conmon = ctr.state().conmon_pid
            readings = []
            for number in range(1, count + 1):
                assert ctr.exec(["true"]).exit_code == 0
                if number % (count // 10) == 0:
                    reading = (
                        resident(os.getpid()), descriptors(os.getpid()), resident(conmon), descriptors(conmon),
                        files_below(f"{base}/run"), len(ctr.exec_sessions()),
                    )
                    readings.append(reading)
                    print("{:>6} execs: own {} KiB, {} fds; conmon {} KiB, {} fds; {} files, {} sessions".format(
                        number, *reading), flush=True)
    first, last = readings[0], readings[-1]
    return all(last[index] <= first[index] * 1.1 for index in (0, 2)) and \
        all(last[index] <= first[index] for index in (1, 3, 4, 5))


def main() -> None:
    base = tempfile.mkdtemp(prefix="wherry-growth-", dir="/var/tmp")
    try:
        flat = measure(base, int(sys.argv[1]) if len(sys.argv) > 1 else 5000)
    finally:
        subprocess.run(["umount", "-l", f"{base}/root/overlay"], capture_output=True)
        shutil.rmtree(base)
    print("nothing grew" if flat else "something grew")
    sys.exit(0 if flat else 1)


if __name__ == "__main__":
    main()
