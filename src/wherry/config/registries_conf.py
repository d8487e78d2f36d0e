"""Reading registries.conf(5), its drop-ins and the short-name alias cache into one document."""

from __future__ import annotations

from wherry.config.short_names import alias_file
from wherry.config.tables import InvalidConfiguration, mismatch, parse, scalar, strings
from wherry.errors import InvalidArgument
from wherry.model import reference as references

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.config.cache import Watch
    from wherry.config.places import Places

_MODES = ("enforcing", "permissive", "disabled")
_PULL_FROM = ("", "all", "digest-only", "tag-only")
_BOOLEANS = ("insecure", "blocked", "mirror-by-digest-only")


def build(watch: Watch, places: Places, chosen: str) -> dict[str, Any]:
    """The merged document; *chosen* is the file ``--registries-conf`` names.

    Keys: ``file``, ``search``, ``search_origin``, ``mode``, ``helpers``, ``registries`` (list of tables with
    prefix, location, insecure, blocked, mirrors), ``aliases`` (short name -> [full name, file]).
    """
    path, must_exist, directories = _files(watch, places, chosen)
    merged: dict[str, Any] = {
        "file": path, "search": [], "search_origin": path, "mode": "permissive", "helpers": ["containers-auth.json"],
        "registries": {}, "aliases": {},
    }
    data = watch.read(path)
    if data is not None:
        _merge(merged, path, _tables(path, data), main=True)
    elif must_exist:
        raise _invalid(path, f"open {path}: no such file or directory")
    for directory in directories:
        for drop_in in watch.drop_ins(directory):
            data = watch.read(drop_in)
            if data is not None:
                _merge(merged, drop_in, _tables(drop_in, data), main=False)
    cache = alias_file(places)
    data = watch.read(cache)
    if data is not None:
        _merge_aliases(merged["aliases"], cache, _tables(cache, data).get("aliases", {}))
    merged["aliases"] = {name: found for name, found in merged["aliases"].items() if found[0]}
    merged["registries"] = list(merged["registries"].values())
    return merged


def _files(watch: Watch, places: Places, chosen: str) -> tuple[str, bool, list[str]]:
    """The main file, whether it must exist, and the directories of drop-ins.

    A file of the user's own hides the system's file and drop-ins; the system's own does not hide the user's drop-ins.
    """
    user = f"{places.home}/.config/containers"
    system = f"{places.etc}/registries.conf.d"
    named = chosen or watch.getenv("CONTAINERS_REGISTRIES_CONF") or watch.getenv("REGISTRIES_CONFIG_PATH")
    if named:
        return named, True, [system, f"{user}/registries.conf.d"]
    if watch.exists(f"{user}/registries.conf"):
        return f"{user}/registries.conf", True, [f"{user}/registries.conf.d"]
    return f"{places.etc}/registries.conf", False, [system, f"{user}/registries.conf.d"]


def _tables(path: str, data: bytes) -> dict[str, Any]:
    try:
        return parse(path, data)
    except InvalidConfiguration as error:
        raise _invalid(path, str(error).partition(f"{path}: ")[2]) from None


def _invalid(path: str, text: str) -> InvalidConfiguration:
    return InvalidConfiguration(f'loading registries configuration "{path}": {text}')


def _merge(merged: dict[str, Any], path: str, tables: dict[str, Any], *, main: bool) -> None:
    try:
        old = tables.pop("registries", None)
        if old is not None:
            if not main:
                raise InvalidConfiguration("the version 1 format is not supported in drop-in configuration")
            if any(key in tables for key in ("registry", "unqualified-search-registries", "aliases",
                                             "short-name-mode", "credential-helpers")):
                raise InvalidConfiguration("mixing sysregistry v1/v2 is not supported")
            tables = _from_version_1(path, old)
        _merge_scalars(merged, path, tables)
        for table in _list_of_tables(path, "registry", tables.get("registry", [])):
            registry = _registry(path, table)
            merged["registries"][registry["prefix"]] = registry
        _merge_aliases(merged["aliases"], path, tables.get("aliases", {}))
    except InvalidConfiguration as error:
        text = str(error)
        raise _invalid(path, text.removeprefix(f"decode configuration {path}: ")) from None


def _merge_scalars(merged: dict[str, Any], path: str, tables: dict[str, Any]) -> None:
    if "unqualified-search-registries" in tables:
        search = strings(path, "unqualified-search-registries", tables["unqualified-search-registries"])
        for entry in search:
            if "/" in entry or not entry:
                raise InvalidConfiguration(f'Invalid unqualified-search-registries entry "{entry}"')
        merged["search"] = search
        merged["search_origin"] = path
    mode = scalar(path, "short-name-mode", tables.get("short-name-mode", ""), "str")
    if mode:
        if mode not in _MODES:
            raise InvalidConfiguration(f'invalid short-name mode: "{mode}"')
        merged["mode"] = mode
    if "credential-helpers" in tables:
        merged["helpers"] = strings(path, "credential-helpers", tables["credential-helpers"])


