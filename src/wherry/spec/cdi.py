"""Container Device Interface: what a specification file says of a device, put into an OCI runtime specification.

Source: CNCF "container-device-interface" SPEC.md (0.3 to 1.0).
"""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.spec.parse_values import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from wherry.spec.host import DeviceNode

#: OCI name of the stage -> CDI hookName is the same; others are refused.
_STAGES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
#: Edits of an Intel RDT entry -> OCI key (the same since 1.0; config-linux.md "IntelRdt").
_RDT = ("closID", "l3CacheSchema", "memBwSchema", "enableCMT", "enableMBM")


class CdiDocument:
    """One specification file: its kind, its devices by name, and the edits all of them share."""

    def __init__(self, document: Any, path: str) -> None:
        if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
            raise InvalidArgument(f"CDI specification {path}: no kind (vendor/class) in it")
        self.path = path
        self.kind: str = document["kind"]
        self.edits: Mapping[str, Any] = document.get("containerEdits") or {}
        self.devices: dict[str, Mapping[str, Any]] = {}
        for device in document.get("devices") or ():
            if not isinstance(device, dict) or not device.get("name"):
                raise InvalidArgument(f"CDI specification {path}: a device without a name")
            self.devices[str(device["name"])] = device.get("containerEdits") or {}


def inject(
    spec: dict[str, Any], names: Sequence[str], documents: Iterable[CdiDocument],
    node: Callable[[str], DeviceNode],
) -> None:
    """Make the devices *names* (``vendor/class=name``) part of the OCI *spec*.

    Of several *documents* with the same device the last one counts; *node* looks a device of the host up.  Raises
    ``InvalidArgument`` for names nobody defines.
    """
    found: dict[str, tuple[CdiDocument, Mapping[str, Any]]] = {}
    for document in documents:
        for name, edits in document.devices.items():
            found[f"{document.kind}={name}"] = (document, edits)
    missing = [name for name in names if name not in found]
    if missing:
        raise InvalidArgument(
            f"setting up CDI devices: failed to inject devices: unresolvable CDI devices {', '.join(missing)}",
            hint="CDI specifications are looked for in the directories cdi_spec_dirs of containers.conf names",
        )
    shared: list[CdiDocument] = []
    for name in names:
        document, edits = found[name]
        if document not in shared:
            shared.append(document)
        _apply(spec, edits, node)
    for document in shared:
        _apply(spec, document.edits, node)


def _apply(spec: dict[str, Any], edits: Mapping[str, Any], node: Callable[[str], DeviceNode]) -> None:
    process = spec["process"]
    for entry in edits.get("env") or ():
        name = str(entry).partition("=")[0]
        process["env"] = [*(old for old in process.get("env") or () if old.partition("=")[0] != name), str(entry)]
    for device in edits.get("deviceNodes") or ():
        _add_node(spec, device, node)
    for mount in edits.get("mounts") or ():
        _add_mount(spec, mount)
    for hook in edits.get("hooks") or ():
        _add_hook(spec, hook)
    groups = [int(group) for group in edits.get("additionalGids") or () if group]
    if groups:
        user = process["user"]
        have = list(user.get("additionalGids") or ())
        user["additionalGids"] = have + [group for group in groups if group not in have]
    if edits.get("intelRdt"):
        spec["linux"]["intelRdt"] = {key: edits["intelRdt"][key] for key in _RDT if key in edits["intelRdt"]}


def _add_node(spec: dict[str, Any], device: Mapping[str, Any], node: Callable[[str], DeviceNode]) -> None:
    path = device["path"]
    entry: dict[str, Any] = {"path": path}
    if "type" in device and "major" in device:
        entry.update({"type": device["type"], "major": device["major"], "minor": device.get("minor", 0)})
    else:
        found = node(device.get("hostPath") or path)
        entry.update({
            "type": device.get("type") or found.type, "major": found.major, "minor": found.minor,
            "fileMode": found.mode & 0o7777, "uid": found.uid, "gid": found.gid,
        })
    for key in ("fileMode", "uid", "gid"):
        if device.get(key) is not None:
            entry[key] = device[key]
    linux = spec["linux"]
    linux["devices"] = [*(old for old in linux.get("devices") or () if old["path"] != path), entry]
    if entry["type"] == "p":
        return
    resources = linux["resources"] = dict(linux.get("resources") or {})
    rule = {
        "allow": True, "type": entry["type"], "major": entry["major"], "minor": entry["minor"],
        "access": device.get("permissions") or "rwm",
    }
    resources["devices"] = [*(resources.get("devices") or ()), rule]


def _add_mount(spec: dict[str, Any], mount: Mapping[str, Any]) -> None:
    destination = mount["containerPath"]
    options = list(mount.get("options") or ())
    if not mount.get("type") and not {"bind", "rbind"} & set(options):
        options.insert(0, "bind")
    entry = {
        "destination": destination, "type": mount.get("type") or "bind", "source": mount["hostPath"],
        "options": options,
    }
    spec["mounts"] = [*(old for old in spec.get("mounts") or () if old["destination"] != destination), entry]


def _add_hook(spec: dict[str, Any], hook: Mapping[str, Any]) -> None:
    stage = hook.get("hookName")
    if stage not in _STAGES:
        raise InvalidArgument(f"CDI: unknown hook {quote(str(stage))}")
    entry = {"path": hook["path"]}
    for key in ("args", "env", "timeout"):
        if hook.get(key):
            entry[key] = hook[key]
    hooks = spec.setdefault("hooks", {})
    hooks[stage] = [*hooks.get(stage, ()), entry]
