"""A container's configuration on another image: what came from the old image follows the new one, the rest stays.

The stored configuration is complete, so what came from the image is told by comparing: a value that is what the old
image says was taken from it.  The function is pure; the same image twice changes nothing.
"""

from __future__ import annotations

from wherry.model.health import HealthConfig
from wherry.model.mount import NamedVolume
from wherry.spec import resolve_health
from wherry.spec.resolve_process import DEFAULT_PATH, INIT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.model.container import ContainerConfig
    from wherry.spec.host import ImageFacts

    Document = Mapping[str, Any]

_SIGTERM, _SYSTEMD_SIGNAL = 15, 37
_ROOT = ("", "root", "0")


def rebase(config: ContainerConfig, old: ImageFacts, new: ImageFacts) -> ContainerConfig:
    """*config*, made for the image *old*, for the image *new*.

    Follows the image in command, entrypoint, environment, directory, user, stop signal, labels, exposed ports and
    health check, each only as far as it was not asked for otherwise.  Volumes the new image declares are added
    (nameless anonymous ones); none is taken away, since there is data in them.
    """
    before, after = old.config, new.config
    user = _followed(config.user, before.get("User") or "", after.get("User") or "")
    process = dict(config.spec.get("process") or {})
    process["args"] = _words(config, process.get("args") or (), before, after)
    process["env"] = _environment(process.get("env") or (), before, after)
    process["cwd"] = _followed(process.get("cwd") or "/", before.get("WorkingDir") or "/",
                               after.get("WorkingDir") or "/")
    if user != config.user:
        process["capabilities"] = _capabilities(process.get("capabilities") or {}, user)
    spec = {**config.spec, "process": process}
    added = [place for place in _volumes(after) if place not in _volumes(before) and place not in _places(config)]
    named = list(config.named_volumes)
    if config.image_volume_mode == "tmpfs":
        spec["mounts"] = [*(spec.get("mounts") or ()), *(_tmpfs(place) for place in added)]
    elif config.image_volume_mode != "ignore":
        named += [NamedVolume(destination=place, options=_options(tmpfs=False)) for place in added]
    changes = {
        "spec": spec,
        "user": user,
        "named_volumes": named if len(named) != len(config.named_volumes) else config.named_volumes,
        "labels": _mapping(config.labels, before.get("Labels") or {}, after.get("Labels") or {}),
        "exposed_ports": _exposed(config.exposed_ports, before, after),
        "stop_signal": _followed(config.stop_signal, _signal(before, config), _signal(after, config)),
        "health_check": _health(config.health_check, before, after),
        "rootfs_image_id": new.id,
        "rootfs_image_name": new.name,
        "raw_image_name": config.raw_image_name or new.raw_name,
    }
    return config.replace(**{name: value for name, value in changes.items() if value != getattr(config, name)})


def _followed(value: Any, before: Any, after: Any) -> Any:
    return after if value == before else value


def _words(config: ContainerConfig, have: Sequence[str], before: Document, after: Document) -> list[str]:
    """The command line, unless it is not the one the old image gives (then somebody has changed it)."""
    init = list(have[:2]) == [INIT_PATH, "--"]
    plain = list(have[2:] if init else have)
    if plain != _line(config, before):
        return list(have)
    line = _line(config, after)
    return [INIT_PATH, "--", *line] if init else line


def _line(config: ContainerConfig, image: Document) -> list[str]:
    entrypoint: Sequence[str] = config.entrypoint or image.get("Entrypoint") or ()
    line = [] if list(entrypoint) == [""] else list(entrypoint)
    line += config.command or (() if config.entrypoint else image.get("Cmd") or ())
    return line or [""]


def _environment(have: Sequence[str], before: Document, after: Document) -> list[str]:
    values = _variables(have)
    old = {"PATH": DEFAULT_PATH, **_variables(before.get("Env") or ())}
    new = {"PATH": DEFAULT_PATH, **_variables(after.get("Env") or ())}
    return [f"{name}={value}" for name, value in _mapping(values, old, new).items()]


def _variables(texts: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _equals, value in (text.partition("=") for text in texts)}


def _mapping(have: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """What the image said and nobody changed is replaced by what it says now; what was taken out stays out."""
    kept = {
        key: after.get(key, value) if before.get(key) == value else value
        for key, value in have.items() if key in after or before.get(key) != value
    }
    added = {key: value for key, value in after.items() if key not in have and key not in before}
    return {**kept, **added}


def _capabilities(have: Mapping[str, Any], user: str) -> dict[str, list[str]]:
    """Root has what is allowed at all; who is not has none, as when the container is created."""
    bounding = list(have.get("bounding") or ())
    if not bounding:
        return {}
    if user.partition(":")[0] in _ROOT:
        return {"bounding": bounding, "effective": bounding, "permitted": bounding}
    return {"bounding": bounding}


def _exposed(have: Mapping[str, Sequence[str]], before: Document, after: Document) -> dict[str, list[str]]:
    old, new = _ports(before), _ports(after)
    pairs = [(port, name) for port, names in have.items() for name in names]
    wanted = [pair for pair in pairs if pair not in old or pair in new]
    wanted += [pair for pair in new if pair not in wanted and pair not in old]
    found: dict[str, list[str]] = {}
    for port, name in wanted:
        found.setdefault(port, []).append(name)
    return found


def _ports(image: Document) -> list[tuple[str, str]]:
    from wherry.spec.parse_ports import expose

    declared = image.get("ExposedPorts")
    return [(port, name) for port, names in expose(list(declared)).items() for name in names] if declared else []


def _signal(image: Document, config: ContainerConfig) -> int:
    text = image.get("StopSignal")
    if text:
        from wherry.spec import signals

        return signals.parse(text)
    return _SYSTEMD_SIGNAL if config.systemd else _SIGTERM


def _health(have: HealthConfig | None, before: Document, after: Document) -> HealthConfig | None:
    """The image's check where the container has the image's, with the durations asked for otherwise."""
    old, new = _image_health(before), _image_health(after)
    if have is None or old is None:
        return new if have is None and old is None else have
    if list(have.test) != list(old.test):
        return have
    if new is None:
        return None
    changes = {
        name: getattr(have, name) for name in ("interval", "timeout", "retries", "start_period")
        if getattr(have, name) != getattr(old, name)
    }
    return new.replace(**changes)


def _image_health(image: Document) -> HealthConfig | None:
    document = image.get("Healthcheck")
    if not document:
        return None
    check = HealthConfig.from_json(document)
    return check.replace(
        interval=check.interval or resolve_health.INTERVAL,
        timeout=check.timeout or resolve_health.TIMEOUT,
        retries=check.retries or resolve_health.RETRIES,
    )


def _volumes(image: Document) -> list[str]:
    import os

    return [os.path.normpath(place) for place in image.get("Volumes") or ()]


def _places(config: ContainerConfig) -> set[str]:
    """Where something is mounted already."""
    places = {volume.destination for volume in config.named_volumes}
    places.update(mount["destination"] for mount in config.spec.get("mounts") or ())
    places.update(volume.destination for volume in config.overlay_volumes)
    places.update(volume.destination for volume in config.image_volumes)
    return places


def _tmpfs(place: str) -> dict[str, Any]:
    return {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": _options(tmpfs=True)}


def _options(*, tmpfs: bool) -> list[str]:
    from wherry.spec.mount_options import complete
    from wherry.spec.resolve_mounts import IMAGE_VOLUME_OPTIONS

    return list(complete(IMAGE_VOLUME_OPTIONS, tmpfs=tmpfs))
