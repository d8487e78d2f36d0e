"""User and group id maps: ``--uidmap``, ``--gidmap`` and the maps of keep-id and nomap.

A map line says that *size* ids from *container_id* on are, in the namespace around the container, those from
*host_id* on.  "Parent" is the map of our own user namespace: its ids are what we can hand on.  Format and flags are
those of podman-run(1) ``--uidmap``: ``[flags]container_id:from_id[:amount]``, flags ``+ u g``, ``@`` for a from_id
counted outside our namespace.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.mount import IDMap
from wherry.spec.parse_values import quote, unsigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

UID = "UID"
GID = "GID"


def parse(texts: Sequence[str], kind: str, parent: Sequence[IDMap], *, rootless: bool = False) -> list[IDMap]:
    """The map the words of ``--uidmap`` (*kind* UID) or ``--gidmap`` (GID) describe, sorted, neighbours joined."""
    out: list[IDMap] = []
    fill = False
    for text in texts:
        if not text:
            continue
        words = text.split(":")
        if len(words) == 2:
            words.append("1")
        if len(words) % 3 or not all(words[at] for at in range(0, len(words), 3)):
            raise _malformed(kind, texts)
        for at in range(0, len(words), 3):
            flags, lines = _triple(words[at:at + 3], kind, parent)
            if not _applies(flags, kind):
                continue
            for line in lines:
                if not line.size:
                    continue
                if "+" not in flags:
                    out.append(line)
                    continue
                fill = fill or (not out and rootless)
                out = _insert(out, line)
    if fill:
        out = fill_gaps(out, available(out, parent))
    return join(out)


def _malformed(kind: str, texts: object) -> InvalidArgument:
    shown = " ".join(quote(text) for text in texts) if isinstance(texts, (list, tuple)) else quote(str(texts))
    return InvalidArgument(
        f'initializing ID mappings: {kind} setting is malformed expected ["[+ug]uint32:[@]uint32[:uint32]"] : [{shown}]'
    )


def _applies(flags: str, kind: str) -> bool:
    """Without ``u`` or ``g`` a line is for both kinds."""
    if "u" not in flags and "g" not in flags:
        return True
    return ("u" if kind == UID else "g") in flags


def _triple(words: Sequence[str], kind: str, parent: Sequence[IDMap]) -> tuple[str, list[IDMap]]:
    text = words[0]
    start = len(text) - len(text.lstrip("+ug"))
    flags, first = text[:start], text[start:]
    shown = "[" + " ".join(words) + "]"
    if not first:
        raise InvalidArgument(f"invalid mapping: {shown}, parsing flags")
    if not first[0].isdigit():
        raise InvalidArgument(f"invalid mapping: {shown}. Unknown flag {ord(first[0])}")
    if not words[1]:
        raise InvalidArgument(f"invalid empty host id at {kind} map: {shown}")
    container = _id(first, words[0])
    outside = words[1].startswith("@")
    host = _id(words[1].removeprefix("@"), words[1])
    size = _id(words[2], words[2])
    if not outside:
        return flags, [IDMap(container_id=container, host_id=host, size=size)]
    if not _applies(flags, kind):
        return flags, []
    return flags, _from_outside(container, host, size, kind, parent)


def _id(text: str, shown: str) -> int:
    try:
        return unsigned(text, 32)
    except InvalidArgument as error:
        raise InvalidArgument(f"parsing id map value {quote(shown)}: {error.message}") from None


def _from_outside(container: int, host: int, size: int, kind: str, parent: Sequence[IDMap]) -> list[IDMap]:
    """Lines for *size* ids counted outside our namespace, range by range of the parent map."""
    out = []
    while size > 0:
        for line in parent:
            if line.host_id <= host < line.host_id + line.size:
                count = min(size, line.host_id + line.size - host)
                out.append(
                    IDMap(container_id=container, host_id=line.container_id + host - line.host_id, size=count)
                )
                container, host, size = container + count, host + count, size - count
                break
        else:
            raise InvalidArgument(f"parent ID {kind} {host} is not mapped/delegated")
    return out


def _insert(lines: Sequence[IDMap], new: IDMap) -> list[IDMap]:
    """*lines* without whatever collides with *new* inside or outside the container, and *new* at the end."""
    out: list[IDMap] = []
    for line in lines:
        cuts = []
        for start in (new.container_id - line.container_id, new.host_id - line.host_id):
            low, high = max(start, 0), min(start + new.size, line.size)
            if low < high:
                cuts.append((low, high))
        at = 0
        for low, high in sorted(cuts):
            if low > at:
                out.append(_part(line, at, low))
            at = max(at, high)
        if at < line.size:
            out.append(_part(line, at, line.size))
    return [*out, new]


def _part(line: IDMap, low: int, high: int) -> IDMap:
    return IDMap(container_id=line.container_id + low, host_id=line.host_id + low, size=high - low)


def available(lines: Sequence[IDMap], parent: Sequence[IDMap]) -> list[tuple[int, int]]:
    """The ids of our namespace that *lines* leave unused, as half-open ranges in ascending order."""
    used = sorted((line.host_id, line.host_id + line.size) for line in lines)
    out: list[tuple[int, int]] = []
    for start, end in sorted((line.container_id, line.container_id + line.size) for line in parent):
        at = start
        for low, high in used:
            if high <= at or low >= end:
                continue
            if low > at:
                out.append((at, low))
            at = max(at, high)
        if at < end:
            out.append((at, end))
    return out


def fill_gaps(lines: Sequence[IDMap], ranges: Sequence[tuple[int, int]]) -> list[IDMap]:
    """Map container ids that have no line, from 0 upwards, to the ids of *ranges*, and what is left behind the last."""
    rest = list(ranges)
    out: list[IDMap] = []
    at = 0
    for line in sorted(lines, key=lambda line: line.container_id):
        while rest and at < line.container_id:
            at = _take(rest, at, line.container_id - at, out)
        out.append(line)
        at = line.container_id + line.size
    while rest:
        at = _take(rest, at, rest[0][1] - rest[0][0], out)
    return out


def _take(rest: list[tuple[int, int]], at: int, wanted: int, out: list[IDMap]) -> int:
    """Map up to *wanted* ids of the first range to container id *at*; returns the next free container id."""
    low, high = rest[0]
    size = min(wanted, high - low)
    out.append(IDMap(container_id=at, host_id=low, size=size))
    if low + size < high:
        rest[0] = (low + size, high)
    else:
        del rest[0]
    return at + size


def join(lines: Sequence[IDMap]) -> list[IDMap]:
    """Sorted by container id, consecutive lines that continue each other made one."""
    out: list[IDMap] = []
    for line in sorted(lines, key=lambda line: line.container_id):
        last = out[-1] if out else None
        if last is not None and (last.container_id + last.size, last.host_id + last.size) == (
            line.container_id, line.host_id
        ):
            out[-1] = last.replace(size=last.size + line.size)
        else:
            out.append(line)
    return out


def size_of(lines: Sequence[IDMap]) -> int:
    return sum(line.size for line in lines)


def keep_id(wanted: int, parent: Sequence[IDMap], maximum: int = 0) -> list[IDMap]:
    """The map that shows the user's own id (0 in our namespace) as *wanted*; at most *maximum* ids when not 0."""
    count = size_of(parent) - 1 if size_of(parent) > 1 else 0       # besides the user's own
    if maximum:
        count = min(count, maximum - 1)
    out = []
    if count and wanted:
        out.append(IDMap(container_id=0, host_id=1, size=min(wanted, count)))
    out.append(IDMap(container_id=wanted, host_id=0, size=1))
    if count > wanted:
        out.append(IDMap(container_id=wanted + 1, host_id=wanted + 1, size=count - wanted))
    return out


