"""Seccomp profiles: the rules file of containers/common turned into ``linux.seccomp`` of the OCI specification.

A rule of the file may apply only with, or without, certain capabilities and architectures; which rules are left is
decided here.  :func:`load` keeps the result, since the same few combinations are wanted again and again.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.jsontext import JSONError, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

UNCONFINED = "unconfined"
#: value of ``ContainerConfig.seccomp_profile`` that says the profile is in the image's label
IMAGE = "image"
IMAGE_LABEL = "io.containers.seccomp.profile"

_NATIVE = {
    "amd64": "SCMP_ARCH_X86_64",
    "arm64": "SCMP_ARCH_AARCH64",
    "mips64": "SCMP_ARCH_MIPS64",
    "mips64n32": "SCMP_ARCH_MIPS64N32",
    "mipsel64": "SCMP_ARCH_MIPSEL64",
    "mipsel64n32": "SCMP_ARCH_MIPSEL64N32",
    "s390x": "SCMP_ARCH_S390X",
}


def profile(text: str | bytes, capabilities: Sequence[str], architecture: str) -> dict[str, Any] | None:
    """``linux.seccomp`` for a container whose bounding set is *capabilities* on Go architecture *architecture*.

    None when the profile neither has a default action nor rules: it then allows everything.  Raises
    :class:`InvalidArgument`.
    """
    try:
        rules = loads(text)
    except JSONError as error:
        raise InvalidArgument(f"decoding seccomp profile failed: {error}") from None
    if not isinstance(rules, dict):
        raise InvalidArgument("decoding seccomp profile failed: not an object")
    if not rules.get("defaultAction") and not rules.get("syscalls"):
        return None
    out: dict[str, Any] = {"defaultAction": rules.get("defaultAction", "")}
    errno = _errno(rules.get("defaultErrno"), rules.get("defaultErrnoRet"))
    if errno is not None:
        out["defaultErrnoRet"] = errno
    architectures = _architectures(rules, architecture)
    if architectures:
        out["architectures"] = architectures
    for key in ("flags", "listenerPath", "listenerMetadata"):
        if rules.get(key):
            out[key] = rules[key]
    held = frozenset(capabilities)
    syscalls = [_syscall(rule) for rule in rules.get("syscalls") or () if _applies(rule, held, architecture)]
    if syscalls:
        out["syscalls"] = syscalls
    return out


def _architectures(rules: Mapping[str, Any], architecture: str) -> list[str]:
    plain, table = rules.get("architectures"), rules.get("archMap")
    if plain and table:
        raise InvalidArgument(
            "'architectures' and 'archMap' were specified in the seccomp profile, use either 'architectures' or "
            "'archMap'"
        )
    if plain:
        return list(plain)
    native = _NATIVE.get(architecture)
    for row in table or ():
        if row.get("architecture") == native:
            return [native, *(row.get("subArchitectures") or ())]
    return []


def _applies(rule: Mapping[str, Any], held: frozenset[str], architecture: str) -> bool:
    without, with_ = rule.get("excludes") or {}, rule.get("includes") or {}
    if architecture in (without.get("arches") or ()) or not held.isdisjoint(without.get("caps") or ()):
        return False
    if with_.get("arches") and architecture not in with_["arches"]:
        return False
    return held.issuperset(with_.get("caps") or ())


def _syscall(rule: Mapping[str, Any]) -> dict[str, Any]:
    names = rule.get("names")
    if rule.get("name"):
        if names:
            raise InvalidArgument(
                "'name' and 'names' were specified in the seccomp profile, use either 'name' or 'names'"
            )
        names = [rule["name"]]
    out: dict[str, Any] = {"names": names or [], "action": rule.get("action", "")}
    errno = _errno(rule.get("errno"), rule.get("errnoRet"))
    if errno is not None:
        out["errnoRet"] = errno
    if rule.get("args"):
        out["args"] = [_argument(argument) for argument in rule["args"]]
    return out


def _argument(argument: Mapping[str, Any]) -> dict[str, Any]:
    out = {"index": argument.get("index", 0), "value": argument.get("value", 0), "op": argument.get("op", "")}
    if argument.get("valueTwo"):
        out["valueTwo"] = argument["valueTwo"]
    return out


def _errno(name: str | None, number: int | None) -> int | None:
    """The errno given as ``ENOSYS`` or ``38``, else the older numeric key."""
    if not name:
        return number
    if name.isdecimal():
        return int(name)
    import errno

    value = getattr(errno, name, None)
    if not isinstance(value, int):
        raise InvalidArgument(f"unknown errno {name}")
    return value


def load(
    path: str, capabilities: Sequence[str], architecture: str, *, cache_dir: str = ""
) -> dict[str, Any] | None:
    """:func:`profile` of the file at *path*; remembered in *cache_dir* when that is given.

    The memory is keyed by the file's identity and by what decides the result, so it never needs to be cleared; that
    it cannot be written is not an error.
    """
    import os

    from wherry.sys.files import atomic_write, read_bytes

    try:
        found = os.stat(path)
        cache = ""
        if cache_dir:
            mask = hex(capability_mask(capabilities))
            cache = f"{cache_dir}/seccomp-{found.st_ino}-{found.st_mtime_ns}-{found.st_size}-{architecture}-{mask}.json"
            try:
                remembered: dict[str, Any] | None = loads(read_bytes(cache))
                return remembered
            except (OSError, JSONError):
                pass
        result = profile(read_bytes(path), capabilities, architecture)
    except OSError as error:
        raise _unreadable(error, path) from None
    except InvalidArgument as error:
        raise InvalidArgument(f"loading seccomp profile ({path}) failed: {error.message}") from None
    if cache:
        try:
            atomic_write(cache, dumps(result).encode(), 0o600, sync=False)
        except OSError:
            pass
    return result


def check(path: str) -> None:
    """Raise if the profile at *path* cannot be opened."""
    import os

    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise _unreadable(error, path) from None


def _unreadable(error: OSError, path: str) -> Exception:
    from wherry.errors import from_os_error

    error.filename = None
    return from_os_error(error, f"opening seccomp profile failed: open {path}")


def capability_mask(capabilities: Sequence[str]) -> int:
    """A number that is the same for the same set of capabilities in every process: their bits."""
    from wherry.sys.capabilities import ALL

    return sum(1 << ALL.index(name) for name in set(capabilities) if name in ALL)

