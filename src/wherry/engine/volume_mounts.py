"""Volumes in use: what their options mount, the image's content and owner on first use, and giving it all back.

How many use a volume is not counted but looked up: the containers that are up and the mounts somebody asked for by
``volume mount``.  So a killed process leaves no count that is wrong.
"""

from __future__ import annotations

import os

from wherry.engine import rootfs_files, volumes
from wherry.engine import volume_drivers as drivers
from wherry.engine.volume_options import needs_mount as options_need_mount
from wherry.errors import InvalidArgument, NoSuchVolume, WherryError, from_os_error
from wherry.sys import log
from wherry.sys.mounts import detach, is_mount_point
from wherry.sys.processes import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.model.mount import NamedVolume
    from wherry.model.volume import VolumeConfig, VolumeState
    from wherry.spec.users import ExecUser

#: Seconds mount(8) may take: a network file system's server may not answer.
MOUNT_TIMEOUT = 60.0


def mount_paths(
    runtime: Runtime, config: ContainerConfig, root: str, user: ExecUser | None = None
) -> dict[str, str]:
    """destination -> directory on the host of every named volume, mounted and filled.

    A volume used for the first time gets the content, owner and mode the image has at *root*; where the image has
    nothing it is given to *user*.
    """
    found = {}
    for wanted in config.named_volumes:
        volume, state = runtime.state.volume(wanted.name)
        path = volume.mount_point
        if needs_mount(volume) or state.needs_copy_up or state.needs_chown or not _is_there(volume):
            with volumes.Lock(runtime, wanted.name):
                volume, state = runtime.state.volume(wanted.name)
                path = _bring(runtime, volume, state, config.id)
                _first_use(runtime, wanted, volume, state, config, root, user, path)
        found[wanted.destination] = path
    return found


def _bring(runtime: Runtime, volume: VolumeConfig, state: VolumeState, user: str) -> str:
    """The directory of the volume, mounted for *user* if it needs that; the volume's lock is held."""
    if not drivers.is_plugins(volume):
        volumes.make_directory(volume)
        mount(runtime, volume)
        return volume.mount_point
    path = drivers.plugin_of(runtime, volume).mount(volume.name, user)
    if state.mount_point != path:
        state.mount_point = path
        runtime.state.save_volume_state(volume.name, state)
    return path


def _is_there(volume: VolumeConfig) -> bool:
    return os.path.isdir(volume.mount_point)


def _first_use(
    runtime: Runtime,
    wanted: NamedVolume,
    volume: VolumeConfig,
    state: VolumeState,
    config: ContainerConfig,
    root: str,
    user: ExecUser | None,
    path: str,
) -> None:
    copy = state.needs_copy_up and "nocopy" not in wanted.options and "nocopy" not in volume.options
    if copy:
        state.copied_up = copy_up(root, wanted.destination, path)
    # The owner of what a driver keeps is the driver's business.
    if state.needs_chown and (user is not None or copy) and volume.driver == drivers.LOCAL:
        _take_owner(volume, state, config, wanted.destination, root, user)
    if state.needs_chown or state.needs_copy_up:
        state.needs_copy_up = state.needs_copy_up and not copy
        state.needs_chown = False
        runtime.state.save_volume_state(wanted.name, state)


def _take_owner(
    volume: VolumeConfig,
    state: VolumeState,
    config: ContainerConfig,
    destination: str,
    root: str,
    user: ExecUser | None,
) -> None:
    """Owner and mode of the directory the volume stands for, or the container's user where there is none."""
    try:
        if rootfs_files.is_directory(root, destination):
            model = os.stat(rootfs_files.resolve(root, destination))
            uid, gid = model.st_uid, model.st_gid
            os.chown(volume.mount_point, uid, gid)
            os.chmod(volume.mount_point, model.st_mode & 0o7777)
        elif user is not None:
            uid, gid = host_ids(config, user)
            os.chown(volume.mount_point, uid, gid)
        else:
            return
    except OSError as error:        # a network file system may refuse, and is used as it is then
        log.debug(f"owner of volume {volume.name}: {error}")
        return
    state.uid_chowned, state.gid_chowned = uid, gid


def host_ids(config: ContainerConfig, user: ExecUser) -> tuple[int, int]:
    """Ids of *user* outside the container's user namespace. Raises ``InvalidArgument`` where it has none."""
    found = []
    for kind, number, lines in (
        ("uid", user.uid, config.id_mappings.uid_map), ("gid", user.gid, config.id_mappings.gid_map)
    ):
        for line in lines:
            if line.container_id <= number < line.container_id + line.size:
                number += line.host_id - line.container_id
                break
        else:
            if lines:
                raise InvalidArgument(f"{kind} {number} is not mapped in the user namespace of container {config.id}")
        found.append(number)
    return found[0], found[1]


