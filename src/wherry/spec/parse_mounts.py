"""``-v``, ``--mount`` and ``--tmpfs`` to mount requests (podman-run(1) "VOLUME", "MOUNT")."""

from __future__ import annotations

import os.path

from wherry.errors import InvalidArgument
from wherry.spec.container_spec import MountRequest
from wherry.spec.mount_options import DUPLICATE, PROPAGATION, check_overlay, check_volume
from wherry.spec.parse_values import quote, split_commas

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ARGUMENT = "must provide an argument for option"
_BAD = "invalid mount option"


def volumes(texts: Sequence[str]) -> list[MountRequest]:
    """The words of ``-v``: ``[[SOURCE-VOLUME|HOST-DIR:]CONTAINER-DIR[:OPTIONS]]``."""
    return _unique([_volume(text) for text in texts])


def _volume(text: str) -> MountRequest:
    parts = text.split(":")
    if len(parts) > 3:
        raise InvalidArgument(f"{text}: incorrect volume format, should be [host-dir:]ctr-dir[:option]")
    if len(parts) == 1:
        return volume("", parts[0], ())
    if not parts[0]:
        raise InvalidArgument("host directory cannot be empty")
    return volume(parts[0], parts[1], parts[2].split(",") if len(parts) == 3 else ())


def volume(source: str, destination: str, options: Sequence[str]) -> MountRequest:
    """What ``-v`` asks for: a source with a leading ``/`` or ``.`` is a host path, anything else names a volume."""
    words = check_volume(options)
    check_destination(destination)
    destination = os.path.normpath(destination)
    if source.startswith("./"):
        source = _existing(source)
    if not source.startswith(("/", ".")):
        return MountRequest(type="volume", source=source, destination=destination, options=words, via="volume")
    if "O" not in words:
        return MountRequest(
            type="bind", source=os.path.abspath(source), destination=destination, options=words, via="volume"
        )
    check_overlay(words)
    return MountRequest(
        type="overlay", source=os.path.abspath(source), destination=destination, options=words, via="volume"
    )


