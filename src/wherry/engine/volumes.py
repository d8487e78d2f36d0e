"""Named and anonymous volumes of the local driver, as far as creating and starting containers needs them."""

from __future__ import annotations

import os

from wherry.engine import rootfs_files
from wherry.errors import NoSuchVolume, VolumeExists, from_os_error
from wherry.model.event import Event
from wherry.model.timestamps import now, now_ns
from wherry.model.volume import VolumeConfig, VolumeState
from wherry.sys import log
from wherry.sys.files import make_dirs, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.state.outbox import Intent


#: Kind of the intent that says a volume's files are being removed, its row being gone.
REMOVE = "remove-volume"


def missing(runtime: Runtime, config: ContainerConfig) -> list[str]:
    """Names of the volumes of *config* that do not exist yet."""
    return [wanted.name for wanted in config.named_volumes if not _exists(runtime, wanted.name)]


def _exists(runtime: Runtime, name: str) -> bool:
    try:
        runtime.state.volume(name)
    except NoSuchVolume:
        return False
    return True


def ensure(runtime: Runtime, config: ContainerConfig) -> None:
    """Make the volumes of *config* that do not exist. Whoever calls this takes them back if it fails later."""
    for wanted in config.named_volumes:
        if _exists(runtime, wanted.name):
            continue
        for intent in runtime.state.intents():
            if intent.kind == REMOVE and intent.object_id == wanted.name:
                finish_removal(runtime, intent)     # or the new volume would have the old one's files
        path = f"{runtime.paths.volumes}/{wanted.name}/_data"
        make_dirs(os.path.dirname(path))
        make_dirs(path, 0o755)
        volume = VolumeConfig(
            name=wanted.name, mount_point=path, created_time=now(), is_anonymous=wanted.is_anonymous
        )
        state = VolumeState(needs_copy_up="nocopy" not in wanted.options, needs_chown=True)
        try:
            runtime.state.add_volume(volume, state, _event("create", wanted.name))
        except VolumeExists:
            pass        # another process was faster


def remove(runtime: Runtime, name: str) -> None:
    """Remove a volume nobody uses, its content included. Raises ``VolumeInUse``, ``NoSuchVolume``."""
    drop(runtime, name).remove_files()
    runtime.publish()


class Dropped:
    """A volume whose row is gone and whose files are to go; if that is interrupted, an intent tells of it."""

    def __init__(self, runtime: Runtime, path: str, intent: int) -> None:
        self._runtime = runtime
        self._path = path
        self._intent = intent

    def remove_files(self) -> None:
        """Remove the files. What cannot be removed stays noted, with a warning."""
        try:
            remove_tree(self._path)
        except OSError as error:
            log.warning(f"removing the files of a volume: {from_os_error(error, self._path)}")
            return
        self._runtime.state.clear_intent(self._intent)


def drop(runtime: Runtime, name: str) -> Dropped:
    """Remove a volume's row; the caller goes on to remove the files. Raises ``VolumeInUse``, ``NoSuchVolume``."""
    state = runtime.state
    path = os.path.dirname(state.volume(name)[0].mount_point)
    with state.transaction():
        state.remove_volume(name, _event("remove", name))
        return Dropped(runtime, path, state.add_intent(REMOVE, name, {"path": path}))


def finish_removal(runtime: Runtime, intent: Intent) -> None:
    """Remove the files of a volume whose removal was interrupted, unless there is a volume of that name again."""
    if not _exists(runtime, intent.object_id):
        remove_tree(intent.data["path"])
    runtime.state.clear_intent(intent.seq)


def remove_unused(runtime: Runtime, name: str) -> None:
    """Take back a volume that was made for a container which does not exist; one with content of its own stays."""
    try:
        config, _state = runtime.state.volume(name)
    except NoSuchVolume:
        path = f"{runtime.paths.volumes}/{name}"
        for directory in (f"{path}/_data", path):
            try:
                os.rmdir(directory)
            except OSError:     # not there, or not empty
                pass
        return
    if not runtime.state.volume_users(name) and (config.is_anonymous or not os.listdir(config.mount_point)):
        remove(runtime, name)


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
