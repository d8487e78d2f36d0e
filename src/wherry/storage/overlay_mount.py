"""Mounting layers with the kernel's overlay file system or a mount program (fuse-overlayfs).

The sequence other engines rely on: the driver's directory is bind-mounted on itself and made private before anything
is mounted below it, under ``storage.lock``; otherwise the next Podman does so and hides the mount.
"""

from __future__ import annotations

import errno
import os

from wherry.errors import Unavailable, from_os_error
from wherry.model.record import Record
from wherry.storage.overlay import numbered
from wherry.sys import mounts
from wherry.sys.files import make_dirs, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.config.settings import StorageSettings
    from wherry.storage.driver import MountRequest
    from wherry.storage.home import Located
    from wherry.storage.overlay import OverlayDriver

_PAGE = os.sysconf("SC_PAGE_SIZE")
_METACOPY = "metacopy=on"
_METACOPY_PARAMETER = "/sys/module/overlay/parameters/metacopy"
#: Characters that mean something in overlay's option string.
_SPECIAL = frozenset(":,\\\"")

#: Options that are flags of mount(2), with whether they set or clear them (mount(8)).
_FLAGS = {
    "defaults": (0, True), "ro": (1, True), "rw": (1, False), "nosuid": (2, True), "suid": (2, False),
    "nodev": (4, True), "dev": (4, False), "noexec": (8, True), "exec": (8, False), "sync": (16, True),
    "async": (16, False), "dirsync": (128, True), "noatime": (1024, True), "atime": (1024, False),
    "nodiratime": (2048, True), "diratime": (2048, False), "relatime": (1 << 21, True),
    "norelatime": (1 << 21, False), "strictatime": (1 << 24, True), "nostrictatime": (1 << 24, False),
}


def split_options(options: Sequence[str]) -> tuple[int, list[str]]:
    """mount(2) flags, and the options left for the file system."""
    flags = 0
    data = []
    for option in options:
        flag = _FLAGS.get(option)
        if flag is None:
            data.append(option)
        elif flag[1]:
            flags |= flag[0]
        else:
            flags &= ~flag[0]
    return flags, data


class _Plan(Record):
    """One overlay mount: what goes where."""

    lowers: Sequence[str] = ()
    upper: str = ""            # empty: read-only
    work: str = ""
    target: str = ""
    flags: int = 0
    extra: Sequence[str] = ()

    def text(self) -> str:
        """The option string."""
        text = "lowerdir=" + ":".join(self.lowers)
        if self.upper:
            text += f",upperdir={self.upper},workdir={self.work}"
        return ",".join([text, *self.extra])

    def is_plain(self) -> bool:
        """Can the kernel be given the paths themselves? Option strings fit one page and know no quoting."""
        return len(self.text()) < _PAGE and not any(_SPECIAL.intersection(path) for path in (*self.lowers, self.upper))


