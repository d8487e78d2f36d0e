"""Mounts: those every container gets, those the image, the settings, other containers and the user ask for."""

from __future__ import annotations

import os.path

from wherry.errors import InvalidArgument, NotFound
from wherry.model.mount import ArtifactVolume, ImageVolume, NamedVolume, OverlayVolume
from wherry.spec.mount_options import DUPLICATE, complete
from wherry.spec.parse_values import quote
from wherry.spec.resolve_process import INIT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from wherry.model.mount import IDMap
    from wherry.spec.container_spec import MountRequest
    from wherry.spec.resolve_inputs import Inputs

_NO = ("nosuid", "noexec", "nodev")
_TTY_GROUP = 5      # group of pseudo-terminals in every distribution
IMAGE_VOLUME_OPTIONS = ("rprivate", "rw", "nodev", "exec")
_TMPFS_OPTIONS = ("rw", "rprivate", "nosuid", "nodev", "tmpcopyup")


class Mounts:
    """The result: mounts of the specification, and what only becomes a mount when the container starts."""

    __slots__ = ("artifacts", "destinations", "image_volumes", "named", "overlays", "spec", "user")

    def __init__(self) -> None:
        self.spec: list[dict[str, Any]] = []                # OCI mounts, the user's first
        self.named: list[NamedVolume] = []
        self.overlays: list[OverlayVolume] = []
        self.image_volumes: list[ImageVolume] = []
        self.artifacts: list[ArtifactVolume] = []
        self.user: list[str] = []                           # destinations of mounts the user asked for
        self.destinations: list[str] = []                   # and of volumes of all kinds


def resolve(inputs: Inputs, gid_map: Sequence[IDMap]) -> Mounts:
    """All mounts, what is more specific in place of what is more general: request, settings, other containers, image.
    """
    out = Mounts()
    user_mounts: dict[str, dict[str, Any]] = {}
    named: dict[str, NamedVolume] = {}
    for request in _requests(inputs):
        if request.type == "volume":
            named[request.destination] = _named(request)
        elif request.type == "overlay":
            out.overlays.append(OverlayVolume(
                destination=request.destination, source=request.source, options=list(request.options)
            ))
        elif request.type == "image":
            out.image_volumes.append(ImageVolume(
                source=request.source, destination=request.destination, read_write=request.read_write,
                subpath=request.subpath,
            ))
        elif request.type == "artifact":
            words = dict(word.partition("=")[::2] for word in request.options)
            out.artifacts.append(ArtifactVolume(source=request.source, destination=request.destination, **words))
        else:
            user_mounts[request.destination] = _oci(inputs, request)
    out.user = list(user_mounts)
    if inputs.init:
        _add_init(inputs, user_mounts)
    _add_nested_label(inputs, user_mounts)
    overlays = [volume.destination for volume in out.overlays]
    all_mounts, all_volumes = _over_base(inputs, user_mounts, named, overlays)
    if inputs.writable_tmpfs:
        _add_writable(all_mounts, {*all_volumes, *overlays})
    out.named = list(all_volumes.values())
    out.destinations = [*out.user, *all_volumes, *overlays, *(volume.destination for volume in out.image_volumes)]
    out.spec = _with_defaults(inputs, list(all_mounts.values()), gid_map)
    return out


def _over_base(
    inputs: Inputs, user_mounts: dict[str, dict[str, Any]], named: dict[str, NamedVolume], overlays: list[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, NamedVolume]]:
    """Mounts and volumes of the image and of other containers where the user asked for nothing, and the user's."""
    base_mounts, base_volumes = _from_image(inputs)
    if inputs.spec.volumes_from:
        _from_containers(inputs, base_mounts, base_volumes)
    taken = {*user_mounts, *named, *overlays}
    return (
        {**{place: mount for place, mount in base_mounts.items() if place not in taken}, **user_mounts},
        {**{place: one for place, one in base_volumes.items() if place not in taken}, **named},
    )


def _named(request: MountRequest) -> NamedVolume:
    return NamedVolume(
        name=request.source, destination=request.destination, options=complete(request.options, tmpfs=False),
        subpath=request.subpath,
    )


def _requests(inputs: Inputs) -> list[MountRequest]:
    """The user's mounts, patterns expanded, and those of the settings at places the user left free."""
    out: dict[str, MountRequest] = {}
    for request in inputs.spec.mounts or ():
        for one in _expanded(inputs, request):
            out[one.destination] = one
    conf = inputs.settings.containers
    if conf.mounts or conf.volumes:
        from wherry.spec.parse_mounts import mounts, volumes

        for request in (*mounts(conf.mounts), *volumes(conf.volumes)):
            for one in _expanded(inputs, request):
                out.setdefault(one.destination, one)
    return list(out.values())


