"""``ps`` and ``images``: cells, tables, JSON and templates."""

from __future__ import annotations

import pytest

from wherry.cli.containers_ps import Row, ports_text
from wherry.cli.containers_ps_format import HEADINGS, PsView, tree
from wherry.cli.formatting import render_rows, title
from wherry.cli.images_list import split_name
from wherry.cli.inspect import rewrite
from wherry.engine.listing import Summary
from wherry.model.network import PortMapping

NOW = 1_000_000


def summary(**fields: object) -> Summary:
    base = {
        "id": "abcdef" * 10 + "abcd", "names": ["web"], "image": "localhost/x:1", "image_id": "1" * 64,
        "command": ["sleep", "1000"], "created": NOW - 120, "state": "running", "started_at": NOW - 60,
    }
    return Summary(**base | fields)


def row(full: bool = False, **fields: object) -> Row:
    return Row(summary(**fields), NOW, full)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "Up About a minute"),
        ({"health": "healthy"}, "Up About a minute (healthy)"),
        ({"state": "exited", "exit_code": 137, "exited_at": NOW - 30}, "Exited (137) 30 seconds ago"),
        ({"state": "stopped", "exited_at": NOW}, "Exited (0) Less than a second ago"),
        ({"state": "created"}, "Created"),
        ({"state": "initialized"}, "Initialized"),
        ({"state": "paused"}, "Paused"),
    ],
)
def test_status(fields: dict[str, object], text: str) -> None:
    assert row(**fields).status() == text


def test_long_cells_are_cut() -> None:
    long = ["sleep", "100000000", "aaaaaaaa"]
    assert row(command=long).command() == "sleep 100000000 a..."
    assert row(True, command=long).command() == "sleep 100000000 aaaaaaaa"
    assert row(command=["12345678901234567"]).command() == "12345678901234567"
    assert row().id() == "abcdefabcdef"
    assert len(row(True).id()) == 64


@pytest.mark.parametrize(
    ("ports", "exposed", "text"),
    [
        ([], {}, ""),
        ([PortMapping(host_port=8080, container_port=80)], {}, "0.0.0.0:8080->80/tcp"),
        ([PortMapping(host_ip="::1", host_port=53, container_port=53, protocol="tcp,udp")], {},
         "::1:53->53/tcp, ::1:53->53/udp"),
        ([PortMapping(host_port=1000, container_port=2000, range=3)], {}, "0.0.0.0:1000-1002->2000-2002/tcp"),
        ([], {"80": ["tcp"], "81": ["tcp"], "53": ["udp"], "90": ["tcp"]}, "80-81/tcp, 90/tcp, 53/udp"),
        ([PortMapping(host_port=8080, container_port=80)], {"80": ["tcp"], "81": ["tcp"]},
         "0.0.0.0:8080->80/tcp, 81/tcp"),
    ],
)
def test_ports(ports: list[PortMapping], exposed: dict[str, list[str]], text: str) -> None:
    assert ports_text(summary(ports=ports, exposed_ports=exposed)) == text


def test_sizes() -> None:
    assert row(size=(0, 1987723)).size() == "0B (virtual 1.99MB)"
    assert row().size() == ""


def test_json_has_every_key_in_order() -> None:
    found = tree(row(ports=[PortMapping(host_port=8080, container_port=80)], size=(1, 2), labels={"b": "2", "a": "1"}))
    assert list(found) == [
        "AutoRemove", "Command", "CreatedAt", "CIDFile", "Exited", "ExitedAt", "ExitCode", "ExposedPorts", "Id",
        "Image", "ImageID", "IsInfra", "Labels", "Mounts", "Names", "Namespaces", "Networks", "Pid", "Pod", "PodName",
        "Ports", "Restarts", "Size", "StartedAt", "State", "Status", "Created",
    ]
    assert found["Ports"] == [
        {"host_ip": "", "container_port": 80, "host_port": 8080, "range": 1, "protocol": "tcp"}
    ]
    assert found["Size"] == {"rootFsSize": 2, "rwSize": 1}
    assert found["ExitedAt"] == -62135596800
    assert list(found["Labels"]) == ["a", "b"]
    assert found["CreatedAt"] == "2 minutes ago"


def test_every_name_a_template_may_use_works() -> None:
    view = PsView(row(labels={"a": "1"}, size=(0, 0)))
    for name in PsView.go_names:
        if name != "Label":
            assert render_rows("ps", f"{{{{.{name}}}}}", [view]).endswith("\n"), name
    text = '{{.ID}} {{.Id}} {{.Names}} {{.Label "a"}}{{.Label "b"}} {{.Labels.a}} {{.RunningFor}} {{.Created.Unix}}'
    expected = f"abcdefabcdef {view.full_id} web 1 1 2 minutes ago {NOW - 120}\n"
    assert render_rows("ps", text, [view]) == expected


def test_headings() -> None:
    titles = {name: HEADINGS.get(name, title(name)).upper() for name in PsView.go_names}
    text = render_rows("ps", "table {{.ID}} {{.RunningFor}} {{.Names}} {{.ExitCode}}", [], titles)
    assert text == "CONTAINER ID  RUNNING FOR  NAMES       EXIT CODE\n"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("docker.io/library/alpine:3.22", ("docker.io/library/alpine", "3.22")),
        ("localhost:5000/x", ("localhost:5000/x", "<none>")),
        ("localhost:5000/x:1", ("localhost:5000/x", "1")),
        ("quay.io/x@sha256:" + "0" * 64, ("quay.io/x", "<none>")),
        ("", ("<none>", "<none>")),
    ],
)
def test_image_names(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


def test_inspect_accepts_dockers_field_names() -> None:
    assert rewrite("{{.Id}} {{.Src}} {{.Dst}} {{.ImageID}}") == "{{.ID}} {{.Source}} {{.Destination}} {{.Image}}"
    assert rewrite("{{.Idle}} {{.IdX}} {{.State.Id}}") == "{{.Idle}} {{.IdX}} {{.State.ID}}"