def _existing(source: str) -> str:
    """A path below the working directory, its links followed: it is stored, so it must not depend on where we are."""
    try:
        return os.path.realpath(source, strict=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidArgument(f"lstat {os.path.normpath(source)}: {reason.lower()}") from None


def check_destination(path: str) -> None:
    if not path:
        raise InvalidArgument("container directory cannot be empty")
    if not path.startswith("/"):
        raise InvalidArgument(f"invalid container path {quote(path)}, must be an absolute path")


def tmpfs(texts: Sequence[str]) -> list[MountRequest]:
    """The words of ``--tmpfs``: ``CONTAINER-DIR[:OPTIONS]``."""
    out = []
    for text in texts:
        path, _, options = text.partition(":")
        check_destination(path)
        words = options.partition(":")[0].split(",") if options else []
        out.append(MountRequest(
            type="tmpfs", source="tmpfs", destination=os.path.normpath(path), options=words, via="tmpfs"
        ))
    return _unique(out)


def _unique(requests: list[MountRequest]) -> list[MountRequest]:
    """Drop exact repetitions; two different things at one place are an error."""
    known: dict[str, MountRequest] = {}
    for request in requests:
        other = known.setdefault(request.destination, request)
        if other is not request and not same(other, request):
            raise InvalidArgument(f"{request.destination}: {DUPLICATE}")
    return list(known.values())


def same(one: MountRequest, other: MountRequest) -> bool:
    """Do both ask for the same thing, whichever option they came from?"""
    if one.type == "volume" and other.type == "volume":
        return one.source == other.source
    return (one.type, one.source, list(one.options)) == (other.type, other.source, list(other.options))


def mounts(texts: Sequence[str]) -> list[MountRequest]:
    """The words of ``--mount``: ``type=TYPE,TYPE-SPECIFIC-OPTION[,...]``."""
    out: list[MountRequest] = []
    taken: set[str] = set()
    for text in texts:
        request = _mount(text)
        if request.destination in taken:
            raise InvalidArgument(f"{request.destination}: {DUPLICATE}")
        if request.type != "glob":
            taken.add(request.destination)
        out.append(request)
    return out


def _mount(text: str) -> MountRequest:
    kind = ""
    words: list[str] = []
    for word in split_commas(text):
        if not kind and word.startswith("type=") and word.count("=") == 1:
            kind = word[5:]
        else:
            words.append(word)
    kind = kind or "volume"
    if kind in ("bind", "tmpfs", "ramfs", "volume", "glob"):
        return _Reader(kind).read(words)
    if kind == "devpts":
        return _devpts(words)
    if kind == "image":
        return _image(words)
    if kind == "artifact":
        return _artifact(words)
    raise InvalidArgument(f"invalid filesystem type {quote(kind)}")


class _Reader:
    """Reads the ``key[=value]`` words of bind, tmpfs, ramfs, volume and glob mounts."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.source = ""
        self.destination = ""
        self.subpath = ""
        self.options: list[str] = []
        self.seen: set[str] = set()

    def read(self, words: Sequence[str]) -> MountRequest:
        for word in words:
            key, equals, value = word.partition("=")
            self._word(word, key, value, bool(equals))
        if not self.destination and self.kind != "glob":
            raise InvalidArgument("must set volume destination")
        if self.kind == "bind" and not self.source:
            self.source = self.destination
        if self.kind == "bind":
            self.source = os.path.abspath(self.source)
        if self.kind in ("tmpfs", "ramfs"):
            self.source = self.kind
        if self.kind in ("bind", "glob"):
            self.options = check_volume(self.options)
        return MountRequest(
            type=self.kind, source=self.source, destination=self.destination, options=self.options,
            subpath=self.subpath, via="mount",
        )

    def _word(self, word: str, key: str, value: str, given: bool) -> None:
        if key in ("src", "source"):
            self._set_source(key, value, given)
        elif key in ("target", "dst", "dest", "destination"):
            self._set_destination(key, value, given)
        elif key in ("readonly", "ro", "rw"):
            self._read_only(key, value, given)
        elif key in _TOGGLES:
            group, message = _TOGGLES[key]
            self._once(group, f"cannot pass {message} mnt.Options more than once")
            self.options.append(key)
        elif key in _PLAIN:
            self.options.append(key)
        elif key == "idmap":
            self.options.append(f"idmap={value}" if given else "idmap")
        elif key != "consistency":
            self._rare_word(word, key, value, given)

    def _once(self, group: str, message: str) -> None:
        if group in self.seen:
            raise InvalidArgument(f"{message}: {_ARGUMENT}")
        self.seen.add(group)

    def _only(self, key: str, *kinds: str) -> None:
        if self.kind not in kinds:
            raise InvalidArgument(f"{quote(key)} option not supported for {quote(self.kind)} mount types")

    def _set_source(self, key: str, value: str, given: bool) -> None:
        if self.kind == "tmpfs":
            self._only(key)
        if self.source:
            raise InvalidArgument(f"cannot pass {quote(key)} option more than once: {_ARGUMENT}")
        _require(key, given)
        if not value:
            raise InvalidArgument(f"host directory cannot be empty: {_ARGUMENT}")
        self.source = value

    def _set_destination(self, key: str, value: str, given: bool) -> None:
        if self.destination:
            raise InvalidArgument(f"cannot pass {quote(key)} option more than once: {_ARGUMENT}")
        _require(key, given)
        check_destination(value)
        self.destination = os.path.normpath(value)

    def _read_only(self, key: str, value: str, given: bool) -> None:
        self._once("rw", "cannot pass 'readonly', 'ro', or 'rw' mnt.Options more than once")
        name = "ro" if key == "readonly" else key
        if not given or value.lower() == "true":
            self.options.append(name)
        elif value.lower() == "false" and name == "rw":
            self.options.append("ro")

    def _rare_word(self, word: str, key: str, value: str, given: bool) -> None:
        if key == "bind-nonrecursive":
            self._only(key, "bind")
            self.options.append("bind")
        elif key == "bind-propagation":
            self._only(key, "bind")
            _require(key, given)
            if value not in PROPAGATION:
                raise InvalidArgument(f"invalid value {quote(word)}")
            self.options.append(value)
        elif key == "relabel":
            self._relabel(key, value)
        elif key in ("subpath", "volume-subpath"):
            if self.kind != "volume":
                raise InvalidArgument(f"cannot set option {quote(key)} on non-volume mounts")
            _require(key, given)
            self.subpath = value
        elif key in ("tmpcopyup", "notmpcopyup"):
            self._only(key, "tmpfs")
            self._once("copyup", "cannot pass 'tmpcopyup' and 'notmpcopyup' mnt.Options more than once")
            self.options.append(key)
        elif key in ("tmpfs-mode", "tmpfs-size"):
            self._only(key, "tmpfs")
            _require(key, given)
            self.options.append(f"{key.removeprefix('tmpfs-')}={value}")
        elif key in ("U", "chown"):
            self._chown(value)
        elif key == "volume-opt":
            self._only(key, "volume")
            self.options.append(word)
        elif key == "volume-label":
            self._only(key, "volume")
            raise InvalidArgument("the --volume-label option is not presently implemented")
        else:
            raise InvalidArgument(f"{key}: {_BAD}")

    def _relabel(self, key: str, value: str) -> None:
        if "relabel" in self.seen:
            raise InvalidArgument(f"cannot pass 'relabel' option more than once: {_ARGUMENT}")
        self.seen.add("relabel")
        if value not in ("private", "shared"):
            raise InvalidArgument(f"{key} mount option must be 'private' or 'shared': {_BAD}")
        self.options.append("Z" if value == "private" else "z")

    def _chown(self, value: str) -> None:
        self._once("chown", "cannot pass 'U' or 'chown' option more than once")
        if value.lower() not in ("", "true", "false"):
            raise InvalidArgument(
                f"'U' or 'chown' must be set to true or false, instead received {quote(value)}: {_ARGUMENT}"
            )
        if value.lower() != "false":
            self.options.append("U")


_PLAIN = (*PROPAGATION, "Z", "z", "no-dereference")
_TOGGLES = {
    "nodev": ("dev", "'nodev' and 'dev'"),
    "dev": ("dev", "'nodev' and 'dev'"),
    "noexec": ("exec", "'noexec' and 'exec'"),
    "exec": ("exec", "'noexec' and 'exec'"),
    "nosuid": ("suid", "'nosuid' and 'suid'"),
    "suid": ("suid", "'nosuid' and 'suid'"),
    "noswap": ("swap", "'noswap'"),
}


def _require(key: str, given: bool) -> None:
    if not given:
        raise InvalidArgument(f"{key}: {_ARGUMENT}")


def _target(key: str, value: str, given: bool) -> str:
    _require(key, given)
    check_destination(value)
    return os.path.normpath(value)


def _devpts(words: Sequence[str]) -> MountRequest:
    destination = ""
    options = []
    for word in words:
        key, equals, value = word.partition("=")
        if key in ("uid", "gid", "mode", "ptmxmode", "newinstance", "max"):
            options.append(word)
        elif key in ("target", "dst", "dest", "destination"):
            destination = _target(key, value, bool(equals))
        else:
            raise InvalidArgument(f"{key}: {_BAD}")
    if not destination:
        raise InvalidArgument("must set volume destination")
    return MountRequest(type="devpts", source="devpts", destination=destination, options=options, via="mount")


def _image(words: Sequence[str]) -> MountRequest:
    source = destination = subpath = ""
    read_write = False
    for word in words:
        key, equals, value = word.partition("=")
        if key in ("src", "source"):
            _require(key, bool(equals))
            source = value
        elif key in ("target", "dst", "dest", "destination"):
            destination = _target(key, value, bool(equals))
        elif key in ("rw", "readwrite"):
            if value not in ("true", "false"):
                raise InvalidArgument(f"invalid rw value {quote(value)}: {_BAD}")
            read_write = value == "true"
        elif key == "subpath":
            _require(key, bool(equals))
            if not value.startswith("/"):
                raise InvalidArgument(f"volume subpath {quote(value)} must be an absolute path")
            subpath = value
        elif key != "consistency":
            raise InvalidArgument(f"{key}: {_BAD}")
    if not source or not destination:
        raise InvalidArgument("must set source and destination for image volume")
    return MountRequest(
        type="image", source=source, destination=destination, read_write=read_write, subpath=subpath, via="mount"
    )


def _artifact(words: Sequence[str]) -> MountRequest:
    source = destination = ""
    options = []
    for word in words:
        key, equals, value = word.partition("=")
        if key in ("src", "source"):
            _require(key, bool(equals))
            source = value
        elif key in ("target", "dst", "dest", "destination"):
            destination = _target(key, value, bool(equals))
        elif key in ("title", "digest", "name"):
            _require(key, bool(equals))
            options.append(word)
        else:
            raise InvalidArgument(f"{key}: {_BAD}")
    if not source or not destination:
        raise InvalidArgument("must set source and destination for artifact volume")
    return MountRequest(type="artifact", source=source, destination=destination, options=options, via="mount")
