"""Seccomp filters compiled once.

crun compiles the profile of every container anew, which takes it 10 ms.  It leaves the result, a raw array of
``struct sock_filter``, as ``seccomp.bpf`` in its state directory, and takes such an array, in base64, from the
annotation ``run.oci.seccomp_bpf_data`` (crun(1)) instead of compiling.  So the first container with a profile leaves
its filter here and the next ones get it.

The profile itself stays in the spec: its flags are still used, and a runtime that does not know the annotation
compiles it.  A filter is good for one profile on one kernel, compiled by one crun and one libseccomp; all that is in
the key.  The cache belongs on a file system that a reboot clears.
"""

from __future__ import annotations

import binascii
import os
import stat

from wherry.model.digest import encoded, of_bytes
from wherry.model.jsontext import dumps
from wherry.sys.files import atomic_write, make_dirs, read_all, read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.oci.runtime import OciRuntime

ANNOTATION = "run.oci.seccomp_bpf_data"
_INSTRUCTION = 8            # bytes of struct sock_filter
_MAX_INSTRUCTIONS = 4096    # BPF_MAXINSNS
_MAX_ENTRIES = 64


def annotate(spec: dict[str, Any], cache_dir: str, runtime: OciRuntime) -> str:
    """Hand *runtime* the compiled filter of *spec* if the cache has it, by adding the annotation to *spec*.

    Returns the key to give :func:`remember` after the container was created, or empty when there is nothing to do:
    the filter was found, there is no profile, or this runtime or profile cannot use one.
    """
    profile = (spec.get("linux") or {}).get("seccomp")
    if not profile or runtime.kind != "crun" or not _cacheable(profile, spec.get("annotations") or {}):
        return ""
    key = _key(profile, runtime.path)
    data = _read(f"{cache_dir}/{key}") if key else None
    if data is None:
        return key
    spec["annotations"] = {**(spec.get("annotations") or {}), ANNOTATION: data}
    return ""


def remember(key: str, cache_dir: str, runtime: OciRuntime, container_id: str) -> None:
    """Keep the filter crun compiled for the container just created under *key*; does nothing when it cannot."""
    if not key:
        return
    try:
        data = read_bytes(f"{runtime.state_dir(container_id)}/seccomp.bpf")
        if not data or len(data) % _INSTRUCTION or len(data) > _MAX_INSTRUCTIONS * _INSTRUCTION:
            return
        make_dirs(cache_dir)
        _limit(cache_dir)
        atomic_write(f"{cache_dir}/{key}", binascii.b2a_base64(data, newline=False), 0o600, sync=False)
    except OSError:     # no file (another crun), no room: the next container compiles again
        return


def _cacheable(profile: dict[str, Any], annotations: dict[str, str]) -> bool:
    """Profiles that notify a listener are set up together with it, and a user's own annotation wins."""
    if any(name.startswith("run.oci.seccomp") for name in annotations):
        return False
    actions = [profile.get("defaultAction"), *(rule.get("action") for rule in profile.get("syscalls") or ())]
    return "listenerPath" not in profile and "SCMP_ACT_NOTIFY" not in actions


def _key(profile: dict[str, Any], program: str) -> str:
    """Names the compiled form of *profile*; empty when the program cannot be looked at."""
    try:
        crun = os.stat(program)
    except OSError:
        return ""
    try:
        libraries = os.stat("/etc/ld.so.cache").st_mtime_ns     # rewritten whenever a library is installed
    except OSError:
        libraries = 0
    system = os.uname()
    facts = [
        profile, system.machine, system.release, system.version, program, crun.st_mtime_ns, crun.st_size, crun.st_ino,
        libraries,
    ]
    return encoded(of_bytes(dumps(facts, sort_keys=True).encode("utf-8", "surrogateescape")))


def _read(path: str) -> str | None:
    """A cached filter in base64, or None. One that others could have written is not used."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022 or not stat.S_ISREG(status.st_mode):
            return None
        return read_all(fd).decode("ascii", "replace") or None
    finally:
        os.close(fd)


def _limit(cache_dir: str) -> None:
    """Start anew when profiles have piled up; each costs one compilation."""
    names = os.listdir(cache_dir)
    if len(names) >= _MAX_ENTRIES:
        for name in names:
            try:
                os.unlink(f"{cache_dir}/{name}")
            except FileNotFoundError:
                pass
