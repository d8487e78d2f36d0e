"""Keywords of the Python API to a :class:`ContainerSpec`.

A keyword takes what its flag takes as text, and what a Python program has at hand: dictionaries, numbers, tuples.
The names and meanings are in the option table; this module only knows the shapes.
"""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.model.network import NetworkOptions, PortMapping
from wherry.model.record import EMPTY, Record
from wherry.spec.check import check
from wherry.spec.container_spec import ContainerSpec, MountRequest, NetworkRequest, UlimitRequest
from wherry.spec.options import ALL, CSV, LIST, STRING
from wherry.spec.parse import read_fields, read_text
from wherry.spec.parse_mounts import volume
from wherry.spec.parse_ports import publish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from wherry.spec.options import Option

BY_KEYWORD: dict[str, Option] = {option.keyword: option for option in ALL}


def from_keywords(
    image: str,
    command: Sequence[str] | str = (),
    *,
    environ: Mapping[str, str] = EMPTY,
    reader: Callable[[str], str] = read_text,
    **keywords: object,
) -> ContainerSpec:
    """The specification asked for by keywords; one that is ``None`` counts as not given.

    *command* as text is split into words as a shell would.  *environ* is the caller's environment, for variables
    named without a value.  Raises :class:`TypeError` for a keyword that does not exist, :class:`InvalidArgument` for
    a value that is wrong.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    for name in given:
        if name not in BY_KEYWORD:
            raise TypeError(_unknown(name))
    fields: dict[str, Any] = {}
    flags: dict[str, object] = {}
    for name, value in given.items():
        shape = _SHAPES.get(name)
        if shape is None:
            flags[BY_KEYWORD[name].name] = _plain(BY_KEYWORD[name], value)
        else:
            _merge(fields, BY_KEYWORD[name].field, shape(value, environ))
    for name, value in read_fields(flags, environment=environ, reader=reader, split=False).items():
        _merge(fields, name, value, first=True)
    spec = ContainerSpec(image=image, command=_words(command), **fields)
    check(spec)
    return spec


def _merge(fields: dict[str, Any], name: str, value: Any, first: bool = False) -> None:
    """Put *value* into the field; several keywords may feed one. With *first*, what is there already wins."""
    known = fields.get(name)
    if known is None:
        fields[name] = value
    elif isinstance(known, dict):
        fields[name] = {**value, **known} if first else {**known, **value}
    else:
        fields[name] = [*value, *known] if first else [*known, *value]


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, BY_KEYWORD, 1, 0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unexpected keyword argument {name!r}{hint}"


def _words(command: Sequence[str] | str) -> list[str]:
    if isinstance(command, str):
        from shlex import split

        return split(command)
    return [str(word) for word in command]


def _plain(option: Option, value: object) -> object:
    """A value the flag's own parser understands: numbers stay, lists become lists of text, mappings ``key=value``."""
    if option.kind in (LIST, CSV):
        if isinstance(value, str):
            return [value]
        if _is_mapping(value):
            return [f"{key}={item}" for key, item in value.items()]  # type: ignore[attr-defined]
        return [str(item) for item in value]  # type: ignore[attr-defined]
    if isinstance(value, (list, tuple)):
        from wherry.model.jsontext import dumps

        return dumps([str(item) for item in value])     # entrypoint, health_command
    if option.kind == STRING and not isinstance(value, (str, int, float)):
        raise InvalidArgument(f"{option.keyword} must be text, not {type(value).__name__}")
    return value


def _is_mapping(value: object) -> bool:
    return hasattr(value, "items")


