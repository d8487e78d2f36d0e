#!/usr/bin/env python3
"""How long does it take to attach a network namespace and to let go of it, with 1 to N others attached?

    attachments.py [--counts 1,100,500] [--runs 15] [--backends native,netavark]

As root.  Set-up and foreground tear-down of one attachment, without and with a published port, in milliseconds: median
[least] wall and CPU of this process and its children.  What runs in the background afterwards is waited for before the
next measurement and not counted.  Everything is made in a network and mount namespace of its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

from wherry.config.load import load
from wherry.config.options import GlobalOptions
from wherry.model.ids import generate_id
from wherry.model.network import Network, NetworkOptions, PortMapping, Subnet
from wherry.network.choose import named
from wherry.network.protocol import AttachRequest
from wherry.sys.namespaces import create_netns, remove_netns

NETWORK = Network(
    name="bench", id="ab" * 32, network_interface="bench0", subnets=[Subnet(subnet="10.91.0.0/16", gateway="10.91.0.1")]
)


class Place:
    """One engine's driver, and namespaces to attach."""

    def __init__(self, backend: str, directory: str) -> None:
        options = GlobalOptions(
            root=f"{directory}/root", runroot=f"{directory}/run", network_config_dir=f"{directory}/networks"
        )
        self.driver = named(backend, load(options), f"{directory}/run/networks")
        self.directory = directory
        with self.driver.definitions.lock().exclusive():
            self.driver.definitions.save(NETWORK)

    def request(self, port: int = 0) -> AttachRequest:
        identity = generate_id()
        path = f"{self.directory}/ns/{identity[:12]}"
        create_netns(path)
        return AttachRequest(
            container_id=identity, container_name=identity[:8], net_ns=path,
            networks={"bench": NetworkOptions(interface_name="eth0")},
            port_mappings=[PortMapping(host_port=port, container_port=80)] if port else [],
        )

    def attach(self, request: AttachRequest) -> AttachRequest:
        return request.replace(status=self.driver.begin(request).result())

    def detach(self, attached: AttachRequest) -> None:
        self.driver.detach(attached)
        remove_netns(attached.net_ns)


def cpu() -> float:
    """Milliseconds of CPU this process and its finished children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used) * 1000


def measure(place: Place, port: int, runs: int) -> tuple[list[float], list[float], list[float]]:
    """Wall times of set-up and of tear-down, and CPU of both together."""
    ups, downs, work = [], [], []
    for number in range(runs + 1):
        request = place.request(port)
        before, begin = cpu(), time.perf_counter()
        attached = place.attach(request)
        middle = time.perf_counter()
        place.detach(attached)
        end = time.perf_counter()
        used = cpu() - before
        place.driver.settle()
        time.sleep(0.03)        # the kernel takes the interfaces away
        if number:
            ups.append((middle - begin) * 1000)
            downs.append((end - middle) * 1000)
            work.append(used)
    return ups, downs, work


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):7.1f} [{min(values):.1f}]".rjust(16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="1,100,500")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--backends", default="native,netavark")
    given = parser.parse_args()
    if os.environ.get("WHERRY_BENCH_INSIDE") != "1":
        os.environ["WHERRY_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    print(f"{'back end':<10}{'others':>7}{'port':>6}{'set-up ms':>16}{'tear-down ms':>16}{'both ms':>16}{'cpu ms':>16}")
    for backend in given.backends.split(","):
        with tempfile.TemporaryDirectory(prefix="wherry-attachments-", dir="/var/tmp") as directory:
            place = Place(backend, directory)
            others: list[AttachRequest] = []
            for count in sorted(int(word) for word in given.counts.split(",")):
                while len(others) < count - 1:
                    # Every tenth has a published port as well.
                    number = len(others)
                    others.append(place.attach(place.request(0 if number % 10 else 20000 + number)))
                for port in (0, 8080):
                    ups, downs, work = measure(place, port, given.runs)
                    both = [up + down for up, down in zip(ups, downs, strict=True)]
                    print(f"{backend:<10}{len(others):>7}{'yes' if port else 'no':>6}"
                          f"{shown(ups)}{shown(downs)}{shown(both)}{shown(work)}", flush=True)
            for attached in others:
                place.detach(attached)
            place.driver.settle()
            subprocess.run(["umount", "-l", f"{directory}/ns"], check=False)


if __name__ == "__main__":
    main()
