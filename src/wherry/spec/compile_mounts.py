"""The mounts of a container about to start: those of its configuration and those that came up since."""

from __future__ import annotations

import os.path

from wherry.errors import InvalidArgument
from wherry.spec.parse_values import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.model.container import ContainerConfig
    from wherry.model.mount import IDMap
    from wherry.spec.host import StartFacts
    from wherry.spec.users import ExecUser

_BIND = ("bind", "rprivate")
_SHM = "/dev/shm"


def mounts(config: ContainerConfig, facts: StartFacts, user: ExecUser) -> list[dict[str, Any]]:
    """All mounts, parents before what is below them; equal depths keep their order (libpod ``sortMounts``)."""
    found: list[dict[str, Any]] = [dict(mount) for mount in config.spec.get("mounts") or ()]
    for volume in config.named_volumes:
        if volume.destination in facts.volume_paths:
            found.append({
                "destination": volume.destination, "type": "bind",
                "source": facts.volume_paths[volume.destination], "options": list(volume.options),
            })
    for mount in found:
        _finish(config, user, mount)
    places = {mount["destination"] for mount in found}
    for place, source in facts.bind_mounts.items():
        if place not in places:             # a mount of the user's wins over ours
            found.append(_own(config, place, source))
    found += [mount.to_json() for mount in facts.mounts if mount.destination not in places]
    if config.systemd:
        found = _systemd(config, facts, found)
    if config.privileged and facts.rootless:
        found = _host_devices(facts, places) + found
    for mount in found:
        if mount.get("type") == "tmpfs":
            mount["destination"] = facts.tmpfs_targets.get(mount["destination"], mount["destination"])
    found.sort(key=_depth)
    return found


def _depth(mount: dict[str, Any]) -> int:
    place = os.path.normpath(mount["destination"])
    return 0 if place == "/" else place.count("/")


def _own(config: ContainerConfig, place: str, source: str) -> dict[str, Any]:
    """A file the engine made for the container: hosts, resolv.conf, shared memory, a secret."""
    options = list(_BIND)
    read_only = bool(config.spec.get("root", {}).get("readonly"))
    writable = place == _SHM and _has_writable_tmpfs(config)
    if read_only and not writable:
        options += ["ro", "nosuid", "noexec", "nodev"]
    elif place == _SHM and source == config.shm_dir:
        options += ["nosuid", "noexec", "nodev"]
    return {"destination": place, "type": "bind", "source": source, "options": options}


def _has_writable_tmpfs(config: ContainerConfig) -> bool:
    """``--read-only-tmpfs`` shows in /dev: it is read-only only without it."""
    for mount in config.spec.get("mounts") or ():
        if mount["destination"] == "/dev":
            return "ro" not in mount.get("options", ())
    return True


def _finish(config: ContainerConfig, user: ExecUser, mount: dict[str, Any]) -> None:
    """Turn the words only the engine understands into what the runtime does.

    ``U`` and ``z``/``Z`` of bind mounts were done by the engine (ownership, labels) and end here.
    """
    options: list[str] = []
    for word in mount.get("options") or ():
        if word == "idmap" or word.startswith("idmap="):
            from wherry.spec import idmaps

            uids, gids = _idmap(config, word)
            mount["uidMappings"], mount["gidMappings"] = idmaps.to_oci(uids), idmaps.to_oci(gids)
        elif word == "U":
            if mount.get("type") == "tmpfs":
                options += [f"uid={user.uid}", f"gid={user.gid}"]
        elif word == "no-dereference":
            options.append("copy-symlink")
        elif word not in ("z", "Z", "copy", "nocopy") and not word.startswith(("subpath=", "volume-opt")):
            options.append(word)
    mount["options"] = options


def _idmap(config: ContainerConfig, word: str) -> tuple[Sequence[IDMap], Sequence[IDMap]]:
    """``idmap=uids=0-1-10#10-11-10;gids=..``: lines container-host-size; ``@`` counts within the container's map."""
    uids: Sequence[IDMap] = config.id_mappings.uid_map
    gids: Sequence[IDMap] = config.id_mappings.gid_map
    options = word.partition("=")[2]
    for part in options.split(";") if options else ():
        key, _, text = part.partition("=")
        if key == "uids":
            uids = [_idmap_line(line, config.id_mappings.uid_map, text) for line in text.split("#")]
        elif key == "gids":
            gids = [_idmap_line(line, config.id_mappings.gid_map, text) for line in text.split("#")]
        else:
            raise InvalidArgument(f"unknown option {quote(part)}")
    return uids, gids


