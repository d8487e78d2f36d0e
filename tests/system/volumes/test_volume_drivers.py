"""Volumes of plugins and of the image driver in real containers."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.leaks import mounts_below
from tests.helpers.volume_plugin import VolumePlugin, serving
from tests.system.fixtures.engine import IMAGE

from wherry.engine.runtime import Runtime
from wherry.errors import InvalidArgument, NoSuchImage, TimedOut, Unavailable, VolumeExists, VolumeInUse, WherryError

pytestmark = pytest.mark.system


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[VolumePlugin]:
    with serving(VolumePlugin(str(tmp_path))) as made:
        yield made


@pytest.fixture
def engine(rt: Runtime, plugin: VolumePlugin, tmp_path: Path) -> Iterator[Runtime]:
    """The engine with the plugin in its configuration."""
    conf = tmp_path / "containers.conf"
    conf.write_text(
        "[engine]\nvolume_plugin_timeout = 5\n[engine.volume_plugins]\n"
        f'plug = "{plugin.socket}"\nabsent = "{tmp_path}/nothing"\n'
    )
    with Runtime(rt.settings.options, config=str(conf)) as runtime:
        yield runtime


def sh(rt: Runtime, script: str, **options: object) -> str:
    result = rt.containers.run(IMAGE, ["sh", "-c", script], remove=True, network="none", **options)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_containers_use_a_plugins_volume(engine: Runtime, plugin: VolumePlugin) -> None:
    with engine.volumes.create("v", driver="plug", options={"a": "b"}) as volume:
        assert ("Create", {"Name": "v", "Opts": {"a": "b"}}) in plugin.asked
        first = engine.containers.start_detached(IMAGE, ["sleep", "100"], network="none", volumes=["v:/www"])
        second = engine.containers.start_detached(IMAGE, ["sleep", "100"], network="none", volumes=["v:/data"])
        assert plugin.mounted == {"v": {first.id, second.id}}
        assert "index.html" in first.exec(["ls", "/www"]).stdout         # copied from the image on first use
        second.exec(["sh", "-c", "echo hi > /data/file"])
        assert Path(plugin.path("v"), "file").read_text() == "hi\n"
        (mount,) = first.inspect()["Mounts"]
        assert (mount["Driver"], mount["Source"]) == ("plug", plugin.path("v"))
        first.stop(0)
        assert plugin.mounted == {"v": {second.id}}
        with pytest.raises(VolumeInUse):
            volume.remove()
        for container in (first, second):
            container.remove(force=True, timeout=0)
        assert plugin.mounted == {"v": set()}
        assert volume.scope == "global"
        assert volume.inspect()["Status"] == {"kept": "well"}
        assert volume.inspect()["Timeout"] == 5
    assert not os.path.exists(plugin.path("v"))


def test_a_killed_container_gives_its_mount_back(engine: Runtime, plugin: VolumePlugin) -> None:
    words = {"network": "none", "volumes": ["v:/d"]}
    with (
        engine.volumes.create("v", driver="plug"),
        engine.containers.start_detached(IMAGE, ["sleep", "100"], **words) as container,
    ):
        container.kill()
        container.wait()
        container.cleanup()
        assert plugin.mounted == {"v": set()}


def test_mount_export_and_import(engine: Runtime, plugin: VolumePlugin) -> None:
    with engine.volumes.create("v", driver="plug") as volume, engine.volumes.create("w", driver="plug") as other:
        assert volume.mount() == plugin.path("v")
        Path(plugin.path("v"), "file").write_text("x")
        volume.unmount()
        other.import_tar(io.BytesIO(b"".join(volume.export())))
        assert Path(plugin.path("w"), "file").read_text() == "x"
        assert plugin.mounted == {"v": set(), "w": set()}


def test_failures_leave_nothing(engine: Runtime, plugin: VolumePlugin) -> None:
    plugin.fail["Create"] = "no room"
    with pytest.raises(WherryError, match="in volume plugin plug: no room"):
        engine.volumes.create("v", driver="plug")
    with pytest.raises(Unavailable, match="volume v uses volume plugin absent but it could not be retrieved: cannot"):
        engine.volumes.create("v", driver="absent")
    with pytest.raises(Unavailable, match="no volume plugin with name other available: required plugin missing"):
        engine.volumes.create("v", driver="other")
    assert engine.volumes.list() == []
    plugin.fail.clear()
    with engine.volumes.create("v", driver="plug"):
        with pytest.raises(VolumeExists):
            engine.volumes.create("v", driver="plug")
        plugin.fail["Mount"] = "not today"
        with pytest.raises(WherryError, match="not today"):
            sh(engine, "true", volumes=["v:/d"])
        assert engine.containers.list(all=True) == []
        plugin.fail = {"Remove": "mine"}
        with pytest.raises(WherryError, match="mine"):
            engine.volumes.get("v").remove()
        assert engine.volumes.exists("v")
        plugin.fail.clear()


def test_a_slow_plugin_is_not_waited_for_longer_than_asked(engine: Runtime, plugin: VolumePlugin) -> None:
    with engine.volumes.create("v", driver="plug", options={"o": "timeout=1"}) as volume:
        assert volume.inspect()["Timeout"] == 1
        plugin.delay = 3
        with pytest.raises(TimedOut, match="within 1 seconds"):
            volume.mount()
        plugin.delay = 0


def test_a_lost_plugins_volume_can_be_forgotten(engine: Runtime, plugin: VolumePlugin) -> None:
    volume = engine.volumes.create("v", driver="plug")
    plugin.fail["Remove"] = "no"
    volume.remove(force=True)
    assert engine.volumes.list() == []


def test_reload(engine: Runtime, plugin: VolumePlugin) -> None:
    engine.volumes.create("gone", driver="plug")
    os.rmdir(plugin.path("gone"))
    os.mkdir(plugin.path("new"))
    os.mkdir(plugin.path("taken"))
    with engine.volumes.create("taken"):
        added, removed, errors = engine.volumes.reload()
        assert (added, removed) == (["new"], ["gone"])
        assert sorted(str(error).partition(" ")[0] for error in errors) == ["cannot", "volume"]
        assert engine.volumes.get("new").config.driver == "plug"
        assert engine.volumes.get("taken").config.driver == "local"
    engine.volumes.get("new").remove()


def test_an_image_is_a_volume(rt: Runtime) -> None:
    with pytest.raises(InvalidArgument, match="must provide an image name"):
        rt.volumes.create("v", driver="image")
    with pytest.raises(NoSuchImage):
        rt.volumes.create("v", driver="image", options={"image": "localhost/none:such"})
    with rt.volumes.create("v", driver="image", options={"image": IMAGE}) as volume:
        assert "bin" in sh(rt, "ls /i; touch /i/new", volumes=["v:/i"])
        assert "new" in sh(rt, "ls /i", volumes=["v:/i"])
        with rt.containers.start_detached(IMAGE, ["sleep", "100"], network="none", volumes=["v:/i"]):
            assert mounts_below(rt.paths.volumes) == [volume.mount_point]
        assert mounts_below(rt.paths.volumes) == []
        assert any(piece for piece in volume.export())
        assert rt.check(quick=True) == []
    assert rt.store.containers() == []
