"""storage.conf(5): which file, and what it and the environment say."""

from __future__ import annotations

from wherry.config.storage_options import OPTIONS, parse_bool
from wherry.config.tables import InvalidConfiguration, mismatch, parse, scalar, strings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.config.cache import Watch
    from wherry.config.places import Places

_INHERITED_BY_ROOTLESS = ("ignore_chown_errors",)
_NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"


def build(watch: Watch, places: Places) -> dict[str, Any]:
    """What the file and the environment say. Paths are expanded; ``opts`` are ``key=value`` texts in order."""
    path, explicit, foreign = _file(watch, places)
    data = watch.read(path)
    if data is None and explicit:
        raise InvalidConfiguration(f"stat {path}: no such file or directory")
    table: dict[str, Any] = parse(path, data).get("storage", {}) if data is not None else {}
    if not isinstance(table, dict):
        raise mismatch(path, "storage", table, "struct")
    out = _read(path, table, foreign, places, watch)
    out["config_file"] = path
    driver = watch.getenv("STORAGE_DRIVER")
    if driver:
        out["driver"] = driver
    opts = watch.getenv("STORAGE_OPTS")
    if opts:
        out["opts"] = [*out["opts"], *opts.split(",")]
    return out


def _file(watch: Watch, places: Places) -> tuple[str, bool, bool]:
    """The file to read; whether somebody named it; whether it is root's while we are not.

    There is no merging: the first that exists is the only one.
    """
    named = watch.getenv("CONTAINERS_STORAGE_CONF")
    if named:
        return named, True, False
    if places.rootless:
        own = f"{places.config_home}/containers/storage.conf"
        if watch.exists(own):
            return own, False, False
    system = f"{places.etc}/storage.conf"
    if not watch.exists(system):
        system = f"{places.share}/storage.conf"
    return system, False, places.rootless


def _read(path: str, table: dict[str, Any], foreign: bool, places: Places, watch: Watch) -> dict[str, Any]:
    """Check and translate the [storage] table; of a *foreign* one an ordinary user inherits only a little."""
    def text(key: str) -> str:
        value: str = scalar(path, f"storage.{key}", table.get(key, ""), "str")
        return value

    options = table.get("options", {})
    if not isinstance(options, dict):
        raise mismatch(path, "storage.options", options, "struct")
    driver = text("driver")
    out: dict[str, Any] = {
        "driver": driver,
        "graph_root": "" if foreign else expand(watch, text("graphroot"), places),
        "run_root": "" if foreign else expand(watch, text("runroot"), places),
        "opts": _driver_options(path, options, driver or "overlay", foreign),
        "pull_options": _pull_options(path, options.get("pull_options", {})),
    }
    if places.rootless:
        rootless_path = expand(watch, text("rootless_storage_path"), places)
        out["graph_root"] = rootless_path or out["graph_root"] or f"{places.data_home}/containers/storage"
        out["run_root"] = out["run_root"] or f"{places.runtime_dir}/containers"
    else:
        out["graph_root"] = out["graph_root"] or f"{places.var}/lib/containers/storage"
        out["run_root"] = out["run_root"] or f"{places.run}/containers/storage"
    if foreign:
        return out
    out["image_store"] = expand(watch, text("imagestore"), places)
    out["transient_store"] = _switch(path, "storage.transient_store", table.get("transient_store", False))
    out["image_stores"] = strings(path, "storage.options.additionalimagestores",
                                  options.get("additionalimagestores", []))
    out["layer_stores"] = strings(path, "storage.options.additionallayerstores",
                                  options.get("additionallayerstores", []))
    out["disable_volatile"] = _switch(path, "storage.options.disable-volatile", options.get("disable-volatile", False))
    out["userns_user"] = scalar(path, "storage.options.root-auto-userns-user",
                                options.get("root-auto-userns-user", ""), "str")
    for name, default in (("min", 1024), ("max", 65536)):
        key = f"auto-userns-{name}-size"
        out[f"userns_{name}"] = scalar(path, f"storage.options.{key}", options.get(key, default), "int")
    return out


def _driver_options(path: str, options: dict[str, Any], driver: str, foreign: bool) -> list[str]:
    """The options of *driver* as ``driver.key=value``; its own table before the old place directly above it."""
    driver = "overlay" if driver == "overlay2" else driver
    own = options.get(driver, {})
    if not isinstance(own, dict):
        raise mismatch(path, f"storage.options.{driver}", own, "struct")
    found = []
    for key in OPTIONS.get(driver, ()):
        if foreign and key not in _INHERITED_BY_ROOTLESS:
            continue
        value = own.get(key, options.get(key, ""))
        text = _text(path, f"storage.options.{driver}.{key}", value)
        if text:
            found.append(f"{driver}.{key}={text}")
    return found


def _text(path: str, name: str, value: Any) -> str:
    """A string; a boolean is taken for the word (the format wants "true" in quotes)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text: str = scalar(path, name, value, "str")
    return text


def _pull_options(path: str, table: Any) -> dict[str, str]:
    if not isinstance(table, dict):
        raise mismatch(path, "storage.options.pull_options", table, "map")
    return {key: _text(path, f"storage.options.pull_options.{key}", value) for key, value in table.items()}


def _switch(path: str, name: str, value: Any) -> bool:
    return parse_bool(name, value) if isinstance(value, str) else bool(scalar(path, name, value, "bool"))


def expand(watch: Watch, path: str, places: Places) -> str:
    """Replace ``$NAME`` and ``${NAME}`` from the environment; ``$UID``, ``$HOME`` and ``$USER`` always mean ours."""
    if "$" not in path:
        return path
    out, rest = "", path
    while True:
        before, dollar, rest = rest.partition("$")
        out += before
        if not dollar:
            return out
        if rest.startswith("{") and "}" in rest:
            name, _, rest = rest[1:].partition("}")
        else:
            after = rest.lstrip(_NAME)
            name, rest = rest[:len(rest) - len(after)], after
        out += _variable(watch, name, places)


def _variable(watch: Watch, name: str, places: Places) -> str:
    if name == "UID":
        return str(places.uid)
    value = watch.getenv(name)
    if value:
        return value
    if name == "HOME":
        return places.home
    if name == "USER":
        import pwd

        try:
            return pwd.getpwuid(places.uid).pw_name
        except KeyError:
            return ""
    return ""


