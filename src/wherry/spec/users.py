"""Users and groups from the text of passwd and group files (passwd(5), group(5)): pure look-up.

The engine reads the files below the container's root, safely; here they are only text.  The rules are those of
moby/sys ``user.GetExecUser``: a number always means an id, an id need not be listed, the first match wins.
"""

from __future__ import annotations

from wherry.errors import NOT_FOUND, InvalidArgument, WherryError
from wherry.model.mount import IDMap
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_ID = (1 << 31) - 1
_RANGE = f"uids and gids must be in range 0-{MAX_ID}"


class UserNotFound(WherryError):
    """The container's passwd or group file does not list who was asked for; exit code 126 as Podman has it."""

    kind = NOT_FOUND

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=126)


class User(Record):
    """A line of passwd."""

    name: str = ""
    uid: int = 0
    gid: int = 0
    gecos: str = ""
    home: str = ""
    shell: str = ""


class Group(Record):
    """A line of group."""

    name: str = ""
    gid: int = 0
    members: Sequence[str] = ()


class ExecUser(Record):
    """Who a process runs as."""

    uid: int = 0
    gid: int = 0
    groups: Sequence[int] = ()          # supplementary
    home: str = ""
    name: str = ""                      # empty when passwd does not list the id


def _rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            yield line.split(":")


def _number(text: str) -> int | None:
    """A decimal number with optional sign, or None (Go's ``strconv.Atoi``)."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    return int(text) if digits.isdecimal() and digits.isascii() else None


def users(text: str) -> Iterator[User]:
    """The users of a passwd file; a missing or unreadable number counts as 0, as glibc's parser has it."""
    for row in _rows(text):
        name, _password, uid, gid, gecos, home, shell, *_ = (*row, *[""] * 7)
        yield User(name=name, uid=_number(uid) or 0, gid=_number(gid) or 0, gecos=gecos, home=home, shell=shell)


def groups(text: str) -> Iterator[Group]:
    """The groups of a group file."""
    for row in _rows(text):
        name, _password, gid, members, *_ = (*row, *[""] * 4)
        yield Group(name=name, gid=_number(gid) or 0, members=[word for word in members.split(",") if word])


def find_user(text: str, wanted: str) -> User | None:
    """The first user with that name, or with that id when *wanted* is a number."""
    uid = _number(wanted)
    for user in users(text):
        if user.uid == uid if uid is not None else user.name == wanted:
            return user
    return None


def find_group(text: str, wanted: str) -> Group | None:
    gid = _number(wanted)
    for group in groups(text):
        if group.gid == gid if gid is not None else group.name == wanted:
            return group
    return None


def resolve(spec: str, passwd: str, group: str) -> ExecUser:
    """Who ``user[:group]`` is; an empty *spec* is root.

    Without an explicit group the user's own and the groups that list it count.  Raises :class:`UserNotFound` for a
    name that is not listed and :class:`InvalidArgument` for an id out of range.
    """
    wanted, _, wanted_group = spec.partition(":")
    found = find_user(passwd, wanted or "0")
    uid, gid, home, name = 0, 0, "", ""
    if found is not None:
        uid, gid, home, name = found.uid, found.gid, found.home, found.name
    elif wanted:
        uid = _listed_number(wanted, "user", "passwd")
    extra: list[int] = []
    if wanted_group:
        listed = find_group(group, wanted_group)
        gid = listed.gid if listed is not None else _listed_number(wanted_group, "group", "group")
    elif name:
        extra = [one.gid for one in groups(group) if name in one.members]
    return ExecUser(uid=uid, gid=gid, groups=extra, home=home, name=name)


def _listed_number(text: str, what: str, file: str) -> int:
    """The number *text* is; a name ends here because no line has it."""
    number = _number(text)
    if number is None:
        raise UserNotFound(f"unable to find {what} {text}: no matching entries in {file} file")
    if not 0 <= number <= MAX_ID:
        raise InvalidArgument(_RANGE, exit_code=126)
    return number