class OverlayMounter:
    """Mounts and unmounts the layers of one :class:`~wherry.storage.overlay.OverlayDriver`."""

    def __init__(self, driver: OverlayDriver, settings: StorageSettings) -> None:
        self._driver = driver
        self._settings = settings

    # -- mounting ------------------------------------------------------------------------------------------------

    def mount(self, layer: Located, request: MountRequest) -> str:
        """Mount *layer* at its ``merged`` directory, which is returned. Nothing stays mounted after an error."""
        target = self._driver.mount_path(layer)
        directory = f"{layer.home.driver_dir}/{layer.id}"
        try:
            if not layer.home.read_only and not self._settings.skip_mount_home:
                self._make_home_private(layer.home.driver_dir)
            make_dirs(target)
            lowers = numbered(directory + "/diff") + self._driver.lower_dirs(layer) or [directory + "/empty"]
            if not request.uid_map or self._driver.mount_program():
                self._mount(layer, lowers, request)
                return target
            from wherry.storage.shifting import ShiftedTrees

            with ShiftedTrees(f"{directory}/mapped", request.uid_map, request.gid_map) as trees:
                shifted = [trees.path(lower) for lower in lowers]
                os.chown(f"{directory}/diff", *trees.root)
                self._mount(layer, shifted, request)
            return target
        except OSError as error:
            failure = from_os_error(error, f"mounting layer {layer.id}")
            if error.errno in (errno.EINVAL, errno.ENODEV, errno.EPERM):
                failure.hint = (
                    "the kernel or the file system of the store may not support overlay here; fuse-overlayfs as "
                    "mount_program and the storage driver vfs do without"
                )
            raise failure from None

    def _make_home_private(self, directory: str) -> None:
        if not mounts.is_mount_point(directory):
            mounts.bind(directory, directory)
        mounts.make_private(directory)

    def _mount(self, layer: Located, lowers: list[str], request: MountRequest) -> None:
        directory = f"{layer.home.driver_dir}/{layer.id}"
        upper, work = directory + "/diff", directory + "/work"
        options = self._options(request)
        flags, extra = split_options(options)
        if request.label:
            extra.append(f'context="{request.label}"')
        target = self._driver.mount_path(layer)
        if request.read_only or layer.home.read_only or "ro" in options:
            self._mount_once(_Plan(lowers=[upper, *lowers], target=target, flags=flags, extra=extra), request)
            return
        # A volatile mount that ended without unmounting leaves this; the kernel then refuses to mount again.
        remove_tree(work + "/work/incompat/volatile")
        plan = _Plan(lowers=lowers, upper=upper, work=work, target=target, flags=flags, extra=extra)
        if request.volatile:
            try:
                self._mount_once(plan.replace(extra=[*extra, "volatile"]), request)
                return
            except OSError as error:
                if error.errno != errno.EINVAL:     # Linux before 5.10 does not know it
                    raise
        self._mount_once(plan, request)

    def _options(self, request: MountRequest) -> list[str]:
        configured = self._settings.mount_options
        options = list(request.options or configured)
        if _METACOPY in configured and _METACOPY not in options:
            options.append(_METACOPY)       # a layer written with it cannot be read without
        native = not self._driver.mount_program()
        if not native or self._settings.rootless or not os.path.exists(_METACOPY_PARAMETER):
            options = [option for option in options if option != _METACOPY]
        if native and self._settings.rootless and "userxattr" not in options:
            options.append("userxattr")
        return options

    def _mount_once(self, plan: _Plan, request: MountRequest) -> None:
        program = self._driver.mount_program()
        if program:
            self._mount_by_program(program, plan, request)
            return
        try:
            if plan.is_plain():
                mounts.mount("overlay", plan.target, "overlay", plan.flags, plan.text())
            else:
                self._mount_by_descriptors(plan)
        except OSError as error:
            error.filename = f'creating overlay mount to {plan.target}, mount_data="{plan.text()}":'
            raise

    def _mount_by_descriptors(self, plan: _Plan) -> None:
        """Name the directories by descriptor numbers, which are short and have no special characters."""
        fds: list[int] = []

        def number(path: str) -> str:
            fds.append(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            return str(fds[-1])

        try:
            lowers = [number(path) for path in plan.lowers]
            if plan.upper:
                plan = plan.replace(upper=number(plan.upper), work=number(plan.work))
            text = plan.replace(lowers=lowers).text()
            mounts.mount_from_child("/proc/self/fd", "overlay", plan.target, "overlay", plan.flags, text)
        finally:
            for fd in fds:
                os.close(fd)

    def _mount_by_program(self, program: str, plan: _Plan, request: MountRequest) -> None:
        from wherry.sys.processes import run

        data = plan.text()
        for option, (flag, sets) in _FLAGS.items():
            if sets and flag and plan.flags & flag:
                data += "," + option
        for name, lines in (("uidmapping", request.uid_map), ("gidmapping", request.gid_map)):
            if lines:
                data += f",{name}=" + ":".join(f"{m.container_id}:{m.host_id}:{m.size}" for m in lines)
        if self._settings.force_mask:
            data += ",xattr_permissions=2"
        done = run([program, "-o", data, plan.target], cwd=os.path.dirname(os.path.dirname(plan.target)))
        if done.returncode:
            text = done.stderr.decode(errors="replace").strip() or "<stderr empty>"
            raise Unavailable(f"using mount program {program}: {text}: exit status {done.returncode}")

    # -- unmounting ----------------------------------------------------------------------------------------------

    def unmount(self, layer: Located) -> bool:
        """Unmount *layer*; False when it was not mounted."""
        target = self._driver.mount_path(layer)
        try:
            found = self.detach(os.path.dirname(target))
            # Podman 4 expects the directory gone, later ones an empty one: both make it when they mount.
            for directory in (target, os.path.dirname(target)) if layer.home.read_only else (target,):
                try:
                    os.rmdir(directory)
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                        raise
        except OSError as error:
            raise from_os_error(error, f"unmounting layer {layer.id}") from None
        return found

    def detach(self, directory: str) -> bool:
        """Unmount whatever is mounted in a layer's *directory*: ``merged``, and shifted trees a crash left."""
        try:
            for name in os.listdir(directory + "/mapped"):
                mounts.detach(f"{directory}/mapped/{name}")
        except FileNotFoundError:
            pass
        target = directory + "/merged"
        if not mounts.is_mount_point(target):
            return False
        if self._driver.mount_program() and self._unmount_fuse(target):
            return True
        return mounts.detach(target)

    def _unmount_fuse(self, target: str) -> bool:
        from wherry.sys.processes import find_program, run

        for name in ("fusermount3", "fusermount"):
            program = find_program(name)
            if program and run([program, "-u", target]).returncode == 0:
                return True
        return False
