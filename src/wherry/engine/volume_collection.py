"""The volumes of a runtime."""

from __future__ import annotations

from wherry.engine.volume import Volume
from wherry.errors import InvalidArgument, NoSuchVolume, VolumeExists, WherryError
from wherry.model.ids import check_name, generate_id
from wherry.model.timestamps import now
from wherry.model.volume import VolumeConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import list as List
    from collections.abc import Mapping, Sequence

    from wherry.engine.runtime import Runtime


class VolumeCollection:
    """``rt.volumes``: make, find and list volumes."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def create(
        self,
        name: str = "",
        *,
        driver: str = "local",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        uid: int | None = None,
        gid: int | None = None,
        exist_ok: bool = False,
    ) -> Volume:
        """Create a volume; one without *name* gets a random one.

        *options* of the local driver are ``type``, ``device`` and ``o`` as mount(8) has them, that of the ``image``
        driver is ``image``; other drivers are plugins with options of their own.  *uid* and *gid* own the directory.
        With *exist_ok* a volume that exists already is returned as it is.  Raises ``VolumeExists``,
        ``InvalidArgument``, ``Unavailable``.
        """
        from wherry.engine import volumes
        from wherry.engine.volume_drivers import LOCAL
        from wherry.engine.volume_options import local_options, plugin_options

        if name:
            check_name(name)
        driver = driver or LOCAL
        wanted = (local_options if driver == LOCAL else plugin_options)(options or {})
        own_uid = wanted.uid if uid is None else uid
        own_gid = wanted.gid if gid is None else gid
        config = VolumeConfig(
            name=name or generate_id(),
            driver=driver,
            timeout=wanted.timeout,
            labels=dict(labels or {}),
            created_time=now(),
            options=wanted.options,
            uid=own_uid or 0,
            gid=own_gid or 0,
            size=wanted.size,
            inodes=wanted.inodes,
            disable_quota=wanted.no_quota,
        )
        try:
            config = volumes.add(self._runtime, config, owned=own_uid is not None or own_gid is not None)
        except VolumeExists:
            if not exist_ok:
                raise
            return self.get(name)
        self._runtime.publish()
        return self.get(config.name)

    def get(self, text: str) -> Volume:
        """The volume with this name or unique beginning of a name. Raises ``NoSuchVolume``."""
        state = self._runtime.state
        return Volume(self._runtime, *state.volume(state.volume_name(text)))

    def exists(self, text: str) -> bool:
        try:
            self._runtime.state.volume_name(text)
        except NoSuchVolume:
            return False
        return True

    def list(self, filters: Mapping[str, Sequence[str]] | None = None) -> List[Volume]:
        """Volumes by name; *filters* as for ``wherry volume ls``."""
        found = [Volume(self._runtime, config, state) for config, state in self._runtime.state.volumes()]
        if not filters:
            return found
        from wherry.engine.volume_filters import select

        return select(self._runtime, found, filters)

    def prunable(self, filters: Mapping[str, Sequence[str]] | None = None) -> List[Volume]:
        """What :meth:`prune` would remove: volumes no container uses."""
        from wherry.engine.volume_filters import PRUNE

        for key in filters or {}:
            if key not in PRUNE:
                raise InvalidArgument(f'"{key}" is an invalid volume filter')
        return [volume for volume in self.list(filters) if not volume.users()]

    def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> List[str]:
        """Remove every volume no container uses; returns their names."""
        from wherry.sys import log

        gone = []
        for volume in self.prunable(filters):
            try:
                volume.remove()
            except WherryError as error:
                log.debug(f"volume {volume.name} is not pruned: {error}")
                continue
            gone.append(volume.name)
        return gone

    def reload(self) -> tuple[List[str], List[str], List[WherryError]]:
        """Bring the database in line with volume plugins: names added, names removed, errors. The local driver has
        nothing to bring in line.
        """
        from wherry.engine.volume_reload import reload

        return reload(self._runtime)
