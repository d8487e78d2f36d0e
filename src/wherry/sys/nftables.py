"""Questions to nf_tables over netlink, where starting nft(8) would cost milliseconds."""

from __future__ import annotations

import errno
from _struct import Struct

from wherry.sys.netlink import NETLINK_NETFILTER, Message, Netlink, attributes, text

NFPROTO_INET = 1
NFPROTO_IPV4 = 2

_NFNL_SUBSYS_NFTABLES = 10
_NFT_MSG_GETTABLE = 1
_NFT_MSG_GETCHAIN = 4
_NFTA_TABLE_NAME = 1
_NFTA_CHAIN_TABLE = 1
_NFTA_CHAIN_NAME = 3
_NFTA_CHAIN_POLICY = 5
_NFTA_CHAIN_USE = 6
_NF_DROP = 0
_GENERIC = Struct("=BBH")           # family, version, resource id
_U32_BIG = Struct(">I")


def available() -> bool:
    """Does this kernel have nf_tables, and may we use it?"""
    try:
        with Netlink(NETLINK_NETFILTER) as netlink:
            netlink.ask(_request(_NFT_MSG_GETTABLE, NFPROTO_INET, text(_NFTA_TABLE_NAME, "filter")))
    except OSError as error:
        return error.errno == errno.ENOENT
    return True


def chain_uses(family: int, table: str, chain: str) -> int:
    """How many rules a chain has (and jumps into it); -1 when there is no such chain. Raises :class:`OSError`."""
    found = _chain(family, table, chain)
    return -1 if found is None else _U32_BIG.unpack(found.get(_NFTA_CHAIN_USE, b"\0\0\0\0"))[0]


def drops(family: int, table: str, chain: str) -> bool:
    """Is the policy of this chain to drop? Raises :class:`OSError`."""
    found = _chain(family, table, chain)
    return found is not None and found.get(_NFTA_CHAIN_POLICY) == _U32_BIG.pack(_NF_DROP)


def _chain(family: int, table: str, chain: str) -> dict[int, bytes] | None:
    body = text(_NFTA_CHAIN_TABLE, table) + text(_NFTA_CHAIN_NAME, chain)
    try:
        with Netlink(NETLINK_NETFILTER) as netlink:
            answers = netlink.ask(_request(_NFT_MSG_GETCHAIN, family, body))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return attributes(answers[0], _GENERIC.size)


def _request(kind: int, family: int, body: bytes) -> Message:
    return Message(type=_NFNL_SUBSYS_NFTABLES << 8 | kind, body=_GENERIC.pack(family, 0, 0) + body, about="nf_tables")
