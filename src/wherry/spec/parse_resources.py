"""Resource limits: memory, block I/O, ulimits, sysctls, cgroup files."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.spec.container_spec import UlimitRequest
from wherry.spec.parse_values import integer, pairs, quote, size, unsigned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: names ``--ulimit`` takes (docker/go-units; ``as`` is left out on purpose there)
ULIMITS = (
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
).split()
_SYSCTLS = frozenset(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax kernel.shmmni "
    "kernel.shm_rmid_forced".split()
)
_RATE = (
    "invalid rate for device: {}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive "
    "integer. Unit is optional and can be kb, mb, or gb"
)
_COUNT = "invalid rate for device: {}. The correct format is <device-path>:<number>. Number must be a positive integer"


def memory(text: str) -> int | None:
    """Bytes; empty is unset."""
    return _named_size(text, "invalid value for memory") if text else None


def memory_swap(text: str) -> int | None:
    """Bytes of memory and swap together, -1 for unlimited; empty is unset."""
    return -1 if text == "-1" else memory(text)


def shm_size(text: str) -> int | None:
    return _named_size(text, "unable to translate --shm-size") if text else None


def shm_size_systemd(text: str) -> int | None:
    return _named_size(text, "unable to translate --shm-size-systemd") if text else None


def _named_size(text: str, message: str) -> int:
    try:
        return size(text)
    except InvalidArgument as error:
        raise InvalidArgument(f"{message}: {error.message}") from None


def pids_limit(value: int) -> int:
    """A 32-bit number; 0 and -1 are unlimited."""
    return integer(str(value), bits=32, base=10)


def blkio_weight(text: str) -> int | None:
    """10 to 1000; empty is unset."""
    if not text:
        return None
    try:
        return unsigned(text, 16)
    except InvalidArgument as error:
        raise InvalidArgument(f"invalid value for blkio-weight: {error.message}") from None


def blkio_weight_devices(texts: Sequence[str]) -> dict[str, int]:
    """``DEVICE:WEIGHT``, weight 0 or 10 to 1000."""
    out: dict[str, int] = {}
    for text in texts:
        path, value = _device_value(text)
        try:
            weight = unsigned(value)
        except InvalidArgument:
            raise InvalidArgument(f"invalid weight for device: {text}") from None
        if weight and not 10 <= weight <= 1000:
            raise InvalidArgument(f"invalid weight for device: {text}")
        out[path] = weight
    return out


def _device_value(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not colon:
        raise InvalidArgument(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise InvalidArgument(f"bad format for device path: {text}")
    return path, value


def byte_rates(texts: Sequence[str]) -> dict[str, int]:
    """``DEVICE:BYTES-PER-SECOND`` with units."""
    out: dict[str, int] = {}
    for text in texts:
        path, value = _device_value(text)
        try:
            out[path] = size(value)
        except InvalidArgument:
            raise InvalidArgument(_RATE.replace("{}", text)) from None
    return out


def operation_rates(texts: Sequence[str]) -> dict[str, int]:
    """``DEVICE:OPERATIONS-PER-SECOND``."""
    out: dict[str, int] = {}
    for text in texts:
        path, value = _device_value(text)
        try:
            out[path] = unsigned(value)
        except InvalidArgument:
            raise InvalidArgument(_COUNT.replace("{}", text)) from None
    return out


def ulimits(texts: Sequence[str]) -> list[UlimitRequest]:
    """``NAME=SOFT[:HARD]``; -1 is unlimited, ``RLIMIT_NOFILE`` the same as ``nofile``; ``host`` is all there is."""
    if "host" in texts:
        return [UlimitRequest(name="host")]
    return [_ulimit(text.lower().removeprefix("rlimit_")) for text in texts]


def _ulimit(text: str) -> UlimitRequest:
    try:
        return _parse_ulimit(text)
    except InvalidArgument as error:
        raise InvalidArgument(
            f"ulimit option {quote(text)} requires name=SOFT:HARD, failed to be parsed: {error.message}"
        ) from None


def _parse_ulimit(text: str) -> UlimitRequest:
    name, equals, values = text.partition("=")
    if not equals:
        raise InvalidArgument(f"invalid ulimit argument: {text}")
    if name not in ULIMITS:
        raise InvalidArgument(f"invalid ulimit type: {name}")
    parts = values.split(":")
    if len(parts) > 2:
        raise InvalidArgument(
            f"too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
        )
    hard = integer(parts[-1], base=10)
    soft = integer(parts[0], base=10)
    if hard != -1 and (soft == -1 or soft > hard):
        shown = f"soft: -1 (unlimited), hard: {hard}" if soft == -1 else f"{soft} > {hard}"
        raise InvalidArgument(f"ulimit soft limit must be less than or equal to hard limit: {shown}")
    return UlimitRequest(name=name, soft=soft, hard=hard)


def sysctls(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` of the kernel parameters that have a namespace."""
    out: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidArgument(f"{text} is invalid, sysctl values must be in the form of KEY=VALUE")
        if name.strip() != name or value.strip() != value:
            raise InvalidArgument(f"'{text}' is invalid, extra spaces found")
        if name not in _SYSCTLS and not name.startswith(("net.", "fs.mqueue.")):
            raise InvalidArgument(f"sysctl '{name}' is not allowed")
        out[name] = value
    return out


def cgroup_conf(texts: list[str]) -> dict[str, str]:
    """``KEY=VALUE`` written to files of a unified cgroup."""
    return pairs(texts, "--cgroup-conf must be formatted KEY=VALUE")


def cgroups(text: str) -> str:
    if text not in ("enabled", "disabled", "no-conmon", "split"):
        raise InvalidArgument(
            f"running container create option: invalid cgroup mode {quote(text)}: invalid argument"
        )
    return text
