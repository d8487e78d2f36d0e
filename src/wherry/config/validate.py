"""Checks of containers.conf values that would otherwise fail long after start-up, in Podman's words."""

from __future__ import annotations

import os

from wherry.config.tables import InvalidConfiguration, size_in_bytes
from wherry.sys.limits import RLIMITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from wherry.config.tables import Merger

_ZONEINFO = ("/usr/share/zoneinfo", "/etc/zoneinfo")
_PULL_POLICIES = ("always", "missing", "ifmissing", "ifnotpresent", "newer", "ifnewer", "never")
_SMALLEST_LOG = 8192


def validate(mergers: dict[str, Merger]) -> None:
    """Check every value a file has set. Raises :class:`InvalidConfiguration` naming the file and the key."""
    for section, key, check in _CHECKS:
        merger = mergers[section]
        if key in merger.origins:
            complaint = check(merger.values[key])
            if complaint:
                raise InvalidConfiguration(
                    f"validating {section} config {merger.origins[key]}: {key}: {complaint}"
                )
    _check_runtimes(mergers["engine"])


def check_subnet(text: str) -> str:
    """A complaint about a subnet in CIDR notation, or an empty text."""
    import _socket

    address, slash, prefix = text.partition("/")
    for family, bits in ((_socket.AF_INET, 32), (_socket.AF_INET6, 128)):
        try:
            _socket.inet_pton(family, address)
        except OSError:
            continue
        if slash and prefix.isdigit() and int(prefix) <= bits:
            return ""
    return f"invalid CIDR address: {text}"


def _one_of(*words: str, text: str = "unsupported value {!r}, want one of {}") -> Callable[[str], str]:
    return lambda value: "" if value in words else text.format(value, ", ".join(word for word in words if word))


def _absolute(what: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        return "" if not value or value.startswith("/") else f'{what} must be an absolute path - instead got "{value}"'

    return check


def _ulimits(values: Sequence[str]) -> str:
    for value in values:
        name, equals, numbers = value.partition("=")
        parts = numbers.split(":")
        if name not in RLIMITS:
            return f"unrecognized ulimit {value}: invalid ulimit type: {name}"
        if not equals or len(parts) > 2 or not all(_is_integer(part) for part in parts):
            return f"unrecognized ulimit {value}: invalid ulimit argument: {value}"
        soft, hard = int(parts[0]), int(parts[-1])
        if hard >= 0 and (soft > hard or soft < 0):
            return f"unrecognized ulimit {value}: ulimit soft limit must be less than or equal to hard limit"
    return ""


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdigit() and (text == "-1" or text[0] != "-")


def _devices(values: Sequence[str]) -> str:
    for value in values:
        if not value.startswith("/"):       # a CDI name: vendor/class=name
            if "=" not in value:
                return f"invalid device specification: {value}"
            continue
        parts = value.split(":")
        if len(parts) > 3:
            return f"invalid device specification: {value}"
        if len(parts) == 3 and not _is_mode(parts[2]):
            return f"invalid device mode: {parts[2]}"
        if len(parts) == 2 and not _is_mode(parts[1]) and not parts[1].startswith("/"):
            return f"invalid device mode: {parts[1]}"
    return ""


def _is_mode(text: str) -> bool:
    return 0 < len(text) == len(set(text)) and set(text) <= set("rwm")


def _timezone(value: str) -> str:
    if value in ("", "local") or any(os.path.exists(f"{root}/{value}") for root in _ZONEINFO):
        return ""
    return f"find timezone {value} in paths: {', '.join(_ZONEINFO)}"


def _umask(value: str) -> str:
    octal = len(value) in (3, 4) and set(value) <= set("01234567")
    return "" if octal else f"not a valid umask {value}"


def _log_size(value: int) -> str:
    return "" if value < 0 or value >= _SMALLEST_LOG else f"log size max should be negative or >= {_SMALLEST_LOG}"


def _shm_size(value: str) -> str:
    try:
        size_in_bytes("", "", value, 1024)
    except InvalidConfiguration:
        return f"invalid --shm-size {value}, \"invalid size: '{value}'\""
    return ""


def _subnet_pools(pools: Sequence[Any]) -> str:
    for pool in pools:
        complaint = check_subnet(pool.base)
        if complaint:
            return complaint
        prefix = int(pool.base.partition("/")[2])
        if not 0 <= pool.size <= 32:
            return "invalid subnet pool size, must be between 0-32"
        if ":" in pool.base:
            return "invalid subnet pool ip, must be ipv4"
        if pool.size < prefix:
            return f"invalid subnet pool, size is bigger than subnet {pool.base!r}"
    return ""


def _check_runtimes(engine: Merger) -> None:
    known = engine.get("runtimes")
    for name in engine.get("runtimes_flags"):
        if name not in known:
            raise InvalidConfiguration(
                f"validating engine config {engine.origins['runtimes_flags']}: runtimes_flags: "
                f"the OCI runtime {name!r} is not defined in engine.runtimes"
            )


def _not_negative(value: int) -> str:
    return "" if value >= 0 else f"must not be negative: {value}"


def _duration(value: str) -> str:
    from wherry.errors import InvalidArgument
    from wherry.model.timespec import parse_duration

    try:
        return "must not be negative" if value and parse_duration(value) < 0 else ""
    except InvalidArgument as error:
        return error.message


def _web_address(value: str) -> str:
    good = not value or value.startswith(("http://", "https://"))
    return "" if good else f'must be an http or https URL - instead got "{value}"'


_CHECKS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("containers", "default_ulimits", _ulimits),
    ("containers", "devices", _devices),
    ("containers", "interface_name", _one_of("", "device", text="invalid interface_name option {}")),
    ("containers", "tz", _timezone),
    ("containers", "umask", _umask),
    ("containers", "log_path", _absolute("log_path")),
    ("containers", "log_size_max", _log_size),
    ("containers", "shm_size", _shm_size),
    ("engine", "static_dir", _absolute("static directory")),
    ("engine", "tmp_dir", _absolute("temporary directory")),
    ("engine", "volume_path", _absolute("volume path")),
    ("engine", "image_volume_mode",
     _one_of("anonymous", "bind", "tmpfs", "ignore", text='invalid image volume mode "{}" required value: {}')),
    ("engine", "pull_policy", _one_of(
        *_PULL_POLICIES, text='invalid pull type from containers.conf "{0}": unsupported pull policy "{0}"')),
    ("engine", "database_backend",
     _one_of("", "sqlite", "boltdb", text='unsupported database backend: "{}", want one of {}')),
    ("engine", "cgroup_manager", _one_of("systemd", "cgroupfs")),
    ("engine", "events_logger", _one_of("file", "journald", "none", text="unknown event logger type: {}")),
    ("wherry.auto_update", "keep_images", _not_negative),
    ("wherry.auto_update", "allowed_restarts", _not_negative),
    ("wherry.auto_update", "window", _duration),
    ("wherry.auto_update", "notify_url", _web_address),
    ("network", "default_subnet", check_subnet),
    ("network", "default_subnet_pools", _subnet_pools),
)
