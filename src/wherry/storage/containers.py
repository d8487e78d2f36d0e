"""The storage-containers of a store: a record, a read-write layer, and a directory in graph root and run root.

Every method needs the containers' lock; those that change something need it for writing.
"""

from __future__ import annotations

import os

from wherry.errors import AlreadyExists, NameInUse, NoSuchContainer, from_os_error
from wherry.model import jsontext
from wherry.model.ids import is_hex
from wherry.model.timestamps import SECOND, parse_ns
from wherry.storage.home import STABLE
from wherry.storage.records import ContainerRecord
from wherry.sys.files import make_dirs, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.model.mount import IDMap
    from wherry.storage.jsonstore import Table


class Containers:
    """Records and directories. *file* is the file number new records go to."""

    def __init__(self, table: Table[ContainerRecord], directory: str, run_directory: str, file: int = STABLE) -> None:
        self._table = table
        self._directory = directory
        self._run_directory = run_directory
        self._file = file

    # -- looking up ----------------------------------------------------------------------------------------------

    def all(self) -> list[ContainerRecord]:
        return list(self._table)

    def find(self, container_id: str) -> ContainerRecord | None:
        return self._table.get(container_id)

    def get(self, container_id: str) -> ContainerRecord:
        """By full id; raises :class:`NoSuchContainer`."""
        record = self._table.get(container_id)
        if record is None:
            raise NoSuchContainer(f'no container with ID or name "{container_id}" found')
        return record

    def look_up(self, text: str) -> ContainerRecord:
        """By id, name, id of its layer or unique id prefix. Raises :class:`NoSuchContainer`."""
        record = self._table.get(text) or self._table.named(text) or self.of_layer(text)
        if record is None and is_hex(text):
            matches = self._table.with_prefix(text)
            record = matches[0] if len(matches) == 1 else None
        return record or self.get(text)

    def is_recorded(self, container_id: str) -> bool:
        return container_id in self._table

    def of_layer(self, layer_id: str) -> ContainerRecord | None:
        """The container whose read-write layer this is."""
        for key, row in self._table.raw().items():
            if row.get("layer") == layer_id:
                return self._table[key]
        return None

    def using_image(self, image_id: str) -> str:
        """The id of a container made from the image, empty when there is none."""
        for key, row in self._table.raw().items():
            if row.get("image") == image_id:
                return key
        return ""

    def layers(self) -> set[str]:
        """Ids of all containers' layers."""
        return {row.get("layer", "") for row in self._table.raw().values()}

    def directory(self, container_id: str) -> str:
        """What the engine keeps about the container."""
        return f"{self._directory}/{container_id}/userdata"

    def directories(self) -> tuple[str, str]:
        """Where the directories of all containers are, in the graph root and in the run root."""
        return self._directory, self._run_directory

    def run_directory(self, container_id: str) -> str:
        """The same for what a reboot may discard."""
        return f"{self._run_directory}/{container_id}/userdata"

    # -- changing ------------------------------------------------------------------------------------------------

    def check_free(self, container_id: str, name: str) -> None:
        """Raise :class:`AlreadyExists` or :class:`NameInUse` when id or name belong to any engine's container."""
        if container_id in self._table:
            raise AlreadyExists(f"creating container storage: {container_id}: that ID is already in use")
        self._check_name(name)

    def _check_name(self, name: str) -> None:
        owner = self._table.named(name) if name else None
        if owner is not None:
            raise NameInUse(
                f'creating container storage: the container name "{name}" is already in use by {owner.id}. You have '
                "to remove that container to be able to reuse that name"
            )

    def add(self, record: ContainerRecord, owner: tuple[int, int] | None) -> None:
        """Make the directories (belonging to *owner*: uid, gid) and the record. Nothing is left after an error."""
        try:
            self._make_directories(record.id, owner)
            self._table.put(record, self._file)
            self._table.save()
        except OSError as error:
            self._remove_directories(record.id)
            raise from_os_error(error, "creating container storage") from None
        except BaseException:
            self._remove_directories(record.id)
            raise

    def _make_directories(self, container_id: str, owner: tuple[int, int] | None) -> None:
        for base in (self._directory, self._run_directory):
            _make_directory(base, container_id, owner)

    def restore_run_directory(self, container_id: str, owner: tuple[int, int] | None) -> None:
        """Make the run directory again if a reboot took it."""
        if not os.path.isdir(self.run_directory(container_id)):
            try:
                _make_directory(self._run_directory, container_id, owner)
            except OSError as error:
                raise from_os_error(error, "mounting container storage") from None

    def rename(self, record: ContainerRecord, name: str) -> ContainerRecord:
        """Give the container *name* instead of its names. Raises :class:`NameInUse`."""
        self._check_name(name)
        new = record.replace(names=[name])
        try:
            metadata = jsontext.loads(record.metadata)
            metadata["name"] = name
            new = new.replace(metadata=jsontext.dumps(metadata))
        except (ValueError, TypeError):
            pass        # another engine's
        self._table.put(new)
        self._table.save()
        return new

    def delete(self, container_ids: Sequence[str]) -> None:
        """Remove the records, then the directories; missing ones are fine."""
        for container_id in container_ids:
            self._table.drop(container_id)
        self._table.save()
        for container_id in container_ids:
            try:
                self._remove_directories(container_id)
            except OSError as error:
                raise from_os_error(error, f"deleting container {container_id}") from None

    def _remove_directories(self, container_id: str) -> None:
        for base in (self._directory, self._run_directory):
            remove_tree(f"{base}/{container_id}")


def _make_directory(base: str, container_id: str, owner: tuple[int, int] | None) -> None:
    if not os.path.isdir(base):
        make_dirs(base)
    make_dirs(f"{base}/{container_id}")
    make_dirs(f"{base}/{container_id}/userdata")
    if owner is not None:
        os.chown(f"{base}/{container_id}/userdata", *owner)


def new_record(
    container_id: str,
    *,
    name: str,
    image_id: str,
    image_name: str,
    layer_id: str,
    created: str,
    flags: dict[str, object],
    uid_map: Sequence[IDMap],
    gid_map: Sequence[IDMap],
    mount_label: str,
) -> ContainerRecord:
    """A record as Podman writes it: its metadata is what ``podman ps --external`` shows."""
    metadata: dict[str, object] = {"image-name": image_name, "image-id": image_id, "name": name}
    metadata["created-at"] = parse_ns(created) // SECOND
    if mount_label:
        metadata["mountlabel"] = mount_label
    return ContainerRecord(
        id=container_id, names=[name] if name else (), image=image_id, layer=layer_id, created=created,
        metadata=jsontext.dumps(metadata), uid_map=uid_map, gid_map=gid_map, flags=flags,
    )
