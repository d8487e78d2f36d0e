"""diff, commit and export: what a layer or container changes, as a list and as tars."""

from __future__ import annotations

from wherry.engine import image_lookup
from wherry.errors import NoSuchContainer, NoSuchImage, NotFound, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from wherry.archive.diff import Change, PackOptions
    from wherry.engine.runtime import Runtime
    from wherry.storage.records import ContainerRecord

#: What the engine puts into every container's root is no change of the container's (libpod).
_ENGINES_OWN = frozenset((
    "/dev", "/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf", "/proc", "/run", "/run/.containerenv",
    "/run/notify", "/run/secrets", "/sys",
))


def diff(runtime: Runtime, text: str, other: str = "", *, kind: str = "") -> list[Change]:
    """The changes of the container or image *text* to what it is made on, or to *other*.

    *kind* is ``container`` or ``image`` when only one is meant.  Raises ``NotFound`` in Podman's words.
    """
    layer, is_container = _layer(runtime, text, kind)
    base = _layer(runtime, other, kind)[0] if other else ""
    found = _between(runtime, layer, base) if other else _own_changes(runtime, layer)
    return [change for change in found if change.path not in _ENGINES_OWN] if is_container else found


def _layer(runtime: Runtime, text: str, kind: str) -> tuple[str, bool]:
    """The layer of a container or the top layer of an image, and whether it is a container's."""
    store = runtime.store
    if kind != "image":
        try:
            identity = runtime.state.container_id(text, runtime.settings.options.namespace)
            return store.container(identity).layer, True
        except NoSuchContainer:
            if kind == "container":
                raise
    try:
        return image_lookup.find(store, text)[0].layer, False
    except NoSuchImage as error:
        if kind == "image":
            raise NotFound(f"{text} not found: {error}") from None
        try:
            return store.layer(text).id, False
        except WherryError:
            raise NotFound(f"{text} not found: layer not known") from None


def _own_changes(runtime: Runtime, layer: str) -> list[Change]:
    from wherry.archive.diff import changes, tree_changes

    store = runtime.store
    directories = store.layer_dirs(layer)
    if store.driver == "overlay":
        return changes(directories[0], directories[1:])
    parent = store.layer(layer).parent
    with _Empty() as empty:
        return tree_changes(directories[0], store.layer_dirs(parent)[0] if parent else empty)


def _between(runtime: Runtime, layer: str, base: str) -> list[Change]:
    """What leads from the tree of *base* to that of *layer*."""
    from wherry.archive.diff import tree_changes

    store = runtime.store
    new = store.mount_layer(layer)
    try:
        old = store.mount_layer(base)
        try:
            return tree_changes(new, old)
        finally:
            store.unmount_layer(base)
    finally:
        store.unmount_layer(layer)


class _Empty:
    """An empty directory for a while."""

    def __enter__(self) -> str:
        import tempfile

        self._directory: Any = tempfile.TemporaryDirectory(prefix="wherry-")
        return str(self._directory.name)

    def __exit__(self, *_exc: object) -> None:
        self._directory.cleanup()


def _numbers(record: ContainerRecord) -> PackOptions:
    """Owners in the tar are those the container sees, whatever the ids on the host are."""
    from wherry.archive.diff import PackOptions

    return PackOptions(uid_map=record.uid_map, gid_map=record.gid_map)


def container_tar(runtime: Runtime, identity: str) -> Iterator[bytes]:
    """The tar of what the container *identity* changed: the layer a commit adds."""
    from wherry.archive.diff import layer_tar, tree_tar

    store = runtime.store
    record = store.container(identity)
    layer = store.layer(record.layer)
    options = _numbers(record)
    directories = store.layer_dirs(record.layer)
    if store.driver == "overlay":
        return layer_tar(directories[0], directories[1:], options)
    return tree_tar(directories[0], store.layer_dirs(layer.parent)[0] if layer.parent else "", options)


def whole_tar(runtime: Runtime, identity: str) -> Iterator[bytes]:
    """The tar of the container's whole root file system; mounted while it is read."""
    from wherry.archive.diff import tree_tar
    from wherry.engine.mount_claims import Claim

    store = runtime.store
    record = store.container(identity)
    with runtime.lock(record.id) as held:
        claim = Claim(held)
    try:
        yield from tree_tar(claim.path, "", _numbers(record))
    finally:
        claim.release()


def export(runtime: Runtime, identity: str, fd: int) -> None:
    """Write the container's root file system as a tar to the descriptor *fd*. Raises wherry errors."""
    from wherry.errors import from_os_error
    from wherry.sys.files import write_all

    pieces = whole_tar(runtime, identity)
    try:
        for piece in pieces:
            write_all(fd, piece)
    except OSError as error:
        raise from_os_error(error, "exporting container") from None
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
