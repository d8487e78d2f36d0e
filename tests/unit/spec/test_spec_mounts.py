"""``-v``, ``--mount``, ``--tmpfs`` and the option words of mounts."""

import os

import pytest

from wherry.errors import InvalidArgument
from wherry.spec.container_spec import MountRequest
from wherry.spec.mount_options import check_volume, complete
from wherry.spec.parse_mounts import mounts, tmpfs, volumes


def _fail(function, *arguments, **more):
    with pytest.raises(InvalidArgument) as caught:
        function(*arguments, **more)
    return str(caught.value)


@pytest.mark.parametrize(("text", "fields"), [
    ("/data", {"type": "volume", "destination": "/data"}),
    ("cache:/data", {"type": "volume", "source": "cache", "destination": "/data"}),
    ("cache:/data/../x/", {"type": "volume", "source": "cache", "destination": "/x"}),
    ("/src:/dst", {"type": "bind", "source": "/src", "destination": "/dst"}),
    ("/src:/dst:ro,z", {"type": "bind", "source": "/src", "destination": "/dst", "options": ["ro", "z"]}),
    ("/src:/dst:ro,cached", {"type": "bind", "source": "/src", "destination": "/dst", "options": ["ro"]}),
    ("/src:/dst:O", {"type": "overlay", "source": "/src", "destination": "/dst", "options": ["O"]}),
    ("/src:/dst:U,O", {"type": "overlay", "source": "/src", "destination": "/dst", "options": ["U", "O"]}),
    ("/src:/dst:O,upperdir=/u,workdir=/w", {"type": "overlay", "source": "/src", "destination": "/dst",
                                            "options": ["O", "upperdir=/u", "workdir=/w"]}),
    ("/src:/dst:idmap=uids=0-1-10", {"type": "bind", "source": "/src", "destination": "/dst",
                                     "options": ["idmap=uids=0-1-10"]}),
])
def test_volume(text, fields):
    assert volumes([text]) == [MountRequest(via="volume", **{"options": [], **fields})]


def test_relative_source_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    os.symlink("real", tmp_path / "link")
    assert volumes(["./link:/x"])[0].source == str(tmp_path / "real")
    assert volumes(["..:/x"])[0].source == str(tmp_path.parent)
    assert _fail(volumes, ["./missing:/x"]) == "lstat missing: no such file or directory"


@pytest.mark.parametrize(("text", "message"), [
    ("a:b:c:d", "a:b:c:d: incorrect volume format, should be [host-dir:]ctr-dir[:option]"),
    (":/x", "host directory cannot be empty"),
    ("", "container directory cannot be empty"),
    ("x", 'invalid container path "x", must be an absolute path'),
    ("/tmp:x", 'invalid container path "x", must be an absolute path'),
    ("/tmp:/x:foo", 'invalid option type "foo"'),
    ("/tmp:/x:ro,rw", "invalid options \"ro, rw\", can only specify 1 'rw' or 'ro' option"),
    ("/tmp:/x:z,Z", "invalid options \"z, Z\", can only specify 1 'z', 'Z', or 'O' option"),
    ("/tmp:/x:shared,private", "invalid options \"shared, private\", can only specify 1 '[r]shared', '[r]private', "
                               "'[r]slave' or '[r]unbindable' option"),
    ("/tmp:/x:O,ro", "can't use 'O' with other options"),
    ("/tmp:/x:O,upperdir=/u", "must set both `upperdir` and `workdir`"),
    ("/tmp:/x:O,upperdir=/u,workdir=/w,U", "can't use 'O' with other options"),
    ("/tmp:/x:O,upperdir=/u,upperdir=/v", 'invalid options "O, upperdir=/u, upperdir=/v", can only specify 1 upperdir '
                                          "per overlay"),
])
def test_bad_volume(text, message):
    assert _fail(volumes, [text]) == message


def test_same_volume_twice_is_one():
    assert len(volumes(["/a:/b:ro", "/a:/b:ro", "v:/c", "v:/c:ro"])) == 2
    assert _fail(volumes, ["/a:/b", "/a:/b:ro"]) == "/b: duplicate mount destination"
    assert _fail(volumes, ["/a:/b", "/c:/b/"]) == "/b: duplicate mount destination"


