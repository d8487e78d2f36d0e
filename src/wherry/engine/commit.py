"""commit: an image from a container."""

from __future__ import annotations

from wherry.engine.image import full_name
from wherry.engine.undo import Undo
from wherry.errors import InvalidArgument
from wherry.model import jsontext, status
from wherry.model.event import Event
from wherry.model.record import Record
from wherry.model.timestamps import now, now_ns
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.storage.records import ImageRecord, LayerRecord

#: Fields Docker's run-time configuration always has, in its order; OCI's leaves them out.
_DOCKER_DEFAULTS: tuple[tuple[str, Any], ...] = (
    ("Hostname", ""), ("Domainname", ""), ("User", ""), ("AttachStdin", False), ("AttachStdout", False),
    ("AttachStderr", False), ("ExposedPorts", None), ("Tty", False), ("OpenStdin", False), ("StdinOnce", False),
    ("Env", []), ("Cmd", []), ("Healthcheck", None), ("ArgsEscaped", None), ("Image", ""), ("Volumes", {}),
    ("WorkingDir", ""), ("Entrypoint", []), ("OnBuild", None), ("Labels", None), ("StopSignal", None), ("Shell", None),
)
_OPTIONAL = frozenset(("ExposedPorts", "Healthcheck", "ArgsEscaped", "StopSignal", "Shell"))
_OCI_KEYS = ("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal")
DOCKER_TAR = "application/vnd.docker.image.rootfs.diff.tar"


class CommitOptions(Record):
    """How to commit; *format* is oci or docker."""

    format: str = "oci"
    author: str = ""
    message: str = ""
    changes: Sequence[str] = ()
    config: bytes = b""             # a run-time configuration merged over the container's
    include_volumes: bool = False
    pause: bool = False
    squash: bool = False


def commit(runtime: Runtime, identity: str, name: str, options: CommitOptions) -> ImageRecord:
    """Make an image of the container *identity*; *name* may be empty. Raises ``InvalidArgument``, ``StateError``."""
    if options.format not in ("oci", "docker"):
        raise InvalidArgument(f'unrecognized image format "{options.format}"')
    if options.message and options.format != "docker":
        raise InvalidArgument("messages are only compatible with the docker image format (-f docker)")
    config = runtime.state.container_config(identity)
    if not config.rootfs_image_id:
        raise InvalidArgument(f"cannot commit container {identity}: it is not made from an image")
    inner = _inner(runtime, config, options)
    with _Frozen(runtime, identity, options.pause), Undo() as undo:
        layer, chain = _layers(runtime, config, identity, options.squash, undo)
        raw = _config_document(runtime, config, chain, inner, options)
        manifest = _manifest(raw, chain, options.format)
        image = runtime.store.add_image(
            config=raw, manifest=manifest, layer=layer.id, names=[full_name(name)] if name else []
        )
        undo.commit()
    runtime.state.add_events(Event(
        id=identity, name=config.name, image=config.rootfs_image_name, type="container", status="commit",
        time_ns=now_ns(), attributes=config.labels,
    ))
    runtime.publish()
    return image


class _Frozen:
    """The container's processes stand still inside, if they run and it is wanted."""

    def __init__(self, runtime: Runtime, identity: str, wanted: bool) -> None:
        self._runtime = runtime
        self._identity = identity
        self._wanted = wanted
        self._frozen = False

    def __enter__(self) -> None:
        if not self._wanted:
            return
        from wherry.engine.freezer import pause

        with self._runtime.lock(self._identity) as held:
            running = held.state.status == status.RUNNING
        if running:
            pause(self._runtime, self._identity)
            self._frozen = True

    def __exit__(self, *_exc: object) -> None:
        if self._frozen:
            from wherry.engine.freezer import unpause

            unpause(self._runtime, self._identity)


def _layers(
    runtime: Runtime, config: ContainerConfig, identity: str, squash: bool, undo: Undo
) -> tuple[LayerRecord, list[LayerRecord]]:
    """The new top layer, stored, and the image's whole chain, base first."""
    from wherry.engine.changed import container_tar, whole_tar
    from wherry.engine.image_source import TarStream

    store = runtime.store
    parent = "" if squash else store.image(config.rootfs_image_id).layer
    if squash:
        layer = _squashed(runtime, whole_tar(runtime, identity))
    else:
        stream = TarStream(container_tar(runtime, identity))
        try:
            layer = store.add_layer(parent, stream)
        finally:
            stream.close()
    undo.push(f"adding layer {layer.id}", store.delete_layer, layer.id)
    return layer, list(reversed(store.layer_chain(layer.id)))


def _squashed(runtime: Runtime, pieces: Iterator[bytes]) -> LayerRecord:
    """A base layer of *pieces*, by way of a file: the store is locked while a layer is added, and they need it."""
    import tempfile

    from wherry.registry.spool import spool_directory

    with tempfile.TemporaryFile(dir=spool_directory(runtime.settings)) as spool:
        for piece in pieces:
            spool.write(piece)
        spool.seek(0)
        return runtime.store.add_layer("", spool)


