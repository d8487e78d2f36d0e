"""Remembering what a short name was chosen to mean (containers-registries.conf(5), "short-name aliasing")."""

from __future__ import annotations

from wherry.config import places as config_places
from wherry.errors import InvalidArgument, from_os_error
from wherry.sys.files import atomic_write, make_dirs, try_read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.config.places import Places


def alias_file(places: Places) -> str:
    """The file every tool of the family reads last and writes."""
    return f"{places.cache_home if places.rootless else places.var + '/cache'}/containers/short-name-aliases.conf"


def remember(name: str, full: str, places: Places | None = None) -> str:
    """Note that the short name *name* means *full*; returns the file. Raises :class:`InvalidArgument`."""
    import os
    import tomllib

    path = alias_file(places or config_places.current())
    try:
        aliases = dict(tomllib.loads(try_read_text(path) or "").get("aliases", {}))
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise InvalidArgument(f"parsing {path}: {error}") from None
    aliases[name] = full
    lines = "".join(f'  "{one}" = "{aliases[one]}"\n' for one in sorted(aliases))
    try:
        make_dirs(os.path.dirname(path), 0o755)
        atomic_write(path, f"[aliases]\n{lines}".encode(), 0o644)
    except OSError as error:
        raise from_os_error(error, "recording short-name alias") from None
    return path
