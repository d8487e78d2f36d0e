"""The run directory's database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from wherry.model.network import NetworkOptions, PortMapping
from wherry.network.ledger import Ledger
from wherry.network.protocol import AttachRequest

REQUEST = AttachRequest(
    container_id="c" * 64, networks={"a": NetworkOptions(interface_name="eth0")},
    port_mappings=[PortMapping(host_port=1, container_port=2)],
)


def test_an_attachment_is_read_back(tmp_path: Path) -> None:
    Ledger(str(tmp_path)).attach("native", REQUEST)
    other = Ledger(str(tmp_path))
    assert other.attachment(REQUEST.container_id) == REQUEST
    assert other.backend(REQUEST.container_id) == "native"
    assert other.attachments("native") == [REQUEST]
    assert other.attachments("netavark") == []
    other.detach(REQUEST.container_id)
    assert other.attachment(REQUEST.container_id) is None
    assert other.backend(REQUEST.container_id) == ""


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path / "none"))
    assert ledger.attachments("native") == []
    assert ledger.networks_with_rules() == set()
    ledger.detach("x")
    assert not (tmp_path / "none").exists()


def test_an_earlier_boots_rows_are_dropped(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.attach("native", REQUEST)
    ledger.set_rules("a", True)
    ledger.close()
    with sqlite3.connect(tmp_path / "leases.db") as connection:
        connection.execute("UPDATE boot SET id = 'earlier'")
    again = Ledger(str(tmp_path))
    assert again.attachment(REQUEST.container_id) is None
    assert again.networks_with_rules() == set()
