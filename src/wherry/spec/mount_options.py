"""The option words of mounts: which may stand together, and which are added when they are not said.

The rules are those of containers/common ``parse.ValidateVolumeOpts`` (what a user may write) and libpod
``util.ProcessOptions`` (what a mount finally gets).
"""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.spec.parse_values import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: words that set how mounts spread
PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable")

#: word -> (group of words of which only one may be given, how the message names the group)
_VOLUME_WORDS: dict[str, tuple[str, str]] = {
    "noexec": ("exec", "'noexec' or 'exec'"),
    "exec": ("exec", "'noexec' or 'exec'"),
    "nodev": ("dev", "'nodev' or 'dev'"),
    "dev": ("dev", "'nodev' or 'dev'"),
    "nosuid": ("suid", "'nosuid' or 'suid'"),
    "suid": ("suid", "'nosuid' or 'suid'"),
    "rw": ("rw", "'rw' or 'ro'"),
    "ro": ("rw", "'rw' or 'ro'"),
    "z": ("label", "'z', 'Z', or 'O'"),
    "Z": ("label", "'z', 'Z', or 'O'"),
    "O": ("label", "'z', 'Z', or 'O'"),
    "U": ("chown", "'U'"),
    "bind": ("bind", "'[r]bind'"),
    "rbind": ("bind", "'[r]bind'"),
    "copy": ("copy", "'copy' or 'nocopy'"),
    "nocopy": ("copy", "'copy' or 'nocopy'"),
    "no-dereference": ("link", "'no-dereference'"),
    **dict.fromkeys(PROPAGATION, ("propagation", "'[r]shared', '[r]private', '[r]slave' or '[r]unbindable'")),
}
_IGNORED = ("cached", "delegated")      # Docker words for another operating system; safe to drop


def check_volume(options: Sequence[str]) -> list[str]:
    """Check the option words of ``-v``; returns them without those that mean nothing here."""
    seen: set[str] = set()
    out: list[str] = []
    for word in options:
        if "upperdir" in word or "workdir" in word:
            group = "upperdir" if "upperdir" in word else "workdir"
            if group in seen:
                raise InvalidArgument(f"invalid options {_joined(options)}, can only specify 1 {group} per overlay")
            seen.add(group)
        elif word in _IGNORED:
            continue
        elif not word.startswith("idmap"):
            try:
                group, name = _VOLUME_WORDS[word]
            except KeyError:
                raise InvalidArgument(f"invalid option type {quote(word)}") from None
            if group in seen:
                raise InvalidArgument(f"invalid options {_joined(options)}, can only specify 1 {name} option")
            seen.add(group)
        out.append(word)
    return out


def _joined(options: Iterable[str]) -> str:
    return quote(", ".join(options))


def check_overlay(options: Sequence[str]) -> None:
    """The words that may accompany ``O``: ``U``, or ``upperdir=`` and ``workdir=`` together."""
    upper = any("upperdir" in word for word in options)
    work = any("workdir" in word for word in options)
    if upper != work:
        raise InvalidArgument("must set both `upperdir` and `workdir`")
    extra = len(options) - 1
    if (extra > 1 and not (extra == 2 and upper)) or (extra == 1 and not any("U" in word for word in options)):
        raise InvalidArgument("can't use 'O' with other options")


#: how messages end that complain of two mounts at one place
DUPLICATE = "duplicate mount destination"
_TWICE = "duplicate mount option passed"
_BAD = "invalid mount option"

