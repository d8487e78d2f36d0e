"""The command table: what can be typed and which function does it. Strings only, so that reading it costs nothing.

A row is ``(target, words, help, also, rule)``:

target  ``module:function`` below :mod:`wherry.cli`; the flags are the module's constant of that name in capitals, and
        its constant ``REFUSED`` says which of them are accepted but an error when used, and why
words   what follows the flags, for the usage line
help    one line
also    other paths of the same command, comma-separated
rule    number of words: ``0``, ``1``, ``2``, ``1+``, ``2+``, ``0-1``, ``1-2``; empty: the function checks them itself;
        a leading ``!`` ends flag parsing at the first word

The order is Podman's (by area, then by name): suggestions are printed in it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Canonical path -> row.
COMMANDS: dict[str, tuple[str, str, str, str, str]] = {
    "container attach": (
        "containers_attach:attach", "CONTAINER", "Attach to a running container", "attach", ""),
    "container cleanup": (
        "containers_cleanup:cleanup", "CONTAINER [CONTAINER...]",
        "Release network and mounts of containers that have ended", "", ""),
    "container create": (
        "containers_create:create", "IMAGE [COMMAND [ARG...]]", "Create a container without starting it",
        "create", "!1+"),
    "container exec": (
        "containers_exec:exec", "CONTAINER COMMAND [ARG...]", "Run a process in a running container", "exec", "!"),
    "container exists": (
        "containers_exists:exists", "CONTAINER", "Tell by the exit code whether a container exists", "", "1"),
    "container init": (
        "containers_start:init", "CONTAINER [CONTAINER...]", "Set containers up without starting them", "init", ""),
    "container inspect": (
        "inspect:container_inspect", "CONTAINER [CONTAINER...]", "Show everything about containers", "", ""),
    "container kill": (
        "containers_stop:kill", "CONTAINER [CONTAINER...]", "Send a signal to running containers", "kill", ""),
    "container logs": (
        "containers_logs:logs", "CONTAINER [CONTAINER...]", "Show the output of containers", "logs", ""),
    "container pause": (
        "containers_pause:pause", "CONTAINER [CONTAINER...]", "Freeze all processes in containers", "pause", ""),
    "container prune": (
        "containers_prune:prune", "", "Remove all containers that do not run", "", "0"),
    "container ps": (
        "containers_ps:ps", "", "List containers", "ps, container list, container ls", "0"),
    "container restart": (
        "containers_start:restart", "CONTAINER [CONTAINER...]", "Stop containers and start them again", "restart",
        ""),
    "container rm": ("containers_rm:rm", "CONTAINER [CONTAINER...]", "Remove containers", "rm", ""),
    "container run": (
        "containers_create:run", "IMAGE [COMMAND [ARG...]]", "Run a command in a new container", "run", "!1+"),
    "container start": ("containers_start:start", "CONTAINER [CONTAINER...]", "Start containers", "start", ""),
    "container stop": ("containers_stop:stop", "CONTAINER [CONTAINER...]", "Stop containers", "stop", ""),
    "container unpause": (
        "containers_pause:unpause", "CONTAINER [CONTAINER...]", "Let frozen containers run again", "unpause", ""),
    "container wait": (
        "containers_wait:wait", "CONTAINER [CONTAINER...]", "Wait until containers have ended", "wait", ""),
    "inspect": (
        "inspect:inspect", "{CONTAINER|IMAGE} [...]", "Show everything about containers and images", "", ""),
    "image exists": (
        "images_exists:exists", "IMAGE", "Tell by the exit code whether an image exists", "", "1"),
    "image import": (
        "images_load:import_image", "PATH [REFERENCE]", "Make an image from a root file system archive", "import",
        "1-2"),
    "image inspect": ("inspect:image_inspect", "IMAGE [IMAGE...]", "Show everything about images", "", ""),
    "image list": (
        "images_list:images", "[IMAGE]", "List the images of this host", "images, image ls", "0-1"),
    "image load": ("images_load:load", "", "Load images from an archive", "load", "0"),
    "image pull": ("images_pull:pull", "IMAGE [IMAGE...]", "Pull images from a registry", "pull", "1+"),
    "image push": (
        "images_push:push", "IMAGE [DESTINATION]", "Push an image to a registry, archive or directory", "push", "1-2"),
    "image rm": ("images_rm:rm", "IMAGE [IMAGE...]", "Remove images", "rmi", ""),
    "image save": ("images_save:save", "IMAGE [IMAGE...]", "Write images to an archive", "save", ""),
    "image tag": (
        "images_tag:tag", "IMAGE TARGET_NAME [TARGET_NAME...]", "Give an image another name", "tag", "2+"),
    "image untag": ("images_tag:untag", "IMAGE [IMAGE...]", "Take a name from an image", "untag", "1+"),
    "system check": (
        "system_check:check", "", "Look for damage in the store and mend it", "", "0"),
    "system info": ("system_info:info", "", "Show host, store and engine", "info", "0"),
    "version": ("system_version:version", "", "Show the version", "", "0"),
    "help": ("help:help_command", "[COMMAND]", "Show help about a command", "", ""),
}

#: Commands that only hold others.
GROUPS: dict[str, str] = {
    "container": "Manage containers",
    "image": "Manage images",
    "system": "Manage wherry itself",
}

#: Alias -> the name messages use, where that is another alias.
SHOWN: dict[str, str] = {"container ls": "container list", "image ls": "image list"}


def find(path: str) -> str:
    """The canonical path of *path* (itself or an alias), empty when there is no such command."""
    if path in COMMANDS or not path:
        return path
    for canonical, row in COMMANDS.items():
        also = row[3]
        if path in also and path in also.split(", "):
            return canonical
    return ""


def paths() -> Iterator[tuple[str, str]]:
    """Every path that can be typed with its canonical path, aliases included, groups not."""
    for canonical, row in COMMANDS.items():
        if row[3]:
            yield from ((also, canonical) for also in row[3].split(", "))
        yield canonical, canonical


def children(group: str) -> list[tuple[str, str]]:
    """The commands directly below *group* (empty: the top) as (name, help), in the table's order, each name once."""
    prefix = group + " " if group else ""
    found: dict[str, str] = {}
    for path, canonical in paths():
        rest = path.removeprefix(prefix)
        if path.startswith(prefix) and " " not in rest:
            found.setdefault(rest, COMMANDS[canonical][2])
    for path, text in GROUPS.items():
        rest = path.removeprefix(prefix)
        if path.startswith(prefix) and rest and " " not in rest:
            found.setdefault(rest, text)
    return list(found.items())
