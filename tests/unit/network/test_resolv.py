"""The text of a container's resolv.conf."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.network import resolv
from wherry.network.resolv import parse, resolv_text

HOST = (
    "search a.example b.example\nnameserver 127.0.0.1\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n"
    "options ndots:2\n"
)


def text(host: str | None = HOST, **changes: object) -> str:
    options: dict[str, object] = {
        "config": ([], [], []), "network_servers": [], "network_search": [], "private_namespace": True,
        "has_ipv6": False, "host_text": host,
    }
    return resolv_text(**{**options, **changes})  # type: ignore[arg-type]


def test_loopback_servers_are_dropped_in_a_private_namespace() -> None:
    assert text() == "search a.example b.example\nnameserver 192.0.2.1\noptions ndots:2\n"


def test_the_host_namespace_keeps_the_file() -> None:
    assert "nameserver 127.0.0.1\n" in text(private_namespace=False)


def test_public_servers_when_none_is_left() -> None:
    assert text("nameserver 127.0.0.53\n") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"


def test_what_was_asked_for_wins() -> None:
    shown = text(config=(["1.1.1.1"], ["x.example"], ["use-vc"]))
    assert shown == "search x.example\nnameserver 1.1.1.1\noptions use-vc\n"


def test_a_dot_switches_searching_off() -> None:
    assert "search" not in text(config=([], ["."], []))


def test_the_networks_servers_come_before_the_hosts() -> None:
    shown = text(network_servers=["10.89.0.1"], network_search=["dns.podman"])
    assert shown == "search dns.podman a.example b.example\nnameserver 10.89.0.1\noptions ndots:2\n"


def test_what_was_asked_for_comes_before_the_networks() -> None:
    shown = text(config=(["1.1.1.1"], ["x.example"], []), network_servers=["10.89.0.1"], network_search=["dns.podman"])
    assert shown == "search x.example\nnameserver 1.1.1.1\noptions ndots:2\n"


def test_the_servers_behind_the_stub_of_systemd_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub, real = tmp_path / "stub", tmp_path / "real"
    monkeypatch.setattr(resolv, "HOST_FILE", str(stub))
    monkeypatch.setattr(resolv, "RESOLVED_FILE", str(real))
    stub.write_text("nameserver 127.0.0.53\noptions edns0\n")
    assert text(None) == "nameserver 8.8.8.8\nnameserver 8.8.4.4\noptions edns0\n"
    real.write_text("nameserver 192.0.2.9\nsearch lan\n")
    assert text(None) == "search lan\nnameserver 192.0.2.9\n"
    stub.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.7\n")
    assert text(None) == "nameserver 192.0.2.7\n"


def test_ipv6_servers_only_for_a_container_with_ipv6() -> None:
    host = "nameserver 2001:db8::1\nnameserver 192.0.2.1\n"
    assert text(host, has_ipv6=True) == host
    assert text(host) == "nameserver 192.0.2.1\n"
    assert text("", has_ipv6=True).count("nameserver") == 4


def test_parse_ignores_comments_and_keeps_the_last_search() -> None:
    assert parse("search a\nsearch b c\n# nameserver 1\n;x\nnameserver 2 # y\n") == (["2"], ["b", "c"], [])
