"""Resource limits of this process (getrlimit(2)) under the names ``--ulimit`` uses."""

from __future__ import annotations

#: name -> resource number.  The numbers are those of most architectures' kernels (asm-generic/resource.h).
RLIMITS = {
    "cpu": 0, "fsize": 1, "data": 2, "stack": 3, "core": 4, "rss": 5, "nproc": 6, "nofile": 7, "memlock": 8, "as": 9,
    "locks": 10, "sigpending": 11, "msgqueue": 12, "nice": 13, "rtprio": 14, "rttime": 15,
}

UNLIMITED = -1


def rlimit(name: str) -> tuple[int, int]:
    """(soft, hard) of *name*, -1 meaning unlimited. Raises :class:`KeyError` for an unknown name."""
    import resource

    return resource.getrlimit(RLIMITS[name])


def can_raise() -> bool:
    """May this process raise hard limits? That takes CAP_SYS_RESOURCE outside any user namespace."""
    from wherry.sys.capabilities import effective
    from wherry.sys.identity import in_user_namespace

    return "CAP_SYS_RESOURCE" in effective() and not in_user_namespace()


def clamp(name: str, soft: int, hard: int) -> tuple[int, int]:
    """The nearest (soft, hard) to those wanted that this process may give a child."""
    if can_raise():
        return soft, hard
    ceiling = rlimit(name)[1]
    return _lower(soft, ceiling), _lower(hard, ceiling)


def _lower(value: int, ceiling: int) -> int:
    if ceiling == UNLIMITED:
        return value
    return ceiling if value == UNLIMITED else min(value, ceiling)
