"""OCI artifacts: files kept in the store and in registries beside images.

They live in ``<graphroot>/artifacts``, an OCI image layout that Podman 5 uses as well; its lock is ``index.lock``.
An artifact is an image manifest with an empty configuration and a layer per file, whose annotation
``org.opencontainers.image.title`` is the file's name (OCI image specification "manifest.md", "Guidelines for Artifact
Usage").
"""

from __future__ import annotations

import os

from wherry.engine.artifact import Artifact
from wherry.errors import AlreadyExists, Corrupt, InvalidArgument, NotFound, from_os_error
from wherry.model import jsontext
from wherry.model.digest import encoded
from wherry.sys.locks import FileLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import list as List
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.model.reference import Reference
    from wherry.registry.layout_writer import OciLayout
    from wherry.registry.progress import Reporter

    StrPath = str | os.PathLike[str]

TITLE = "org.opencontainers.image.title"
CREATED = "org.opencontainers.image.created"
_EMPTY = b"{}"
_PIECE = 1 << 20


class NoSuchArtifact(NotFound):
    cause = "artifact does not exist"


class ArtifactExists(AlreadyExists):
    cause = "artifact already exists"


class FileExistsInArtifact(AlreadyExists):
    cause = "file already exists in artifact"


class ArtifactCollection:
    """``rt.artifacts``: add, find, list, extract, pull, push and remove artifacts."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        #: The layout's directory.
        self.path = f"{runtime.settings.storage.graph_root}/artifacts"
        self._lock = FileLock(f"{self.path}/index.lock")

    # -- looking up ----------------------------------------------------------------------------------------------

    def list(self) -> List[Artifact]:
        """All artifacts of the store, in the order they came."""
        if not os.path.exists(f"{self.path}/index.json"):
            return []
        with _Held(self._lock, exclusive=False):
            return self._all(self._open())

    def get(self, text: str) -> Artifact:
        """The artifact with this name (``:latest`` may be left out), digest or unique beginning of one.

        Raises ``NoSuchArtifact``.
        """
        return _find(self.list(), text)

    def exists(self, text: str) -> bool:
        try:
            self.get(text)
        except NotFound:
            return False
        return True

    # -- changing ------------------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        files: Sequence[StrPath],
        *,
        type: str = "",
        file_type: str = "",
        annotations: Mapping[str, str] | None = None,
        append: bool = False,
        replace: bool = False,
    ) -> Artifact:
        """Make the artifact *name* (with its registry) of *files*, or with *append* add them to it.

        *type* is the artifact's media type, *file_type* that of the files (by default what they look like);
        *annotations* are given to the artifact and to every file.  Raises ``ArtifactExists`` unless *replace* is given,
        ``FileExistsInArtifact``, ``InvalidArgument``.
        """
        if append and type:
            raise InvalidArgument("append option is not compatible with type option")
        full = str(canonical(name))
        given = dict(annotations or {})
        with _Held(self._lock):
            layout = self._open()
            old = next((one for one in self._all(layout) if one.name == full), None)
            if append and old is None:
                raise NoSuchArtifact(name)
            if old is not None and not (append or replace):
                raise ArtifactExists(full)
            document = _appended(old) if append and old is not None else _fresh(type, given)
            _check_names(document, files, given)
            layers = document["layers"]
            for file in files:
                layers.append(_file_layer(layout, os.fspath(file), file_type, given))
            layout.writer.put_bytes(f"blobs/sha256/{encoded(document['config']['digest'])}", _EMPTY)
            made = self._put(layout, document, full)
            layout.end()
            if old is not None and old.digest != made.digest:
                self._drop_blobs(layout, old)
        return made

    def remove(self, text: str) -> Artifact:
        """Remove an artifact and the blobs no other one has; returns what it was. Raises ``NoSuchArtifact``."""
        with _Held(self._lock):
            layout = self._open()
            found = _find(self._all(layout), text)
            layout.remove_entry(found.digest, found.name)
            layout.end()
            self._drop_blobs(layout, found)
        return found

    def extract(self, text: str, target: str, *, title: str = "", digest: str = "") -> None:
        """Copy the files of an artifact (or the one with *title* or *digest*) into the directory *target*.

        A single file is copied to the file *target*.  Raises ``InvalidArgument``, ``NoSuchArtifact``.
        """
        found = self.get(text)
        if title and digest:
            raise InvalidArgument("cannot specify both digest and title")
        blobs = found.chosen(title=title, digest=digest)
        directory = os.path.isdir(target)
        if not directory and len(blobs) > 1:
            raise InvalidArgument(
                f'the artifact consists of several blobs and the target "{target}" is not a directory and neither '
                "digest or title was specified to only copy a single blob"
            )
        for name, source in blobs:
            _copy(source, f"{target}/{name}" if directory else target)

    # -- registries ----------------------------------------------------------------------------------------------

    def pull(
        self, name: str, *, progress: Reporter | Callable[[str], object] | None = None, **access: Any
    ) -> Artifact:
        """Fetch the artifact *name* from its registry; *access* are ``credentials``, ``authfile``, ``cert_dir``,
        ``tls_verify``, ``retry`` and ``retry_delay``. Raises ``RegistryError`` and its kin.
        """
        from wherry.config.registries import load as load_registries
        from wherry.engine.image_trust import check_pull
        from wherry.registry.progress import as_reporter
        from wherry.registry.pull import open_artifact

        wanted = canonical(name)
        reporter = as_reporter(progress)
        source = open_artifact(self._runtime.settings, load_registries(self._runtime.settings), wanted, **access)
        try:
            check_pull(self._runtime, source, wanted)
            with _Held(self._lock):
                layout = self._open()
                for blob in (source.parsed.config, *source.parsed.layers):
                    algorithm, _, number = blob.digest.partition(":")
                    place = f"blobs/{algorithm}/{number}"
                    reporter.start(blob.digest, "Copying blob", blob.size)
                    if layout.writer.has(place, blob.size):
                        reporter.finish(blob.digest, "skipped: already exists")
                        continue
                    source.fetch(blob, lambda stream, place=place, size=blob.size: layout.writer.put(  # type: ignore[misc]
                        place, stream, size
                    ))
                    reporter.finish(blob.digest, "done")
                reporter.message("Writing manifest to image destination")
                destination = layout.image(str(wanted))
                destination.put_manifest(source.manifest.data, source.parsed.media_type)
                layout.end()
        finally:
            source.close()
        return self.get(str(wanted))

    def push(
        self, name: str, *, progress: Reporter | Callable[[str], object] | None = None, **access: Any
    ) -> str:
        """Copy an artifact to its registry; returns the digest of its manifest. *access* as for :meth:`pull`."""
        from wherry.config.registries import load as load_registries
        from wherry.registry.destination import SpooledBlob
        from wherry.registry.progress import as_reporter
        from wherry.registry.registry_destination import open_destination

        found = self.get(name)
        reporter = as_reporter(progress)
        settings = self._runtime.settings
        with open_destination(settings, load_registries(settings), canonical(found.name), **access) as destination:
            for descriptor in (found.manifest["config"], *found.layers):
                digest, size = descriptor["digest"], descriptor["size"]
                reporter.start(digest, "Copying blob", size)
                fd = os.open(found.blob_path(digest), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    destination.put_file(
                        SpooledBlob(fd=fd, digest=digest, size=size),
                        lambda done, digest=digest: reporter.update(digest, done),  # type: ignore[misc]
                    )
                finally:
                    os.close(fd)
                reporter.finish(digest, "done")
            reporter.message("Writing manifest to image destination")
            destination.put_manifest(found.raw, found.media_type)
            destination.commit()
        return found.digest

    # -- the layout ----------------------------------------------------------------------------------------------

    def _open(self) -> OciLayout:
        from wherry.registry.layout_writer import open_layout

        return open_layout(self.path)

    def _all(self, layout: OciLayout) -> List[Artifact]:
        from wherry.registry.layout_writer import REF_NAME

        found = []
        for entry in layout.entries:
            name = (entry.get("annotations") or {}).get(REF_NAME, "")
            found.append(Artifact(self.path, name, str(entry.get("digest")), str(entry.get("mediaType"))))
        return found

    def _put(self, layout: OciLayout, document: Mapping[str, Any], name: str) -> Artifact:
        from wherry.registry import mediatypes
        from wherry.registry.verify import digest_of

        data = jsontext.dumps(document).encode()
        layout.image(name).put_manifest(data, mediatypes.OCI_MANIFEST)
        return Artifact(self.path, name, digest_of(data), mediatypes.OCI_MANIFEST)

    def _drop_blobs(self, layout: OciLayout, gone: Artifact) -> None:
        """Delete what only the artifact *gone*, which is on the list no more, had."""
        still = {digest for one in self._all(layout) for digest in one.digests()}
        for digest in gone.digests() - still:
            try:
                os.unlink(gone.blob_path(digest))
            except FileNotFoundError:
                continue


class _Held:
    def __init__(self, lock: FileLock, *, exclusive: bool = True) -> None:
        self._lock = lock
        self._exclusive = exclusive

    def __enter__(self) -> None:
        try:
            self._lock.acquire(self._exclusive)
        except OSError as error:
            raise from_os_error(error, "opening the artifact store") from None

    def __exit__(self, *_exc: object) -> None:
        self._lock.release()


def canonical(text: str) -> Reference:
    """The full reference of an artifact: registry, repository and tag or digest. Raises ``InvalidArgument``."""
    from wherry.model import reference

    found = reference.parse(text)
    if not found.domain:
        raise InvalidArgument(
            f"{text}: repository name must be canonical", hint=f"name its registry too, for example quay.io/{text}"
        )
    if found.tag and found.digest:
        raise InvalidArgument(f"{text}: a tag and a digest cannot be given together")
    return found.with_default_tag()


def _find(artifacts: Sequence[Artifact], text: str) -> Artifact:
    from wherry.model.ids import is_hex

    wanted = {text}
    try:
        wanted.add(str(canonical(text)))
    except InvalidArgument:
        pass
    for artifact in artifacts:
        if artifact.name in wanted:
            return artifact
    number = text.removeprefix("sha256:")
    matches = {one.digest: one for one in artifacts if is_hex(number) and encoded(one.digest).startswith(number)}
    if len(matches) == 1:
        return next(iter(matches.values()))
    if matches:
        raise InvalidArgument(f"more than one artifact begins with {text}")
    raise NoSuchArtifact(text)


def _fresh(kind: str, annotations: Mapping[str, str]) -> dict[str, Any]:
    """The manifest of a new artifact, its keys in the order containers/image writes them."""
    from wherry.model.timestamps import now
    from wherry.registry import mediatypes
    from wherry.registry.verify import digest_of

    document: dict[str, Any] = {"schemaVersion": 2, "mediaType": mediatypes.OCI_MANIFEST}
    if kind:
        document["artifactType"] = kind
    document["config"] = {
        "mediaType": mediatypes.OCI_EMPTY, "digest": digest_of(_EMPTY), "size": len(_EMPTY), "data": "e30=",
    }
    document["layers"] = []
    document["annotations"] = dict(sorted({**annotations, CREATED: now()}.items()))
    return document


def _appended(old: Artifact) -> dict[str, Any]:
    document = dict(old.manifest)
    document["layers"] = list(document.get("layers") or ())
    return document


def _check_names(document: Mapping[str, Any], files: Sequence[StrPath], annotations: Mapping[str, str]) -> None:
    """No two files of an artifact may have one name. Raises ``FileExistsInArtifact``."""
    taken = {(layer.get("annotations") or {}).get(TITLE) for layer in document["layers"]}
    for file in files:
        name = annotations.get(TITLE) or os.path.basename(os.fspath(file))
        if name in taken:
            raise FileExistsInArtifact(name)
        taken.add(name)


def _file_layer(layout: OciLayout, path: str, kind: str, annotations: Mapping[str, str]) -> dict[str, Any]:
    """Put a file into the layout; its descriptor."""
    import hashlib

    from wherry.registry import sniff
    from wherry.registry.streams import FileRange, Verified

    try:
        with open(path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            kind = kind or sniff.content_type(file.read(sniff.LENGTH) or b"")
            file.seek(0)
            digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            place = f"blobs/sha256/{encoded(digest)}"
            if not layout.writer.has(place, size):
                layout.writer.put(place, Verified(FileRange(file.fileno(), 0, size), digest, size), size)
    except OSError as error:
        raise from_os_error(error, "adding file to artifact") from None
    titled = dict(sorted({TITLE: os.path.basename(path), **annotations}.items()))
    return {"mediaType": kind, "digest": digest, "size": size, "annotations": titled}


def _copy(source: str, target: str) -> None:
    try:
        with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
            while os.sendfile(writer.fileno(), reader.fileno(), None, _PIECE):
                pass
    except FileNotFoundError as error:
        if error.filename == source:
            raise Corrupt(f"the artifact's blob {os.path.basename(source)} is missing") from None
        raise from_os_error(error, "failed to create target file") from None
    except OSError as error:
        raise from_os_error(error, "failed to create target file") from None
