"""Refused network commands: the words and exit codes of real Podman 4.3.1, on one directory of definitions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.compat.cli.conftest import SOURCES, Pair
from tests.helpers.podman import Tools, missing_tools

from wherry.cli import launcher

pytestmark = [pytest.mark.compat, pytest.mark.skipif(bool(missing_tools()), reason="needs podman, buildah and skopeo")]

REFUSED = [
    # names
    "create front", "create bridge", "create host", "create none", "create b@d", "create x y", "rm", "rm nope",
    "rm podman", "rm nope front2", "inspect nope", "exists nope", "exists", "inspect",
    # subnets, gateways, ranges
    "create --subnet 10.233.0.0/25 x", "create --subnet nonsense x",
    "create --subnet 10.234.0.0/24 --gateway 10.2.2.2 x", "create --gateway 10.2.2.2 x",
    "create --ip-range 10.2.2.0/25 x",
    "create --subnet 10.234.0.0/24 --ip-range 10.2.2.0/25 x",
    "create --subnet 10.234.0.0/24 --gateway 10.234.0.1 --gateway 10.234.0.2 x",
    # drivers and their options
    "create -d foo x", "create -d macvlan x", "create -d macvlan -o parent=nope x",
    "create -d macvlan --subnet 10.234.0.0/24 -o mode=foo x", "create -o foo=bar x", "create -o mtu=abc x",
    "create -o vlan=5000 x", "create -o vlan=abc x", "create -o isolate=maybe x", "create --ipam-driver dhcp x",
    "create --ipam-driver foo x", "create --ipam-driver none --subnet 10.234.0.0/24 x", "create --label =x x",
    # containers
    "connect front nope", "connect nope nope", "disconnect front nope", "disconnect -f front nope", "reload",
    "reload nope", "reload --all x", "connect --mac-address zz front nope",
    # lists
    "prune -f --filter foo=bar", "ls --filter foo=bar", "ls --filter bar",
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    tools = Tools(f"/tmp/net-{os.urandom(6).hex()}", "vfs")
    with open(f"{tools.base}/containers.conf", "a", encoding="utf-8") as conf:
        conf.write(f'[engine]\ntmp_dir = "{tools.base}/tmp"\n[network]\nnetwork_backend = "netavark"\n')
        conf.write(f'network_config_dir = "{tools.base}/networks"\n')
    Path(tools.base, "networks").mkdir()
    script = tmp_path_factory.mktemp("bin") / "podman"
    script.write_text(launcher.script(os.path.realpath(sys.executable), [SOURCES]))
    script.chmod(0o755)
    try:
        both = Pair(tools, script)
        assert both.wherry("network", "create", "--subnet", "10.233.0.0/24", "front").out == "front\n"
        yield both
    finally:
        tools.clean_up()


@pytest.mark.parametrize("line", REFUSED)
def test_refusals(line: str, pair: Pair) -> None:
    theirs, ours = pair.both("network", *line.split())
    # 4.3.1 began errors of inspect with two words that later releases dropped.
    expected = theirs.err.replace("Error: inspecting object: ", "Error: ")
    said = ours.err.splitlines()[:expected.count("\n")]      # a hint may follow
    assert (ours.code, ours.out, said) == (theirs.code, theirs.out, expected.splitlines())
    assert theirs.code != 0
    assert pair.podman("network", "ls", "-q").out.split() == ["front", "podman"]
