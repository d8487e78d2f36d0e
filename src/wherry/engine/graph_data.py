"""The ``GraphDriver`` part of inspect: where the storage driver keeps the layers."""

from __future__ import annotations

import os

from wherry.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime


def layer_data(runtime: Runtime, layer: str) -> dict[str, str]:
    """The directories of a layer and those below it, under the keys the driver has in Podman."""
    directories = runtime.store.layer_dirs(layer)
    if not directories:
        return {}
    if runtime.settings.storage.driver != "overlay":
        return {"Dir": directories[0]}
    data = {}
    if len(directories) > 1:
        # Below the top one they are known by short links, which are the driver's business.
        data["LowerDir"] = ":".join(os.path.realpath(directory) for directory in directories[1:])
    data["UpperDir"] = directories[0]
    data["WorkDir"] = os.path.dirname(directories[0]) + "/work"
    return data


def container_data(runtime: Runtime, identity: str) -> dict[str, str]:
    """The same for a container's read-write layer; empty when it is gone (being removed, or lost)."""
    try:
        return layer_data(runtime, runtime.store.container(identity).layer)
    except NotFound:
        return {}


def driver_status(runtime: Runtime) -> dict[str, str]:
    """What the driver says of itself, as ``info`` shows it."""
    storage = runtime.settings.storage
    status = {"Backing Filesystem": _file_system(storage.graph_root)}
    if storage.driver == "overlay":
        metacopy = any(option == "metacopy=on" for option in storage.mount_options)
        status["Native Overlay Diff"] = "false" if metacopy else "true"
        status["Supports d_type"] = "true"
        status["Using metacopy"] = "true" if metacopy else "false"
    return status


def _file_system(path: str) -> str:
    from wherry.sys.mounts import mount_table

    best = ("", "unknown")
    for entry in mount_table():
        inside = path == entry.target or path.startswith(entry.target.rstrip("/") + "/")
        if inside and len(entry.target) >= len(best[0]):
            best = (entry.target, entry.fstype)
    return best[1]
