"""Which OCI runtime, and which conmon."""

from __future__ import annotations

import os

from wherry.errors import InvalidArgument, Unavailable
from wherry.model.record import EMPTY
from wherry.oci.runtime import OciRuntime
from wherry.sys import cgroups, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.config.settings import EngineSettings

#: Tried in this order when nothing is configured (containers.conf, ``runtime``).
PREFERENCE = ("crun", "runc", "runj", "kata", "runsc", "ocijail")
_CRUN = frozenset(("crun", "crun-wasm", "krun"))


class Choice:
    """A runtime, and a sentence for people that says why it is this one."""

    __slots__ = ("explanation", "fallback", "runtime")

    def __init__(self, runtime: OciRuntime, explanation: str, *, fallback: bool = False) -> None:
        self.runtime = runtime
        self.explanation = explanation
        self.fallback = fallback        # not the first choice: the host does not allow that one


def choose(
    engine: EngineSettings,
    requested: str = "",
    *,
    flags: Sequence[str] = (),
    root: str = "",
    systemd_cgroup: bool = False,
    env: Mapping[str, str] = EMPTY,
    layout: cgroups.Layout | None = None,
) -> Choice:
    """The runtime for new containers.

    *requested* is a name or path the user gave; it is taken as it is.  Otherwise the configured runtime, or the first
    of :data:`PREFERENCE` that is installed, unless the host's cgroups rule it out and another one is there.
    *flags* are global options of the runtime without their dashes and replace the configured ones; the other
    arguments are those of :class:`OciRuntime`; *layout* saves looking at the cgroups again.
    Raises :class:`wherry.errors.InvalidArgument` naming what was looked for.
    """
    def make(name: str, path: str) -> OciRuntime:
        kind = os.path.basename(name)
        words = flags or engine.runtimes_flags.get(kind, ())
        return OciRuntime(
            name, path, flags=[f"--{word}" for word in words], root=root, systemd_cgroup=systemd_cgroup,
            supports_json=kind in engine.runtime_supports_json, env=env,
        )

    if requested:
        return Choice(make(requested, _find(engine, requested)), f"{requested}: asked for")
    if engine.runtime:
        first, path, why = engine.runtime, _find(engine, engine.runtime), "configured"
    else:
        first, path, why = _first_installed(engine)
    refusal = refused(first, layout)
    if refusal:
        for name in PREFERENCE:
            other = _path(engine, name) if name not in _CRUN else ""
            if other:
                return Choice(make(name, other), f"{name}: {first} {refusal}", fallback=True)
        why = f"{why}, though it {refusal}"
    return Choice(make(first, path), f"{first}: {why}")


def refused(name: str, layout: cgroups.Layout | None = None) -> str:
    """Why runtime *name* would refuse this host, as the rest of a sentence; empty when it does not.

    crun does not start a container while version 1 hierarchies are mounted and the cgroup2 tree beside them still owns
    a controller ("cgroups in hybrid mode not supported, drop all controllers from cgroupv2").
    """
    if os.path.basename(name) not in _CRUN:
        return ""
    layout = layout or cgroups.layout()
    if layout.mode != cgroups.HYBRID or not layout.unified_controllers:
        return ""
    owned = ", ".join(layout.unified_controllers)
    return f"refuses this host: its cgroup2 tree {layout.unified} owns {owned} beside version 1 hierarchies"


def find_conmon(engine: EngineSettings, requested: str = "") -> str:
    """The path of conmon: *requested*, else the first of the configured paths, else from the standard directories.

    Raises :class:`wherry.errors.Unavailable`.
    """
    paths = (requested,) if requested else (*engine.conmon_path, "conmon")
    for path in paths:
        found = processes.find_program(path)
        if found:
            return found
    raise Unavailable(
        f"could not find a working conmon binary (configured options: [{' '.join(paths)}]): invalid argument",
        hint="install the package conmon",
    )


def _first_installed(engine: EngineSettings) -> tuple[str, str, str]:
    for name in PREFERENCE:
        path = _path(engine, name)
        if path:
            return name, path, "the first that is installed of " + ", ".join(PREFERENCE)
    raise InvalidArgument(
        f'default OCI runtime "{PREFERENCE[0]}" not found: invalid argument',
        hint=f"install one of {', '.join(PREFERENCE)}",
    )


def _find(engine: EngineSettings, name: str) -> str:
    path = _path(engine, name)
    if path:
        return path
    if "/" in name:
        raise InvalidArgument(f"no valid executable found for OCI runtime {name}: invalid argument")
    tried = " ".join(engine.runtimes.get(name, ()))
    raise InvalidArgument(
        f'default OCI runtime "{name}" not found: invalid argument',
        hint=f"looked at {tried or 'the standard directories'}",
    )


def _path(engine: EngineSettings, name: str) -> str:
    """The program of runtime *name*: a path as it is, or the configured places, or the standard directories."""
    for path in engine.runtimes.get(name, ()):
        if os.path.isfile(path):
            return path
    return processes.find_program(name)
