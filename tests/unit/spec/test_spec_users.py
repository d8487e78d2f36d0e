"""Users and groups out of passwd and group texts."""

import pytest

from wherry.errors import InvalidArgument
from wherry.model.mount import IDMap
from wherry.spec import users
from wherry.spec.users import ExecUser, Group, User, UserNotFound

PASSWD = """# comment
root:x:0:0:root:/root:/bin/sh
web:x:1000:1001:The Web:/home/web:/bin/sh

again:x:1000:5:second with the id:/again:/bin/sh
short:x:7
broken:x:many:few::/b:/bin/sh
1234:x:4321:1::/num:/bin/sh
"""
GROUP = """root:x:0:
wheel:x:10:root,web
audio:x:29:web
twice:x:29:
"""


@pytest.mark.parametrize(("spec", "user"), [
    ("", ExecUser(uid=0, gid=0, groups=[10], home="/root", name="root")),
    ("root", ExecUser(uid=0, gid=0, groups=[10], home="/root", name="root")),
    ("0", ExecUser(uid=0, gid=0, groups=[10], home="/root", name="root")),
    ("web", ExecUser(uid=1000, gid=1001, groups=[10, 29], home="/home/web", name="web")),
    ("1000", ExecUser(uid=1000, gid=1001, groups=[10, 29], home="/home/web", name="web")),
    ("web:audio", ExecUser(uid=1000, gid=29, groups=[], home="/home/web", name="web")),
    ("web:29", ExecUser(uid=1000, gid=29, groups=[], home="/home/web", name="web")),
    ("web:77", ExecUser(uid=1000, gid=77, groups=[], home="/home/web", name="web")),
    (":29", ExecUser(uid=0, gid=29, groups=[], home="/root", name="root")),
    ("555", ExecUser(uid=555, gid=0, groups=[], home="", name="")),
    ("555:666", ExecUser(uid=555, gid=666, groups=[], home="", name="")),
    ("1234", ExecUser(uid=1234, gid=0, groups=[], home="", name="")),          # a number is never a name
    ("short", ExecUser(uid=7, gid=0, groups=[], home="", name="short")),
])
def test_resolve(spec, user):
    assert users.resolve(spec, PASSWD, GROUP) == user


def test_resolve_without_files():
    assert users.resolve("", "", "") == ExecUser(uid=0, gid=0, groups=[], home="", name="")
    assert users.resolve("5:6", "", "") == ExecUser(uid=5, gid=6, groups=[], home="", name="")


@pytest.mark.parametrize(("spec", "message"), [
    ("nobody", "unable to find user nobody: no matching entries in passwd file"),
    ("web:nogroup", "unable to find group nogroup: no matching entries in group file"),
])
def test_not_listed(spec, message):
    with pytest.raises(UserNotFound) as caught:
        users.resolve(spec, PASSWD, GROUP)
    assert str(caught.value) == message
    assert caught.value.exit_code == 126


@pytest.mark.parametrize("spec", ["2147483648", "-1", "1:2147483648", "1:-1"])
def test_out_of_range(spec):
    with pytest.raises(InvalidArgument, match="uids and gids must be in range 0-2147483647"):
        users.resolve(spec, PASSWD, GROUP)


def test_group_ids():
    assert users.group_ids(["wheel", "29", "77", "wheel"], GROUP) == [10, 29, 77]
    with pytest.raises(UserNotFound, match="Unable to find group ghost: no matching entries in group file"):
        users.group_ids(["ghost"], GROUP)
    with pytest.raises(InvalidArgument, match="must be in range"):
        users.group_ids(["-5"], GROUP)


def test_find():
    assert users.find_user(PASSWD, "web") == User(
        name="web", uid=1000, gid=1001, gecos="The Web", home="/home/web", shell="/bin/sh"
    )
    assert users.find_user(PASSWD, "ghost") is None
    assert users.find_group(GROUP, "29") == Group(name="audio", gid=29, members=["web"])
    assert users.find_group(GROUP, "twice") == Group(name="twice", gid=29, members=[])


@pytest.mark.parametrize(("spec", "line"), [
    ("555", "555:*:555:0:container user:/srv:/bin/sh\n"),
    ("555:666", "555:*:555:666:container user:/srv:/bin/sh\n"),
    ("555:audio", "555:*:555:29:container user:/srv:/bin/sh\n"),
    ("1000", ""), ("web", ""), ("ghost", ""), ("", ""),
])
def test_passwd_line(spec, line):
    assert users.passwd_line(spec, PASSWD, GROUP, workdir="/srv") == line


def test_passwd_line_variants():
    template = "$USERNAME:$UID:$GID:$NAME:$HOME"
    line = users.passwd_line("555", PASSWD, GROUP, workdir="/srv", template=template)
    assert line == "555:555:0:container user:/srv\n"
    host = User(name="anna", uid=555, gid=1, gecos="Anna")
    line = users.passwd_line("555", PASSWD, GROUP, workdir="/srv", host_user=host)
    assert line == "anna:*:555:0:Anna:/srv:/bin/sh\n"
    assert users.passwd_line("555", PASSWD, GROUP, workdir="/srv", added=(555,)) == ""
    with pytest.raises(UserNotFound, match="unable to get gid ghost from group file"):
        users.passwd_line("555:ghost", PASSWD, GROUP, workdir="/srv")


def test_host_user_line():
    anna = User(name="anna", uid=555, gid=5, gecos="Anna")
    assert users.host_user_line(anna, PASSWD, home="/h") == "anna:*:555:5:Anna:/h:/bin/sh\n"
    assert users.host_user_line(anna, PASSWD, home="/h", template="$USERNAME:$HOME") == "anna:/h\n"
    assert users.host_user_line(anna.replace(uid=1000), PASSWD, home="/h") == ""
    assert users.host_user_line(anna.replace(name="web"), PASSWD, home="/h") == ""


@pytest.mark.parametrize(("spec", "line"), [
    ("555:666", "666:x:666:555\n"), ("web:666", "666:x:666:web\n"), ("555:29", ""), ("555:audio", ""), ("555", ""),
    ("", ""),
])
def test_group_line(spec, line):
    assert users.group_line(spec, GROUP) == line


def test_group_line_variants():
    assert users.group_line("5:666", GROUP, template="g$GID:x:$GID:$USERLIST$GROUPNAME") == "g666:x:666:\n"
    assert users.group_line("5:666", GROUP, added=(666,)) == ""
    assert users.group_line("5", "", template="") == "0:x:0:5\n"
    group = Group(name="anna", gid=555)
    assert users.host_group_line(group, "anna", GROUP) == "anna:x:555:anna\n"
    assert users.host_group_line(group.replace(gid=29), "anna", GROUP) == ""
    assert users.host_group_line(group.replace(name="wheel"), "anna", GROUP) == ""


def test_sub_id_ranges():
    text = "ship:100000:65536\nother:1:2\nship:500000:10\nship:bad:10\nship:1\n"
    assert users.sub_id_ranges(text, "ship") == [
        IDMap(container_id=0, host_id=100000, size=65536), IDMap(container_id=65536, host_id=500000, size=10)
    ]
