"""Volumes as rows and directories: making them, taking them back, removing them.

A volume's row is written before its directory is made: whoever uses a volume makes the directory if it is missing.
"""

from __future__ import annotations

import os

from wherry.engine import volume_drivers as drivers
from wherry.errors import NoSuchVolume, VolumeExists, WherryError, from_os_error
from wherry.model import ranks
from wherry.model.event import Event
from wherry.model.ids import generate_id
from wherry.model.timestamps import now, now_ns
from wherry.model.volume import VolumeConfig, VolumeState
from wherry.sys import log
from wherry.sys.files import make_dirs, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.model.mount import NamedVolume
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


def named(wanted: Sequence[NamedVolume]) -> list[NamedVolume]:
    """*wanted* with a name for every volume that was given none: it is anonymous and goes with its container."""
    return [volume if volume.name else volume.replace(name=generate_id(), is_anonymous=True) for volume in wanted]


def ensure(runtime: Runtime, config: ContainerConfig) -> None:
    """Make the volumes of *config* that do not exist. Whoever calls this takes them back if it fails later."""
    for wanted in config.named_volumes:
        if _exists(runtime, wanted.name):
            continue
        volume = VolumeConfig(
            name=wanted.name, created_time=now(), is_anonymous=wanted.is_anonymous, options=_driver_options(wanted)
        )
        try:
            add(runtime, volume)
        except VolumeExists:
            pass        # another process was faster


def _driver_options(wanted: NamedVolume) -> dict[str, str]:
    """``volume-opt=KEY=VALUE`` of ``--mount type=volume``: options of a volume made for the container."""
    options: dict[str, str] = {}
    for word in wanted.options:
        if word.startswith("volume-opt="):
            key, _equals, value = word.removeprefix("volume-opt=").partition("=")
            options[key] = f"{options[key]},{value}" if key == "o" and key in options else value
    if not options:
        return options
    from wherry.engine.volume_options import local_options

    return dict(local_options(options).options)


def add(runtime: Runtime, config: VolumeConfig, *, owned: bool = False) -> VolumeConfig:
    """Make a volume: its row, then its directory. *owned*: owner and group were asked for and stay as they are.

    Raises ``VolumeExists``.
    """
    for intent in runtime.state.intents():
        if intent.kind == REMOVE and intent.object_id == config.name:
            finish_removal(runtime, intent)     # or the new volume would have the old one's files
    if _exists(runtime, config.name):       # before a driver makes anything; the database checks again
        from wherry.state.refusals import volume_exists

        raise volume_exists(config.name)
    if not drivers.is_plugins(config):
        config = config.replace(mount_point=f"{runtime.paths.volumes}/{config.name}/_data")
    state = VolumeState(needs_copy_up=True, needs_chown=not owned)
    config = drivers.create(runtime, config)
    try:
        runtime.state.add_volume(config, state, event("create", config.name))
    except BaseException as error:
        if not (isinstance(error, VolumeExists) and drivers.is_plugins(config)):    # then it is the other's by now
            drivers.take_back(runtime, config)
        raise
    try:
        make_directory(config)
    except (OSError, WherryError) as error:
        runtime.state.remove_volume(config.name)
        drivers.take_back(runtime, config)
        remove_tree(os.path.dirname(config.mount_point))
        if isinstance(error, WherryError):
            raise
        raise from_os_error(error, "creating volume directory") from None
    return config


def make_directory(config: VolumeConfig) -> None:
    """The volume's directory with the owner and limits that were asked for; one that exists is left alone.

    Raises ``OSError``, and ``InvalidArgument`` for limits the file system cannot keep.
    """
    if not config.mount_point or os.path.isdir(config.mount_point):
        return
    above = os.path.dirname(config.mount_point)
    make_dirs(above)
    new = f"{above}/.new-{os.getpid()}"         # complete when it appears under its name
    make_dirs(new, 0o755)
    if config.uid or config.gid:
        os.chown(new, config.uid, config.gid)
    if config.size or config.inodes:
        from wherry.engine import volume_quotas

        if volume_quotas.is_limited(config):
            volume_quotas.limit(config, new)
    try:
        os.rename(new, config.mount_point)
    except OSError:
        os.rmdir(new)
        if not os.path.isdir(config.mount_point):       # else another process was faster
            raise


class Lock:
    """``with Lock(runtime, name):`` - held while a volume is mounted, unmounted or filled for the first time.

    The lock file goes with every release: volumes are locked seldom, and there may be many.
    """

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._lock = runtime.object_lock("volume", ranks.VOLUME, name)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_exc: object) -> None:
        self._lock.release(remove=True)


def remove(runtime: Runtime, name: str, *, force: bool = False) -> None:
    """Remove a volume nobody uses, its content included. Raises ``VolumeInUse``, ``NoSuchVolume``.

    A plugin that cannot remove it keeps it, unless *force*: then wherry forgets it all the same.
    """
    config = runtime.state.volume(name)[0]
    users = runtime.state.volume_users(name)
    if drivers.is_plugins(config) and not users:
        try:
            drivers.remove(runtime, config)
        except WherryError as error:
            if not force:
                raise
            log.warning(f"volume {name} is forgotten: {error}")
        runtime.state.remove_volume(name, event("remove", name))
    else:
        drop(runtime, name).remove_files()
    runtime.publish()


class Dropped:
    """A volume whose row is gone and whose files are to go; if that is interrupted, an intent tells of it."""

    def __init__(self, runtime: Runtime, volume: VolumeConfig, intent: int) -> None:
        self._runtime = runtime
        self._volume = volume
        self._intent = intent

    def remove_files(self) -> None:
        """Remove the files. What cannot be removed stays noted, with a warning."""
        try:
            _remove_files(self._runtime, self._volume)
        except WherryError as error:
            log.warning(f"removing the files of volume {self._volume.name}: {error}")
            return
        self._runtime.state.clear_intent(self._intent)


def _remove_files(runtime: Runtime, volume: VolumeConfig) -> None:
    """What the driver keeps, then the directory. Raises ``WherryError``."""
    drivers.remove(runtime, volume)
    if volume.size or volume.inodes:
        from wherry.engine import volume_quotas

        volume_quotas.forget(volume)
    if volume.mount_point:
        path = os.path.dirname(volume.mount_point)
        try:
            remove_tree(path)
        except OSError as error:
            raise from_os_error(error, path) from None


def drop(runtime: Runtime, name: str) -> Dropped:
    """Remove a volume's row; the caller goes on to remove the files. Raises ``VolumeInUse``, ``NoSuchVolume``.

    What is mounted on it by its options is unmounted first: it is not the volume's to remove.
    """
    state = runtime.state
    config = state.volume(name)[0]
    if config.options and not state.volume_users(name):
        from wherry.engine.volume_mounts import unmount_all

        unmount_all(runtime, config)
    with state.transaction():
        state.remove_volume(name, event("remove", name))
        return Dropped(runtime, config, state.add_intent(REMOVE, name, {"volume": config.to_json()}))


def finish_removal(runtime: Runtime, intent: Intent) -> None:
    """Remove the files of a volume whose removal was interrupted, unless there is a volume of that name again."""
    if not _exists(runtime, intent.object_id):
        _remove_files(runtime, VolumeConfig.from_json(intent.data["volume"]))
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
    filled = os.path.isdir(config.mount_point) and os.listdir(config.mount_point)
    if not runtime.state.volume_users(name) and (config.is_anonymous or not filled):
        remove(runtime, name)


def event(what: str, name: str) -> Event:
    """A ``volume`` event, stamped now."""
    return Event(name=name, type="volume", status=what, time_ns=now_ns())
