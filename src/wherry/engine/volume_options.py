"""What ``-o`` of ``volume create`` means: options of the local driver taken apart (libpod ``VolumeOptions``)."""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument
from wherry.model.record import EMPTY, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

LOCAL = "local"
#: What may stand left of an equals sign; the words in capitals are ours, kept for inspect.
_KNOWN = frozenset(("device", "o", "type", "uid", "gid", "size", "inodes", "noquota", "copy", "nocopy"))
#: Options that say something of the volume and need nothing mounted.
_NOT_MOUNTED = frozenset(("UID", "GID", "SIZE", "INODES", "NOQUOTA", "copy", "nocopy"))


class LocalOptions(Record):
    """Options as they are stored, and what was found among the words of ``o``."""

    options: Mapping[str, str] = EMPTY
    uid: int | None = None
    gid: int | None = None
    size: int = 0                   # bytes, 0 = unlimited
    inodes: int = 0
    no_quota: bool = False
    timeout: int | None = None      # seconds a plugin may take to answer


def read(words: Sequence[str]) -> dict[str, str]:
    """``key=value`` words as a mapping; ``o=`` given several times adds up. Raises ``InvalidArgument``."""
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key:
            raise InvalidArgument(f'invalid option "{word}": must be in the form key=value: invalid argument')
        if key == "o" and "o" in options:
            options[key] += "," + value
        else:
            options[key] = value if equals else ""
    return options


def plugin_options(given: Mapping[str, str]) -> LocalOptions:
    """Options of a volume of a plugin: all its own but ``timeout`` in ``o``. Raises ``InvalidArgument``."""
    options = dict(given)
    timeout = None
    words = options.pop("o", "").split(",")
    for word in words:
        if word.lower().startswith("timeout="):
            value = word.partition("=")[2]
            if not value.isdecimal():
                raise InvalidArgument(f"cannot convert Timeout {value} to an integer")
            timeout = int(value)
    rest = [word for word in words if word and not word.lower().startswith("timeout=")]
    if rest:
        options["o"] = ",".join(rest)
    return LocalOptions(options=options, timeout=timeout)


def local_options(given: Mapping[str, str]) -> LocalOptions:
    """Check the options of a volume of the local driver.

    Raises ``InvalidArgument`` for an option or value that does not exist, and for limits of what is mounted.
    """
    found: dict[str, Any] = {}
    options: dict[str, str] = {}
    for key, value in given.items():
        if key.lower() not in _KNOWN:
            raise InvalidArgument(f"invalid mount option {key} for driver 'local': invalid argument")
        if key == "o":
            rest = [word for word in value.split(",") if not _special(word, found, options)]
            if rest and rest != [""]:
                options["o"] = ",".join(rest)
        else:
            options[key] = value
    kind = options.get("type", "").lower()
    if kind == "bind" and not os.path.exists(options.get("device", "")):
        raise InvalidArgument(
            f"invalid volume option device for driver 'local': stat {options.get('device', '')}: "
            "no such file or directory"
        )
    if ("size" in found or "inodes" in found) and not found.get("no_quota"):
        _check_limits(kind, options)
    return LocalOptions(options=options, **found)


def _check_limits(kind: str, options: dict[str, str]) -> None:
    """A limit is the mount's own with tmpfs and the file system's below the volume path; other mounts have none."""
    if kind == "tmpfs":
        words = [options["o"]] if options.get("o") else []
        words += [
            f"{name}={options[key]}" for key, name in (("SIZE", "size"), ("INODES", "nr_inodes")) if key in options
        ]
        options["o"] = ",".join(words)
    elif needs_mount(options):
        raise InvalidArgument(
            "volume options size and inodes cannot be used for a volume that something else is mounted on: "
            "invalid argument"
        )


def _special(word: str, found: dict[str, Any], options: dict[str, str]) -> bool:
    """Is *word* of ``o`` one that is ours and not the mount's?"""
    name, _equals, value = word.partition("=")
    name = name.lower()
    if name in ("uid", "gid", "inodes"):
        if not value.isdecimal():
            raise InvalidArgument(
                f"cannot convert {name.upper()} {value} to integer: strconv.Atoi: parsing \"{value}\": invalid syntax"
            )
        found[name] = int(value)
    elif name == "size":
        from wherry.spec.parse_values import size_decimal

        found[name] = size_decimal(value)
    elif name == "timeout":
        raise InvalidArgument(
            "running volume create option: Volume driver timeout can only be used with non-local volume drivers: "
            "invalid argument"
        )
    elif name == "noquota":
        found["no_quota"] = True
    else:
        return False
    options[name.upper()] = value or "true"
    return True


def needs_mount(options: Mapping[str, str]) -> bool:
    """Must something be mounted on the volume's directory before it is used?"""
    return any(key not in _NOT_MOUNTED for key in options)
