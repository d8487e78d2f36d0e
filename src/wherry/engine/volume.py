"""The handle of one volume."""

from __future__ import annotations

from wherry.errors import NoSuchVolume
from wherry.model.timestamps import parse_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from wherry.archive.compression import Readable
    from wherry.engine.runtime import Runtime
    from wherry.model.volume import VolumeConfig, VolumeState


class Volume:
    """A volume of this engine. As a context manager it removes the volume, and what uses it, on leaving the block."""

    def __init__(self, runtime: Runtime, config: VolumeConfig, state: VolumeState) -> None:
        self._runtime = runtime
        self._config = config
        self._state = state

    @property
    def name(self) -> str:
        return self._config.name

    @property
    def config(self) -> VolumeConfig:
        return self._config

    @property
    def state(self) -> VolumeState:
        """The state as it was when the handle was made."""
        return self._state

    @property
    def labels(self) -> Mapping[str, str]:
        return self._config.labels

    @property
    def mount_point(self) -> str:
        """The directory on the host; empty for a plugin's volume that was not mounted yet."""
        return self._config.mount_point or self._state.mount_point

    @property
    def scope(self) -> str:
        """``local``, or what the volume's plugin says. Raises ``WherryError`` when it cannot be asked."""
        from wherry.engine import volume_drivers

        if not volume_drivers.is_plugins(self._config):
            return "local"
        return volume_drivers.plugin_of(self._runtime, self._config).scope()

    @property
    def created_ns(self) -> int:
        """When it was created, in ns since the epoch."""
        return parse_ns(self._config.created_time)

    def users(self) -> list[str]:
        """Ids of the containers that use it, running or not."""
        return self._runtime.state.volume_users(self.name)

    def mount(self) -> str:
        """Mount what the options say until :meth:`unmount`; returns the directory."""
        from wherry.engine.volume_mounts import hold

        return hold(self._runtime, self.name)

    def unmount(self) -> None:
        """Undo one :meth:`mount`."""
        from wherry.engine.volume_mounts import let_go

        let_go(self._runtime, self.name)

    def export(self) -> Iterator[bytes]:
        """The content as the pieces of a tar stream."""
        from wherry.engine.volume_archive import export

        return export(self._runtime, self.name)

    def import_tar(self, stream: Readable) -> None:
        """Unpack a tar stream, compressed or not, over the content. Raises ``Corrupt``."""
        from wherry.engine.volume_archive import import_tar

        import_tar(self._runtime, self.name, stream)

    def size(self) -> int:
        """Bytes its files take, as ``system df`` counts them."""
        from wherry.engine.volume_archive import size

        return size(self.mount_point)

    def remove(self, *, force: bool = False, timeout: int | None = None) -> None:
        """Remove the volume; with *force* after removing the containers that use it, stopped in *timeout* seconds.

        Raises ``VolumeInUse``, ``NoSuchVolume``.
        """
        from wherry.engine import volumes
        from wherry.engine.remove import remove

        if force:
            for identity in self.users():
                remove(self._runtime, identity, force=True, timeout=timeout)
        volumes.remove(self._runtime, self.name, force=force)

    def inspect(self) -> dict[str, Any]:
        """The tree ``wherry volume inspect`` prints."""
        config, state = self._runtime.state.volume(self.name)
        tree: dict[str, Any] = {
            "Name": config.name,
            "Driver": config.driver,
            "Mountpoint": config.mount_point or state.mount_point,
            "CreatedAt": config.created_time,
            **self._from_plugin(),
            "Labels": dict(config.labels),
            "Scope": "local",
            "Options": dict(config.options),
        }
        uid, gid = config.uid or state.uid_chowned, config.gid or state.gid_chowned
        optional = {"UID": uid, "GID": gid, "Anonymous": config.is_anonymous}
        tree.update({key: value for key, value in optional.items() if value})
        tree["MountCount"] = state.mount_count
        optional = {"NeedsCopyUp": state.needs_copy_up, "NeedsChown": state.needs_chown}
        tree.update({key: value for key, value in optional.items() if value})
        if config.driver not in ("local", "image"):
            default = self._runtime.settings.engine.volume_plugin_timeout
            tree["Timeout"] = default if config.timeout is None else config.timeout
        if config.storage_id:
            tree["StorageID"] = config.storage_id
        tree["LockNumber"] = 0
        return tree

    def _from_plugin(self) -> dict[str, Any]:
        """What only the plugin knows. One that does not answer is no reason to show nothing."""
        from wherry.engine import volume_drivers
        from wherry.errors import WherryError
        from wherry.sys import log

        if not volume_drivers.is_plugins(self._config):
            return {}
        try:
            found = volume_drivers.plugin_of(self._runtime, self._config).get(self.name)
        except WherryError as error:
            log.error(f"volume {self.name}: {error}")
            return {}
        status = found.get("Status")
        return {"Status": status} if isinstance(status, dict) and status else {}

    def __enter__(self) -> Volume:
        return self

    def __exit__(self, *_exc: object) -> None:
        try:
            self.remove(force=True, timeout=0)
        except NoSuchVolume:
            pass

    def __repr__(self) -> str:
        return f"<Volume {self.name}>"
