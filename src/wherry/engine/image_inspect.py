"""image inspect: the tree Podman prints (``libpod/define`` ImageData)."""

from __future__ import annotations

from wherry.engine.graph_data import layer_data
from wherry.engine.image_family import parent_of
from wherry.model import reference as references
from wherry.model.record import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.storage.records import ImageRecord

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def inspect(runtime: Runtime, record: ImageRecord) -> dict[str, Any]:
    """The tree of one image. Raises ``Corrupt`` if its configuration or manifest is missing."""
    from wherry.model.jsontext import loads

    store = runtime.store
    config = store.image_config(record.id)
    manifest = loads(store.image_manifest(record.id))
    inner = config.get("config") or {}
    history = config.get("history") or []
    size = store.image_size(record.id)
    data: dict[str, Any] = {
        "Id": record.id,
        "Digest": record.digest,
        "RepoTags": [name for name in record.names if "@" not in name],
        "RepoDigests": repo_digests(record),
        "Parent": parent_of(runtime, record),
        "Comment": (history[-1].get("comment") or "") if history else "",
        "Created": config.get("created") or record.created,
        "Config": _config(inner),
        "Version": config.get("docker_version") or "",
        "Author": config.get("author") or "",
        "Architecture": config.get("architecture") or "",
        "Os": config.get("os") or "",
        "Size": size,
        "VirtualSize": size,
        "GraphDriver": {
            "Name": runtime.settings.storage.driver,
            "Data": layer_data(runtime, record.layer) if record.layer else {},
        },
        "RootFS": {"Type": "layers", "Layers": list((config.get("rootfs") or EMPTY).get("diff_ids") or ())},
        "Labels": inner.get("Labels"),
        "Annotations": dict(manifest.get("annotations") or {}),
        "ManifestType": media_type(manifest),
        "User": inner.get("User") or "",
        "History": history,
        "NamesHistory": list(record.names_history),
    }
    if inner.get("Healthcheck"):
        data["Healthcheck"] = inner["Healthcheck"]
    return data


def media_type(manifest: dict[str, Any]) -> str:
    """The manifest's type; OCI manifests may leave it out."""
    if manifest.get("mediaType"):
        return str(manifest["mediaType"])
    return OCI_MANIFEST if manifest.get("schemaVersion") == 2 else DOCKER_MANIFEST


def _config(inner: dict[str, Any]) -> dict[str, Any]:
    """The run-time part, without what is unset."""
    keys = (
        "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal",
        "ArgsEscaped",
    )
    return {key: inner[key] for key in keys if inner.get(key)}


def repo_digests(record: ImageRecord) -> list[str]:
    """Every repository of the image's names with every digest its manifests have."""
    found: list[str] = []
    for name in record.names:
        repository = references.parse(name).repository
        for digest in record.digests():
            text = f"{repository}@{digest}"
            if text not in found:
                found.append(text)
    return found