def _table(value: Any, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables from a mapping; a value of ``None`` copies the caller's."""
    from wherry.spec.parse_environment import variables

    if not _is_mapping(value):
        return variables([value] if isinstance(value, str) else value, environ)
    out: dict[str, str] = {}
    for name, text in value.items():
        if not name or "=" in name:
            raise InvalidArgument(f"invalid variable: {name!r}")
        if text is not None:
            out[name] = str(text)
        elif name in environ:
            out[name] = environ[name]
    return out


def _labels(value: Any, _environ: Mapping[str, str]) -> dict[str, str]:
    from wherry.spec.parse_environment import labels

    if _is_mapping(value):
        return {str(key): str(text) for key, text in value.items()}
    return labels([value] if isinstance(value, str) else value)


def _ports(value: Any, _environ: Mapping[str, str]) -> list[PortMapping]:
    """``{"80/tcp": 8080}``, ``{80: ("127.0.0.1", 8080)}``, ``[(8080, 80)]``, ``["8080:80"]``, ``[80]``.

    In a mapping the key is the container's port; a value of ``None`` or 0 takes a free port of the host.
    """
    if _is_mapping(value):
        out: list[PortMapping] = []
        for key, target in value.items():
            for one in target if isinstance(target, list) else [target]:
                out.extend(_port(str(key), one))
        return out
    if isinstance(value, (str, int)):
        value = [value]
    out = []
    for item in value:
        if isinstance(item, PortMapping):
            out.append(item)
        elif isinstance(item, tuple):
            host, container = (item[0], item[1]) if len(item) == 2 else ((item[0], item[1]), item[2])
            out.extend(_port(str(container), host))
        else:
            out.extend(publish([str(item)]))
    return out


def _port(container: str, host: Any) -> list[PortMapping]:
    address = ""
    if isinstance(host, tuple):
        address, host = str(host[0]), host[1]
        address = f"[{address}]:" if ":" in address else address + ":"
    return publish([f"{address}{host or ''}:{container}"])


def _volumes(value: Any, _environ: Mapping[str, str]) -> list[MountRequest]:
    """``["/a:/b:ro"]``, ``{"/a": "/b"}``, ``{"/a": {"bind": "/b", "mode": "ro"}}``."""
    from wherry.spec.parse_mounts import volumes

    if not _is_mapping(value):
        return volumes([value] if isinstance(value, str) else value)
    out = []
    for source, target in value.items():
        options: Any = ()
        if _is_mapping(target):
            target, options = target["bind"], target.get("mode", "")
            options = [word for word in options.split(",") if word] if isinstance(options, str) else options
        out.append(volume(str(source), str(target), options))
    return out


def _mounts(value: Any, _environ: Mapping[str, str]) -> list[MountRequest]:
    """``["type=bind,src=/a,dst=/b"]``, ``[{"type": "bind", "source": "/a", "target": "/b", "read_only": True}]``."""
    from wherry.spec.parse_mounts import mounts

    out: list[MountRequest] = []
    for item in [value] if isinstance(value, (str, Record)) or _is_mapping(value) else value:
        if isinstance(item, MountRequest):
            out.append(item)
        else:
            out.extend(mounts([_mount_text(item) if _is_mapping(item) else str(item)]))
    return out


def _mount_text(item: Mapping[str, Any]) -> str:
    """The ``--mount`` line of a mapping, quoted where a value holds a comma or a quote."""
    words = []
    for key, value in item.items():
        name = {"read_only": "ro", "propagation": "bind-propagation"}.get(key, key.replace("_", "-"))
        if value is True:
            words.append(name)
        elif value is not False and value is not None:
            words.append(f"{name}={value}")
    quoted = ['"' + word.replace('"', '""') + '"' if "," in word or '"' in word else word for word in words]
    return ",".join(quoted)


def _tmpfs(value: Any, _environ: Mapping[str, str]) -> list[MountRequest]:
    """``["/run"]``, ``{"/run": "size=64m"}``."""
    from wherry.spec.parse_mounts import tmpfs

    if _is_mapping(value):
        value = [f"{path}:{options}" if options else path for path, options in value.items()]
    return tmpfs([value] if isinstance(value, str) else value)


def _network(value: Any, _environ: Mapping[str, str]) -> NetworkRequest:
    """``"none"``, ``["front", "back:alias=db"]``, ``{"front": {"ip": "10.0.0.5", "aliases": ["web"]}}``."""
    from wherry.spec.parse_network import network

    if isinstance(value, NetworkRequest):
        return value
    if not _is_mapping(value):
        return network([value] if isinstance(value, str) else list(value))
    networks = {name: options if isinstance(options, NetworkOptions) else _attachment(options or {})
                for name, options in value.items()}
    return NetworkRequest(mode="bridge", networks=networks)


def _attachment(options: Mapping[str, Any]) -> NetworkOptions:
    from wherry.spec.parse_network import attachment

    words: list[str] = []
    for key, value in options.items():
        name = {"aliases": "alias", "ips": "ip"}.get(key, key)
        words.extend(f"{name}={item}" for item in (value if isinstance(value, (list, tuple)) else [value]))
    return attachment(",".join(words))


def _hosts(value: Any, _environ: Mapping[str, str]) -> list[str]:
    """``["name:10.0.0.1"]``, ``{"name": "10.0.0.1"}``."""
    from wherry.spec.parse_network import hosts

    if _is_mapping(value):
        value = [f"{name}:{target}" for name, target in value.items()]
    return hosts([value] if isinstance(value, str) else value)


def _ulimits(value: Any, _environ: Mapping[str, str]) -> list[UlimitRequest]:
    """``["nofile=1024:2048"]``, ``{"nofile": 1024}``, ``{"nofile": (1024, 2048)}``."""
    from wherry.spec.parse_resources import ulimits

    if _is_mapping(value):
        value = [
            f"{name}={limit[0]}:{limit[1]}" if isinstance(limit, tuple) else f"{name}={limit}"
            for name, limit in value.items()
        ]
    return ulimits([value] if isinstance(value, str) else value)


#: keywords whose Python shapes go beyond text, numbers and lists of them
_SHAPES: dict[str, Callable[[Any, Mapping[str, str]], Any]] = {
    "environment": _table,
    "labels": _labels,
    "ports": _ports,
    "volumes": _volumes,
    "mounts": _mounts,
    "tmpfs": _tmpfs,
    "network": _network,
    "extra_hosts": _hosts,
    "ulimits": _ulimits,
}
