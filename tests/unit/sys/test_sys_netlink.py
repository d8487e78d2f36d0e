"""Netlink messages: packing, and questions anybody may ask."""

from __future__ import annotations

import errno

import pytest

from wherry.sys import netlink, rtnetlink
from wherry.sys.netlink import Netlink


def test_attributes_are_padded_and_read_back() -> None:
    data = netlink.text(3, "lo") + netlink.nested(18, netlink.attribute(1, b"abcde"))
    assert len(data) % 4 == 0
    found = netlink.attributes(data)
    assert found[3] == b"lo\0"
    assert netlink.attributes(found[18]) == {1: b"abcde"}


def test_loopback_is_found() -> None:
    with Netlink() as connection:
        loopback = rtnetlink.find(connection, "lo")
        assert loopback is not None
        assert loopback.name == "lo"
        assert loopback.index in {link.index for link in rtnetlink.links(connection)}


def test_what_is_missing_is_none() -> None:
    with Netlink() as connection:
        assert rtnetlink.find(connection, "no-such-link") is None
        assert rtnetlink.find(connection, "a-name-no-interface-can-have") is None


def test_the_first_failure_is_raised_with_what_it_was_about() -> None:
    """Link index 2**30 exists nowhere, with or without privileges the kernel refuses."""
    with Netlink() as connection, pytest.raises(OSError, match="link up") as caught:
        connection.change([rtnetlink.up(1 << 30)])
    assert caught.value.errno in (errno.ENODEV, errno.EPERM)


def test_addresses() -> None:
    message = rtnetlink.address(7, "10.1.2.3/24")
    assert b"\x0a\x01\x02\xff" in message.body, "the broadcast address"
    assert message.about == "address 10.1.2.3/24"
