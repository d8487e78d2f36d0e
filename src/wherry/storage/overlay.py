"""The overlay driver: directories, links and lowers of layers (``<root>/overlay``).

Every layer has ``diff`` (its content, the upper directory when mounted read-write), ``work``, ``link`` (a short name
under which ``overlay/l`` has a symbolic link to ``diff``, so that mount options stay short) and ``lower`` (the links
of all layers below, topmost first).  Mounting is in :mod:`wherry.storage.overlay_mount`, which is only loaded for it.
"""

from __future__ import annotations

import errno
import os

from wherry.errors import Corrupt, Unavailable, Unsupported, from_os_error
from wherry.storage.driver import MountRequest
from wherry.sys.files import atomic_write, make_dirs, read_bytes, remove_tree, try_read_text, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.archive.extract import ExtractOptions
    from wherry.config.settings import StorageSettings
    from wherry.model.mount import IDMap
    from wherry.storage.home import Home, Located
    from wherry.storage.overlay_mount import OverlayMounter

_PROGRAM_FLAG = ".has-mount-program"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_LINK_LENGTH = 26
#: OVL_MAX_STACK of the kernel.
MAX_LOWERS = 500
BASE_MODE = 0o555

#: Directories of the driver that are not layers.
RESERVED = frozenset(("l", "staging", "tempdirs"))


def new_link() -> str:
    """A short name no other layer has."""
    return "".join(_ALPHABET[byte & 31] for byte in os.urandom(_LINK_LENGTH))


