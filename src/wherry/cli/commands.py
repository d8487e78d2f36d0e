"""The command table: what can be typed and which function does it. Strings only, so that reading it costs nothing.

A row is ``(target, words, help, also, rule)``:

target  ``module:function`` below :mod:`wherry.cli`; the flags are the module's constant of that name in capitals, and
        its constant ``REFUSED`` says which of them are accepted but an error when used, and why
words   what follows the flags, for the usage line
help    one line; empty for what only wherry itself calls, which help does not list
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
    "auto-update": (
        "auto_update:auto_update", "[NAME...]", "Update containers to newer images as their labels say", "", ""),
    "auto-update history": (
        "auto_update:history", "[CONTAINER]", "Show what auto-update has done", "", "0-1"),
    "auto-update rollback": (
        "auto_update:rollback", "NAME", "Go back to the images before the last update", "", "1"),
    "artifact add": (
        "artifacts:add", "ARTIFACT PATH [...PATH]", "Store files as an OCI artifact", "", "2+"),
    "artifact extract": ("artifacts:extract", "ARTIFACT PATH", "Copy files out of an artifact", "", "2"),
    "artifact inspect": ("artifacts_list:inspect", "ARTIFACT", "Show everything about an artifact", "", "1"),
    "artifact ls": ("artifacts_list:ls", "", "List artifacts", "artifact list", "0"),
    "artifact pull": ("artifacts:pull", "ARTIFACT", "Fetch an artifact from its registry", "", "1"),
    "artifact push": ("artifacts:push", "ARTIFACT", "Copy an artifact to its registry", "", "1"),
    "artifact rm": ("artifacts:rm", "ARTIFACT [ARTIFACT...]", "Remove artifacts", "artifact remove", ""),
    "container attach": (
        "containers_attach:attach", "CONTAINER", "Attach to a running container", "attach", ""),
    "container checkpoint": (
        "containers_checkpoint:checkpoint", "CONTAINER [CONTAINER...]", "Freeze containers to disk (not supported yet)",
        "", ""),
    "container cleanup": (
        "containers_cleanup:cleanup", "CONTAINER [CONTAINER...]",
        "Release network and mounts of containers that have ended", "", ""),
    "container clone": (
        "containers_update:clone", "CONTAINER [NAME [IMAGE]]", "Create a container with another's configuration", "",
        "1-3"),
    "container cp": (
        "containers_cp:cp", "[CONTAINER:]SRC_PATH [CONTAINER:]DEST_PATH",
        "Copy files between containers and the host", "cp", "2"),
    "container commit": (
        "containers_commit:commit", "CONTAINER [IMAGE]", "Make an image of a container", "commit", "1-2"),
    "container create": (
        "containers_create:create", "IMAGE [COMMAND [ARG...]]", "Create a container without starting it",
        "create", "!1+"),
    "container diff": (
        "diff:container_diff", "CONTAINER [CONTAINER]", "Show what a container changes", "", ""),
    "container exec": (
        "containers_exec:exec", "CONTAINER COMMAND [ARG...]", "Run a process in a running container", "exec", "!"),
    "container exists": (
        "containers_exists:exists", "CONTAINER", "Tell by the exit code whether a container exists", "", "1"),
    "container export": (
        "containers_commit:export", "CONTAINER", "Write a container's root file system as a tar", "export", "1"),
    "container init": (
        "containers_start:init", "CONTAINER [CONTAINER...]", "Set containers up without starting them", "init", ""),
    "container inspect": (
        "inspect:container_inspect", "CONTAINER [CONTAINER...]", "Show everything about containers", "", ""),
    "container kill": (
        "containers_stop:kill", "CONTAINER [CONTAINER...]", "Send a signal to running containers", "kill", ""),
    "container logs": (
        "containers_logs:logs", "CONTAINER [CONTAINER...]", "Show the output of containers", "logs", ""),
    "container mount": (
        "containers_mount:mount", "[CONTAINER...]", "Mount the roots of containers and print where they are",
        "mount", ""),
    "container pause": (
        "containers_pause:pause", "CONTAINER [CONTAINER...]", "Freeze all processes in containers", "pause", ""),
    "container port": (
        "containers_port:port", "CONTAINER [PORT]", "Show where ports of a container are published", "port", ""),
    "container prune": (
        "containers_prune:prune", "", "Remove all containers that do not run", "", "0"),
    "container ps": (
        "containers_ps:ps", "", "List containers", "ps, container list, container ls", "0"),
    "container rename": ("containers_rename:rename", "CONTAINER NAME", "Give a container another name", "rename", "2"),
    "container restart": (
        "containers_start:restart", "CONTAINER [CONTAINER...]", "Stop containers and start them again", "restart",
        ""),
    "container restore": (
        "containers_checkpoint:restore", "CONTAINER [CONTAINER...]", "Bring frozen containers back (not supported yet)",
        "", ""),
    "container rm": ("containers_rm:rm", "CONTAINER [CONTAINER...]", "Remove containers", "rm", ""),
    "container run": (
        "containers_create:run", "IMAGE [COMMAND [ARG...]]", "Run a command in a new container", "run", "!1+"),
    "container runlabel": (
        "containers_runlabel:runlabel", "LABEL IMAGE [ARG...]", "Run the command a label of an image holds", "",
        "2+"),
    "container start": ("containers_start:start", "CONTAINER [CONTAINER...]", "Start containers", "start", ""),
    "container stats": (
        "containers_stats:stats", "[CONTAINER...]", "Show what containers use", "stats", ""),
    "container stop": ("containers_stop:stop", "CONTAINER [CONTAINER...]", "Stop containers", "stop", ""),
    "container top": (
        "containers_top:top", "CONTAINER [DESCRIPTOR...|PS-ARGUMENT...]", "Show the processes of a container", "top",
        "!"),
    "container unmount": (
        "containers_mount:unmount", "CONTAINER [CONTAINER...]", "Give up mounts of containers",
        "unmount, umount, container umount", ""),
    "container unpause": (
        "containers_pause:unpause", "CONTAINER [CONTAINER...]", "Let frozen containers run again", "unpause", ""),
    "container update": (
        "containers_update:update", "CONTAINER", "Change limits and policies of a container", "update", ""),
    "container wait": (
        "containers_wait:wait", "CONTAINER [CONTAINER...]", "Wait until containers have ended", "wait", ""),
    "healthcheck run": ("healthcheck:run", "CONTAINER", "Run the health check of a container", "", "1"),
    "healthcheck supervise": ("healthcheck:supervise", "DIRECTORY WORD [WORD...]", "", "", "!2+"),
    "inspect": (
        "inspect:inspect", "{CONTAINER|IMAGE} [...]", "Show everything about containers and images", "", ""),
    "diff": ("diff:diff", "{CONTAINER|IMAGE} [{CONTAINER|IMAGE}]", "Show what a container or image changes", "", ""),
    "generate systemd": (
        "generate_systemd:systemd", "{CONTAINER|POD}", "Make systemd units for a container or pod", "", "1"),
    "image diff": ("diff:image_diff", "IMAGE [IMAGE]", "Show what an image's top layer changes", "", "1-2"),
    "image exists": (
        "images_exists:exists", "IMAGE", "Tell by the exit code whether an image exists", "", "1"),
    "image generate-sigstore-key": (
        "images_trust:generate_key", "", "Make a key pair to sign images with (wherry's own, as in Skopeo)", "", "0"),
    "image history": ("images_history:history", "IMAGE", "Show what an image was made by", "history", "1"),
    "image import": (
        "images_load:import_image", "PATH [REFERENCE]", "Make an image from a root file system archive", "import",
        "1-2"),
    "image inspect": ("inspect:image_inspect", "IMAGE [IMAGE...]", "Show everything about images", "", ""),
    "image list": (
        "images_list:images", "[IMAGE]", "List the images of this host", "images, image ls", "0-1"),
    "image load": ("images_load:load", "", "Load images from an archive", "load", "0"),
    "image mount": ("images_mount:mount", "[IMAGE...]", "Mount images", "", ""),
    "image prune": ("images_prune:prune", "", "Remove images nobody uses", "builder prune, buildx prune", "0"),
    "image pull": ("images_pull:pull", "IMAGE [IMAGE...]", "Pull images from a registry", "pull", "1+"),
    "image push": (
        "images_push:push", "IMAGE [DESTINATION]", "Push an image to a registry, archive or directory", "push", "1-2"),
    "image rm": ("images_rm:rm", "IMAGE [IMAGE...]", "Remove images", "rmi", ""),
    "image save": ("images_save:save", "IMAGE [IMAGE...]", "Write images to an archive", "save", ""),
    "image scp": (
        "images_scp:scp", "IMAGE [HOST::]", "Copy an image to or from another user or machine", "", "1-2"),
    "image search": ("search:search", "TERM", "Look for images on a registry", "search", "1"),
    "image sign": (
        "images_trust:sign", "IMAGE [IMAGE...]", "Sign images of registries with a GPG key", "", "1+"),
    "image tag": (
        "images_tag:tag", "IMAGE TARGET_NAME [TARGET_NAME...]", "Give an image another name", "tag", "2+"),
    "image tree": ("images_history:tree", "IMAGE", "Show an image's layers as a tree", "", "1"),
    "image trust set": (
        "images_trust:set_trust", "REGISTRY", "Say what images of a registry must fulfil", "", "1"),
    "image trust show": ("images_trust:show", "[REGISTRY]", "Show the policy for images", "", "0-1"),
    "image unmount": (
        "images_mount:unmount", "IMAGE [IMAGE...]", "Take mounts of images away", "image umount", ""),
    "image untag": ("images_tag:untag", "IMAGE [IMAGE...]", "Take a name from an image", "untag", "1+"),
    "login": ("login:login", "[REGISTRY]", "Log in to a registry", "", "0-1"),
    "logout": ("login:logout", "[REGISTRY]", "Log out of a registry", "", "0-1"),
    "network connect": ("networks:connect", "NETWORK CONTAINER", "Connect a container to a network", "", "2"),
    "network create": ("networks:create", "[NAME]", "Create a network", "", "0-1"),
    "network disconnect": (
        "networks:disconnect", "NETWORK CONTAINER", "Disconnect a container from a network", "", "2"),
    "network exists": ("networks:exists", "NETWORK", "Tell by the exit code whether a network exists", "", "1"),
    "network inspect": ("networks_list:inspect", "NETWORK [NETWORK...]", "Show everything about networks", "", "1+"),
    "network ls": ("networks_list:ls", "", "List networks", "network list", "0"),
    "network prune": ("networks:prune", "", "Remove all networks no container uses", "", "0"),
    "network reload": (
        "networks:reload", "[CONTAINER...]", "Make the firewall rules of running containers again", "", ""),
    "network rm": ("networks:rm", "NETWORK [NETWORK...]", "Remove networks", "network remove", "1+"),
    "network update": ("networks:update", "NETWORK", "Change the name servers of a network", "", "1"),
    "manifest add": (
        "manifests:add", "LIST IMAGEORARTIFACT [IMAGEORARTIFACT...]", "Add images to a manifest list", "", "2+"),
    "manifest annotate": (
        "manifests:annotate", "LIST IMAGEORARTIFACT", "Say more of an entry of a manifest list", "", "1-2"),
    "manifest create": ("manifests:create", "LIST [IMAGE...]", "Make a manifest list", "", "1+"),
    "manifest exists": (
        "manifests:exists", "MANIFEST", "Tell by the exit code whether a manifest list exists", "", "1"),
    "manifest inspect": ("manifests:inspect", "IMAGE", "Show a manifest list", "", "1"),
    "manifest push": ("manifests:push", "LIST DESTINATION", "Push a manifest list to a registry", "", "1-2"),
    "manifest remove": ("manifests:remove", "LIST DIGEST", "Take an image out of a manifest list", "", "2"),
    "manifest rm": ("manifests:rm", "LIST [LIST...]", "Remove manifest lists", "", "1+"),
    "system check": (
        "system_check:check", "", "Look for damage in the store and mend it", "", "0"),
    "system df": ("system_df:df", "", "Show what images, containers and volumes take", "", "0"),
    "system events": ("system_events:events", "", "Show what happened, and what happens", "events", "0"),
    "system install-units": (
        "system_units:install_units", "", "Write wherry's own systemd units", "", "0"),
    "system migrate": ("system_prune:migrate", "", "Accepted for Podman's sake; there is nothing to migrate", "", "0"),
    "system prune": ("system_prune:prune", "", "Remove everything nobody uses", "", "0"),
    "system renumber": (
        "system_prune:renumber", "", "Accepted for Podman's sake; there is nothing to renumber", "", "0"),
    "system restart-all": (
        "system_boot:restart_all", "", "Start the containers that come back after a reboot", "", "0"),
    "system stop-all": (
        "system_boot:stop_all", "", "Stop all containers before a reboot, so that restart-all brings them back", "",
        "0"),
    "system reset": ("system_prune:reset", "", "Remove everything this engine made", "", "0"),
    "system info": ("system_info:info", "", "Show host, store and engine", "info", "0"),
    "version": ("system_version:version", "", "Show the version", "", "0"),
    "pod clone": ("pods_create:clone", "POD [NAME]", "Create a pod with another's configuration", "", "1-2"),
    "pod create": ("pods_create:create", "[NAME]", "Create a pod without starting it", "", "!0-1"),
    "pod exists": ("pods:exists", "POD", "Tell by the exit code whether a pod exists", "", "1"),
    "pod inspect": ("pods_list:inspect", "POD [POD...]", "Show everything about pods", "", ""),
    "pod kill": ("pods:kill", "POD [POD...]", "Send a signal to the containers of pods", "", ""),
    "pod logs": ("pods_watch:logs", "POD", "Show the output of the containers of a pod", "", ""),
    "pod pause": ("pods:pause", "POD [POD...]", "Freeze all containers of pods", "", ""),
    "pod prune": ("pods:prune", "", "Remove all pods that have ended", "", "0"),
    "pod ps": ("pods_list:ps", "", "List pods", "pod list, pod ls", "0"),
    "pod restart": ("pods:restart", "POD [POD...]", "Stop pods and start them again", "", ""),
    "pod rm": ("pods:rm", "POD [POD...]", "Remove pods and their containers", "", ""),
    "pod start": ("pods:start", "POD [POD...]", "Start all containers of pods", "", ""),
    "pod stats": ("pods_watch:stats", "[POD...]", "Show what the containers of pods use", "", ""),
    "pod stop": ("pods:stop", "POD [POD...]", "Stop all containers of pods", "", ""),
    "pod top": ("pods_watch:top", "POD [FORMAT-DESCRIPTORS...]", "Show the processes of a pod", "", "!"),
    "pod unpause": ("pods:unpause", "POD [POD...]", "Let the containers of frozen pods run again", "", ""),
    "secret create": ("secrets:create", "NAME FILE|-", "Store a secret", "", "2"),
    "secret exists": ("secrets:exists", "SECRET", "Tell by the exit code whether a secret exists", "", "1"),
    "secret inspect": ("secrets:inspect", "SECRET [SECRET...]", "Show everything about secrets", "", "1+"),
    "secret ls": ("secrets:ls", "", "List secrets", "secret list", "0"),
    "secret rm": ("secrets:rm", "SECRET [SECRET...]", "Remove secrets", "", ""),
    "volume create": ("volumes:create", "[NAME]", "Create a volume", "", "0-1"),
    "volume exists": ("volumes:exists", "VOLUME", "Tell by the exit code whether a volume exists", "", "1"),
    "volume export": ("volumes:export", "VOLUME", "Write the content of a volume as a tar archive", "", "1"),
    "volume import": (
        "volumes:import_volume", "VOLUME SOURCE", "Unpack a tar archive into a volume", "", "2"),
    "volume inspect": ("volumes_list:inspect", "VOLUME [VOLUME...]", "Show everything about volumes", "", ""),
    "volume ls": ("volumes_list:ls", "", "List volumes", "volume list", "0"),
    "volume mount": ("volumes:mount", "NAME", "Mount a volume and show where", "", "1"),
    "volume prune": ("volumes:prune", "", "Remove all volumes no container uses", "", "0"),
    "volume reload": ("volumes:reload", "", "Compare the volumes known with those of the volume plugins", "", "0"),
    "volume rm": ("volumes:rm", "VOLUME [VOLUME...]", "Remove volumes", "volume remove", ""),
    "volume unmount": ("volumes:unmount", "NAME", "Undo one mount of a volume", "", "1"),
    "help": ("help:help_command", "[COMMAND]", "Show help about a command", "", ""),
}

#: Commands that only hold others.
GROUPS: dict[str, str] = {
    "artifact": "Manage OCI artifacts",
    "container": "Manage containers",
    "generate": "Generate units from containers and pods",
    "healthcheck": "Manage health checks of containers",
    "image": "Manage images",
    "network": "Manage networks",
    "image trust": "Manage the policy for images",
    "manifest": "Manage manifest lists",
    "system": "Manage wherry itself",
    "pod": "Manage pods",
    "secret": "Manage secrets",
    "volume": "Manage volumes",
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
    """The commands directly below *group* (empty: the top) as (name, help), by area and name, each name once.

    An area is the first word of a canonical path; areas are in the table's order.
    """
    prefix = group + " " if group else ""
    areas: dict[str, int] = {}
    found: dict[str, tuple[int, str, str]] = {}
    for path, canonical in paths():
        area = areas.setdefault(canonical.partition(" ")[0], len(areas))
        rest = path.removeprefix(prefix)
        if path.startswith(prefix) and " " not in rest and COMMANDS[canonical][2]:
            found.setdefault(rest, (area, rest, COMMANDS[canonical][2]))
    for path, text in GROUPS.items():
        rest = path.removeprefix(prefix)
        if path.startswith(prefix) and rest and " " not in rest:
            found.setdefault(rest, (areas.get(path.partition(" ")[0], len(areas)), rest, text))
    return [(name, text) for _area, name, text in sorted(found.values())]
