"""Everything together: files (or what is remembered of them), environment, command line."""

from __future__ import annotations

from wherry.config import places as config_places
from wherry.config.cache import cached
from wherry.config.environment import facts
from wherry.config.options import GlobalOptions
from wherry.config.settings import Settings
from wherry.config.storage_options import settings as storage_settings
from wherry.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.config.cache import Watch
    from wherry.config.places import Places

_NO_OPTIONS = GlobalOptions()

# Options that replace one engine setting: option -> key.
_ENGINE_OPTIONS = {
    "runtime": "runtime", "cgroup_manager": "cgroup_manager", "events_backend": "events_logger", "tmpdir": "tmp_dir",
    "volumepath": "volume_path", "namespace": "namespace", "hooks_dir": "hooks_dir", "cdi_spec_dir": "cdi_spec_dirs",
}
_NETWORK_OPTIONS = {"network_config_dir": "network_config_dir", "network_backend": "network_backend"}
_CHOICES = {
    "cgroup_manager": ("systemd", "cgroupfs"),
    "events_backend": ("file", "journald", "none"),
    "network_backend": ("native", "netavark"),
}


def load(options: GlobalOptions = _NO_OPTIONS, *, places: Places | None = None) -> Settings:
    """The settings for this user and these *options*.

    Raises :class:`wherry.config.tables.InvalidConfiguration` naming file and key, or
    :class:`wherry.errors.InvalidArgument` for an option.
    """
    places = places or config_places.current()
    document = cached(places, "config", [list(options.modules)], lambda watch: _build(watch, places, options))
    return _assemble(document, options, places)


def _build(watch: Watch, places: Places, options: GlobalOptions) -> dict[str, Any]:
    from wherry.config import containers_conf, storage_conf

    return {**containers_conf.build(watch, places, options.modules), "storage": storage_conf.build(watch, places)}


def _assemble(document: dict[str, Any], options: GlobalOptions, places: Places) -> Settings:
    for name, choices in _CHOICES.items():
        value = getattr(options, name)
        if value and value not in choices:
            flag = name.replace("_", "-")
            raise InvalidArgument(f"unsupported value {value!r} for --{flag}: want {' or '.join(choices)}")
    storage = storage_settings(document["storage"], options, places)
    engine, network = document["engine"], document["network"]
    _apply(engine, options, _ENGINE_OPTIONS)
    environment = facts(places.environ, engine.get("env", ()))
    if environment.network_backend:
        network["network_backend"] = environment.network_backend
    _apply(network, options, _NETWORK_OPTIONS)
    if options.conmon:
        engine["conmon_path"] = [options.conmon]
    if engine["image_copy_tmp_dir"] == "storage":
        engine["image_copy_tmp_dir"] = f"{storage.graph_root}/tmp"
    network.setdefault("network_config_dir", f"{storage.graph_root}/networks")
    values = {**document, "storage": {}}
    settings = Settings.from_json(values)
    namespace = engine.get("namespace", "")
    return settings.replace(
        options=options.replace(namespace=namespace) if namespace else options,
        storage=storage,
        environment=environment,
        rootless=places.rootless,
        uid=places.uid,
        home=places.home,
        config_home=places.config_home,
        cache_home=places.cache_home,
        runtime_dir=places.runtime_dir,
    )


def _apply(section: dict[str, Any], options: GlobalOptions, names: dict[str, str]) -> None:
    for option, key in names.items():
        value = getattr(options, option)
        if value:
            section[key] = value