def group_ids(wanted: Sequence[str], group: str) -> list[int]:
    """The ids of groups given by name or number (``--group-add``), each once, in order."""
    out: list[int] = []
    for text in wanted:
        for one in groups(group):
            if text in (one.name, str(one.gid)):
                gid = one.gid
                break
        else:
            number = _number(text)
            if number is None:
                raise UserNotFound(f"Unable to find group {text}: no matching entries in group file")
            if not 0 <= number <= MAX_ID:
                raise InvalidArgument(_RANGE, exit_code=126)
            gid = number
        if gid not in out:
            out.append(gid)
    return out


def passwd_line(
    spec: str, passwd: str, group: str, *, workdir: str, template: str = "", host_user: User | None = None,
    added: Iterable[int] = (),
) -> str:
    """The line passwd needs for a user given as a number it does not list; empty when it needs none.

    *template* is ``--passwd-entry``; *host_user* lends its name when the host knows the id; *added* are ids other
    lines already brought.
    """
    wanted, _, wanted_group = spec.partition(":")
    uid = _number(wanted)
    if uid is None or uid in added or find_user(passwd, wanted) is not None:
        return ""
    gid = _group_id(wanted_group, group) if wanted_group else 0
    if template:
        return fill_template(template, str(uid), uid, gid, "container user", workdir)
    name, gecos = (host_user.name, host_user.gecos) if host_user is not None else (str(uid), "container user")
    return f"{name}:*:{uid}:{gid}:{gecos}:{workdir}:/bin/sh\n"


def _group_id(text: str, group: str) -> int:
    number = _number(text)
    if number is not None:
        return number
    listed = find_group(group, text)
    if listed is None:
        raise UserNotFound(f"unable to get gid {text} from group file: no matching entries in group file")
    return listed.gid


def host_user_line(user: User, passwd: str, *, home: str, template: str = "") -> str:
    """The line for a user of the host (``--hostuser``, keep-id); empty when name or id is listed already."""
    if find_user(passwd, str(user.uid)) is not None or any(one.name == user.name for one in users(passwd)):
        return ""
    if template:
        return fill_template(template, user.name, user.uid, user.gid, user.gecos, home)
    return f"{user.name}:*:{user.uid}:{user.gid}:{user.gecos}:{home}:/bin/sh\n"


def fill_template(template: str, username: str, uid: int, gid: int, name: str, home: str) -> str:
    """``--passwd-entry`` with its words ``$USERNAME $UID $GID $NAME $HOME`` replaced."""
    for word, value in (
        ("$USERNAME", username), ("$UID", str(uid)), ("$GID", str(gid)), ("$NAME", name), ("$HOME", home),
    ):
        template = template.replace(word, value)
    return template + "\n"


def group_line(spec: str, group: str, *, template: str = "", added: Iterable[int] = ()) -> str:
    """The line group needs for a group given as a number it does not list; empty when it needs none."""
    if not spec and not template:
        return ""
    user, colon, wanted = spec.partition(":")
    wanted = wanted if colon else "0"
    gid = _number(wanted)
    if gid is None or gid in added or find_group(group, wanted) is not None:
        return ""
    if template:
        line = template.replace("$GROUPNAME", "").replace("$GID", str(gid)).replace("$USERLIST", "")
        return line + "\n"
    return f"{gid}:x:{gid}:{user}\n"


def host_group_line(host_group: Group, username: str, group: str) -> str:
    """The line for the group of the calling user (keep-id); empty when name or id is listed already."""
    if find_group(group, str(host_group.gid)) is not None or any(one.name == host_group.name for one in groups(group)):
        return ""
    return f"{host_group.name}:x:{host_group.gid}:{username}\n"


def sub_id_ranges(text: str, name: str) -> list[IDMap]:
    """The ranges of *name* in a subuid or subgid file (subuid(5)), mapped to container ids from 0 upwards."""
    out: list[IDMap] = []
    at = 0
    for row in _rows(text):
        if len(row) == 3 and row[0] == name and row[1].isdecimal() and row[2].isdecimal():
            out.append(IDMap(container_id=at, host_id=int(row[1]), size=int(row[2])))
            at += int(row[2])
    return out
