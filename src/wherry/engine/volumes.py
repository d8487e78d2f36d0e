"""Named and anonymous volumes of the local driver, as far as creating and starting containers needs them."""

from __future__ import annotations

import os

from wherry.engine import rootfs_files
from wherry.errors import NoSuchVolume
from wherry.model.event import Event
from wherry.model.timestamps import now, now_ns
from wherry.model.volume import VolumeConfig, VolumeState
from wherry.sys.files import make_dirs, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.engine.undo import Undo
    from wherry.model.container import ContainerConfig


def ensure(runtime: Runtime, config: ContainerConfig, undo: Undo) -> None:
    """Make the volumes of *config* that do not exist; pushes their removal on *undo*."""
    for wanted in config.named_volumes:
        try:
            runtime.state.volume(wanted.name)
            continue
        except NoSuchVolume:
            pass
        path = f"{runtime.paths.volumes}/{wanted.name}/_data"
        make_dirs(os.path.dirname(path))
        make_dirs(path, 0o755)
        volume = VolumeConfig(
            name=wanted.name, mount_point=path, created_time=now(), is_anonymous=wanted.is_anonymous
        )
        state = VolumeState(needs_copy_up="nocopy" not in wanted.options, needs_chown=True)
        runtime.state.add_volume(volume, state, _event("create", wanted.name))
        undo.push(f"creating volume {wanted.name}", remove, runtime, wanted.name)


def remove(runtime: Runtime, name: str) -> None:
    """Remove a volume nobody uses, its content included. Raises ``VolumeInUse``, ``NoSuchVolume``."""
    config, _state = runtime.state.volume(name)
    runtime.state.remove_volume(name, _event("remove", name))
    remove_tree(os.path.dirname(config.mount_point))


def _event(what: str, name: str) -> Event:
    return Event(name=name, type="volume", status=what, time_ns=now_ns())


def mount_paths(runtime: Runtime, config: ContainerConfig, root: str) -> dict[str, str]:
    """destination -> directory on the host; a volume used for the first time gets the image's content first."""
    found = {}
    for wanted in config.named_volumes:
        volume, state = runtime.state.volume(wanted.name)
        if state.needs_copy_up and "nocopy" not in wanted.options:
            copy_up(root, wanted.destination, volume.mount_point)
        if state.needs_copy_up or state.needs_chown:
            state.needs_copy_up = state.needs_chown = False
            runtime.state.save_volume_state(wanted.name, state)
        found[wanted.destination] = (
            f"{volume.mount_point}/{wanted.subpath.lstrip('/')}" if wanted.subpath else volume.mount_point
        )
    return found


def copy_up(root: str, destination: str, target: str) -> None:
    """Copy what the image has at *destination* into an empty volume; never over data (CVE-2020-1726)."""
    if os.listdir(target) or not rootfs_files.is_directory(root, destination):
        return
    from wherry.storage.copytree import copy_tree

    source = rootfs_files.resolve(root, destination)
    copy_tree(source, target)
