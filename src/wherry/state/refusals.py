"""What a State says when it refuses, in Podman's words.  Both implementations raise exactly these errors."""

from __future__ import annotations

from wherry import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class NamespaceMismatch(errors.InvalidArgument):
    cause = "target is in a different namespace"


class NetworkConnected(errors.AlreadyExists):
    cause = "network is already connected"


def empty_name() -> errors.WherryError:
    return errors.InvalidArgument("name or ID cannot be empty")


# -- containers --------------------------------------------------------------------------------------------------


def no_container(text: str) -> errors.WherryError:
    return errors.NoSuchContainer(f'no container with name or ID "{text}" found')


def ambiguous_container(text: str) -> errors.WherryError:
    return errors.ContainerExists(f'more than one result for container "{text}"')


def damaged_container(container: str, damage: Exception) -> errors.WherryError:
    return errors.Corrupt(
        f"the record of container {container} in the database is damaged: {damage}",
        hint=f"'wherry rm --force {container[:12]}' removes what is left of it",
    )


def container_exists(what: str, value: str) -> errors.WherryError:
    """*what* is ``name`` or ``ID``."""
    return errors.ContainerExists(f'adding container to state: {what} "{value}" is in use')


def name_taken(new_name: str, container: str) -> errors.WherryError:
    return errors.ContainerExists(f"name {new_name} already in use, cannot rename container {container}")


def has_dependents(container: str, dependents: Iterable[str]) -> errors.WherryError:
    return errors.ContainerExists(
        f"container {container} has dependent containers which must be removed before it: {', '.join(dependents)}"
    )


def depends_on_itself(container: str) -> errors.WherryError:
    return errors.InvalidArgument(f"container {container} cannot depend on itself: invalid argument")


def no_dependency(dependency: str) -> errors.WherryError:
    return errors.NoSuchContainer(f"container dependency {dependency} does not exist in database")


def pods_differ(dependency: str, dependency_pod: str, pod: str) -> errors.WherryError:
    """A container may only depend on members of its own pod (libpod's rule)."""
    if not pod:
        what = f"container dependency {dependency} is part of a pod, but container is not"
    elif not dependency_pod:
        what = f"container dependency {dependency} is not part of pod, but this container belongs to pod {pod}"
    else:
        what = (
            f"container dependency {dependency} is part of pod {dependency_pod} but container is part of pod {pod}, "
            "pods must match"
        )
    return errors.InvalidArgument(f"{what}: invalid argument")


def namespaces_differ(name: str, namespace: str, kind: str, other: str, other_namespace: str) -> errors.WherryError:
    """*kind* is what *other* names: ``pod`` or ``dependency``."""
    return NamespaceMismatch(
        f'container {name} is in namespace "{namespace}" and {kind} {other} is in namespace "{other_namespace}"'
    )


def wrong_config(identity: str, what: str) -> errors.WherryError:
    return errors.InternalError(f"the new configuration of {identity} changes its {what}")


# -- exec sessions and exit codes --------------------------------------------------------------------------------


def no_exec_session(text: str) -> errors.WherryError:
    return errors.NoSuchExecSession(f"no exec session with ID {text} found")


def ambiguous_exec_session(text: str) -> errors.WherryError:
    return errors.ExecSessionExists(f'more than one result for exec session "{text}"')


def exec_session_exists(session: str, container: str) -> errors.WherryError:
    return errors.ExecSessionExists(f"adding container {container} exec session {session} to database")


def no_exit_code(container: str) -> errors.WherryError:
    return errors.NoSuchExitCode(f"getting exit code of container {container} from DB")


# -- pods --------------------------------------------------------------------------------------------------------


def no_pod(text: str) -> errors.WherryError:
    return errors.NoSuchPod(f"no pod with name or ID {text} found")


def ambiguous_pod(text: str) -> errors.WherryError:
    return errors.PodExists(f'more than one result for pod "{text}"')


def pod_exists(what: str, value: str) -> errors.WherryError:
    return errors.PodExists(f'adding pod to state: {what} "{value}" is in use')


def pod_not_empty(pod: str) -> errors.WherryError:
    return errors.ContainerExists(f"pod {pod} is not empty")


# -- volumes and networks ----------------------------------------------------------------------------------------


def no_volume(text: str) -> errors.WherryError:
    return errors.NoSuchVolume(f'no volume with name "{text}" found')


def ambiguous_volume(text: str) -> errors.WherryError:
    return errors.VolumeExists(f"more than one result for volume name {text}")


def volume_exists(name: str) -> errors.WherryError:
    return errors.VolumeExists(f"volume with name {name} already exists")


def volume_in_use(name: str, users: Iterable[str]) -> errors.WherryError:
    return errors.VolumeInUse(f"volume {name} is being used by the following container(s): {', '.join(users)}")


def already_connected(container: str, network: str) -> errors.WherryError:
    return NetworkConnected(f"container {container} is already connected to network {network}")


def not_connected(container: str, network: str) -> errors.WherryError:
    return errors.NoSuchNetwork(f"container {container} is not connected to network {network}")


# -- the database ------------------------------------------------------------------------------------------------


def identity_differs(what: str, theirs: str, ours: str) -> errors.WherryError:
    return errors.ConfigurationMismatch(f'database {what} "{theirs}" does not match our {what} "{ours}"')


def schema_too_new(found: int, known: int) -> errors.WherryError:
    return errors.ConfigurationMismatch(
        f"database schema version {found} is newer than version {known}, the newest this wherry understands",
        hint="use the newer wherry that made the database, or remove its containers there first",
    )
