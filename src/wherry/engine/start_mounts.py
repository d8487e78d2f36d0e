"""What a starting container mounts besides bind mounts: volumes, overlays on directories and volumes, images.

Overlays are mounted by the OCI runtime in the container's own mount namespace, images too (as overlays of their
layers), so that nothing is left on the host however the container ends.
"""

from __future__ import annotations

import os

from wherry.engine import rootfs_files, volume_mounts
from wherry.errors import InvalidArgument, from_os_error
from wherry.model.mount import Mount
from wherry.sys.files import make_dirs, remove_tree
from wherry.sys.mounts import bind, detach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.locked import LockedContainer
    from wherry.model.container import ContainerConfig
    from wherry.model.mount import ArtifactVolume, ImageVolume
    from wherry.spec.users import ExecUser

#: Directories that are never given to a container's user, whatever ``:U`` asks (containers/common ``chown``).
_NOT_CHOWNED = frozenset((
    "/", "/bin", "/boot", "/dev", "/etc", "/etc/passwd", "/etc/pki", "/etc/shadow", "/home", "/lib", "/lib64",
    "/media", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib", "/var/log",
))


class StartMounts:
    """The result: destination -> directory of named volumes, and mounts that are ready for the runtime."""

    def __init__(self) -> None:
        self.volume_paths: dict[str, str] = {}
        self.mounts: list[Mount] = []


def prepare(held: LockedContainer, root: str, passwd: str, group: str) -> StartMounts:
    """Make volumes, overlays and image volumes of the container ready. Raises ``WherryError``."""
    config = held.config
    out = StartMounts()
    if not _has_work(config):
        return out
    from wherry.spec import users

    user = users.resolve(config.user, passwd, group)
    try:
        remove_tree(_overlay_dir(held))
        _volumes(held, root, user, out)
        _binds(config, user)
        for volume in config.overlay_volumes:
            out.mounts.append(_overlay(held, volume.source, volume.destination, volume.options, user))
        for image in config.image_volumes:
            out.mounts.append(_image(held, image))
        for artifact in config.artifact_volumes:
            out.mounts += _artifact(held, artifact, root)
    except OSError as error:
        raise from_os_error(error, f"preparing the mounts of container {held.id}") from None
    return out


def _has_work(config: ContainerConfig) -> bool:
    if config.named_volumes or config.overlay_volumes or config.image_volumes or config.artifact_volumes:
        return True
    return any("U" in (mount.get("options") or ()) for mount in config.spec.get("mounts") or ())


def release(held: LockedContainer) -> None:
    """Undo :func:`prepare`; safe when it never happened."""
    config = held.config
    if config.named_volumes:
        pins = _pin_dir(held)
        for name in _listed(pins):
            detach(f"{pins}/{name}")
        remove_tree(pins)
        volume_mounts.release(held.runtime, config)
    if config.named_volumes or config.overlay_volumes or config.image_volumes:
        remove_tree(_overlay_dir(held))


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []


def _pin_dir(held: LockedContainer) -> str:
    return f"{held.runtime.store.container_run_dir(held.id)}/subpaths"


def _overlay_dir(held: LockedContainer) -> str:
    return f"{held.config.static_dir}/overlays"


def _volumes(held: LockedContainer, root: str, user: ExecUser, out: StartMounts) -> None:
    config = held.config
    paths = volume_mounts.mount_paths(held.runtime, config, root, user)
    for volume in config.named_volumes:
        path = paths[volume.destination]
        if volume.subpath:
            path = _pinned(held, path, volume.subpath)
        if "U" in volume.options:
            _give(config, path, user)
        if "O" in volume.options:
            options = [word for word in volume.options if word == "O" or "dir=" in word]
            out.mounts.append(_overlay(held, path, volume.destination, options, user))
        else:
            out.volume_paths[volume.destination] = path


