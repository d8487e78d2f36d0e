"""image prune: images nobody uses."""

from __future__ import annotations

from wherry.engine.image_filters import select
from wherry.errors import ImageInUse, InUse, InvalidArgument, WherryError
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.engine.runtime import Runtime

KEYS = ("label", "label!", "until", "reference", "dangling", "containers", "id", "before", "since", "after", "digest",
        "intermediate", "readonly")


class Pruned:
    """An image that is gone: its id and the bytes that gave back."""

    def __init__(self, id: str, size: int) -> None:
        self.id = id
        self.size = size


def prune(runtime: Runtime, *, all: bool, external: bool, filters: Mapping[str, Sequence[str]]) -> list[Pruned]:
    """Remove nameless images (with *all* every image) no container of any engine uses and *filters* accept.

    Images that auto-update keeps to go back to stay.

    *external* also removes containers other engines (Buildah) left on the store.  What goes may free its parents, so
    it is done until nothing more goes.
    """
    for key in filters:
        if key not in KEYS:
            raise InvalidArgument(f'unsupported image filter "{key}"')
    chosen: dict[str, Sequence[str]] = {**filters, "readonly": ["false"]}
    if not all:
        chosen["dangling"] = ["true"]
    if external:
        _remove_external(runtime)
    gone: list[Pruned] = []
    while True:
        round = _prune_once(runtime, chosen)
        gone += round
        if not round:
            return gone


def _prune_once(runtime: Runtime, filters: Mapping[str, Sequence[str]]) -> list[Pruned]:
    used = {container.image for container in runtime.store.containers()}
    used.update(kept.id for kept in runtime.state.kept_images())
    gone = []
    wanted = {image.id for image in select(runtime, filters, all=True)} - used
    for image in runtime.store.images():        # in the store's order, as Podman does
        if image.id not in wanted:
            continue
        try:
            size = runtime.store.image_size(image.id)
            _remove(runtime, image.id)
        except (ImageInUse, InUse) as error:
            log.debug(f"image {image.id} is not pruned: {error}")
            continue
        except WherryError as error:
            log.warning(f"pruning image {image.id}: {error}")
            continue
        gone.append(Pruned(image.id, size))
    return gone


def _remove_external(runtime: Runtime) -> None:
    """Delete storage containers that are no engine's containers here, unless they are mounted."""
    store = runtime.store
    mounted = store.mounted()
    for container in store.containers():
        if not runtime.state.has_container(container.id) and container.layer not in mounted:
            store.delete_container(container.id)


def _remove(runtime: Runtime, image_id: str) -> None:
    """Remove an image with all its names, but never its containers."""
    for name in runtime.images.get(image_id).names[1:]:
        runtime.images.remove(name)
    runtime.images.remove(image_id, keep_parents=True)
