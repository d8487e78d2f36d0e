"""volume reload: the database against what volume plugins have."""

from __future__ import annotations

from wherry.engine import volumes
from wherry.errors import NoSuchVolume, VolumeExists, WherryError
from wherry.model.timestamps import now
from wherry.model.volume import VolumeConfig, VolumeState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime


def reload(runtime: Runtime) -> tuple[list[str], list[str], list[WherryError]]:
    """Record the volumes plugins have and forget those they have no more: names added, names removed, errors.

    A plugin that does not answer changes nothing; a name taken by a volume of another driver, and one that a
    container still uses, is an error.
    """
    from wherry.engine.volume_plugins import plugin

    added: list[str] = []
    removed: list[str] = []
    errors: list[WherryError] = []
    known = {config.name: config for config, _state in runtime.state.volumes()}
    for driver in sorted(runtime.settings.engine.volume_plugins):
        try:
            there = set(plugin(runtime, driver).names())
        except WherryError as error:
            errors.append(error)
            continue
        own = {name for name, config in known.items() if config.driver == driver}
        for name in sorted(there - own):
            _note(added, errors, name, _add(runtime, driver, name))
        for name in sorted(own - there):
            _note(removed, errors, name, _forget(runtime, name))
    runtime.publish()
    return added, removed, errors


def _note(done: list[str], errors: list[WherryError], name: str, error: WherryError | None) -> None:
    if error is None:
        done.append(name)
    else:
        errors.append(error)


def _add(runtime: Runtime, driver: str, name: str) -> WherryError | None:
    config = VolumeConfig(name=name, driver=driver, created_time=now())
    try:
        runtime.state.add_volume(config, VolumeState(needs_copy_up=True), volumes.event("create", name))
    except VolumeExists as error:
        return VolumeExists(f"volume {name} of plugin {driver} cannot be added: {error.message}")
    except WherryError as error:
        return error
    return None


def _forget(runtime: Runtime, name: str) -> WherryError | None:
    try:
        runtime.state.remove_volume(name, volumes.event("remove", name))
    except NoSuchVolume:
        return None
    except WherryError as error:
        return error
    return None
