"""import: an image of one layer from a root file system tar."""

from __future__ import annotations

import os

from wherry.engine.undo import Undo
from wherry.errors import InvalidArgument, from_os_error
from wherry.model import jsontext
from wherry.model.digest import of_bytes
from wherry.model.event import Event
from wherry.model.timestamps import now, now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.registry.progress import Reporter
    from wherry.storage.records import ImageRecord

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


def import_image(
    runtime: Runtime,
    path: str,
    *,
    name: str,
    message: str,
    changes: Sequence[str],
    platform: tuple[str, str, str],
    policy: str,
    reporter: Reporter,
) -> ImageRecord:
    """Store the tar at *path* (``-``: standard input; compressed or not) as an image; *name* is a full reference.

    *policy* is a file used instead of the host's policy.json.
    """
    from wherry.engine.changes import apply_changes
    from wherry.engine.image_trust import check_file
    from wherry.registry.platform import host_platform

    inner = apply_changes({}, changes)
    check_file("tarball", path, policy=policy)
    target = host_platform().override(*platform)
    store = runtime.store
    with Undo() as undo:
        stream = _open(path)
        try:
            reporter.message("Getting image source signatures")
            layer = store.add_layer("", stream)
        finally:
            stream.close()
        undo.push(f"adding layer {layer.id}", store.delete_layer, layer.id)
        config, manifest = documents(layer.diff_digest, layer.diff_size, inner, message or "imported from tarball",
                                     target.os, target.architecture, target.variant)
        _report(reporter, "blob", layer.diff_digest, layer.diff_size)
        _report(reporter, "config", of_bytes(config), len(config))
        reporter.message("Writing manifest to image destination")
        image = store.add_image(config=config, manifest=manifest, layer=layer.id, names=[name] if name else [])
        undo.commit()
    runtime.state.add_events(Event(id=image.id, name=name, type="image", status="import", time_ns=now_ns()))
    runtime.publish()
    return image


def _report(reporter: Reporter, what: str, digest: str, size: int) -> None:
    """Podman's line; the digest is only known at the end."""
    reporter.start(digest, f"Copying {what}", size)
    reporter.finish(digest, "done")


def _open(path: str) -> Any:
    if path == "-":
        return open(0, "rb", closefd=False)
    if not os.path.exists(path):
        raise InvalidArgument(f'error opening "{path}": open {path}: no such file or directory')
    try:
        return open(path, "rb")
    except OSError as error:
        raise from_os_error(error, "opening") from None


def documents(
    diff_id: str, size: int, inner: dict[str, Any], message: str, os_name: str, architecture: str, variant: str
) -> tuple[bytes, bytes]:
    """Configuration and manifest (OCI image spec) of an image with one uncompressed layer."""
    created = now()
    config: dict[str, Any] = {"created": created, "architecture": architecture, "os": os_name}
    if variant:
        config["variant"] = variant
    config["config"] = inner
    config["rootfs"] = {"type": "layers", "diff_ids": [diff_id]}
    config["history"] = [{"created": created, "created_by": "wherry import", "comment": message}]
    raw_config = jsontext.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": of_bytes(raw_config), "size": len(raw_config)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": diff_id, "size": size}],
    }
    return raw_config, jsontext.dumps(manifest).encode()
