"""What the native back end finds and mends: leases, rules, bridges and names of containers and networks that are gone.

Elements of the firewall's sets and maps carry a comment ``ENGINE/OWNER``: the engine of this run directory, and the
container (12 digits) or network they are for.  So what another engine on this host has in the same table is left alone.
"""

from __future__ import annotations

from wherry.errors import NotFound
from wherry.model import jsontext
from wherry.network import firewall
from wherry.network.links import remove_bridge
from wherry.sys import log
from wherry.sys.processes import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    from wherry.network.native import NativeDriver

_TIMEOUT = 60.0
_MAPS = ("ports4", "ports6", "addressed4", "addressed6")


class Leftover:
    """An element of the table whose owner is gone."""

    __slots__ = ("is_network", "key", "owner", "where")

    def __init__(self, where: str, key: str, owner: str) -> None:
        self.where = where
        self.key = key
        self.owner = owner
        self.is_network = where not in _MAPS


def check(driver: NativeDriver, alive: Collection[str]) -> list[str]:
    """A sentence for each thing that is wrong; *alive* are the ids of running containers."""
    ledger = driver.ledger
    attached = {request.container_id: request for request in ledger.attachments(driver.name)}
    holders = driver.leases.holders() | set(attached)
    found = [
        f"container {holder[:12]} has an address lease but does not run" for holder in sorted(holders - set(alive))
    ]
    found += [f"the network of container {name[:12]} was not taken down" for name in driver.teardowns.abandoned()]
    running = set(attached) & set(alive)
    if driver.filters and running and not driver.rules_present():
        found.append("the firewall rules of running containers are missing")
    elif driver.filters:
        found += _rules(driver, alive, running)
    for name, containers in driver.names.containers().items():
        found += [
            f"network {name} has names of container {container[:12]}, which does not run"
            for container in containers if container not in alive
        ]
    return found + driver.forwards.problems(alive)


def _rules(driver: NativeDriver, alive: Collection[str], running: Collection[str]) -> Iterator[str]:
    """Rules nobody needs, and ports whose rules are missing."""
    table = elements(driver)
    stale = leftovers(driver, table, alive)
    for owner in sorted({left.owner for left in stale if not left.is_network}):
        yield f"there are rules for ports of container {owner}, which does not run"
    for owner in sorted({left.owner for left in stale if left.is_network}):
        yield f"there are rules for network {owner}, which does not exist"
    have = {(where, key) for where, key, _owner in table}
    for request in driver.ledger.attachments(driver.name):
        if request.container_id in running and any(port[:2] not in have for port in driver.ports(request)):
            yield f"rules for ports of container {request.container_id[:12]} are missing"


def repair(driver: NativeDriver, alive: Collection[str]) -> None:
    """Mend all that :func:`check` finds, and remove bridges nobody is attached to."""
    ledger = driver.ledger
    for request in ledger.attachments(driver.name):
        if request.container_id not in alive:
            driver.detach(request)
    for holder in driver.leases.holders() - set(alive):
        ledger.detach(holder)
    for name, containers in driver.names.containers().items():
        for container in containers:
            if container not in alive:
                driver.drop_names(container, [name])
    driver.teardowns.settle()
    for container in driver.forwards.stale(alive):
        driver.forwards.stop(container)
    left = ledger.attachments(driver.name)
    for request in left:
        driver.forward(request)
    if driver.filters:
        _remove(driver, leftovers(driver, elements(driver), alive))
        running = {request.container_id for request in left}
        if left and (not driver.rules_present() or any(True for _text in _rules(driver, alive, running))):
            driver.restore(left[0])
    used = driver.leases.networks_in_use()
    for network in driver.definitions.list():
        if network.name not in used:
            driver.remove_bridge(network)
    if not left:
        driver.remove_empty_table()


def _remove(driver: NativeDriver, stale: list[Leftover]) -> None:
    """Take elements out one by one: another process may have been faster with any of them."""
    for left in stale:
        if left.where == "bridges" and not remove_bridge(left.key.strip('"')):
            log.warning(f"bridge {left.key} of network {left.owner} has interfaces and stays")
        run([driver.nft, "delete", "element", "inet", firewall.TABLE, left.where, "{", left.key, "}"], timeout=_TIMEOUT)
        if left.is_network:
            driver.ledger.set_rules(left.owner, False)


def leftovers(
    driver: NativeDriver, table: list[tuple[str, str, str]], alive: Collection[str]
) -> list[Leftover]:
    """Elements of this engine whose container does not run or whose network is not defined."""
    living = {identity[:12] for identity in alive}
    found = []
    for where, key, comment in table:
        engine, _slash, owner = comment.partition("/")
        if engine != driver.engine or not owner:
            continue
        left = Leftover(where, key, owner)
        if left.is_network:
            if not _is_defined(driver, owner, key, where):
                found.append(left)
        elif owner not in living:
            found.append(left)
    return found


def _is_defined(driver: NativeDriver, name: str, key: str, where: str) -> bool:
    try:
        network = driver.definitions.get(name)
    except NotFound:
        return False
    return (where, key) in firewall.network_elements(network)


def elements(driver: NativeDriver) -> list[tuple[str, str, str]]:
    """(set or map, key, comment) of every element of the table; empty when there is none."""
    shown = run([driver.nft, "-j", "list", "table", "inet", firewall.TABLE], timeout=_TIMEOUT)
    if shown.returncode:
        return []
    found = []
    for entry in jsontext.loads(shown.stdout).get("nftables", ()):
        block = entry.get("set") or entry.get("map")
        for item in (block or {}).get("elem", ()):
            key = item[0] if "map" in entry else item       # a map's are pairs of key and data
            comment = ""
            if isinstance(key, dict) and "elem" in key:
                comment = key["elem"].get("comment", "")
                key = key["elem"]["val"]
            found.append((block["name"], _text(key, block["type"]), comment))
    return found


def _text(value: Any, kind: Any) -> str:
    """A key as this package writes it: interface names in quotes, parts joined by dots."""
    if isinstance(value, dict) and "concat" in value:
        kinds = kind if isinstance(kind, list) else [kind] * len(value["concat"])
        return " . ".join([_text(part, one) for part, one in zip(value["concat"], kinds, strict=True)])
    if isinstance(value, dict) and "prefix" in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    return f'"{value}"' if kind == "ifname" else str(value)
