"""Secrets on their way into a container.

Those given as files are copied into the container's own directory when it is created, so that replacing or removing a
secret does not change containers that have it; those given as variables are read each time the container starts and
are stored nowhere but in the runtime's bundle, which only root can read.
"""

from __future__ import annotations

import os

from wherry.errors import WherryError, from_os_error
from wherry.sys.files import make_dirs, remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.locked import LockedContainer
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig, SecretMount
    from wherry.spec.users import ExecUser

BASE = "/run/secrets"


def looked_up(runtime: Runtime, config: ContainerConfig) -> ContainerConfig:
    """*config* with the ids of the secrets it names. Raises ``NoSuchSecret``."""
    store = runtime.secrets.store
    files = []
    for wanted in config.secrets:
        secret = store.get(wanted.name)
        files.append(wanted.replace(id=secret.id, name=secret.name))
    for name in config.env_secrets.values():
        store.get(name)
    return config.replace(secrets=files)


def copy_in(runtime: Runtime, config: ContainerConfig) -> None:
    """Copy the data of the container's secret files into its directory. Raises ``WherryError``."""
    store = runtime.secrets.store
    directory = _directory(config)
    try:
        for wanted in config.secrets:
            make_dirs(directory)
            fd = os.open(_file(config, wanted), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(store.data(store.get(wanted.id)))
                os.fchown(fd, *_owner(config, wanted))
                os.fchmod(fd, wanted.mode & 0o7777)
    except OSError as error:
        remove_tree(directory)
        raise from_os_error(error, f"creating secrets of container {config.id}") from None


def _directory(config: ContainerConfig) -> str:
    return f"{config.static_dir}/secrets"


def _file(config: ContainerConfig, wanted: SecretMount) -> str:
    return f"{_directory(config)}/{config.secrets.index(wanted)}-{wanted.name}"


def _owner(config: ContainerConfig, wanted: SecretMount) -> tuple[int, int]:
    from wherry.engine.volume_mounts import host_ids
    from wherry.spec.users import ExecUser

    owner: ExecUser = ExecUser(uid=wanted.uid, gid=wanted.gid)
    return host_ids(config, owner)


def bind_mounts(config: ContainerConfig) -> dict[str, str]:
    """destination in the container -> file on the host."""
    found = {}
    for wanted in config.secrets:
        target = wanted.target or wanted.name
        found[target if target.startswith("/") else f"{BASE}/{target}"] = _file(config, wanted)
    return found


def variables(held: LockedContainer) -> dict[str, str]:
    """Environment variables and the secrets they are to hold, as they are now. Raises ``WherryError``."""
    store = held.runtime.secrets.store
    found = {}
    for variable, name in held.config.env_secrets.items():
        try:
            found[variable] = store.data(store.get(name)).decode(errors="surrogateescape")
        except WherryError as error:
            raise type(error)(f"container {held.id}: secret of variable {variable}: {error}") from None
    return found
