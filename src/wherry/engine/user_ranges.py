"""``--userns=auto``: ids for a container's user namespace that no other container of the store has.

The ids are those the user *containers* (``root-auto-userns-user`` of storage.conf) owns in /etc/subuid and /etc/subgid.
How many a container gets follows from its image - the highest id that its files, passwd and group have - within the
limits of storage.conf, unless it is asked for (containers-storage.conf(5), podman-run(1) ``--userns``).
"""

from __future__ import annotations

from wherry.engine import rootfs_files
from wherry.errors import InvalidArgument
from wherry.model.mount import IDMap
from wherry.spec import annotations as keys
from wherry.spec import idmaps
from wherry.spec.parse_values import unsigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig

    Maps = tuple[Sequence[IDMap], Sequence[IDMap]]

#: Whose sub-ids are given out when storage.conf does not say.
DEFAULT_USER = "containers"
#: Not counted when the ids of an image are looked at: it stands for ids that are not mapped.
_NOBODY = ("nobody", "nogroup")


class AutoRanges:
    """Chooses the maps of one container; give :meth:`choose` to the store."""

    def __init__(self, runtime: Runtime, config: ContainerConfig) -> None:
        self._runtime = runtime
        self._config = config
        asked = (config.spec.get("annotations") or {}).get(keys.USERNS) or ""
        settings = runtime.settings
        mode = asked or settings.environment.userns or settings.containers.userns
        kind, _colon, options = mode.partition(":")
        words = idmaps.words_of(options if kind == "auto" else "", ("size", "uidmapping", "gidmapping"))
        self._size = unsigned(words["size"][-1], 32) if "size" in words else 0
        self._fixed = (
            idmaps.parse(words.get("uidmapping", ()), idmaps.UID, ()),
            idmaps.parse(words.get("gidmapping", ()), idmaps.GID, ()),
        )

    def choose(self, in_use: Sequence[Maps]) -> Maps:
        """Maps of ids that none of *in_use* has. Raises ``InvalidArgument`` when there are not enough."""
        storage = self._runtime.settings.storage
        user = storage.auto_userns_user or DEFAULT_USER
        owned = [_owned(kind, user) for kind in ("uid", "gid")]
        size = self._size or self._needed()
        if self._size == 0:
            size = max(size, storage.auto_userns_min_size)
            if size > storage.auto_userns_max_size:
                raise InvalidArgument(
                    f"the container needs a user namespace with size {size} that is bigger than the maximum value "
                    f"allowed with userns=auto {storage.auto_userns_max_size}"
                )
        taken = [[line for maps in in_use for line in maps[index]] for index in (0, 1)]
        uids, gids = (
            _map(owned[index], [*taken[index], *self._fixed[index]], self._fixed[index], size) for index in (0, 1)
        )
        return uids, gids

    def _needed(self) -> int:
        """One more than the highest id of the image's files, of its passwd and group, and of who is to run."""
        from wherry.spec import users

        store, config = self._runtime.store, self._config
        highest = 0
        passwd = group = ""
        image = store.image(config.rootfs_image_id) if config.rootfs_image_id else None
        if image is not None and image.layer:
            for record in store.layer_chain(image.layer):
                highest = max(highest, *record.uids, *record.gids, 0)
            layers = store.layer_dirs(image.layer)
            passwd, group = (_topmost(layers, name) for name in ("etc/passwd", "etc/group"))
        for text in (passwd, group):
            for line in text.splitlines():
                fields = line.split(":")
                if len(fields) > 2 and fields[0] not in _NOBODY:
                    highest = max(highest, *(int(field) for field in fields[2:4] if field.isdecimal()), 0)
        try:
            user = users.resolve(config.user, passwd, group)
        except InvalidArgument:
            return highest + 1      # said when the container starts
        return max(highest, user.uid, user.gid) + 1


def _owned(kind: str, user: str) -> list[IDMap]:
    from wherry.spec.users import sub_id_ranges
    from wherry.sys.files import try_read_text

    found = sub_id_ranges(try_read_text(f"/etc/sub{kind}") or "", user)
    if not found:
        raise InvalidArgument(
            f'creating container storage: cannot find mappings for user "{user}": no sub{kind} ranges found for user '
            f'"{user}" in /etc/sub{kind}',
            hint=f"give it some, for example: echo {user}:2147483648:2147483648 >> /etc/sub{kind}",
        )
    return found


def _topmost(layers: Sequence[str], path: str) -> str:
    """The text of a file of an image, from the uppermost of its *layers* (top first) that has it."""
    for layer in layers:
        text = rootfs_files.read_text(layer, path)
        if text:
            return text
    return ""


def _map(owned: Sequence[IDMap], taken: Sequence[IDMap], fixed: Sequence[IDMap], size: int) -> list[IDMap]:
    """A map of *size* container ids, *fixed* where it says, the rest to ids of *owned* that *taken* leaves."""
    parent = [IDMap(container_id=line.host_id, host_id=0, size=line.size) for line in owned]
    free = idmaps.available(taken, parent)
    out = list(fixed)
    at = 0
    for low, high in _gaps(fixed, size):
        at = low
        while at < high:
            if not free:
                raise InvalidArgument("creating container storage: could not find enough available IDs")
            start, end = free[0]
            count = min(end - start, high - at)
            out.append(IDMap(container_id=at, host_id=start, size=count))
            at += count
            if start + count < end:
                free[0] = (start + count, end)
            else:
                del free[0]
    return idmaps.join(out)


def _gaps(fixed: Sequence[IDMap], size: int) -> list[tuple[int, int]]:
    """The container ids below *size* that *fixed* does not map, as half-open ranges."""
    whole = [IDMap(container_id=0, host_id=0, size=size)]
    return idmaps.available([IDMap(container_id=0, host_id=line.container_id, size=line.size) for line in fixed], whole)
