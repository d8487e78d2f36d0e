"""Linux signal names and numbers (signal(7); RTMIN is 34 and RTMAX 64 as glibc has them)."""

from __future__ import annotations

from wherry.errors import InvalidArgument

_PLAIN = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split()
_RTMIN = 34
_RTMAX = 64
_MIDDLE = 49            # RTMIN+15 is the last counted from below, RTMAX-14 the first from above

NUMBERS: dict[str, int] = {name: number for number, name in enumerate(_PLAIN, 1)}
NUMBERS.update(CLD=17, IOT=6, POLL=29, RTMIN=_RTMIN, RTMAX=_RTMAX)
NUMBERS.update({f"RTMIN+{number - _RTMIN}": number for number in range(_RTMIN + 1, _MIDDLE + 1)})
NUMBERS.update({f"RTMAX-{_RTMAX - number}": number for number in range(_MIDDLE + 1, _RTMAX)})


def parse(text: str) -> int:
    """The number of a signal given as ``9``, ``KILL``, ``SIGKILL``, ``sigrtmin+3``, optionally with a leading dash."""
    word = text.removeprefix("-")
    if word.lstrip("+-").isdecimal():
        number = int(word)
        if not number:
            raise InvalidArgument(f"invalid signal: {word}")
        if not 1 <= number <= _RTMAX:
            raise InvalidArgument("valid signals are 1 through 64")
        return number
    try:
        return NUMBERS[word.upper().removeprefix("SIG")]
    except KeyError:
        raise InvalidArgument(f"invalid signal: {word}") from None


def name(number: int) -> str:
    """``SIGTERM`` for 15; the number itself when it has no name."""
    for known, value in NUMBERS.items():
        if value == number:
            return "SIG" + known
    return str(number)
