"""The images of a runtime."""

from __future__ import annotations

from wherry.engine import image_lookup
from wherry.engine.image import Image, full_name
from wherry.engine.reserve import spend
from wherry.errors import ImageInUse, InUse
from wherry.model.event import Event
from wherry.model.timestamps import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import list as List
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from wherry.engine.image_prune import Pruned
    from wherry.engine.runtime import Runtime
    from wherry.registry.progress import Reporter
    from wherry.storage.records import ImageRecord


class ImageCollection:
    """``rt.images``: the images of the shared store."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def get(self, text: str) -> Image:
        """The image with this name, id or unique id prefix. Raises ``NoSuchImage``."""
        record, name = image_lookup.find(self._runtime.store, text)
        return Image(self._runtime, record, name)

    def exists(self, text: str) -> bool:
        """Is there an image with this name or id?"""
        return image_lookup.exists(self._runtime.store, text)

    def list(self, *, all: bool = False, filters: Mapping[str, Sequence[str]] | None = None) -> List[Image]:
        """Images of the store, newest first; *filters* as ``wherry images --filter`` takes them, by key.

        Without *all*, intermediate images (nameless and parent of another) are left out.
        """
        from wherry.engine.image_filters import select

        records = select(self._runtime, filters or {}, all=all)
        return [Image(self._runtime, record) for record in records]

    def pull(
        self,
        name: str,
        *,
        policy: str = "always",
        platform: str = "",
        progress: Reporter | Callable[[str], object] | None = None,
        **options: Any,
    ) -> Image:
        """Pull *name* (a reference, or ``transport:...`` of containers-transports(5)) and return the image.

        *policy* is always, missing, newer or never; *platform* ``os/arch[/variant]``; *progress* a
        function called with lines of text (``print``), :class:`wherry.ProgressEvents` around one that is called with
        typed events, or another :class:`~wherry.registry.progress.Reporter`; *options* are the fields of
        :class:`~wherry.engine.image_pull.PullOptions`.  Raises ``RegistryError``, ``NoSuchImage``, ``NoSpace``...
        """
        from wherry.engine.image_pull import PullOptions, pull
        from wherry.registry.progress import as_reporter

        if platform:
            parts = [*platform.split("/"), "", ""]
            options |= {"os": parts[0], "architecture": parts[1], "variant": parts[2]}
        record = pull(self._runtime, name, PullOptions(policy=policy, **options), as_reporter(progress))
        return Image(self._runtime, record, name)

    def push(
        self,
        name: str,
        destination: str = "",
        *,
        progress: Reporter | Callable[[str], object] | None = None,
        **options: Any,
    ) -> str:
        """Push an image; returns the digest of the manifest written.

        *destination* is ``[transport:]reference`` (docker://, oci:, oci-archive:, docker-archive:, dir:), empty for the
        image's own name; *options* are the fields of :class:`~wherry.engine.image_push.PushOptions`.  Raises
        ``RegistryError`` and its kin, ``NoSuchImage``.
        """
        from wherry.engine.image_push import PushOptions, push
        from wherry.registry.progress import as_reporter

        return push(self._runtime, name, destination, PushOptions(**options), as_reporter(progress)).digest

    def save(
        self,
        names: Sequence[str] | str,
        path: str,
        *,
        format: str = "docker-archive",
        multi_image: bool = False,
        compress: bool = False,
        uncompressed: bool = False,
        signature_policy: str = "",
        progress: Reporter | Callable[[str], object] | None = None,
    ) -> None:
        """Write images to *path* in one of the formats docker-archive, oci-archive, oci-dir, docker-dir.

        Without *multi_image* the names after the first are further names the first image gets in the archive.
        """
        from wherry.engine.image_save import save
        from wherry.registry.progress import as_reporter

        texts = [names] if isinstance(names, str) else list(names)
        save(self._runtime, texts, path, format=format, multi=multi_image, compress=compress,
             uncompressed=uncompressed, policy=signature_policy, reporter=as_reporter(progress))

    def load(
        self, path: str, *, signature_policy: str = "", progress: Reporter | Callable[[str], object] | None = None
    ) -> List[str]:
        """Load the archive (docker-archive, oci-archive) or directory (oci, dir) at *path*; returns the names.

        *signature_policy* is a file used instead of the host's policy.json.
        """
        from wherry.engine.image_pull import load
        from wherry.registry.progress import as_reporter

        return load(self._runtime, path, as_reporter(progress), policy=signature_policy)

    def import_(
        self,
        path: str,
        *,
        name: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        os: str = "",
        architecture: str = "",
        variant: str = "",
        signature_policy: str = "",
        progress: Reporter | Callable[[str], object] | None = None,
    ) -> Image:
        """Make an image of one layer from the root file system tar at *path*.

        *changes* are Containerfile instructions (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER,
        VOLUME, WORKDIR).
        """
        from wherry.engine.image_import import import_image
        from wherry.registry.progress import as_reporter

        record = import_image(
            self._runtime,
            path,
            name=full_name(name) if name else "",
            message=message,
            changes=changes,
            platform=(os, architecture, variant),
            policy=signature_policy,
            reporter=as_reporter(progress),
        )
        return Image(self._runtime, record, name)

    def prune(
        self, *, all: bool = False, external: bool = False, filters: Mapping[str, Sequence[str]] | None = None
    ) -> List[Pruned]:
        """Remove nameless images (with *all* every image) that no container of any engine uses.

        *external* removes other engines' unmounted containers first.  Returns what is gone: ``id`` and ``size``.
        """
        from wherry.engine.image_prune import prune

        return prune(self._runtime, all=all, external=external, filters=filters or {})

    def mounted(self) -> List[tuple[Image, str]]:
        """Images that are mounted, each with where."""
        mounts = self._runtime.store.mounted()
        return [
            (Image(self._runtime, record), mounts[record.layer].path)
            for record in self._runtime.store.images() if record.layer in mounts
        ]

    def search(self, term: str, **options: Any) -> List[Any]:
        """Look for repositories (or with ``list_tags=True`` for the tags of one) on a registry.

        *options* are the fields of :class:`~wherry.engine.search.SearchOptions`.
        """
        from wherry.engine.search import SearchOptions, search

        return search(self._runtime, term, SearchOptions(**options))

    def remove(self, text: str, *, force: bool = False, keep_parents: bool = False) -> List[str]:
        """Remove an image, or one of its names if it has more. Returns ``Untagged:``/``Deleted:`` lines.

        With *force* containers that use it are removed too.  Nameless images it was built on go as well when nothing
        else is built on them, unless *keep_parents*.  Raises ``ImageInUse``, ``NoSuchImage``, ``InUse`` when an id with
        several names is given without *force*.
        """
        return spend(self._runtime, lambda: self._remove(text, force, keep_parents))

    def _remove(self, text: str, force: bool, keep_parents: bool) -> List[str]:
        store = self._runtime.store
        record, found_as = image_lookup.find(store, text)
        by_id = found_as.removeprefix("sha256:") == record.id or record.id.startswith(found_as)
        if not by_id and found_as in record.names and len(record.names) > 1:
            store.remove_names(record.id, [found_as])
            self._emit("untag", record.id, found_as)
            return [f"Untagged: {found_as}"]
        if by_id and len(record.names) > 1 and not force:
            names = " ".join(record.names)
            raise InUse(
                f'unable to delete image "{record.id}" by ID with more than one tag ([{names}]): please force removal'
            )
        return self._delete(record, force, keep_parents)

    def _delete(self, record: ImageRecord, force: bool, keep_parents: bool) -> List[str]:
        from wherry.engine.image_family import children_of, parent_of

        store = self._runtime.store
        if force:
            self._remove_containers_of(record.id)
        names = list(record.names)
        parent = "" if keep_parents else parent_of(self._runtime, record)
        # Podman does not call an image deleted whose layers live on in others.
        lines = [] if children_of(self._runtime, record) else [f"Deleted: {record.id}"]
        store.delete_image(record.id)
        for name in names:
            self._emit("untag", record.id, name)
        self._emit("remove", record.id, names[0] if names else record.id)
        return [f"Untagged: {name}" for name in names] + lines + (self._delete_parent(parent) if parent else [])

    def _delete_parent(self, image_id: str) -> List[str]:
        """Remove an image that has neither names nor children nor users any more, and so on upwards."""
        from wherry.engine.image_family import children_of

        runtime = self._runtime
        record = runtime.store.image(image_id)
        kept = any(one.id == image_id for one in runtime.state.kept_images())
        if record.names or record.read_only or kept or children_of(runtime, record):
            return []
        try:
            return self._delete(record, force=False, keep_parents=False)
        except InUse:
            return []

    def _remove_containers_of(self, image_id: str) -> None:
        runtime = self._runtime
        for container in runtime.store.containers():
            if container.image != image_id:
                continue
            if not runtime.state.has_container(container.id):
                raise ImageInUse(
                    f"image used by {container.id}: image is in use by a container: consider listing external "
                    "containers and force-removing image"
                )
            runtime.containers.get(container.id).remove(force=True)

    def _emit(self, what: str, image_id: str, name: str) -> None:
        self._runtime.state.add_events(Event(id=image_id, name=name, type="image", status=what, time_ns=now_ns()))
        self._runtime.publish()
