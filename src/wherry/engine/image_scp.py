"""image scp: images from one store to another, of another user or of another machine.

The image travels as a docker-archive; at the far end wherry saves or loads it, or Podman where there is no wherry.
"""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument, NotFound, Unavailable, WherryError, from_os_error
from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
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

    argv, options = _by_ssh(runtime, place.host, words) if place.host else _as_user(place.user, words)
    try:
        done = subprocess.run(
            argv, stdin=input if input >= 0 else subprocess.DEVNULL, stdout=output if output >= 0 else subprocess.PIPE,
            stderr=subprocess.PIPE, check=False, **options,
        )
    except OSError as error:
        raise from_os_error(error, f"running {argv[0]}") from None
    if done.returncode:
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
        reason = said[-1] if said else f"exit status {done.returncode}"
        raise WherryError(f"{place.host or place.user}: {reason.removeprefix('Error: ')}")
    return done.stdout or b""


def _as_user(user: str, words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """As another user of this machine; only root becomes one without asking ``sudo``."""
    import pwd

    from wherry.config.environment import environ
    from wherry.sys.program import command

    entry = pwd.getpwnam(user)
    argv = [*command(), *words]
    if os.geteuid():
        return ["sudo", "-n", "-H", "-u", user, "--", *argv], {}
    home = {"HOME": entry.pw_dir, "USER": user, "LOGNAME": user}
    ours = environ()
    kept = {name: ours[name] for name in ("PATH", "LANG", "TERM") if name in ours}
    return argv, {
        "user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": os.getgrouplist(user, entry.pw_gid),
        "cwd": "/", "env": {**kept, **home, "XDG_RUNTIME_DIR": f"/run/user/{entry.pw_uid}"},
    }


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