@pytest.mark.parametrize(("text", "fields"), [
    ("type=bind,src=/a,dst=/b", {"type": "bind", "source": "/a", "destination": "/b"}),
    ("type=bind,dst=/b,readonly", {"type": "bind", "source": "/b", "destination": "/b", "options": ["ro"]}),
    ("type=bind,src=/a,target=/b,readonly=true,relabel=shared,bind-propagation=rslave",
     {"type": "bind", "source": "/a", "destination": "/b", "options": ["ro", "z", "rslave"]}),
    ("type=bind,src=/a,dst=/b,rw=false,bind-nonrecursive,consistency=cached",
     {"type": "bind", "source": "/a", "destination": "/b", "options": ["ro", "bind"]}),
    ('"type=bind","src=/a,b",dst=/b', {"type": "bind", "source": "/a,b", "destination": "/b"}),
    ("src=v,dst=/b,chown=true,volume-opt=device=tmpfs,subpath=/s",
     {"type": "volume", "source": "v", "destination": "/b", "options": ["U", "volume-opt=device=tmpfs"],
      "subpath": "/s"}),
    ("type=volume,dst=/b,U=false", {"type": "volume", "destination": "/b"}),
    ("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700,notmpcopyup,noexec",
     {"type": "tmpfs", "source": "tmpfs", "destination": "/t",
      "options": ["size=1m", "mode=700", "notmpcopyup", "noexec"]}),
    ("type=ramfs,dst=/t", {"type": "ramfs", "source": "ramfs", "destination": "/t"}),
    ("type=devpts,dst=/p,uid=1,max=10", {"type": "devpts", "source": "devpts", "destination": "/p",
                                         "options": ["uid=1", "max=10"]}),
    ("type=image,src=app,dst=/i,rw=true,subpath=/d",
     {"type": "image", "source": "app", "destination": "/i", "read_write": True, "subpath": "/d"}),
    ("type=glob,src=/etc/*.conf,ro", {"type": "glob", "source": "/etc/*.conf", "options": ["ro"]}),
    ("type=artifact,src=a,dst=/i,title=t", {"type": "artifact", "source": "a", "destination": "/i",
                                            "options": ["title=t"]}),
])
def test_mount(text, fields):
    found = mounts([text])[0]
    assert found.replace(options=list(found.options)) == MountRequest(via="mount", **{"options": [], **fields})


@pytest.mark.parametrize(("text", "message"), [
    ("type=foo,dst=/x", 'invalid filesystem type "foo"'),
    ("type=bind,src=/tmp", "must set volume destination"),
    ("type=bind,dst=x", 'invalid container path "x", must be an absolute path'),
    ("type=bind,src=,dst=/x", "host directory cannot be empty: must provide an argument for option"),
    ("type=bind,src,dst=/x", "src: must provide an argument for option"),
    ("type=bind,src=/a,source=/b,dst=/x", 'cannot pass "source" option more than once: must provide an argument for '
                                          "option"),
    ("type=bind,dst=/x,target=/y", 'cannot pass "target" option more than once: must provide an argument for option'),
    ("type=bind,src=/tmp,dst=/x,foo", "foo: invalid mount option"),
    ("type=bind,src=/tmp,dst=/x,relabel=x", "relabel mount option must be 'private' or 'shared': invalid mount option"),
    ("type=bind,src=/tmp,dst=/x,bind-propagation=x", 'invalid value "bind-propagation=x"'),
    ("type=bind,src=/tmp,dst=/x,ro,rw", "cannot pass 'readonly', 'ro', or 'rw' mnt.Options more than once: "
                                        "must provide an argument for option"),
    ("type=bind,src=/tmp,dst=/x,tmpfs-size=1", '"tmpfs-size" option not supported for "bind" mount types'),
    ("type=bind,src=/tmp,dst=/x,subpath=y", 'cannot set option "subpath" on non-volume mounts'),
    ("type=bind,src=/tmp,dst=/x,U=maybe", "'U' or 'chown' must be set to true or false, instead received \"maybe\": "
                                          "must provide an argument for option"),
    ("type=tmpfs,src=a,dst=/x", '"src" option not supported for "tmpfs" mount types'),
    ("type=tmpfs,dst=/x,tmpfs-size", "tmpfs-size: must provide an argument for option"),
    ("type=tmpfs,dst=/x,noexec,exec", "cannot pass 'noexec' and 'exec' mnt.Options more than once: "
                                      "must provide an argument for option"),
    ("type=volume,dst=/x,volume-label=a", "the --volume-label option is not presently implemented"),
    ("type=image,dst=/x", "must set source and destination for image volume"),
    ("type=image,src=a,dst=/x,rw=maybe", 'invalid rw value "maybe": invalid mount option'),
    ("type=image,src=a,dst=/x,subpath=rel", 'volume subpath "rel" must be an absolute path'),
    ("type=artifact,dst=/x", "must set source and destination for artifact volume"),
    ("type=devpts,ro", "ro: invalid mount option"),
    ("type=devpts", "must set volume destination"),
    ('type=bind,"src', 'parse error on line 1, column 1: extraneous or missing " in quoted-field'),
])
def test_bad_mount(text, message):
    assert _fail(mounts, [text]) == message


