"""The overlay driver's option strings and links."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from tests.helpers.images import files_tar
from tests.helpers.stores import settings_at, store_at

from wherry.errors import Corrupt, Unsupported
from wherry.storage import driver, overlay
from wherry.storage.driver import MountRequest
from wherry.storage.overlay_mount import _PAGE, OverlayMounter, _Plan, split_options
from wherry.storage.store import Store


def test_options_become_flags_or_data() -> None:
    assert split_options(["nodev", "nosuid", "metacopy=on", "noexec", "exec"]) == (2 | 4, ["metacopy=on"])
    assert split_options(["ro", "volatile"]) == (1, ["volatile"])
    assert split_options([]) == (0, [])


def test_option_strings() -> None:
    plan = _Plan(lowers=["/a", "/b"], upper="/u", work="/w", target="/t", extra=["volatile"])
    assert plan.text() == "lowerdir=/a:/b,upperdir=/u,workdir=/w,volatile"
    assert plan.is_plain()
    assert _Plan(lowers=["/u", "/a"]).text() == "lowerdir=/u:/a"
    assert not plan.replace(lowers=["/a:b"]).is_plain()
    assert not plan.replace(upper="/u,v").is_plain()
    assert not plan.replace(lowers=["/x" * 50] * (_PAGE // 100 + 1)).is_plain()


@pytest.mark.parametrize(("configured", "asked", "rootless", "expected"), [
    (["nodev"], None, False, ["nodev"]),
    (["nodev"], ["nosuid"], False, ["nosuid"]),
    (["nodev"], [], False, ["nodev"]),
    (["metacopy=on"], ["nodev"], False, ["nodev", "metacopy=on"]),
    (["nodev", "metacopy=on"], None, True, ["nodev", "userxattr"]),
])
def test_which_options_apply(
    tmp_path: Path, configured: list[str], asked: list[str] | None, rootless: bool, expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from wherry.storage import overlay_mount

    monkeypatch.setattr(overlay_mount, "_METACOPY_PARAMETER", str(tmp_path))
    settings = settings_at(tmp_path, mount_options=configured, rootless=rootless)
    mounter = OverlayMounter(Store(settings)._parts.driver, settings)  # type: ignore[arg-type]
    assert mounter._options(MountRequest(options=asked)) == expected


def test_drivers(tmp_path: Path) -> None:
    assert driver.choose(settings_at(tmp_path, driver="overlay2")) == "overlay"
    assert driver.choose(settings_at(tmp_path, driver="")) == "overlay"
    assert driver.choose(settings_at(tmp_path, driver="vfs")) == "vfs"
    with pytest.raises(Unsupported, match="btrfs"):
        driver.choose(settings_at(tmp_path, driver="btrfs"))


def test_links_are_drawn_from_the_alphabet() -> None:
    links = {overlay.new_link() for _ in range(100)}
    assert len(links) == 100
    assert {len(link) for link in links} == {26}


@pytest.fixture
def chain(tmp_path: Path) -> tuple[Store, list[str]]:
    store = store_at(tmp_path)
    ids = [""]
    for name in ("a", "b", "c"):
        ids.append(store.add_layer(ids[-1], io.BytesIO(files_tar({name: b""}))).id)
    return store, ids[1:]


def test_lost_links_are_made_again(chain: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, ids = chain
    links = tmp_path / "g/overlay/l"
    before = {name: os.readlink(links / name) for name in os.listdir(links)}
    expected = store.layer_dirs(ids[-1])
    for name in before:
        os.unlink(links / name)
    assert store.layer_dirs(ids[-1]) == expected
    assert {name: os.readlink(links / name) for name in os.listdir(links)} == before
    (tmp_path / "g/overlay" / ids[0] / "link").unlink()
    top = store.add_layer(ids[0], io.BytesIO(files_tar({"d": b""})))
    assert len(store.layer_dirs(top.id)) == 2


def test_a_lost_layer_directory_is_damage(chain: tuple[Store, list[str]], tmp_path: Path) -> None:
    store, ids = chain
    import shutil

    shutil.rmtree(tmp_path / "g/overlay" / ids[0])
    with pytest.raises(Corrupt, match="missing from the store"):
        store.layer_dirs(ids[-1])


def test_the_depth_is_limited(chain: tuple[Store, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    store, ids = chain
    monkeypatch.setattr(overlay, "MAX_LOWERS", 2)
    with pytest.raises(Unsupported, match="at most 2"):
        store.add_layer(ids[-1], io.BytesIO(files_tar({"d": b""})))
    assert len(store.layers()) == 3
    assert store.check() == []


def test_a_directory_somebody_left_is_replaced(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    tar = files_tar({"a": b"1"})
    layer = store.add_layer("", io.BytesIO(tar))
    store.delete_layer(layer.id)
    (tmp_path / "g/overlay" / layer.id / "diff/old").mkdir(parents=True)
    store.add_layer("", io.BytesIO(tar))
    assert os.listdir(tmp_path / "g/overlay" / layer.id / "diff") == ["a"]