class OverlayDriver:
    """Layers as directories for the kernel's overlay file system (or fuse-overlayfs)."""

    name = "overlay"
    really_mounts = True

    def __init__(self, homes: Sequence[Home], settings: StorageSettings) -> None:
        self._homes = homes
        self._settings = settings
        self._run_dir = f"{settings.run_root}/overlay"
        self._prepared: set[str] = set()        # driver directories known to be complete
        self._program: str | None = None
        self._shifting: bool | None = None
        self._made_mounter: OverlayMounter | None = None

    # -- making and removing -------------------------------------------------------------------------------------

    def create(self, home: Home, layer_id: str, parent: Located | None) -> None:
        try:
            self._prepare(home)
            self._create(home, layer_id, parent)
        except OSError as error:
            try:
                self.remove(home, layer_id)
            except OSError:
                pass                        # the record is flagged incomplete: the next writer tries again
            raise from_os_error(error, f"creating layer {layer_id}") from None

    def _prepare(self, home: Home) -> None:
        """Make what a driver directory consists of besides layers."""
        if home.driver_dir in self._prepared:
            return
        make_dirs(home.driver_dir)
        make_dirs(f"{home.driver_dir}/l", 0o755)
        flag = f"{home.driver_dir}/{_PROGRAM_FLAG}"
        wanted = "true" if self.mount_program() else "false"
        if try_read_text(flag) != wanted:
            atomic_write(flag, wanted.encode())
        self._prepared.add(home.driver_dir)

    def _create(self, home: Home, layer_id: str, parent: Located | None) -> None:
        directory = f"{home.driver_dir}/{layer_id}"
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            self.remove(home, layer_id)
            os.mkdir(directory, 0o700)
        diff = directory + "/diff"
        mode = int(self._settings.force_mask, 8) if self._settings.force_mask else BASE_MODE
        owner = None
        if parent is not None:
            above = os.stat(f"{parent.home.driver_dir}/{parent.id}/diff")
            mode = above.st_mode & 0o7777
            owner = (above.st_uid, above.st_gid)
        os.mkdir(diff)
        if owner is not None and owner != (os.geteuid(), os.getegid()):
            os.chown(diff, *owner)
        os.chmod(diff, mode)
        link = new_link()
        os.symlink(f"../{layer_id}/diff", f"{home.driver_dir}/l/{link}")
        _write(f"{directory}/link", link)
        os.mkdir(directory + "/work", 0o700)
        os.mkdir(directory + "/merged", 0o700)
        if parent is None:
            os.mkdir(directory + "/empty", 0o700)
        else:
            _write(f"{directory}/lower", self._lower_of_child(parent))

    def _lower_of_child(self, parent: Located) -> str:
        text = f"l/{self.link(parent.home, parent.id)}"
        below = self.lower(parent)
        if below:
            text += ":" + below
        if text.count(":") >= MAX_LOWERS:
            raise Unsupported(f"layer {parent.id} cannot have children: an overlay has at most {MAX_LOWERS} layers")
        return text

    def remove(self, home: Home, layer_id: str) -> None:
        directory = f"{home.driver_dir}/{layer_id}"
        link = (try_read_text(directory + "/link") or "").strip()
        if not link and os.path.isdir(directory):
            link = self._find_link(home, layer_id)
        if link:
            _unlink(f"{home.driver_dir}/l/{link}")
        self._mounter.detach(directory)
        remove_tree(directory)

    def move(self, home: Home, old_id: str, new_id: str) -> None:
        try:
            link = self.link(home, old_id)
            if os.path.lexists(f"{home.driver_dir}/{new_id}"):
                remove_tree(f"{home.driver_dir}/{new_id}")
            os.rename(f"{home.driver_dir}/{old_id}", f"{home.driver_dir}/{new_id}")
            _unlink(f"{home.driver_dir}/l/{link}")
            os.symlink(f"../{new_id}/diff", f"{home.driver_dir}/l/{link}")
        except OSError as error:
            raise from_os_error(error, f"completing layer {new_id}") from None

    def remap(self, layer: Located, uid_map: Sequence[IDMap], gid_map: Sequence[IDMap]) -> None:
        from wherry.storage.shifting import chown_tree, root_of

        directory = f"{layer.home.driver_dir}/{layer.id}"
        diff = directory + "/diff"
        try:
            mode = os.stat(diff).st_mode & 0o7777
            root = root_of(uid_map, gid_map)
            target = self._mounter.mount(layer, MountRequest())
            try:
                chown_tree(target, uid_map, gid_map)
            finally:
                self._mounter.unmount(layer)
            older = numbered(diff)
            for number in range(len(older), 0, -1):
                os.rename(f"{diff}{number}", f"{diff}{number + 1}")
            os.rename(diff, diff + "1")
            remove_tree(directory + "/work")        # may refer to the old upper directory
            for path, bits in ((directory + "/work", 0o700), (diff, mode)):
                os.mkdir(path)
                os.chown(path, *root)
                os.chmod(path, bits)
        except OSError as error:
            raise from_os_error(error, f"mapping the ids of layer {layer.id}") from None

    # -- mounting ------------------------------------------------------------------------------------------------

    @property
    def _mounter(self) -> OverlayMounter:
        made = self._made_mounter
        if made is None:
            from wherry.storage.overlay_mount import OverlayMounter

            made = self._made_mounter = OverlayMounter(self, self._settings)
        return made

    def mount_path(self, layer: Located) -> str:
        """``merged`` of the layer; for layers of read-only stores a directory of the run root."""
        base = self._run_dir if layer.home.read_only else layer.home.driver_dir
        return f"{base}/{layer.id}/merged"

    def is_mounted(self, layer: Located) -> bool:
        from wherry.sys.mounts import is_mount_point

        return is_mount_point(self.mount_path(layer))

    def mount(self, layer: Located, request: MountRequest) -> str:
        return self._mounter.mount(layer, request)

    def unmount(self, layer: Located) -> bool:
        return self._mounter.unmount(layer)

    def supports_shifting(self) -> bool:
        """By id-mapped mounts below the overlay (Linux 5.19, not in a user namespace), or by the mount program."""
        if self._shifting is None:
            from wherry.storage.shifting import kernel_shifts

            # Not below the driver's directory: others take what is there and not theirs for garbage.
            directory = self._homes[0].layers_dir
            self._shifting = bool(self.mount_program()) or (
                not self._settings.rootless and kernel_shifts(directory, self._run_dir)
            )
        return self._shifting

    # -- reading -------------------------------------------------------------------------------------------------

    def link(self, home: Home, layer_id: str) -> str:
        """The layer's short name; a lost ``link`` file is read back from the symbolic link.  Raises ``Corrupt``."""
        text = try_read_text(f"{home.driver_dir}/{layer_id}/link")
        link = text.strip() if text else self._find_link(home, layer_id)
        if not link:
            raise Corrupt(f"layer {layer_id} has no link", hint="run 'wherry system check --repair'")
        return link

    def _find_link(self, home: Home, layer_id: str) -> str:
        directory = f"{home.driver_dir}/l"
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return ""
        for name in names:
            if _target(f"{directory}/{name}") == layer_id:
                return name
        return ""

    def lower(self, layer: Located) -> str:
        """The layer's ``lower`` file, empty for a base layer."""
        try:
            return read_bytes(f"{layer.home.driver_dir}/{layer.id}/lower").decode().strip()
        except FileNotFoundError:
            return ""

    def mount_program(self) -> str:
        """The program that mounts this store, empty for the kernel's overlay.

        A store written through fuse-overlayfs holds whiteouts the kernel does not understand; it needs the program
        even if none is configured.  Raises :class:`Unavailable` when there is none.
        """
        if self._program is None:
            program = self._settings.mount_program
            flag = f"{self._homes[0].driver_dir}/{_PROGRAM_FLAG}"
            if not program and (try_read_text(flag) or "").strip() == "true":
                from wherry.sys.processes import find_program

                program = find_program("fuse-overlayfs")
                if not program:
                    raise Unavailable(
                        f"the store {self._homes[0].root} was made with fuse-overlayfs, which is not installed"
                    )
            self._program = program
        return self._program

    def upper(self, layer: Located) -> str:
        return f"{layer.home.driver_dir}/{layer.id}/diff"

    def contents(self, layer: Located) -> list[str]:
        directory = f"{layer.home.driver_dir}/{layer.id}"
        return [f"{directory}/diff", *numbered(directory + "/diff"), *self.lower_dirs(layer)]

    def layer_dirs(self, home: Home) -> list[str]:
        try:
            with os.scandir(home.driver_dir) as entries:
                return [e.name for e in entries if e.name not in RESERVED and e.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []

    def damage(self, layer: Located) -> list[str]:
        home = layer.home
        directory = f"{home.driver_dir}/{layer.id}"
        found = []
        link = (try_read_text(directory + "/link") or "").strip()
        if not link:
            found.append("its link file is missing")
        elif _target(f"{home.driver_dir}/l/{link}") != layer.id:
            found.append("its symbolic link is missing")
        if layer.record.parent and not os.path.exists(directory + "/lower"):
            found.append("its lower file is missing")
        return found

    def dangling_links(self, home: Home) -> list[str]:
        base = f"{home.driver_dir}/l"
        try:
            return [name for name in os.listdir(base) if not os.path.isdir(f"{base}/{name}")]
        except FileNotFoundError:
            return []

    def restore(self, layer: Located, parent: Located | None, children: Sequence[Located]) -> None:
        home = layer.home
        directory = f"{home.driver_dir}/{layer.id}"
        try:
            make_dirs(f"{home.driver_dir}/l", 0o755)
            link = (try_read_text(directory + "/link") or "").strip()
            if not link:
                known = [self.lower(child).partition(":")[0].removeprefix("l/") for child in children]
                link = self._find_link(home, layer.id) or next(filter(None, known), new_link())
                _write(f"{directory}/link", link)
            path = f"{home.driver_dir}/l/{link}"
            if _target(path) != layer.id:
                _unlink(path)
                os.symlink(f"../{layer.id}/diff", path)
            if parent is not None and not os.path.exists(f"{directory}/lower"):
                _write(f"{directory}/lower", self._lower_of_child(parent))
        except OSError as error:
            raise from_os_error(error, f"restoring layer {layer.id}") from None

    def adopt(self, layer: Located, fresh: Located) -> None:
        directory = f"{layer.home.driver_dir}/{layer.id}"
        try:
            make_dirs(directory, 0o700)
            for name in ("work", "merged") if layer.record.parent else ("work", "merged", "empty"):
                make_dirs(f"{directory}/{name}", 0o700)
            if os.path.lexists(f"{directory}/diff"):
                os.rename(f"{directory}/diff", f"{fresh.home.driver_dir}/{fresh.id}/old")
            os.rename(self.upper(fresh), f"{directory}/diff")
        except OSError as error:
            raise from_os_error(error, f"restoring layer {layer.id}") from None

    def extract_options(self, layer: Located) -> ExtractOptions:
        from wherry.archive.extract import OVERLAY, PLAIN, ExtractOptions

        settings = self._settings
        return ExtractOptions(
            whiteouts=PLAIN if self.mount_program() else OVERLAY,
            userxattr=settings.rootless,
            in_userns=settings.rootless,
            force_mask=int(settings.force_mask, 8) if settings.force_mask else -1,
            ignore_chown_errors=settings.ignore_chown_errors,
        )

    def lower_dirs(self, layer: Located) -> list[str]:
        """Absolute paths of the directories below the layer, topmost first.

        Links live in the home of their layer; lost ones (power cut) are made again.  Raises :class:`Corrupt`.
        """
        found = []
        for name in filter(None, self.lower(layer).split(":")):
            path = self._find_lower(layer.home, name)
            found.append(path)
            if os.path.lexists(path + "/../diff1"):
                found += numbered(path + "/../diff")
        return found

    def _find_lower(self, home: Home, name: str) -> str:
        """*name* is ``l/LINK``."""
        for again in (False, True):
            for candidate in (home, *self._homes):
                path = f"{candidate.driver_dir}/{name}"
                if os.path.exists(path):
                    return path
            if not again and not self.restore_links():
                break
        raise Corrupt(f"layer data {name} is missing from the store", hint="run 'wherry system check --repair'")

    def restore_links(self) -> int:
        """Make lost symbolic links from the ``link`` files and lost ``link`` files from the symbolic links.

        Returns how many were made.
        """
        made = 0
        for home in self._homes:
            if not home.read_only:
                made += self._restore_in(home)
        return made

    def _restore_in(self, home: Home) -> int:
        base = home.driver_dir
        made = 0
        try:
            make_dirs(f"{base}/l", 0o755)
            linked = {_target(f"{base}/l/{name}"): name for name in os.listdir(f"{base}/l")}
            for entry in self.layer_dirs(home):
                text = (try_read_text(f"{base}/{entry}/link") or "").strip()
                if text and not os.path.lexists(f"{base}/l/{text}"):
                    os.symlink(f"../{entry}/diff", f"{base}/l/{text}")
                    made += 1
                elif not text and entry in linked:
                    _write(f"{base}/{entry}/link", linked[entry])
                    made += 1
        except OSError as error:
            raise from_os_error(error, "restoring the links of layers") from None
        return made


def _target(link: str) -> str:
    """The layer a symbolic link ``../ID/diff`` leads to; empty for anything else."""
    try:
        parts = os.readlink(link).split("/")
    except OSError:
        return ""
    return parts[1] if len(parts) == 3 and parts[0] == ".." and parts[2] == "diff" else ""


def numbered(diff: str) -> list[str]:
    """``diff1``, ``diff2``, ... as far as they exist: content that id-mapped copies moved aside."""
    found = []
    number = 1
    while os.path.lexists(f"{diff}{number}"):
        found.append(f"{diff}{number}")
        number += 1
    return found


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        write_all(fd, text.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
