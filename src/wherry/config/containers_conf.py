"""containers.conf(5): which files, in which order, and the defaults that depend on the host."""

from __future__ import annotations

import os

from wherry.config import settings as records
from wherry.config.tables import InvalidConfiguration, Merger, parse
from wherry.config.validate import validate
from wherry.model import jsontext
from wherry.sys import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.config.cache import Watch
    from wherry.config.places import Places

SECTIONS: dict[str, type[Any]] = {
    "containers": records.ContainerDefaults,
    "engine": records.EngineSettings,
    "network": records.NetworkSettings,
    "secrets": records.SecretSettings,
    "configmaps": records.ConfigMapSettings,
    "machine": records.MachineSettings,
    "farms": records.FarmSettings,
    "podmansh": records.PodmanshSettings,
    # Tables of wherry's own are below [wherry].
    "wherry.auto_update": records.AutoUpdateSettings,
}
_OWN = "wherry"

#: Keys that documentation and code spell differently.
_RENAMED = {"runtime_supports_nocgroups": "runtime_supports_nocgroup"}


def build(watch: Watch, places: Places, modules: Sequence[str]) -> dict[str, Any]:
    """All files merged and checked: section -> values that differ from the defaults, and ``config_files``."""
    mergers = {name: Merger(name, record, _RENAMED) for name, record in SECTIONS.items()}
    read = []
    for path, must_exist in _files(watch, places, modules):
        data = watch.read(path)
        if data is None:
            if must_exist:
                raise InvalidConfiguration(f"CONTAINERS_CONF file: stat {path}: no such file or directory")
            continue
        read.append(path)
        unknown = _add(mergers, path, parse(path, data))
        if unknown:
            log.debug(f"Failed to decode the keys {unknown} from {path}")
    _normalise(mergers)
    _host_defaults(watch, places, mergers)
    validate(mergers)
    return {"config_files": read, **{name: _differing(merger) for name, merger in mergers.items()}}


def _differing(merger: Merger) -> dict[str, Any]:
    """The values that are not the default: less to store, and nothing to decode for most of them."""
    return {
        key: value for key, value in merger.values.items()
        if jsontext.dumps(value) != jsontext.dumps(getattr(merger.record, key))
    }


def _add(mergers: dict[str, Merger], path: str, tables: dict[str, Any]) -> list[str]:
    unknown = []
    sections = {name: table for name, table in tables.items() if name != _OWN}
    own = tables.get(_OWN, {})
    sections.update({f"{_OWN}.{name}": table for name, table in own.items()} if isinstance(own, dict) else {_OWN: own})
    for section, table in sections.items():
        merger = mergers.get(section)
        if merger is None or not isinstance(table, dict):
            unknown.append(section)
        else:
            unknown += merger.add(path, table)
    return unknown


def _files(watch: Watch, places: Places, modules: Sequence[str]) -> list[tuple[str, bool]]:
    """The files in the order they are read, and whether each must exist.

    ``CONTAINERS_CONF`` stands for all of them but modules and ``CONTAINERS_CONF_OVERRIDE``.  An ordinary user's files
    are read by a rootless engine only.
    """
    only = watch.getenv("CONTAINERS_CONF")
    files = [(only, True)] if only else [(path, False) for path in _standard_files(watch, places)]
    files += [(_module(watch, places, name), True) for name in modules]
    override = watch.getenv("CONTAINERS_CONF_OVERRIDE")
    if override:
        files.append((override, True))
    return files


def _standard_files(watch: Watch, places: Places) -> list[str]:
    files = [f"{places.share}/containers.conf", f"{places.etc}/containers.conf"]
    files += watch.drop_ins(f"{places.etc}/containers.conf.d")
    if places.rootless:
        files.append(f"{places.etc}/containers.rootless.conf")
        files += watch.drop_ins(f"{places.etc}/containers.rootless.conf.d")
        files += watch.drop_ins(f"{places.etc}/containers.rootless.conf.d/{places.uid}")
        user = f"{places.config_home}/containers"
        files.append(f"{user}/containers.conf")
        files += watch.drop_ins(f"{user}/containers.conf.d")
    return files


def _module(watch: Watch, places: Places, name: str) -> str:
    """The file of a ``--module``: an absolute path, or the first of that name in the module directories."""
    if name.startswith("/"):
        candidates = [name]
    else:
        roots = [places.etc, places.share]
        if places.rootless:
            roots.insert(0, f"{places.config_home}/containers")
        candidates = [f"{root}/containers.conf.modules/{name}" for root in roots]
    for path in candidates:
        if watch.exists(path):
            return path
    raise InvalidConfiguration(f"could not resolve module: stat {candidates[-1]}: no such file or directory")


def _normalise(mergers: dict[str, Merger]) -> None:
    containers = mergers["containers"]
    if "default_capabilities" in containers.values:
        containers.values["default_capabilities"] = [
            name.upper().removeprefix("CAP_") for name in containers.values["default_capabilities"]
        ]


def _host_defaults(watch: Watch, places: Places, mergers: dict[str, Merger]) -> None:
    """Fill in what is unset and depends on this host."""
    containers, engine = mergers["containers"].values, mergers["engine"].values
    unified = watch.exists("/sys/fs/cgroup/cgroup.controllers")
    systemd = watch.exists(f"{places.run}/systemd/system")
    journal = systemd and _journal(watch, places)
    containers.setdefault("cgroupns", "private" if unified else "host")
    containers.setdefault("label", watch.exists("/sys/fs/selinux/enforce"))
    containers.setdefault("log_driver", "journald" if journal else "k8s-file")
    if "seccomp_profile" not in containers:
        for directory in (places.etc, places.share):
            if watch.exists(f"{directory}/seccomp.json"):
                containers["seccomp_profile"] = f"{directory}/seccomp.json"
                break
    engine.setdefault("events_logger", "journald" if journal else "file")
    engine.setdefault("cgroup_manager", "systemd" if systemd and (unified or not places.rootless) else "cgroupfs")
    if places.rootless and not (unified and engine["cgroup_manager"] == "systemd"):
        containers.setdefault("pids_limit", 0)
    if "image_copy_tmp_dir" not in engine:
        engine["image_copy_tmp_dir"] = watch.getenv("TMPDIR") or "/var/tmp"
    if not places.rootless:
        mergers["network"].values.setdefault("network_config_dir", f"{places.etc}/networks")


def _journal(watch: Watch, places: Places) -> bool:
    """Does journald take messages here? Its socket must be there and open to us."""
    path = f"{places.run}/systemd/journal/socket"
    return watch.exists(path) and os.access(path, os.W_OK)
