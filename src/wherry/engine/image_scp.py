"""image scp: images from one store to another, of another user or of another machine.

The image travels as a docker-archive; at the far end wherry saves or loads it, or Podman where there is no wherry.
"""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument, NotFound, Unavailable, WherryError, from_os_error
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack
    from typing import Any

    from wherry.engine.runtime import Runtime
    from wherry.registry.progress import Reporter

#: What runs at the far end: whichever engine is there.
_EITHER = 'if command -v wherry >/dev/null 2>&1; then exec wherry "$@"; else exec podman "$@"; fi'
_LOADED = ("Loaded image: ", "Loaded image(s): ", "Loaded images(s): ")


class Place(Record):
    """One end: a user of this machine, a machine, or (both empty) this store. *image* may be empty at the far end."""

    user: str = ""
    host: str = ""              # a connection of containers.conf, or [user@]host[:port]
    image: str = ""


def parse(text: str) -> Place:
    """``IMAGE``, ``USER@localhost::[IMAGE]`` or ``HOST::[IMAGE]``. Raises ``InvalidArgument``."""
    where, double, image = text.partition("::")
    if not double:
        return Place(image=text)
    user, _, host = where.rpartition("@")
    if user and host == "localhost":
        return Place(user=user, image=image)
    if not where or where.startswith("-"):
        raise InvalidArgument(f'"{text}" names no machine before "::"')
    return Place(host=where, image=image)


def transfer(runtime: Runtime, source: Place, target: Place, reporter: Reporter) -> str:
    """Copy the image *source* to *target*; returns its name (or id) there. Raises wherry errors."""
    import tempfile

    from wherry.registry.spool import spool_directory

    if not source.image:
        raise InvalidArgument("no source image specified")
    with tempfile.TemporaryDirectory(dir=spool_directory(runtime.settings), prefix="wherry-scp-") as directory:
        path = f"{directory}/image.tar"
        if _is_here(source):
            runtime.images.save([source.image], path, progress=reporter)
        else:
            reporter.message(f"Getting {source.image} from {source.host or source.user}")
            with open(path, "xb") as archive:
                _talk(runtime, source, ["image", "save", "--quiet", source.image], output=archive.fileno())
        if _is_here(target):
            loaded = runtime.images.load(path, progress=reporter)[0]
            if target.image:
                runtime.images.get(loaded).tag(target.image)
            return target.image or loaded
        reporter.message(f"Sending {source.image} to {target.host or target.user}")
        with open(path, "rb") as archive:
            said = _talk(runtime, target, ["image", "load", "--quiet"], input=archive.fileno())
        loaded = _loaded(said)
        if target.image:
            _talk(runtime, target, ["image", "tag", loaded, target.image])
        return target.image or loaded


def _is_here(place: Place) -> bool:
    """This store: nobody else was named."""
    import pwd

    if place.host:
        return False
    try:
        return not place.user or pwd.getpwnam(place.user).pw_uid == os.geteuid()
    except KeyError:
        raise NotFound(f"user: unknown user {place.user}") from None


def _loaded(said: bytes) -> str:
    for line in reversed(said.decode(errors="replace").splitlines()):
        for words in _LOADED:
            if line.startswith(words):
                return line.removeprefix(words).strip()
    raise WherryError(f"the far end did not say what it loaded: {said[:200].decode(errors='replace')!r}")


def _talk(runtime: Runtime, place: Place, words: Sequence[str], *, input: int = -1, output: int = -1) -> bytes:
    """Run a command of the engine at *place*; what it prints, unless that goes to *output*."""
    import subprocess
    from contextlib import ExitStack

    with ExitStack() as opened:
        argv, options = _by_ssh(runtime, place.host, words) if place.host else _as_user(place.user, words, opened)
        try:
            done = subprocess.run(
                argv, stdin=input if input >= 0 else subprocess.DEVNULL,
                stdout=output if output >= 0 else subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options,
            )
        except (OSError, subprocess.SubprocessError) as error:
            cause = error if isinstance(error, OSError) else OSError(1, str(error))
            raise from_os_error(cause, f"running {argv[0]} for {place.host or place.user}") from None
    if done.returncode:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        reason = said[-1] if said else f"exit status {done.returncode}"
        raise WherryError(f"{place.host or place.user}: {reason.removeprefix('Error: ')}")
    return done.stdout or b""


