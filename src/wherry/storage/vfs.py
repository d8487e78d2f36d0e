"""The vfs driver: every layer is a full copy of its parent with the changes applied (``<root>/vfs/dir/<id>``).

It needs nothing of the kernel, costs much space, and is what is left where overlay cannot be mounted.
"""

from __future__ import annotations

import os

from wherry.errors import Unsupported, from_os_error
from wherry.sys.files import make_dirs, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.archive.extract import ExtractOptions
    from wherry.config.settings import StorageSettings
    from wherry.model.mount import IDMap
    from wherry.storage.driver import MountRequest
    from wherry.storage.home import Home, Located

_MODE = 0o755


class VfsDriver:
    """Layers as plain directories. "Mounting" one only names its directory."""

    name = "vfs"
    really_mounts = False

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings

    def create(self, home: Home, layer_id: str, parent: Located | None) -> None:
        directory = self._path(home, layer_id)
        try:
            make_dirs(f"{home.driver_dir}/dir")
            remove_tree(directory)
            os.mkdir(directory, _MODE)
            if parent is not None:
                from wherry.storage.copytree import copy_tree

                copy_tree(self.upper(parent), directory)
        except OSError as error:
            raise from_os_error(error, f"creating layer {layer_id}") from None

    def remove(self, home: Home, layer_id: str) -> None:
        remove_tree(self._path(home, layer_id))

    def move(self, home: Home, old_id: str, new_id: str) -> None:
        try:
            remove_tree(self._path(home, new_id))
            os.rename(self._path(home, old_id), self._path(home, new_id))
        except OSError as error:
            raise from_os_error(error, f"completing layer {new_id}") from None

    def remap(self, layer: Located, uid_map: Sequence[IDMap], gid_map: Sequence[IDMap]) -> None:
        from wherry.storage.shifting import chown_tree

        try:
            chown_tree(self.upper(layer), uid_map, gid_map)
        except OSError as error:
            raise from_os_error(error, f"mapping the ids of layer {layer.id}") from None

    def contents(self, layer: Located) -> list[str]:
        return [self.upper(layer)]

    def upper(self, layer: Located) -> str:
        return self._path(layer.home, layer.id)

    def damage(self, layer: Located) -> list[str]:
        return []

    def layer_dirs(self, home: Home) -> list[str]:
        try:
            return os.listdir(f"{home.driver_dir}/dir")
        except FileNotFoundError:
            return []

    def dangling_links(self, home: Home) -> list[str]:
        return []

    def restore(self, layer: Located, parent: Located | None, children: Sequence[Located]) -> None:
        pass

    def adopt(self, layer: Located, fresh: Located) -> None:
        try:
            remove_tree(self.upper(layer))
            os.rename(self.upper(fresh), self.upper(layer))
        except OSError as error:
            raise from_os_error(error, f"restoring layer {layer.id}") from None

    def extract_options(self, layer: Located) -> ExtractOptions:
        from wherry.archive.extract import REMOVE, ExtractOptions

        return ExtractOptions(
            whiteouts=REMOVE, in_userns=self._settings.rootless,
            ignore_chown_errors=self._settings.ignore_chown_errors,
        )

    def supports_shifting(self) -> bool:
        return False

    def mount_path(self, layer: Located) -> str:
        return self.upper(layer)

    def is_mounted(self, layer: Located) -> bool:
        return False

    def mount(self, layer: Located, request: MountRequest) -> str:
        refused = [option for option in request.options or () if option not in ("ro", "rw")]
        if refused:
            raise Unsupported(f"vfs driver does not support mount options ({','.join(refused)})")
        if layer.home.read_only and not request.read_only:
            raise Unsupported(f"layer {layer.id} is in a read-only store")
        return self.upper(layer)

    def unmount(self, layer: Located) -> bool:
        return True

    def _path(self, home: Home, layer_id: str) -> str:
        return f"{home.driver_dir}/dir/{layer_id}"
