"""Network and user namespaces: making, keeping, entering.

A thread can be in another network namespace than the rest of the process, so nothing here needs a helper process
except user namespaces, which the kernel gives to single-threaded processes only.
"""

from __future__ import annotations

import fcntl
import os
from _struct import pack, unpack_from
from _thread import allocate_lock, get_native_id, start_new_thread

from wherry.sys import libc
from wherry.sys.files import make_dirs
from wherry.sys.mounts import bind, detach, is_mount_point, make_private
from wherry.sys.processes import SIGKILL, Completed, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, TypeVar

    from wherry.model.mount import IDMap

    T = TypeVar("T")

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_IFREQ = 40        # sizeof(struct ifreq)


def in_thread(work: Callable[[], T]) -> T:
    """Call *work* in a new thread, wait, and return or raise what it did.

    For changes that belong to a thread (working directory, network namespace) and must not outlive the call.
    """
    result: list[Any] = []
    failure: list[BaseException] = []
    done = allocate_lock()
    done.acquire()

    def body() -> None:
        try:
            result.append(work())
        except BaseException as error:
            failure.append(error)
        finally:
            done.release()

    start_new_thread(body, ())
    done.acquire()
    if failure:
        raise failure[0]
    value: T = result[0]
    return value


def create_netns(path: str) -> None:
    """Make a network namespace with the loopback interface up and keep it by a bind mount at *path*.

    *path* must not exist; its directory is created (0755) and made a private mount, so that the namespace does not
    leak into mount namespaces that others create.  Nothing stays on failure.  Raises :class:`OSError`.
    """
    _prepare_directory(os.path.dirname(path))
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))

    def work() -> None:
        libc.unshare(libc.CLONE_NEWNET)
        loopback_up()
        bind(f"/proc/self/task/{get_native_id()}/ns/net", path)

    try:
        in_thread(work)
    except BaseException:
        os.unlink(path)
        raise


def keep_netns(pid: int, path: str) -> None:
    """Keep the network namespace of process *pid* by a bind mount at *path*, its loopback interface up.

    As :func:`create_netns` otherwise.
    """
    _prepare_directory(os.path.dirname(path))
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        bind(f"/proc/{pid}/ns/net", path)
        call_in_netns(path, loopback_up)
    except BaseException:
        detach(path)
        os.unlink(path)
        raise


def _prepare_directory(directory: str) -> None:
    if is_mount_point(directory):
        return
    make_dirs(directory, 0o755)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)      # a second bind would hide namespaces mounted on the first
        if not is_mount_point(directory):
            bind(directory, directory)
            make_private(directory)
    finally:
        os.close(fd)


def loopback_up() -> None:
    """Set ``lo`` of the calling thread's network namespace up (netdevice(7))."""
    import _socket

    control = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        request = pack(f"16sH{_IFREQ - 18}x", b"lo", 0)
        flags: int = unpack_from("H", fcntl.ioctl(control.fileno(), _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(control.fileno(), _SIOCSIFFLAGS, pack(f"16sH{_IFREQ - 18}x", b"lo", flags | _IFF_UP))
    finally:
        control.close()


def remove_netns(path: str) -> None:
    """Let go of the namespace kept at *path*; the kernel clears its devices away later. Missing is fine."""
    detach(path)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def call_in_netns(path: str, work: Callable[[], T]) -> T:
    """Call *work* in a thread inside the network namespace at *path* (a bind mount or ``/proc/PID/ns/net``).

    Sockets it opens belong to that namespace for good; processes it starts are in it.
    """
    def inside() -> T:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc.setns(fd, libc.CLONE_NEWNET)
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(fd)
        return work()

    return in_thread(inside)


def run_in_netns(
    path: str,
    argv: Sequence[str],
    *,
    input: bytes = b"",
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Completed:
    """:func:`wherry.sys.processes.run` inside the network namespace at *path*."""
    return call_in_netns(path, lambda: run(argv, input=input, env=env, timeout=timeout))


def namespace_id(path: str) -> tuple[int, int]:
    """Device and inode of a namespace file; two files name the same namespace when these are equal."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def open_user_namespace(uid_map: Sequence[IDMap], gid_map: Sequence[IDMap]) -> int:
    """A descriptor of a new user namespace with these maps, without any process in it. The caller closes it.

    Needs CAP_SETUID and CAP_SETGID over the ids (user_namespaces(7)).  Raises :class:`OSError`.
    """
    ready_reader, ready_writer = os.pipe()
    hold_reader, hold_writer = os.pipe()
    libc.load()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(hold_writer)
            libc.unshare(libc.CLONE_NEWUSER)
            os.write(ready_writer, b"0")
            os.read(hold_reader, 1)
        except OSError as error:
            os.write(ready_writer, str(error.errno).encode())
        finally:
            os._exit(0)
    try:
        os.close(ready_writer)
        os.close(hold_reader)
        number = int(os.read(ready_reader, 16) or b"5")
        if number:
            raise OSError(number, os.strerror(number), "user namespace")
        for name, id_map in (("uid_map", uid_map), ("gid_map", gid_map)):
            text = "".join(f"{line.container_id} {line.host_id} {line.size}\n" for line in id_map)
            fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, text.encode())
            finally:
                os.close(fd)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready_reader)
        os.close(hold_writer)
        os.kill(pid, SIGKILL)
        os.waitpid(pid, 0)


def enter_as_root(user_namespace: int) -> None:
    """Become root of the user namespace *user_namespace* (a descriptor), in a mount namespace of its own.

    For a child between fork and exec: everything the process may do from then on is what the ids mapped there may.
    Needs CAP_SYS_ADMIN in that namespace, which root has in those it made (user_namespaces(7)).  Raises
    :class:`OSError`.
    """
    libc.setns(user_namespace, libc.CLONE_NEWUSER)
    libc.unshare(libc.CLONE_NEWNS)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
