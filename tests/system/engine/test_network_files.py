"""hosts, resolv.conf and hostname as containers see them on every kind of network."""

from __future__ import annotations

import pytest
from tests.system.engine.conftest import IMAGE

from wherry.engine.container import Container
from wherry.engine.runtime import Runtime
from wherry.errors import WherryError

pytestmark = pytest.mark.system


def hosts(rt: Runtime, **options: object) -> list[str]:
    return rt.containers.run(IMAGE, ["cat", "/etc/hosts"], remove=True, **options).stdout.splitlines()


def seen_by(container: Container, path: str = "/etc/hosts") -> str:
    return container.exec(["cat", path]).stdout


def test_the_hostname_is_the_short_id(rt: Runtime) -> None:
    with rt.containers.start_detached(IMAGE, ["sleep", "100"], stop_timeout=0) as container:
        short = container.id[:12]
        assert seen_by(container, "/etc/hostname") == f"{short}\n"
        assert container.exec(["hostname"]).stdout == f"{short}\n"
        assert f"\t{short} {container.name}\n" in seen_by(container)


def test_without_a_network(rt: Runtime) -> None:
    assert hosts(rt, network="none", name="alone", hostname="box")[-1] == "127.0.0.1\tbox alone"
    assert rt.containers.run(IMAGE, ["cat", "/etc/resolv.conf"], network="none", remove=True).exit_code == 1


def test_the_hosts_own_network(rt: Runtime) -> None:
    lines = hosts(rt, network="host", name="near", extra_hosts=["gw:host-gateway"], hosts_file="none")
    assert lines == ["127.0.0.1\tgw", "127.0.0.1\tlocalhost", "::1\tlocalhost"]


def test_where_the_hosts_file_begins(rt: Runtime) -> None:
    assert hosts(rt, hosts_file="none")[0] == "127.0.0.1\tlocalhost"
    with pytest.raises(WherryError, match="failed to create new hosts file: open /nope: no such file or directory"):
        hosts(rt, hosts_file="/nope")


def test_what_was_asked_for_comes_before_the_networks_servers(rt: Runtime) -> None:
    with rt.networks.create("front") as network:
        gateway = network.definition.subnets[0].gateway
        command = ["cat", "/etc/resolv.conf"]
        plain = rt.containers.run(IMAGE, command, network="front", remove=True).stdout
        assert plain.startswith("search dns.podman")
        assert f"nameserver {gateway}\n" in plain
        own = rt.containers.run(
            IMAGE, command, network="front", dns=["192.0.2.9"], dns_search=["foo.example"], remove=True
        ).stdout
        assert own.startswith("search foo.example\nnameserver 192.0.2.9\n")


def test_a_sharer_has_a_line_in_the_owners_hosts_while_it_runs(rt: Runtime) -> None:
    with rt.networks.create("back") as back, rt.containers.start_detached(
        IMAGE, ["sleep", "100"], name="owner", stop_timeout=0
    ) as owner:
        with rt.containers.start_detached(
            IMAGE, ["sleep", "100"], name="sharer", network="container:owner", stop_timeout=0
        ) as sharer:
            line = f"127.0.0.1\t{sharer.id[:12]} sharer\n"
            assert line in seen_by(owner)
            back.connect("owner")
            assert seen_by(sharer).count(line) == 1
        assert line not in seen_by(owner)