def copy_up(root: str, destination: str, target: str) -> bool:
    """Copy what the image has at *destination* into an empty volume; never over data (CVE-2020-1726)."""
    if os.listdir(target) or not rootfs_files.is_directory(root, destination):
        return False
    from wherry.storage.copytree import copy_tree

    copy_tree(rootfs_files.resolve(root, destination), target)
    return True


def needs_mount(volume: VolumeConfig) -> bool:
    """Must something be mounted before the volume is used?"""
    return volume.driver != drivers.LOCAL or options_need_mount(volume.options)


def mount(runtime: Runtime, volume: VolumeConfig) -> bool:
    """Mount what the volume's options say, unless it is mounted; True if it was mounted now. Not for plugins' volumes.

    It is left to mount(8), which knows the helpers of network file systems.  Raises ``WherryError``.
    """
    if volume.driver == drivers.IMAGE:
        return drivers.mount_layer(runtime, volume)
    if not needs_mount(volume) or is_mount_point(volume.mount_point):
        return False
    from wherry.sys.processes import find_program, run

    program = find_program("mount")
    if not program:
        raise WherryError('locating "mount" binary: executable file not found in $PATH')
    kind, device = volume.options.get("type", ""), volume.options.get("device", "")
    words = [program]
    if volume.options.get("o"):
        words += ["-o", volume.options["o"]]
    if kind.lower() == "tmpfs" and (volume.uid or volume.gid):
        words += ["-o", f"uid={volume.uid},gid={volume.gid}"]
    if kind.lower() == "bind":
        words += ["-o", "bind"]
    elif kind:
        words += ["-t", kind]
    done = run([*words, "--", device or kind, volume.mount_point], timeout=MOUNT_TIMEOUT)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise WherryError(f"mounting volume {volume.name}: {reason or f'mount ended with {done.returncode}'}")
    return True


def unmount_all(runtime: Runtime, volume: VolumeConfig) -> None:
    """Unmount whatever is mounted on the volume; processes that still use it keep it. Raises ``WherryError``."""
    if volume.driver == drivers.IMAGE:
        drivers.unmount_layer(runtime, volume)
    elif volume.driver == drivers.LOCAL and needs_mount(volume):
        try:
            detach(volume.mount_point)
        except OSError as error:
            raise from_os_error(error, f"unmounting volume {volume.name}") from None


def release(runtime: Runtime, config: ContainerConfig) -> None:
    """After a container ended: unmount those of its volumes nobody uses any more."""
    for name in dict.fromkeys(wanted.name for wanted in config.named_volumes):
        try:
            volume, _state = runtime.state.volume(name)
        except NoSuchVolume:
            continue
        if drivers.is_plugins(volume):
            drivers.release_plugins(runtime, volume, config.id)
        elif needs_mount(volume):
            release_volume(runtime, name, but=config.id)


def release_volume(runtime: Runtime, name: str, but: str = "") -> None:
    """Unmount a volume unless a container other than *but* is up with it or somebody holds it mounted."""
    with volumes.Lock(runtime, name):
        volume, state = runtime.state.volume(name)
        if not state.mount_count and not users_up(runtime, name, but):
            unmount_all(runtime, volume)


def users_up(runtime: Runtime, name: str, but: str = "") -> list[str]:
    """Ids of the containers that are up, or starting, and use the volume."""
    found = []
    for identity in runtime.state.volume_users(name):
        if identity != but:
            state = runtime.state.container_state(identity)
            if state.boot_id == boot_id():
                found.append(identity)
    return found


def hold(runtime: Runtime, name: str) -> str:
    """``volume mount``: mount the volume until :func:`let_go`; returns its directory."""
    with volumes.Lock(runtime, name):
        volume, state = runtime.state.volume(name)
        if drivers.is_plugins(volume):
            path = _bring(runtime, volume, state, drivers.HOLDER)
            state.mount_count += 1
        else:
            path = volume.mount_point
            volumes.make_directory(volume)
            if not needs_mount(volume):
                return path
            if mount(runtime, volume):
                state.mount_count = 0           # what was counted before belongs to an earlier boot
            state.mount_count += 1
        runtime.state.save_volume_state(name, state)
        return path


def let_go(runtime: Runtime, name: str) -> None:
    """``volume unmount``: undo one :func:`hold`; nothing happens when there is none."""
    with volumes.Lock(runtime, name):
        volume, state = runtime.state.volume(name)
        if state.mount_count:
            state.mount_count -= 1
            if drivers.is_plugins(volume) and not state.mount_count:
                drivers.plugin_of(runtime, volume).unmount(name, drivers.HOLDER)
            runtime.state.save_volume_state(name, state)
        if not state.mount_count and not users_up(runtime, name):
            unmount_all(runtime, volume)
