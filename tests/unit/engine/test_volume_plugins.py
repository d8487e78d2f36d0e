"""The client of volume plugins against a small plugin: words, faults, time limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.volume_plugin import VolumePlugin, serving

from wherry.engine.volume_plugins import NotAPlugin, NotAVolumePlugin, Plugin, PluginFailed
from wherry.errors import TimedOut, Unavailable


@pytest.fixture
def server(tmp_path: Path) -> Iterator[VolumePlugin]:
    with serving(VolumePlugin(str(tmp_path))) as plugin:
        yield plugin


@pytest.fixture
def client(server: VolumePlugin) -> Plugin:
    return Plugin("plug", server.socket, 5)


def test_the_life_of_a_volume(server: VolumePlugin, client: Plugin) -> None:
    client.activate()
    client.activate()
    assert not client.has("v")
    client.create("v", {"a": "b"})
    assert client.get("v")["Status"] == {"kept": "well"}
    assert client.mount_point("v") == ""
    assert client.mount("v", "somebody") == server.path("v") == client.mount_point("v")
    assert server.mounted == {"v": {"somebody"}}
    assert client.names() == ["v"]
    assert client.scope() == "global"
    client.unmount("v", "somebody")
    client.remove("v")
    assert client.names() == []
    assert server.verbs().count("Activate") == 1
    assert ("Create", {"Name": "v", "Opts": {"a": "b"}}) in server.asked


def test_what_the_plugin_says_is_said(server: VolumePlugin, client: Plugin) -> None:
    server.fail["Create"] = "no room"
    with pytest.raises(PluginFailed, match=r"on /VolumeDriver.Create on volume v in volume plugin plug: no room"):
        client.create("v", {})
    server.fail["Capabilities"] = "what?"
    assert client.scope() == "local"


def test_a_slow_plugin(server: VolumePlugin) -> None:
    server.delay = 2
    with pytest.raises(TimedOut, match="plugin slow endpoint /VolumeDriver.List: no answer within 1 seconds"):
        Plugin("slow", server.socket, 1).names()


@pytest.mark.parametrize(("verb", "text", "message"), [
    ("List", b"no json", "is not a JSON object"),
    ("List", b"[]", "is not a JSON object"),
    ("Get", b"{}", "the answer has no volume"),
    ("Mount", b'{"Mountpoint": "relative"}', "the mount point 'relative' is no directory of this host"),
    ("Mount", b'{"Mountpoint": "/nonexistent/x"}', "is no directory of this host"),
])
def test_answers_that_make_no_sense(
    server: VolumePlugin, client: Plugin, verb: str, text: bytes, message: str
) -> None:
    server.raw[verb] = text
    calls = {"List": client.names, "Get": lambda: client.get("v"), "Mount": lambda: client.mount("v", "x")}
    with pytest.raises((PluginFailed, NotAPlugin), match=message):
        calls[verb]()  # type: ignore[operator]


def test_other_plugins(server: VolumePlugin, client: Plugin) -> None:
    server.implements = ["NetworkDriver"]
    with pytest.raises(
        NotAVolumePlugin,
        match="plugin plug does not implement volume plugin, instead provides NetworkDriver: plugin is not a volume",
    ):
        client.activate()


def test_no_socket(tmp_path: Path) -> None:
    path = f"{tmp_path}/sock"
    with pytest.raises(Unavailable, match=f'cannot access plugin p socket "{path}": stat {path}: no such file'):
        Plugin("p", path, 1).activate()
    Path(path).touch()
    with pytest.raises(NotAPlugin, match="is not a unix socket: target does not appear to be a valid plugin"):
        Plugin("p", path, 1).activate()


def test_nobody_listens(tmp_path: Path) -> None:
    import socket

    path = f"{tmp_path}/sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    assert os.path.exists(path)
    with pytest.raises(Unavailable, match="connection refused"):
        Plugin("p", path, 1).activate()