def _inner(runtime: Runtime, config: ContainerConfig, options: CommitOptions) -> dict[str, Any]:
    """The run-time configuration: the image's, overridden by the container's, then by what the user says."""
    from wherry.engine.changes import apply_changes

    inner = dict(runtime.store.image_config(config.rootfs_image_id).get("config") or {})
    process = config.spec.get("process") or {}
    environment = dict(entry.partition("=")[::2] for entry in inner.get("Env") or ())
    environment.update(entry.partition("=")[::2] for entry in process.get("env") or ())
    inner["Env"] = [f"{key}={value}" for key, value in environment.items()]
    ports: dict[str, Any] = {
        f"{mapping.container_port + step}/{protocol}": {}
        for mapping in config.port_mappings for step in range(mapping.range or 1)
        for protocol in (mapping.protocol or "tcp").split(",")
    }
    if ports:
        inner["ExposedPorts"] = {**(inner.get("ExposedPorts") or {}), **ports}
    if config.labels:
        inner["Labels"] = {**(inner.get("Labels") or {}), **config.labels}
    if config.user:
        inner["User"] = config.user
    volumes = [
        volume.destination for volume in config.named_volumes
        if volume.is_anonymous and volume.destination in config.user_volumes
    ] if not options.include_volumes else config.user_volumes
    if volumes:
        inner["Volumes"] = {**(inner.get("Volumes") or {}), **{path: {} for path in volumes}}
    inner["WorkingDir"] = process.get("cwd") or inner.get("WorkingDir") or ""
    inner["Cmd"] = list(config.command)
    inner["Entrypoint"] = list(config.entrypoint)
    if options.config:
        inner |= _given_config(options.config)
    inner = apply_changes(inner, options.changes)
    for key in ("ExposedPorts", "Volumes", "Labels"):       # Go writes maps sorted
        if inner.get(key):
            inner[key] = dict(sorted(inner[key].items()))
    if options.format == "oci":
        for text in inner.get("OnBuild") or ():
            log.warning(
                f"ONBUILD is not supported for OCI image format, {text} will be ignored. Must use `docker` format"
            )
    return inner


def _given_config(data: bytes) -> dict[str, Any]:
    try:
        found = jsontext.loads(data)
    except jsontext.JSONError as error:
        raise InvalidArgument(f"parsing config: {error}") from None
    if not isinstance(found, dict):
        raise InvalidArgument("parsing config: not a JSON object")
    return found


def _config_document(
    runtime: Runtime, config: ContainerConfig, chain: Sequence[LayerRecord], inner: dict[str, Any],
    options: CommitOptions,
) -> bytes:
    base = runtime.store.image_config(config.rootfs_image_id)
    created = now()
    is_docker = options.format == "docker"
    document: dict[str, Any] = {"comment": options.message} if is_docker and options.message else {}
    document["created"] = created
    author = options.author or base.get("author") or ""
    if is_docker:
        document["container"] = config.id
        document["container_config"] = _docker_inner(inner, config)
    if author:
        document["author"] = author
    if is_docker:
        document["config"] = _docker_inner(inner, config)
    document["architecture"] = base.get("architecture") or ""
    if base.get("variant") and not is_docker:
        document["variant"] = base["variant"]
    document["os"] = base.get("os") or ""
    if is_docker:
        document["parent"] = f"sha256:{config.rootfs_image_id}"
    else:
        document["config"] = {key: inner[key] for key in _OCI_KEYS if inner.get(key)}
    document["rootfs"] = {"type": "layers", "diff_ids": [layer.diff_digest for layer in chain]}
    entry = {"created": created, "author": author, "created_by": "/bin/sh"}
    if not is_docker:       # the order of the two formats' fields differs
        entry = {"created": created, "created_by": "/bin/sh", "author": author}
    if not author:
        del entry["author"]
    entry["comment"] = f"FROM {config.rootfs_image_name or config.rootfs_image_id}"
    document["history"] = [*(() if options.squash else base.get("history") or ()), entry]
    from wherry.registry.conversion import go_json

    return go_json(document)


def _docker_inner(inner: dict[str, Any], config: ContainerConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, default in _DOCKER_DEFAULTS:
        value = config.rootfs_image_name if key == "Image" else inner.get(key)
        if value or key not in _OPTIONAL:
            found[key] = value or default
    return found


def _manifest(config: bytes, chain: Sequence[LayerRecord], format: str) -> bytes:
    from wherry.registry import conversion, mediatypes
    from wherry.registry.source import LayerBlob

    is_docker = format == "docker"
    kind = DOCKER_TAR if is_docker else mediatypes.OCI_LAYER
    layers = [LayerBlob(digest=layer.diff_digest, size=layer.diff_size, media_type=kind) for layer in chain]
    return conversion.manifest(mediatypes.DOCKER_MANIFEST if is_docker else mediatypes.OCI_MANIFEST, config, layers)
