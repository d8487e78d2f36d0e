"""The process: its words, environment, limits, capabilities; and how the container is stopped and watched."""

from __future__ import annotations

from wherry.errors import InvalidArgument
from wherry.spec import security
from wherry.spec.parse_environment import variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.spec.container_spec import UlimitRequest
    from wherry.spec.resolve_inputs import Inputs

#: where the init program is mounted
INIT_PATH = "/run/podman-init"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SYSTEMD_COMMANDS = ("/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init")
_SIGTERM = 15
_SYSTEMD_SIGNAL = 37        # RTMIN+3: systemd(1) halts on it


def words(inputs: Inputs) -> list[str]:
    """The command line: entrypoint, then command. The image's command counts only with the image's entrypoint."""
    spec, image = inputs.spec, inputs.defaults
    entrypoint = spec.entrypoint if spec.entrypoint is not None else image.get("Entrypoint") or ()
    out = [] if list(entrypoint) == [""] else list(entrypoint)
    command: Sequence[str] = spec.command
    if not command and not spec.entrypoint:
        command = image.get("Cmd") or ()
    out.extend(command)
    out = out or [""]
    return [INIT_PATH, "--", *out] if inputs.init else out


def is_systemd(inputs: Inputs, command: Sequence[str]) -> bool:
    """Will the first process be systemd? Asked with ``always``, or told from the command."""
    mode = inputs.spec.systemd or "true"
    if mode != "true":
        return mode == "always"
    command = command or inputs.defaults.get("Cmd") or ()
    if len(command) > 2 and list(command[:2]) == ["/bin/sh", "-c"]:
        command = command[2:]
    return bool(command) and (command[0] in _SYSTEMD_COMMANDS or command[0].rpartition("/")[2] == "systemd")


def environment(inputs: Inputs) -> dict[str, str]:
    """The environment, least important first: the caller's, containers.conf, the image's, the request's.

    HOME and HOSTNAME are added when the container starts.
    """
    spec, host, conf = inputs.spec, inputs.host, inputs.settings.containers
    whole = conf.env_host if spec.environment_host is None else spec.environment_host
    proxies = conf.http_proxy if spec.http_proxy is None else spec.http_proxy
    ours: Mapping[str, str] = {}
    if whole:
        ours = host.environment
    elif proxies:
        ours = inputs.settings.environment.proxies
    out = {"PATH": DEFAULT_PATH, "container": "podman"}
    out.update(ours)
    out.update(variables(conf.env, host.environment))
    out.update(variables(inputs.defaults.get("Env") or (), {}))
    if spec.terminal:
        out.setdefault("TERM", "xterm")
    if spec.environment_merge:
        from wherry.spec.expand import assignment

        for text in spec.environment_merge:
            out.update([assignment(text, out)])
    for name in spec.environment_unset or ():
        out.pop(name, None)
    if spec.environment_unset_all:
        out = {}
    out.update(ours)
    out.update(spec.environment or {})
    if spec.hostname:
        out.setdefault("HOSTNAME", spec.hostname)
    return out


def limits(inputs: Inputs) -> list[dict[str, Any]]:
    """``process.rlimits``: the settings' and then the request's; none at all with ``--ulimit=host``.

    They are fitted to what the host allows when the container starts.
    """
    asked: Sequence[UlimitRequest] = inputs.spec.ulimits or ()
    if asked and asked[0].name == "host":
        return []
    defaults = inputs.settings.containers.default_ulimits
    if defaults:
        from wherry.spec.parse_resources import ulimits

        asked = [*ulimits(defaults), *asked]
    by_type: dict[str, UlimitRequest] = {}
    for limit in asked:
        by_type["RLIMIT_" + limit.name.upper()] = limit
    return [
        {"type": name, "hard": _unsigned(limit.hard), "soft": _unsigned(limit.soft)}
        for name, limit in by_type.items()
    ]


def _unsigned(value: int) -> int:
    """The OCI specification has unsigned limits; unlimited is the largest."""
    return value if value >= 0 else (1 << 64) - 1