def _as_user(user: str, words: Sequence[str], opened: ExitStack) -> tuple[list[str], dict[str, Any]]:
    """As another user of this machine; only root becomes one without asking ``sudo``."""
    from wherry.sys.program import command

    argv = [*command(), *words]
    if os.geteuid():
        return ["sudo", "-n", "-H", "-u", user, "--", *argv], {}
    return argv, {"cwd": "/", "env": _environment_of(user), "preexec_fn": _becoming(user, opened)}


def _environment_of(user: str) -> dict[str, str]:
    """What a rootless engine in the user namespace of *user* goes by (``podman unshare`` sets the same)."""
    import pwd

    from wherry.config.environment import environ

    entry = pwd.getpwnam(user)
    ours = environ()
    variables = {name: ours[name] for name in ("PATH", "LANG", "TERM") if name in ours}
    variables.update(
        HOME=entry.pw_dir, USER=user, LOGNAME=user, _CONTAINERS_USERNS_CONFIGURED="done",
        _CONTAINERS_ROOTLESS_UID=str(entry.pw_uid), _CONTAINERS_ROOTLESS_GID=str(entry.pw_gid),
    )
    if os.path.isdir(f"/run/user/{entry.pw_uid}"):
        variables["XDG_RUNTIME_DIR"] = f"/run/user/{entry.pw_uid}"
    return variables


def _becoming(user: str, opened: ExitStack) -> Callable[[], None]:
    """What makes a child of ours root of a namespace in which root is *user*, and others are the user's sub-ids.

    The store of a user is written by that user's ids alone, whatever links the user put there.
    """
    import pwd

    from wherry.model.mount import IDMap
    from wherry.spec.host import Lookup
    from wherry.sys.namespaces import enter_as_root, open_user_namespace

    entry = pwd.getpwnam(user)
    maps = [
        [IDMap(container_id=0, host_id=own, size=1), *(
            line.replace(container_id=line.container_id + 1) for line in Lookup().sub_ids(kind, user)
        )]
        for kind, own in (("uid", entry.pw_uid), ("gid", entry.pw_gid))
    ]
    namespace = open_user_namespace(*maps)
    opened.callback(os.close, namespace)
    return lambda: enter_as_root(namespace)


def _by_ssh(runtime: Runtime, host: str, words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """On another machine: a connection of containers.conf, or what ssh itself understands."""
    import shlex
    from urllib.parse import urlsplit

    from wherry.sys.processes import find_program

    program = find_program("ssh")
    if not program:
        raise Unavailable("image scp: ssh is missing", hint="install the package openssh-client")
    known = runtime.settings.engine.service_destinations.get(host)
    argv = [program, "-o", "BatchMode=yes"]
    if known is not None and known.identity:
        argv += ["-i", known.identity]
    uri = known.uri if known is not None else host
    parts = urlsplit(uri if "://" in uri else f"ssh://{uri}")
    try:
        port = parts.port
    except ValueError as error:
        raise InvalidArgument(f"{host}: {error}") from None
    if parts.scheme != "ssh" or not parts.hostname or parts.hostname.startswith("-"):
        raise InvalidArgument(f"{host}: {uri} is not the address of a machine: want ssh://[user@]host[:port]")
    if port:
        argv += ["-p", str(port)]
    if parts.username:
        argv += ["-l", parts.username]
    line = shlex.join(["sh", "-c", _EITHER, "sh", *words])
    return [*argv, "--", parts.hostname, line], {}
