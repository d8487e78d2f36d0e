"""What drivers do differently: where a volume's files come from and how they get to a directory of this host.

``local`` volumes are directories below the volume path (with a mount on them if their options say so), ``image``
volumes a read-write layer on an image, all others belong to a plugin.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument, WherryError, from_os_error
from wherry.model.ids import generate_id
from wherry.sys import log
from wherry.sys.mounts import bind, detach, is_mount_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.engine.volume_plugins import Plugin
    from wherry.model.volume import VolumeConfig

LOCAL = "local"
IMAGE = "image"
#: Who holds a plugin's volume that was mounted by ``volume mount``; containers hold theirs by their id.
HOLDER = "wherry-volume-mount"


def is_plugins(volume: VolumeConfig) -> bool:
    """Does the volume belong to a plugin?"""
    return volume.driver not in ("", LOCAL, IMAGE)


def plugin_of(runtime: Runtime, volume: VolumeConfig) -> Plugin:
    """The plugin of the volume. Raises ``Unavailable`` in Podman's words."""
    from wherry.engine.volume_plugins import plugin

    try:
        return plugin(runtime, volume.driver, volume.timeout)
    except WherryError as error:
        text = f"volume {volume.name} uses volume plugin {volume.driver} but it could not be retrieved: "
        raise _prefixed(error, text) from None


def _prefixed(error: WherryError, text: str) -> WherryError:
    return type(error)(text + error.message, hint=error.hint)


def create(runtime: Runtime, volume: VolumeConfig) -> VolumeConfig:
    """Make what the driver keeps of a volume that is about to be recorded; *volume* with what is known then.

    A plugin that has a volume of this name already (made elsewhere) is not asked to make one.
    """
    if is_plugins(volume):
        plugin = plugin_of(runtime, volume)
        if not plugin.has(volume.name):
            plugin.create(volume.name, volume.options)
        return volume
    if volume.driver == IMAGE:
        return _create_layer(runtime, volume)
    return volume


def _create_layer(runtime: Runtime, volume: VolumeConfig) -> VolumeConfig:
    from wherry.engine import image_lookup

    wanted = volume.options.get("image", "")
    if not wanted:
        raise InvalidArgument(
            "must provide an image name when creating a volume with the image driver: invalid argument"
        )
    record, name = image_lookup.find(runtime.store, wanted)
    identity = generate_id()
    runtime.store.create_container(identity, name=identity, image_id=record.id, image_name=name, volatile=False)
    return volume.replace(storage_name=identity, storage_id=identity, storage_image_id=record.id)


def take_back(runtime: Runtime, volume: VolumeConfig) -> None:
    """Undo :func:`create`: the volume was not recorded."""
    try:
        remove(runtime, volume)
    except WherryError as error:
        log.warning(f"taking volume {volume.name} back: {error}")


def remove(runtime: Runtime, volume: VolumeConfig) -> None:
    """Remove what the driver keeps of the volume. Raises ``WherryError``."""
    if is_plugins(volume):
        plugin_of(runtime, volume).remove(volume.name)
    elif volume.storage_id:
        runtime.store.delete_container(volume.storage_id)


def mount_layer(runtime: Runtime, volume: VolumeConfig) -> bool:
    """Mount the layer of an ``image`` volume on its directory; True if it was not mounted before."""
    if is_mount_point(volume.mount_point):
        return False
    path = runtime.store.mount_container(volume.storage_id)
    try:
        bind(path, volume.mount_point)
    except OSError as error:
        runtime.store.unmount_container(volume.storage_id, force=True)
        raise from_os_error(error, f"mounting volume {volume.name}") from None
    return True


def unmount_layer(runtime: Runtime, volume: VolumeConfig) -> None:
    """Undo :func:`mount_layer`; safe when it never happened."""
    try:
        detach(volume.mount_point)
    except OSError as error:
        raise from_os_error(error, f"unmounting volume {volume.name}") from None
    runtime.store.unmount_containers([volume.storage_id])


def release_plugins(runtime: Runtime, volume: VolumeConfig, user: str) -> None:
    """*user* does not use the plugin's volume any more; a plugin that fails keeps nothing from ending."""
    try:
        plugin_of(runtime, volume).unmount(volume.name, user)
    except WherryError as error:
        log.warning(f"unmounting volume {volume.name}: {error}")
