"""Volumes: configuration and state (libpod ``VolumeConfig``, ``VolumeState``)."""

from __future__ import annotations

from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class VolumeConfig(Record):
    name: str = ""
    labels: Mapping[str, str] = EMPTY
    mount_point: str = field(default="", key="mountPoint")
    driver: str = field(default="local", key="volumeDriver")
    created_time: str = field(default="", key="createdAt")
    options: Mapping[str, str] = field(default=EMPTY, key="volumeOptions")
    is_anonymous: bool = field(default=False, key="isAnon")
    uid: int = 0
    gid: int = 0
    size: int = 0                      # bytes, 0 = unlimited
    inodes: int = 0
    disable_quota: bool = field(default=False, key="disableQuota")
    storage_name: str = field(default="", key="storageName")
    storage_id: str = field(default="", key="storageID")
    storage_image_id: str = field(default="", key="storageImageID")
    timeout: int | None = None         # seconds, plugins only


class VolumeState(Record, mutable=True):
    mount_point: str = field(default="", key="mountPoint")
    mount_count: int = field(default=0, key="mountCount")
    needs_copy_up: bool = field(default=False, key="notYetMounted")
    needs_chown: bool = field(default=False, key="notYetChowned")
    copied_up: bool = field(default=False, key="copiedUp")
    uid_chowned: int = field(default=0, key="uidChowned")
    gid_chowned: int = field(default=0, key="gidChowned")
