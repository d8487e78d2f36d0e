"""system prune: everything nobody uses, in the order that lets the most go."""

from __future__ import annotations

from wherry.errors import WherryError
from wherry.model.record import EMPTY, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.engine.runtime import Runtime


class SystemPruned(Record):
    """What is gone, what could not go, and the bytes that gave back."""

    pods: Sequence[str] = ()
    containers: Sequence[str] = ()
    volumes: Sequence[str] = ()
    images: Sequence[str] = ()
    networks: Sequence[str] = ()
    errors: Sequence[WherryError] = ()
    reclaimed: int = 0


def prune(
    runtime: Runtime,
    *,
    all: bool = False,
    volumes: bool = False,
    external: bool = False,
    filters: Mapping[str, Sequence[str]] = EMPTY,
) -> SystemPruned:
    """Remove ended pods and containers, unused networks, dangling images (with *all* every unused one) and, when
    asked to, unused *volumes*; with *external* only what other engines left on the store.

    *filters* (label, label!, until) count for each kind that has them.  One failure does not stop the others.
    """
    if external:
        before = _images_size(runtime)
        images = runtime.images.prune(all=False, external=True)
        return SystemPruned(images=[gone.id for gone in images], reclaimed=max(0, before - _images_size(runtime)))
    errors: list[WherryError] = []
    pods: list[str] = []
    if not filters:
        pods, failed = runtime.pods.prune()
        errors += failed.values()
    sizes = _sizes(runtime)
    containers = runtime.containers.prune(filters)
    reclaimed = sum(sizes.get(identity, 0) for identity in containers)
    gone_volumes: list[str] = []
    if volumes:
        kept = {key: values for key, values in filters.items() if key != "until"}
        weights = {volume.name: volume.size() for volume in runtime.volumes.prunable(kept)}
        gone_volumes = runtime.volumes.prune(kept)
        reclaimed += sum(weights.get(name, 0) for name in gone_volumes)
    images = runtime.images.prune(all=all, filters=filters)
    reclaimed += sum(gone.size for gone in images)
    return SystemPruned(
        pods=pods,
        containers=containers,
        volumes=gone_volumes,
        images=[gone.id for gone in images],
        networks=runtime.networks.prune(filters),
        errors=errors,
        reclaimed=reclaimed,
    )


def _sizes(runtime: Runtime) -> dict[str, int]:
    """Bytes of the own layer of every container that does not run, by id."""
    from wherry.engine.listing import listing

    return {
        summary.id: summary.size[0]
        for summary in listing(runtime, all=True, size=True)
        if summary.size and summary.state not in ("running", "paused")
    }


def _images_size(runtime: Runtime) -> int:
    return sum(image.size for image in runtime.images.list(all=True))