def test_two_mounts_at_one_place():
    assert _fail(mounts, ["type=tmpfs,dst=/x", "type=bind,src=/a,dst=/x/"]) == "/x: duplicate mount destination"
    assert len(mounts(["type=glob,src=/a/*", "type=glob,src=/b/*"])) == 2


def test_tmpfs():
    assert tmpfs(["/run", "/t/:size=1m,exec"]) == [
        MountRequest(type="tmpfs", source="tmpfs", destination="/run", options=[], via="tmpfs"),
        MountRequest(type="tmpfs", source="tmpfs", destination="/t", options=["size=1m", "exec"], via="tmpfs"),
    ]
    assert _fail(tmpfs, ["run"]) == 'invalid container path "run", must be an absolute path'
    assert _fail(tmpfs, ["/t", "/t:exec"]) == "/t: duplicate mount destination"


def test_check_volume_drops_words_for_other_systems():
    assert check_volume(["delegated", "rbind", "copy"]) == ["rbind", "copy"]


@pytest.mark.parametrize(("options", "given", "result"), [
    ((), {}, "rprivate nosuid nodev rbind"),
    (("bind",), {}, "bind private nosuid nodev"),
    (("ro", "rslave"), {}, "ro rslave nosuid nodev rbind"),
    (("dev", "suid"), {}, "dev suid rprivate rbind"),
    (("exec",), {"flags": ("noexec", "nodev")}, "exec rprivate nodev rbind"),
    ((), {"flags": ()}, "rprivate rbind"),
    (("rbind", "z", "U"), {"flags": ()}, "rbind z U rprivate"),
    (("O", "upperdir=/u", "workdir=/w"), {"flags": ()}, "O upperdir=/u workdir=/w rprivate rbind"),
    (("idmap=uids=0-0-1", "subpath=/x"), {"flags": ()}, "idmap=uids=0-0-1 subpath=/x rprivate rbind"),
])
def test_complete_bind(options, given, result):
    assert complete(options, tmpfs=False, **given) == result.split()


@pytest.mark.parametrize(("options", "result"), [
    ((), "rprivate nosuid nodev tmpcopyup"),
    (("size=1m", "mode=700", "exec", "notmpcopyup"), "size=1m mode=700 exec rprivate nosuid nodev"),
    (("noatime", "consistency=x", "U"), "noatime U rprivate nosuid nodev tmpcopyup"),
    (("noswap", "tmpcopyup"), "noswap tmpcopyup rprivate nosuid nodev"),
])
def test_complete_tmpfs(options, result):
    assert complete(options, tmpfs=True) == result.split()


@pytest.mark.parametrize(("options", "tmpfs_", "message"), [
    (("foo",), True, 'unknown mount option "foo": invalid mount option'),
    (("size=1",), False, "the 'size' option is only allowed with tmpfs mounts: invalid mount option"),
    (("z",), True, "the 'z' and 'Z' options are not allowed with tmpfs mounts: invalid mount option"),
    (("bind",), True, "the 'bind' and 'rbind' options are not allowed with tmpfs mounts: invalid mount option"),
    (("ro", "rw"), True, "only one of 'rw' and 'ro' can be used: duplicate mount option passed"),
    (("idmap", "idmap=x"), False, "the 'idmap' option can only be set once: duplicate mount option passed"),
    (("size=1", "size=2"), True, "only one tmpfs size can be specified: duplicate mount option passed"),
])
def test_bad_complete(options, tmpfs_, message):
    assert _fail(complete, options, tmpfs=tmpfs_) == message


def test_noswap_takes_root():
    message = _fail(complete, ("noswap",), tmpfs=True, rootless=True)
    assert message == "the 'noswap' option is only allowed with rootful tmpfs mounts: invalid mount option"
