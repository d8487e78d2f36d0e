"""system df: what images, containers and volumes take."""

from __future__ import annotations

import os

from wherry.engine.listing import Summary
from wherry.model.record import Record
from wherry.storage.records import ImageRecord
from wherry.storage.usage import size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.runtime import Runtime


class ImageUsage(Record):
    """One image; bytes."""

    record: ImageRecord = ImageRecord()
    size: int = 0
    shared: int = 0                 # in layers other images have as well
    unique: int = 0
    containers: int = 0             # of all engines


class ContainerUsage(Record):
    """One container; bytes of its own layer."""

    summary: Summary = Summary()
    size: int = 0
    volumes: int = 0


class VolumeUsage(Record):
    name: str = ""
    links: int = 0                  # containers that use it
    size: int = 0


class DiskUsage(Record):
    """Everything ``system df`` shows; *layers* is what the layers of all images take, each counted once."""

    images: Sequence[ImageUsage] = ()
    containers: Sequence[ContainerUsage] = ()
    volumes: Sequence[VolumeUsage] = ()
    layers: int = 0
    layers_in_use: int = 0


def disk_usage(runtime: Runtime) -> DiskUsage:
    """Measure; reads every file of containers' layers and volumes."""
    images, total, used = _images(runtime)
    return DiskUsage(
        images=images, containers=_containers(runtime), volumes=_volumes(runtime), layers=total, layers_in_use=used
    )


def _images(runtime: Runtime) -> tuple[list[ImageUsage], int, int]:
    store = runtime.store
    records = store.images()
    uses: dict[str, int] = {}
    for container in store.containers():
        uses[container.image] = uses.get(container.image, 0) + 1
    sizes: dict[str, int] = {}
    owners: dict[str, int] = {}
    in_use: set[str] = set()
    chains: dict[str, list[str]] = {}
    for record in records:
        chain = store.layer_chain(record.layer) if record.layer else []
        chains[record.id] = [layer.id for layer in chain]
        for layer in chain:
            sizes[layer.id] = max(layer.diff_size, 0)
            owners[layer.id] = owners.get(layer.id, 0) + 1
        if uses.get(record.id):
            in_use.update(chains[record.id])
    found = []
    for record in records:
        layers = chains[record.id]
        shared = sum(sizes[layer] for layer in layers if owners[layer] > 1)
        size = store.image_size(record.id)
        found.append(ImageUsage(
            record=record, size=size, shared=shared, unique=size - shared, containers=uses.get(record.id, 0)
        ))
    documents = sum(sum(record.big_data_sizes.get(key, 0) for key in record.big_data_names) for record in records)
    return found, sum(sizes.values()) + documents, sum(sizes[layer] for layer in in_use)


def _containers(runtime: Runtime) -> list[ContainerUsage]:
    found = []
    for summary in runtime.containers.list(all=True):
        config = runtime.state.container_config(summary.id)
        size = runtime.store.container_size(summary.id)[0] if config.rootfs_image_id else 0
        found.append(ContainerUsage(summary=summary, size=size, volumes=len(config.named_volumes)))
    return found


def _volumes(runtime: Runtime) -> list[VolumeUsage]:
    found = []
    for config, state in runtime.state.volumes():
        users = len(runtime.state.volume_users(config.name))
        path = config.mount_point or state.mount_point
        found.append(VolumeUsage(name=config.name, links=users, size=size_of(path) if os.path.isdir(path) else 0))
    return found