def _idmap_line(text: str, own: Sequence[IDMap], whole: str) -> IDMap:
    from wherry.model.mount import IDMap as Line

    if not text:
        raise InvalidArgument(f"invalid empty range for {quote(whole)}")
    numbers = text.removeprefix("@").split("-")
    if len(numbers) != 3 or not all(number.isdecimal() for number in numbers) or int(numbers[2]) < 1:
        raise InvalidArgument(f"invalid value for {quote(whole)}")
    container, host, size = map(int, numbers)
    if not text.startswith("@"):
        return Line(container_id=container, host_id=host, size=size)
    for line in own:
        if line.container_id <= host < line.container_id + line.size:
            return Line(container_id=container, host_id=host + line.host_id - line.container_id, size=size)
    raise InvalidArgument(f"could not find a user namespace mapping for the relative mapping {quote(whole)}")


def _systemd(config: ContainerConfig, facts: StartFacts, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """systemd wants /run, /run/lock, /tmp and the journal on tmpfs, and a control group it may write to."""
    places = {mount["destination"] for mount in found}
    options = ["rw", "rprivate", "nosuid", "nodev", "tmpcopyup"]
    if config.shm_size_systemd:
        options.append(f"size={config.shm_size_systemd}")
    for place in ("/run", "/run/lock", "/tmp", "/var/log/journal"):
        if place not in places:
            found.append({"destination": place, "type": "tmpfs", "source": "tmpfs", "options": list(options)})
    own_cgroup = any(entry["type"] == "cgroup" for entry in config.spec["linux"]["namespaces"])
    if facts.unified:
        found = [mount for mount in found if mount["destination"] != "/sys/fs/cgroup"]
        if own_cgroup:
            found.append(_mount("/sys/fs/cgroup", "cgroup", "cgroup", "private", "rw"))
        else:
            found.append(_mount("/sys/fs/cgroup", "bind", "/sys/fs/cgroup", "bind", "private", "rw"))
        return found
    place = "/sys/fs/cgroup/systemd"
    if place in places:
        return found
    if own_cgroup:
        raise InvalidArgument("cgroup namespace is not supported with cgroup v1 and systemd mode")
    if facts.systemd_hierarchy is not None:
        found.append(_mount(place, "bind", place, "bind", "rprivate", *facts.systemd_hierarchy))
    return found


def _mount(place: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": place, "type": kind, "source": source, "options": list(options)}


def is_virtual_console(path: str) -> bool:
    """``/dev/tty`` and digits: a console of the machine itself (console(4))."""
    suffix = path.removeprefix("/dev/tty")
    return suffix != path and suffix.isdecimal()


def _host_devices(facts: StartFacts, places: set[str]) -> list[dict[str, Any]]:
    """Bind mounts for the devices of a privileged container without root, but for terminals of the host."""
    return [
        _mount(node.path, "bind", node.path, "slave", "nosuid", "noexec", "rw", "rbind")
        for node in facts.devices
        if node.path not in places and node.path not in ("/dev/ptmx", "/dev/tty")
        and not is_virtual_console(node.path)
    ]


def root_propagation(found: Sequence[dict[str, Any]]) -> str:
    """The root mount must spread at least as far as any mount below it."""
    words = {word for mount in found for word in mount.get("options") or ()}
    if words & {"shared", "rshared"}:
        return "shared"
    return "rslave" if words & {"slave", "rslave"} else ""


def needs_shm(config: ContainerConfig) -> bool:
    """Must the engine make a /dev/shm for this container? Not when it has the host's, another's, or its own mount."""
    if config.no_shm or config.shm_dir:
        return False
    places = {mount["destination"] for mount in config.spec.get("mounts") or ()}
    return _SHM not in places and _SHM not in {volume.destination for volume in config.named_volumes}