def _from_version_1(path: str, table: Any) -> dict[str, Any]:
    """``[registries.search]``, ``.insecure`` and ``.block`` in today's terms."""
    def hosts(name: str) -> list[str]:
        part = table.get(name, {}) if isinstance(table, dict) else table
        if not isinstance(part, dict):
            raise mismatch(path, f"registries.{name}", part, "struct")
        return [host.rstrip("/") for host in strings(path, f"registries.{name}", part.get("registries", []))]

    insecure, blocked = hosts("insecure"), hosts("block")
    return {
        "unqualified-search-registries": hosts("search"),
        "registry": [
            {"location": host, "insecure": host in insecure, "blocked": host in blocked}
            for host in dict.fromkeys(insecure + blocked)
        ],
    }


def _list_of_tables(path: str, name: str, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise mismatch(path, name, value, "slice")
    return value


def _registry(path: str, table: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {
        name.replace("-", "_"): scalar(path, f"registry.{name}", table.get(name, False), "bool") for name in _BOOLEANS
    }
    prefix = scalar(path, "registry.prefix", table.get("prefix", ""), "str")
    location = _location(scalar(path, "registry.location", table.get("location", ""), "str"))
    if not location and not prefix.startswith("*."):
        raise InvalidConfiguration(
            "invalid condition: location is unset and prefix is not in the format: *.example.com"
            if prefix else "invalid condition: both location and prefix are unset"
        )
    if prefix.startswith("*."):
        if "/" in prefix or "@" in prefix or ":" in prefix:
            raise InvalidConfiguration(f"invalid prefix '{prefix}', wildcards stand for the first part of a host name")
    else:
        prefix = _location(prefix) or location
    out["prefix"] = prefix
    out["location"] = location
    out["mirrors"] = [
        _mirror(path, mirror, bool(out["mirror_by_digest_only"]))
        for mirror in _list_of_tables(path, "registry.mirror", table.get("mirror", []))
    ]
    return out


def _mirror(path: str, table: dict[str, Any], digest_only: bool) -> dict[str, Any]:
    location = _location(scalar(path, "registry.mirror.location", table.get("location", ""), "str"))
    if not location:
        raise InvalidConfiguration("invalid location: cannot be empty")
    pull_from = scalar(path, "registry.mirror.pull-from-mirror", table.get("pull-from-mirror", ""), "str")
    if pull_from not in _PULL_FROM:
        raise InvalidConfiguration(
            f'unsupported pull-from-mirror value "{pull_from}" for mirror "{location}"'
        )
    if pull_from and digest_only:
        raise InvalidConfiguration(
            f'cannot set mirror usage mirror-by-digest-only for the registry ("{location}") and pull-from-mirror for '
            "per-mirror at the same time"
        )
    return {
        "location": location,
        "insecure": scalar(path, "registry.mirror.insecure", table.get("insecure", False), "bool"),
        "pull_from": "digest-only" if digest_only else pull_from or "all",
    }


def _location(text: str) -> str:
    """A location without trailing slashes. Raises when it has a scheme, as ``https://host``."""
    trimmed = text.rstrip("/")
    if trimmed.startswith(("http://", "https://")):
        raise InvalidConfiguration(f"invalid location '{text}': URI schemes are not supported")
    return trimmed


def _merge_aliases(aliases: dict[str, list[str]], path: str, table: Any) -> None:
    """Later files win; an empty full name takes an alias away."""
    if not isinstance(table, dict):
        raise mismatch(path, "aliases", table, "map")
    for name, value in table.items():
        full = scalar(path, f"aliases.{name}", value, "str")
        _check_short_name(name)
        if full:
            _check_full_name(full)
        aliases[name] = [full, path]


def _check_short_name(name: str) -> None:
    short = _reference(name, f'invalid short name "{name}"')
    for part, what in ((short.domain, "registry"), (short.tag, "tag"), (short.digest, "digest")):
        if part:
            raise InvalidConfiguration(
                f'validating short-name aliases: invalid short name "{name}": must not contain {what}'
            )


def _check_full_name(value: str) -> None:
    full = _reference(value, f'invalid alias "{value}"')
    if not full.domain:
        raise InvalidConfiguration(
            f'validating short-name aliases: invalid alias "{value}": must contain registry and repository'
        )
    for part, what in ((full.tag, "tag"), (full.digest, "digest")):
        if part:
            raise InvalidConfiguration(
                f'validating short-name aliases: invalid alias "{value}": must not contain {what}'
            )


def _reference(text: str, what: str) -> references.Reference:
    try:
        return references.parse(text)
    except InvalidArgument as error:
        raise InvalidConfiguration(f"validating short-name aliases: {what}: {error}") from None