def no_map(parent: Sequence[IDMap]) -> list[IDMap]:
    """The map of all our ids but the user's own (0 in our namespace)."""
    count = size_of(parent) - 1
    return [IDMap(container_id=0, host_id=1, size=count)] if count > 0 else []


def to_oci(lines: Sequence[IDMap]) -> list[dict[str, int]]:
    """The OCI specification's spelling (config-linux.md "User namespace mappings")."""
    return [{"containerID": line.container_id, "hostID": line.host_id, "size": line.size} for line in lines]


def words_of(text: str, known: Sequence[str]) -> dict[str, list[str]]:
    """The ``key=value`` options behind ``auto:`` and ``keep-id:``."""
    out: dict[str, list[str]] = {}
    for word in text.split(",") if text else ():
        key, equals, value = word.partition("=")
        if not equals:
            raise InvalidArgument(f"invalid option specified: {quote(word)}")
        if key not in known:
            raise InvalidArgument(f"unknown option specified: {quote(key)}")
        out.setdefault(key, []).append(value)
    return out


def check_auto(text: str, uid_parent: Sequence[IDMap], gid_parent: Sequence[IDMap]) -> None:
    """Check the options of ``--userns=auto:..``: size, uidmapping, gidmapping."""
    words = words_of(text, ("size", "uidmapping", "gidmapping"))
    for value in words.get("size", ()):
        unsigned(value, 32)
    for key, kind, parent in (("uidmapping", UID, uid_parent), ("gidmapping", GID, gid_parent)):
        for value in words.get(key, ()):
            if len(value.split(":")) not in (2, 3):
                raise _malformed(kind, value)
            parse([value], kind, parent)


def split(lines: Sequence[IDMap], parent: Sequence[IDMap]) -> list[IDMap]:
    """*lines* cut where a range of *parent* ends: the kernel refuses a line that spans two (user_namespaces(7)).

    Lines that name ids the parent does not have are returned as they are; the runtime will say so.
    """
    out: list[IDMap] = []
    for line in lines:
        rest = line
        while rest.size > 0:
            room = next(
                (one.container_id + one.size - rest.host_id for one in parent
                 if one.container_id <= rest.host_id < one.container_id + one.size), 0,
            )
            if not room:
                return list(lines)
            count = min(room, rest.size)
            out.append(rest.replace(size=count))
            rest = _part(rest, count, rest.size)
    return out