def _pinned(held: LockedContainer, volume: str, subpath: str) -> str:
    """A directory or file inside the volume, bound to a place where nobody in a container can put a link.

    Another container may change the volume at any moment: the path is looked up once, never leaving the volume, and
    what was found is mounted by its descriptor.
    """
    from wherry.sys import libc

    top = os.open(volume, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = libc.openat2(
            top, subpath.strip("/") or ".", os.O_PATH | os.O_CLOEXEC,
            resolve=libc.RESOLVE_IN_ROOT | libc.RESOLVE_NO_MAGICLINKS,
        )
    except FileNotFoundError:
        raise InvalidArgument(f"volume subpath {subpath!r}: no such file or directory") from None
    finally:
        os.close(top)
    try:
        pins = _pin_dir(held)
        make_dirs(pins)
        place = f"{pins}/{len(os.listdir(pins))}"
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            make_dirs(place)
        else:
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        bind(f"/proc/self/fd/{fd}", place, recursive=True)
    finally:
        os.close(fd)
    return place


def _overlay(held: LockedContainer, source: str, destination: str, options: Sequence[str], user: ExecUser) -> Mount:
    """A writable overlay whose changes are dropped with the run, or kept where ``upperdir=`` says."""
    if not os.path.isdir(source):
        raise InvalidArgument(f"overlay mount source {source}: not a directory")
    given = {key: value for key, _equals, value in (word.partition("=") for word in options)}
    upper, work = given.get("upperdir", ""), given.get("workdir", "")
    if not upper:
        upper, work = _fresh(held, "upper", "work")
        model = os.stat(source)
        os.chown(upper, model.st_uid, model.st_gid)
        os.chmod(upper, model.st_mode & 0o7777)
    if "U" in given:
        os.chown(upper, *volume_mounts.host_ids(held.config, user))
    words = [f"lowerdir={_escaped(source)}", f"upperdir={_escaped(upper)}", f"workdir={_escaped(work)}", "private"]
    return Mount(destination=destination, type="overlay", source="overlay", options=words)


def _fresh(held: LockedContainer, *names: str) -> list[str]:
    """New empty directories that go with the run."""
    base = _overlay_dir(held)
    make_dirs(base)
    place = f"{base}/{len(os.listdir(base))}"
    for name in names:
        make_dirs(f"{place}/{name}")
    return [f"{place}/{name}" for name in names]


def _escaped(path: str) -> str:
    """*path* as overlayfs reads it: colons separate layers, commas options."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _image(held: LockedContainer, wanted: ImageVolume) -> Mount:
    """The layers of an image as an overlay, read-only or with changes that are dropped with the run."""
    from wherry.engine import image_lookup

    store = held.runtime.store
    record, _name = image_lookup.find(store, wanted.source)
    layers = store.layer_dirs(record.layer)
    if wanted.subpath:
        return _image_subpath(held, wanted, layers)
    return _image_overlay(held, wanted, layers)


def _artifact(held: LockedContainer, wanted: ArtifactVolume, root: str) -> list[Mount]:
    """The files of an artifact, each bound read-only: below the destination, or over it if it is a file."""
    found = held.runtime.artifacts.get(wanted.source)
    blobs = found.chosen(title=wanted.title, digest=wanted.digest)
    over_file = rootfs_files.is_file(root, wanted.destination)
    if over_file and len(blobs) > 1:
        raise InvalidArgument(
            f'artifact "{wanted.source}" contains more than one blob and container path "{wanted.destination}" is a '
            "file"
        )
    mounts = []
    for number, (title, source) in enumerate(blobs):
        name = wanted.name or title
        if wanted.name and len(blobs) > 1:
            name += f"-{number}"
        destination = wanted.destination if over_file else f"{wanted.destination.rstrip('/')}/{name}"
        mounts.append(Mount(destination=destination, type="bind", source=source, options=["bind", "ro", "rprivate"]))
    return mounts


def _image_overlay(held: LockedContainer, wanted: ImageVolume, layers: Sequence[str]) -> Mount:
    if wanted.read_write:
        upper, work = _fresh(held, "upper", "work")
        os.chmod(upper, 0o755)
        words = [f"upperdir={_escaped(upper)}", f"workdir={_escaped(work)}"]
    else:
        layers = [*layers, *_fresh(held, "empty")] if len(layers) == 1 else layers     # the kernel wants two
        words = ["ro"]
    words.insert(0, "lowerdir=" + ":".join(map(_escaped, layers)))
    return Mount(destination=wanted.destination, type="overlay", source="overlay", options=[*words, "private"])


def _image_subpath(held: LockedContainer, wanted: ImageVolume, layers: Sequence[str]) -> Mount:
    """Only part of the image: that part of each layer that has it, down to the first that replaces or removes it."""
    found = []
    for layer in layers:
        if rootfs_files.is_directory(layer, wanted.subpath):
            found.append(rootfs_files.resolve(layer, wanted.subpath))
        elif os.path.lexists(f"{layer}/{wanted.subpath.strip('/')}"):
            break
    if not found:
        raise InvalidArgument(f"image volume {wanted.source}: subpath {wanted.subpath!r}: no such directory")
    return _image_overlay(held, wanted, found)


def _binds(config: ContainerConfig, user: ExecUser) -> None:
    for mount in config.spec.get("mounts") or ():
        if mount.get("type") == "bind" and "U" in (mount.get("options") or ()):
            _give(config, mount["source"], user)


def _give(config: ContainerConfig, path: str, user: ExecUser) -> None:
    """``:U``: make the container's user the owner of *path* and all below, never following a link."""
    real = os.path.realpath(path)
    if real in _NOT_CHOWNED:
        raise InvalidArgument(f"chowning host path {path!r} is not allowed. You can manually `chown -R` it if needed")
    uid, gid = volume_mounts.host_ids(config, user)
    if not os.path.isdir(real):
        os.chown(real, uid, gid, follow_symlinks=False)
        return
    for _path, directories, files, fd in os.fwalk(real):
        for name in (*files, *(name for name in directories if _is_link(name, fd))):
            _chown(name, uid, gid, fd)
        found = os.fstat(fd)
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.chown(fd, uid, gid)


def _is_link(name: str, directory: int) -> bool:
    try:
        os.readlink(name, dir_fd=directory)
    except OSError:
        return False
    return True


def _chown(name: str, uid: int, gid: int, directory: int) -> None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if (found.st_uid, found.st_gid) != (uid, gid):
            os.chown(name, uid, gid, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:       # somebody else removed it meanwhile
        return
