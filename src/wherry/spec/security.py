"""Capabilities, and the paths of /proc and /sys that are hidden from a container or shown read-only."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.spec.parse_values import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: hidden: what tells about the host or its other containers (containers/common ``DefaultMaskedPaths``)
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
    "/proc/interrupts",
)
#: shown but not writable (containers/common ``DefaultReadOnlyPaths``)
READ_ONLY_PATHS = ("/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
#: image label that names the only capabilities the image needs
CAPABILITIES_LABELS = ("io.containers.capabilities",)
ALL = "ALL"


def normalize(names: Iterable[str], known: Sequence[str]) -> list[str]:
    """Capability names in upper case with their ``CAP_`` prefix, sorted; ``ALL`` stays."""
    out = []
    for name in names:
        name = name.upper()
        if name != ALL and not name.startswith("CAP_"):
            name = "CAP_" + name
        if name != ALL and name not in known:
            raise InvalidArgument(f"{quote(name)}: unknown capability")
        out.append(name)
    return sorted(out)


def merge(
    base: Iterable[str], add: Iterable[str], drop: Iterable[str], *, known: Sequence[str], bounding: Sequence[str]
) -> list[str]:
    """*base* with the capabilities of *add* and without those of *drop*, sorted.

    ``ALL`` dropped leaves what is added; ``ALL`` added is the bounding set.  A capability both added and dropped by
    name is an error.
    """
    names = normalize(base, known)
    added, dropped = normalize(add, known), normalize(drop, known)
    if not added and not dropped:
        return names
    if ALL in dropped:
        if ALL in added:
            raise InvalidArgument("adding all caps and removing all caps not allowed")
        return added
    if ALL in added:
        return sorted(name for name in bounding if name not in dropped)
    for name in added:
        if name in dropped:
            raise InvalidArgument(f"capability {quote(name)} cannot be dropped and added")
    return sorted({*(name for name in names if name not in dropped), *added})


def is_masked(path: str, unmask: Sequence[str]) -> bool:
    """Does *path* stay hidden when the patterns of *unmask* are shown? ``ALL`` shows everything."""
    for word in unmask:
        if word.lower() == "all":
            return False
        for pattern in word.split(":"):
            if pattern == path or (("*" in pattern or "?" in pattern or "[" in pattern) and _matches(pattern, path)):
                return False
    return True


def _matches(pattern: str, path: str) -> bool:
    """Go's ``filepath.Match``: wildcards do not cross a slash."""
    from fnmatch import fnmatchcase

    parts, names = pattern.split("/"), path.split("/")
    return len(parts) == len(names) and all(map(fnmatchcase, names, parts))