def capabilities(inputs: Inputs, labels: Mapping[str, str]) -> dict[str, list[str]]:
    """``process.capabilities``. Who is not root gets only what was added by name, and that as ambient."""
    spec, host = inputs.spec, inputs.host
    known = host.capabilities
    if inputs.privileged:
        bounding = sorted(host.bounding)
    else:
        merged = security.merge(
            inputs.settings.containers.default_capabilities, spec.cap_add or (), spec.cap_drop or (), known=known,
            bounding=host.bounding,
        )
        bounding = _wanted(inputs, labels, [name for name in merged if name in host.bounding])
    name = inputs.user.partition(":")[0]
    root = name in ("root", "0") or (not name and inputs.namespaces.user.kind != "keep-id")
    if root:
        return {"bounding": bounding, "effective": bounding, "permitted": bounding} if bounding else {}
    added = security.merge((), spec.cap_add or (), (), known=known, bounding=host.bounding)
    added = [name for name in added if name in host.bounding]
    out = {"bounding": bounding, "effective": added, "permitted": added}
    if added and host.ambient:
        out["inheritable"] = out["ambient"] = added
    return {key: value for key, value in out.items() if value}


def _wanted(inputs: Inputs, labels: Mapping[str, str], allowed: list[str]) -> list[str]:
    """Fewer capabilities when a label of the image says which ones it needs; never more."""
    for key in security.CAPABILITIES_LABELS:
        if key not in labels:
            continue
        if not labels[key]:
            return []
        needed = security.merge((), labels[key].split(","), (), known=inputs.host.capabilities, bounding=())
        missing = [name for name in needed if name not in allowed]
        if not missing:
            return needed
        inputs.warnings.append(
            f'Capabilities requested by user or image are not allowed by default: "{",".join(missing)}"'
        )
    return allowed


def stop_signal(inputs: Inputs, systemd: bool) -> int:
    """As asked, else as the image says, else what systemd wants, else SIGTERM."""
    if inputs.spec.stop_signal is not None:
        return inputs.spec.stop_signal
    text = inputs.defaults.get("StopSignal")
    if text:
        from wherry.spec import signals

        return signals.parse(text)
    return _SYSTEMD_SIGNAL if systemd else _SIGTERM


def apparmor(inputs: Inputs) -> str:
    """The AppArmor profile; empty when there is none to set."""
    asked = inputs.spec.security.apparmor if inputs.spec.security is not None else ""
    if not inputs.host.apparmor:
        if asked and asked != "unconfined":
            raise InvalidArgument(f'apparmor profile "{asked}" specified, but Apparmor is not enabled on this system')
        return ""
    if asked or inputs.privileged:
        return asked
    return inputs.settings.containers.apparmor_profile


def seccomp_profile(inputs: Inputs) -> str:
    """``unconfined``, a path, ``image`` for the profile in the image's label, or empty for the default profile."""
    from wherry.spec.seccomp import IMAGE, IMAGE_LABEL, UNCONFINED

    asked = inputs.spec.security.seccomp if inputs.spec.security is not None else ""
    policy = inputs.spec.seccomp_policy or "default"
    if policy not in ("default", "image"):
        raise InvalidArgument(f'invalid seccomp policy "{policy}": valid policies are ["default" "image"]')
    if policy == "image" and asked != UNCONFINED:
        if inputs.image is None:
            raise InvalidArgument("cannot read seccomp profile without a valid image")
        if not (inputs.defaults.get("Labels") or {}).get(IMAGE_LABEL):
            raise InvalidArgument("no seccomp policy defined by image")
        return IMAGE
    if not inputs.host.seccomp:
        if asked and asked != UNCONFINED:
            raise InvalidArgument(f'seccomp profile "{asked}" specified, but the kernel has no seccomp filters')
        return UNCONFINED
    if inputs.privileged and not asked:
        return UNCONFINED
    return asked
