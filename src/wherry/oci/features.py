"""What an OCI runtime can do: asked where it answers, otherwise only what is certain.

runc since 1.1 and crun since 1.10 print a document for ``features`` (OCI runtime spec, "Features Structure").  Of
others little is assumed: a feature that cannot be told is not there.
"""

from __future__ import annotations

import os

from wherry.errors import WherryError, from_os_error
from wherry.model.jsontext import JSONError, dumps, loads
from wherry.model.record import EMPTY, Record, field
from wherry.sys import processes
from wherry.sys.files import atomic_write, make_dirs, try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.oci.runtime import OciRuntime

_NAMESPACES = ("cgroup", "ipc", "mount", "network", "pid", "user", "uts")
_CHECKPOINT_ANNOTATIONS = ("org.opencontainers.runc.checkpoint.enabled", "run.oci.crun.checkpoint.enabled")
_asked: dict[str, Features] = {}


class Features(Record):
    """Capabilities of one runtime program."""

    reported: bool = False                     # the runtime said so itself; else taken from its version text
    version_min: str = ""                      # of the runtime spec
    version_max: str = ""
    mount_options: Sequence[str] = ()          # empty when unknown
    namespaces: Sequence[str] = _NAMESPACES
    cgroup_v1: bool = True
    cgroup_v2: bool = True
    cgroup_systemd: bool = False
    seccomp: bool = True
    seccomp_flags: Sequence[str] = ()
    apparmor: bool = False
    selinux: bool = False
    idmapped_mounts: bool = False
    checkpoint: bool = False
    annotations: Mapping[str, str] = field(default=EMPTY)

    def has_mount_option(self, name: str) -> bool:
        """Is *name* (``rro``, ``idmap``, ...) known to be understood?"""
        return name in self.mount_options


def features(runtime: OciRuntime, *, cache_dir: str = "") -> Features:
    """The features of *runtime*, remembered in this process and, if given, in *cache_dir* for others.

    The memory is good for one build of the program: path, modification time and size.  Raises a
    :class:`wherry.errors.WherryError` when the program cannot be run.
    """
    try:
        status = os.stat(runtime.path)
    except OSError as error:
        raise from_os_error(error, f"looking at OCI runtime {runtime.name}") from error
    key = f"{runtime.path}:{status.st_mtime_ns}:{status.st_size}"
    if key not in _asked:
        _asked[key] = _recall(cache_dir, key) or _ask(runtime)
        _remember(cache_dir, key, _asked[key])
    return _asked[key]


def _cache_file(cache_dir: str, key: str) -> str:
    return f"{cache_dir}/features-{key.replace('/', '_')}.json"


def _recall(cache_dir: str, key: str) -> Features | None:
    text = try_read_text(_cache_file(cache_dir, key)) if cache_dir else None
    if not text:
        return None
    try:
        return Features.from_json(loads(text))
    except (JSONError, AttributeError):
        return None


def _remember(cache_dir: str, key: str, found: Features) -> None:
    path = _cache_file(cache_dir, key)
    if not cache_dir or os.path.exists(path):
        return
    try:
        make_dirs(cache_dir)
        atomic_write(path, dumps(found.to_json()).encode(), sync=False)
    except OSError:     # a read-only or full file system: ask again next time
        pass


def _ask(runtime: OciRuntime) -> Features:
    try:
        done = processes.run([runtime.path, "features"], env=runtime.env, timeout=10)
    except OSError as error:
        raise from_os_error(error, "running OCI runtime") from error
    if done.returncode == 0:
        try:
            return from_document(loads(done.stdout))
        except (JSONError, AttributeError, TypeError, KeyError):
            pass
    try:
        return from_version(runtime.version())
    except WherryError:
        return Features(seccomp=False)


def from_document(document: Mapping[str, Any]) -> Features:
    """Read the runtime's own document."""
    linux = document.get("linux") or {}
    cgroup = linux.get("cgroup") or {}
    seccomp = linux.get("seccomp") or {}
    annotations = document.get("annotations") or {}
    extensions = linux.get("mountExtensions") or {}
    return Features(
        reported=True,
        version_min=document.get("ociVersionMin", ""),
        version_max=document.get("ociVersionMax", ""),
        mount_options=tuple(document.get("mountOptions") or ()),
        namespaces=tuple(linux.get("namespaces") or ()),
        cgroup_v1=bool(cgroup.get("v1")),
        cgroup_v2=bool(cgroup.get("v2")),
        cgroup_systemd=bool(cgroup.get("systemd")),
        seccomp=bool(seccomp.get("enabled")),
        seccomp_flags=tuple(seccomp.get("supportedFlags") or seccomp.get("knownFlags") or ()),
        apparmor=bool((linux.get("apparmor") or {}).get("enabled")),
        selinux=bool((linux.get("selinux") or {}).get("enabled")),
        idmapped_mounts=bool((extensions.get("idmap") or {}).get("enabled")),
        checkpoint=any(annotations.get(name) == "true" for name in _CHECKPOINT_ANNOTATIONS),
        annotations=dict(annotations),
    )


def from_version(text: str) -> Features:
    """Guess from ``--version``: crun lists what it was built with (``+SECCOMP +SELINUX ...``), others do not."""
    words = {word for line in text.splitlines() for word in line.split() if word.startswith("+")}
    if not words:
        return Features()
    return Features(
        cgroup_systemd="+SYSTEMD" in words,
        seccomp="+SECCOMP" in words,
        apparmor="+APPARMOR" in words,
        selinux="+SELINUX" in words,
        checkpoint="+CRIU" in words,
    )