def _expanded(inputs: Inputs, request: MountRequest) -> list[MountRequest]:
    """The bind mounts a glob mount stands for; any other request alone."""
    if request.type != "glob":
        return [request]
    paths = inputs.lookup.glob(request.source)
    if not paths:
        raise InvalidArgument(f"no file paths matching glob {quote(request.source)}")
    return [
        request.replace(
            type="bind", source=path,
            destination=f"{request.destination}/{os.path.basename(path)}" if request.destination else path,
        )
        for path in paths
    ]


def _oci(inputs: Inputs, request: MountRequest) -> dict[str, Any]:
    """A bind, tmpfs, ramfs or devpts mount in the OCI specification's shape, its options completed."""
    options: Sequence[str] = list(request.options)
    if request.type == "bind":
        flags = inputs.lookup.mount_flags(request.source)
        options = complete(options, tmpfs=False, flags=flags, rootless=inputs.host.rootless)
    elif request.type == "tmpfs":
        options = complete(options, tmpfs=True, rootless=inputs.host.rootless)
    return {
        "destination": request.destination, "type": request.type, "source": request.source, "options": options,
    }


def _from_image(inputs: Inputs) -> tuple[dict[str, dict[str, Any]], dict[str, NamedVolume]]:
    """The volumes the image declares: anonymous volumes, tmpfs mounts, or nothing."""
    mode = inputs.spec.image_volume or inputs.settings.engine.image_volume_mode or "anonymous"
    places = [os.path.normpath(place) for place in inputs.defaults.get("Volumes") or ()]
    if mode == "ignore":
        return {}, {}
    if mode == "tmpfs":
        options = complete(IMAGE_VOLUME_OPTIONS, tmpfs=True)
        return {
            place: {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": options} for place in places
        }, {}
    options = complete(IMAGE_VOLUME_OPTIONS, tmpfs=False)
    return {}, {place: NamedVolume(destination=place, options=options) for place in places}


def _from_containers(
    inputs: Inputs, base_mounts: dict[str, dict[str, Any]], base_volumes: dict[str, NamedVolume]
) -> None:
    """``--volumes-from``: the bind mounts and named volumes the user gave the other containers."""
    for text in inputs.spec.volumes_from or ():
        name, _, words = text.partition(":")
        options = _volumes_from_options(words)
        try:
            other = inputs.lookup.container(name)
        except NotFound as error:
            raise type(error)(f"looking up container {quote(name)} for volumes-from: {error}") from None
        for mount in other.spec.get("mounts") or ():
            place = mount["destination"]
            if mount.get("type") == "bind" and place in other.user_volumes:
                base_mounts[place] = {**mount, "options": options or mount.get("options") or []}
                base_volumes.pop(place, None)
        for volume in other.named_volumes:
            place = os.path.normpath(volume.destination)
            kept = complete(options, tmpfs=False) if options else volume.options
            base_volumes[place] = NamedVolume(name=volume.name, destination=place, options=kept)
            base_mounts.pop(place, None)


def _volumes_from_options(words: str) -> list[str]:
    options = words.split(",") if words else []
    for word in options:
        if word not in ("z", "ro", "rw"):
            raise InvalidArgument(
                f"invalid option {quote(word)} specified - volumes from another container can only use z,ro,rw options"
            )
    if options.count("z") > 1:
        raise InvalidArgument("cannot set :z more than once in mount options")
    if options.count("ro") + options.count("rw") > 1:
        raise InvalidArgument("cannot set ro or rw options more than once")
    return options


def init_program(inputs: Inputs) -> str:
    """The init program on the host."""
    settings = inputs.settings
    path = (
        inputs.spec.init_path or settings.containers.init_path or settings.engine.init_path
        or inputs.host.init_program
    )
    if not path:
        raise InvalidArgument('lookup init binary: could not find "catatonit" in one of the helper directories')
    return path


def _add_init(inputs: Inputs, user_mounts: dict[str, dict[str, Any]]) -> None:
    """Mount the init program, where it can be the first process."""
    path = init_program(inputs)
    if inputs.namespaces.pid.kind != "private":
        raise InvalidArgument("cannot add init binary as PID 1 (PID namespace isn't private)")
    if inputs.spec.systemd == "always":
        raise InvalidArgument("cannot use container-init binary with systemd=always")
    if not inputs.lookup.exists(path):
        raise InvalidArgument(
            f"container-init binary not found on the host: faccessat {path}: no such file or directory"
        )
    if INIT_PATH in user_mounts:
        raise InvalidArgument(f"conflict with mount added by --init to {quote(INIT_PATH)}: {DUPLICATE}")
    options = complete(("bind", "rprivate", "ro"), tmpfs=False, flags=inputs.lookup.mount_flags(path))
    user_mounts[INIT_PATH] = {"destination": INIT_PATH, "type": "bind", "source": path, "options": options}


def _add_nested_label(inputs: Inputs, user_mounts: dict[str, dict[str, Any]]) -> None:
    """``label=nested``: the container may see and use SELinux itself."""
    security = inputs.spec.security
    if security is None or not security.label_nested:
        return
    place = "/sys/fs/selinux"
    if place not in user_mounts:
        options = complete((), tmpfs=False, flags=inputs.lookup.mount_flags(place))
        user_mounts[place] = {"destination": place, "type": "bind", "source": place, "options": options}


def _add_writable(all_mounts: dict[str, dict[str, Any]], volumes_at: set[str]) -> None:
    """A read-only container still writes to /tmp, /var/tmp and /run."""
    for place in ("/tmp", "/var/tmp", "/run"):
        if place not in all_mounts and place not in volumes_at:
            all_mounts[place] = {
                "destination": place, "type": "tmpfs", "source": "tmpfs", "options": list(_TMPFS_OPTIONS),
            }


def _with_defaults(
    inputs: Inputs, wanted: list[dict[str, Any]], gid_map: Sequence[IDMap]
) -> list[dict[str, Any]]:
    """*wanted* and those default mounts no other mount stands in for; a user's /dev replaces all below it."""
    places = {mount["destination"] for mount in wanted}
    out = wanted
    for mount in _defaults(inputs, gid_map):
        place: str = mount["destination"]
        if place not in places and not ("/dev" in places and place.startswith("/dev/")):
            out.append(mount)
    return out


def _mount(destination: str, kind: str, *options: str, source: str = "") -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": source or kind, "options": list(options)}


def _defaults(inputs: Inputs, gid_map: Sequence[IDMap]) -> list[dict[str, Any]]:
    """proc, dev, devpts, mqueue, sysfs and cgroup, as far as the namespaces allow mounting them anew."""
    modes = inputs.namespaces
    own_proc = not (inputs.in_user_namespace and modes.pid.kind == "host")
    own_queue = not (inputs.in_user_namespace and modes.ipc.kind == "host")
    proc = _mount("/proc", "proc", *_NO) if own_proc else _bound("/proc", "rbind", "rprivate")
    security = inputs.spec.security
    if security is not None and security.proc_options is not None:
        proc["options"] = list(security.proc_options)
    dev = _mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k")
    if inputs.read_only and not inputs.writable_tmpfs:
        dev["options"].append("ro")
    queue = _mount("/dev/mqueue", "mqueue", *_NO) if own_queue else _bound("/dev/mqueue", "bind", "private")
    return [proc, dev, _devpts(inputs, gid_map), queue, *_sys(inputs)]


def _bound(path: str, kind: str, propagation: str) -> dict[str, Any]:
    """A kernel file system of the host that a user namespace may not mount itself."""
    return _mount(path, "bind", kind, *_NO, propagation, source=path)


def _devpts(inputs: Inputs, gid_map: Sequence[IDMap]) -> dict[str, Any]:
    """devpts with the tty group when the container has that group."""
    lines = gid_map or (inputs.host.gid_map if inputs.host.rootless else ())
    mapped = not lines or any(
        line.container_id <= _TTY_GROUP < line.container_id + line.size for line in lines
    )
    if mapped:
        return _mount(
            "/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", f"gid={_TTY_GROUP}"
        )
    return _mount(
        "/dev/pts", "devpts", "rprivate", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"
    )


def can_mount_sys(inputs: Inputs) -> bool:
    """May the container mount a sysfs of its own? That takes a network namespace its user namespace owns."""
    modes = inputs.namespaces
    if modes.net.kind == "host" and (inputs.host.rootless or modes.new_user):
        return False
    if modes.new_user:
        return modes.net.kind in ("slirp4netns", "pasta", "private", "none", "bridge")
    return True


def _sys(inputs: Inputs) -> list[dict[str, Any]]:
    write = "rw" if inputs.privileged else "ro"
    if not can_mount_sys(inputs):
        return [
            _mount("/sys", "bind", "rprivate", *_NO, write, "rbind", source="/sys"),
            _mount("/sys/fs/cgroup", "cgroup", "rprivate", *_NO, write, source="/sys/fs/cgroup"),
        ]
    sys = _mount("/sys", "sysfs", "rprivate", *_NO, "rw") if inputs.privileged else _mount("/sys", "sysfs", *_NO, "ro")
    cgroup = "rw" if inputs.privileged or _unmasked_cgroup(inputs) else "ro"
    return [sys, _mount("/sys/fs/cgroup", "cgroup", "rprivate", *_NO, "relatime", cgroup, source="cgroup")]


def _unmasked_cgroup(inputs: Inputs) -> bool:
    """Did the user ask to write to the unified cgroup tree (``unmask=ALL`` or ``unmask=/sys/fs/cgroup``)?"""
    security = inputs.spec.security
    if security is None or not inputs.host.unified or not security.unmask:
        return False
    return security.unmask[0] == "ALL" or any(
        os.path.normpath(path) == "/sys/fs/cgroup" for path in security.unmask
    )