#: word -> (group, message when the group is met twice, where the word is allowed: "" | "tmpfs" | "bind")
_FINAL_WORDS: dict[str, tuple[str, str, str]] = {
    "copy": ("copy", "only one of 'nocopy' and 'copy' can be used", ""),
    "nocopy": ("copy", "only one of 'nocopy' and 'copy' can be used", ""),
    "O": ("overlay", "", ""),
    "volume-opt": ("", "", ""),
    "exec": ("exec", "only one of 'noexec' and 'exec' can be used", ""),
    "noexec": ("exec", "only one of 'noexec' and 'exec' can be used", ""),
    "suid": ("suid", "only one of 'nosuid' and 'suid' can be used", ""),
    "nosuid": ("suid", "only one of 'nosuid' and 'suid' can be used", ""),
    "dev": ("dev", "only one of 'nodev' and 'dev' can be used", ""),
    "nodev": ("dev", "only one of 'nodev' and 'dev' can be used", ""),
    "rw": ("rw", "only one of 'rw' and 'ro' can be used", ""),
    "ro": ("rw", "only one of 'rw' and 'ro' can be used", ""),
    "size": ("size", "only one tmpfs size can be specified", "tmpfs"),
    "mode": ("mode", "only one tmpfs mode can be specified", "tmpfs"),
    "noswap": ("swap", "the 'tmpswap' option can only be set once", "tmpfs"),
    "noatime": ("", "", "tmpfs"),
    "tmpcopyup": ("copyup", "the 'tmpcopyup' or 'notmpcopyup' option can only be set once", "tmpfs"),
    "notmpcopyup": ("copyup", "the 'tmpcopyup' or 'notmpcopyup' option can only be set once", "tmpfs"),
    "bind": ("bind", "only one of 'rbind' and 'bind' can be used", "bind"),
    "rbind": ("bind", "only one of 'rbind' and 'bind' can be used", "bind"),
    "z": ("label", "only one of 'z' and 'Z' can be used", "bind"),
    "Z": ("label", "only one of 'z' and 'Z' can be used", "bind"),
    "U": ("chown", "the 'U' option can only be set once", ""),
    "no-dereference": ("link", "the 'no-dereference' option can only be set once", ""),
    **dict.fromkeys(PROPAGATION, ("propagation", "only one root propagation mode can be used", "")),
}
_PAIRS = {"bind": "'bind' and 'rbind' options are", "rbind": "'bind' and 'rbind' options are",
          "z": "'z' and 'Z' options are", "Z": "'z' and 'Z' options are"}


def complete(
    options: Sequence[str], *, tmpfs: bool, flags: Sequence[str] = ("nosuid", "nodev"), rootless: bool = False
) -> list[str]:
    """The options a bind or tmpfs mount gets in the OCI specification.

    *flags* are those of ``noexec nosuid nodev`` the source's file system has (for tmpfs and named volumes
    ``nosuid nodev``): they are kept unless the user says otherwise, because a user namespace may not lift them.
    """
    seen: set[str] = set()
    out: list[str] = []
    for word in options:
        key = word.partition("=")[0]
        if ("overlay" in seen and ("upperdir" in word or "workdir" in word)) or key.startswith("subpath"):
            out.append(word)
        elif key.startswith("idmap"):
            _once(seen, "idmap", "the 'idmap' option can only be set once")
            out.append(word)
        elif key != "consistency":
            _check_word(word, key, seen, tmpfs, rootless)
            if key != "notmpcopyup":
                out.append(word)
    recursive = "bind" not in out
    if "propagation" not in seen:
        out.append("rprivate" if recursive else "private")
    out.extend(flag for flag in flags if flag.removeprefix("no") not in seen)
    if tmpfs and "copyup" not in seen:
        out.append("tmpcopyup")
    if not tmpfs and "bind" not in seen:
        out.append("rbind")
    return out


def _once(seen: set[str], group: str, message: str) -> None:
    if group in seen:
        raise InvalidArgument(f"{message}: {_TWICE}")
    seen.add(group)


def _check_word(word: str, key: str, seen: set[str], tmpfs: bool, rootless: bool) -> None:
    try:
        group, message, only = _FINAL_WORDS[key]
    except KeyError:
        raise InvalidArgument(f"unknown mount option {quote(word)}: {_BAD}") from None
    if only == "tmpfs" and not tmpfs:
        raise InvalidArgument(f"the '{key}' option is only allowed with tmpfs mounts: {_BAD}")
    if only == "bind" and tmpfs:
        raise InvalidArgument(f"the {_PAIRS[key]} not allowed with tmpfs mounts: {_BAD}")
    if key == "noswap" and rootless:
        raise InvalidArgument(f"the 'noswap' option is only allowed with rootful tmpfs mounts: {_BAD}")
    if group == "overlay":
        seen.add(group)
    elif group:
        _once(seen, group, message)
