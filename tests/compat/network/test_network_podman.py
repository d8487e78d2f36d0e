"""Network definitions in one directory, by wherry and by Podman."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.leaks import mounts_below
from tests.helpers.podman import Tools, missing_tools

from wherry.engine.network import Network
from wherry.engine.runtime import Runtime
from wherry.network.definitions import document
from wherry.sys.mounts import detach

pytestmark = [pytest.mark.compat, pytest.mark.skipif(bool(missing_tools()), reason="needs podman, buildah and skopeo")]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: Podman takes no run root of more than 50 characters."""
    directory = Path(tempfile.mkdtemp(prefix="wn-", dir="/var/tmp"))
    try:
        yield directory
    finally:
        for point in sorted(mounts_below(str(directory)), key=len, reverse=True):
            detach(point)
        shutil.rmtree(directory)


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime(
        root=f"{tmp_path}/w/root", runroot=f"{tmp_path}/w/run", network_config_dir=f"{tmp_path}/networks",
        storage_driver="vfs",
    )
    with runtime:
        yield runtime


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    (tmp_path / "networks").mkdir()
    return Tools(f"{tmp_path}/podman", "vfs")


def options(tmp_path: Path) -> tuple[str, ...]:
    directory = f"{tmp_path}/networks"
    return ("--network-backend", "netavark", "--network-config-dir", directory, "--tmpdir", f"{tmp_path}/podman/t")


def made(rt: Runtime) -> list[Network]:
    return [
        rt.networks.create("plain"),
        rt.networks.create("dual", ipv6=True, labels={"a": "b", "c": ""}),
        rt.networks.create(
            "full", subnets=["10.231.7.9/24"], gateways=["10.231.7.5"], ip_ranges=["10.231.7.128/25"], internal=True,
            options={"mtu": "1400", "isolate": "true"},
        ),
        rt.networks.create("bare", ipam_driver="none"),
    ]


def test_podman_shows_what_wherry_made(rt: Runtime, tools: Tools, tmp_path: Path) -> None:
    networks = made(rt)
    names = [network.name for network in networks]
    shown = tools.json("network", "inspect", *names, options=options(tmp_path))
    assert shown == [document(network.definition) for network in networks]
    assert tools.podman("network", "ls", "-q", options=options(tmp_path)).split() == sorted([*names, "podman"])


def test_wherry_reads_what_podman_made(rt: Runtime, tools: Tools, tmp_path: Path) -> None:
    words = ("network", "create", "--subnet", "10.231.8.0/24", "--label", "x=y", "theirs")
    tools.podman(*words, options=options(tmp_path))
    (shown,) = tools.json("network", "inspect", "theirs", options=options(tmp_path))
    network = rt.networks.get(shown["id"][:12])
    assert document(network.definition) == shown
    with pytest.raises(Exception, match=r"subnet 10\.231\.8\.0/25 is already used on the host or by another config"):
        rt.networks.create(subnets=["10.231.8.0/25"])
    network.remove()
    assert tools.podman("network", "ls", "-q", options=options(tmp_path)).split() == ["podman"]
