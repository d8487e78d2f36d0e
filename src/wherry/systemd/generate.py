"""Units for containers, and for pods through :mod:`wherry.systemd.generate_pod`.

Two kinds.  Without ``new`` the unit starts and stops a container that exists; conmon, whose pid is in ``PIDFile``, is
its main process.  With ``new`` the unit runs the command again that made the container, with what systemd needs
changed: conmon stays in the unit's control group (``--cgroups=no-conmon``) and tells its pid and, unless the command
says otherwise, that it is ready (``--sdnotify=conmon``).  The texts are those of podman-generate-systemd(1).
"""

from __future__ import annotations

from wherry.engine.exit_command import global_words
from wherry.errors import InvalidArgument, NoSuchContainer, NoSuchPod, NotFound
from wherry.sys import log
from wherry.sys.program import command as program
from wherry.systemd import command as commands
from wherry.systemd.options import UnitOptions, check, service_name
from wherry.systemd.unit import Unit, assignment, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.systemd.command import CreateCommand, Given

#: Seconds systemd waits longer than the engine until it kills.
GRACE = 60


def generate(runtime: Runtime, name: str, options: UnitOptions) -> dict[str, str]:
    """Unit name without suffix -> text, for a container or a pod with its containers (the pod's comes first).

    Raises ``NotFound`` when there is neither, ``InvalidArgument`` for what cannot be a unit.
    """
    check(options)
    try:
        identity = runtime.state.container_id(name)
    except NoSuchContainer as no_container:
        from wherry.systemd.generate_pod import generate_pod

        try:
            pod = runtime.state.pod_id(name)
        except NoSuchPod as no_pod:
            raise NotFound(f"{name} does not refer to a container or pod: {no_pod}: {no_container}") from None
        return generate_pod(runtime, pod, options)
    config = runtime.state.container_config(identity)
    if config.is_infra:
        raise InvalidArgument(
            f"container {config.name} is the infra container of pod {config.pod}",
            hint="generate units for the pod instead; that includes one for its infra container",
        )
    writer = ContainerUnit(runtime, config, options)
    return {writer.service: writer.text()}


class ContainerUnit:
    """The unit of one container. In a pod's set, ``pod_service`` is the pod's unit and ``bound`` what else it needs."""

    def __init__(
        self, runtime: Runtime, config: ContainerConfig, options: UnitOptions, *, pod_service: str = "",
        bound: Sequence[str] = (),
    ) -> None:
        self._runtime = runtime
        self._config = config
        self._options = options
        self._new = options.new or options.template
        self._pod_service = pod_service
        self._bound = [*bound, *([pod_service] if pod_service else ())]
        self._who = config.name if options.names else config.id
        self.service = service_name(options.container_prefix, options.separator, self._who)

    def text(self) -> str:
        """The whole unit. Raises ``InvalidArgument`` if the container's command is needed and not known."""
        options, config = self._options, self._config
        found = self._create_command() if self._new else None
        if found is None:
            self._warn()
        unit = head(
            f"{self.service}@.service" if options.template else f"{self.service}.service",
            f"{self.service}.service for %I" if options.template else f"{self.service}.service",
            "%t/containers" if self._new else self._runtime.settings.storage.run_root,
            options,
        )
        if self._bound:
            names = " ".join(f"{name}.service" for name in self._bound)
            unit.set("BindsTo", names)
            unit.set("After", names)
        dependencies(unit, options)
        stop = config.stop_timeout if options.stop_timeout is None else options.stop_timeout
        policy, retries = _restart(options, found)
        service(unit, options, policy, stop, burst=retries)
        if found is not None:
            self._run_anew(unit, found, stop)
        else:
            exists(unit, self._runtime, self._who, config, stop)
        return install(unit)

    def _create_command(self) -> CreateCommand:
        config = self._config
        if not config.create_command:
            raise InvalidArgument(
                f'cannot use --new on container "{config.id}": no create command found: '
                "only works on containers created directly with podman but not via REST API",
                hint="containers made with the Python API have none: leave out --new",
            )
        return commands.of_container(config.create_command)

    def _warn(self) -> None:
        config = self._config
        if config.restart_policy not in ("", "no"):
            log.warning(
                f'Container {config.id} has restart policy "{config.restart_policy}" which can lead to issues on '
                "shutdown: consider recreating the container without a restart policy and use systemd's restart "
                "mechanism instead"
            )

    def _run_anew(self, unit: Unit, found: CreateCommand, stop: int) -> None:
        wherry = executable(found.leading)
        unit.exec("ExecStartPre", ["/bin/rm", "-f %t/%n.ctr-id"])
        unit.exec("ExecStart", [*wherry, "run", *self._run_options(found), *(quoted(word) for word in found.words)])
        unit.exec("ExecStop", [*wherry, "stop", f"--ignore -t {stop}", "--cidfile=%t/%n.ctr-id"])
        unit.exec("ExecStopPost", [*wherry, "rm", "-f", f"--ignore -t {stop}", "--cidfile=%t/%n.ctr-id"])
        unit.set("Type", "notify")
        unit.set("NotifyAccess", "all")

    def _run_options(self, found: CreateCommand) -> list[str]:
        """What systemd needs, then what was asked for, but for what the unit decides itself."""
        cgroups = found.given("cgroups")
        mode = "disabled" if cgroups is not None and cgroups.value == "disabled" else "no-conmon"
        words = ["--cidfile=%t/%n.ctr-id", f"--cgroups={mode}", "--rm"]
        drop = ["cidfile", "cgroups", "rm", "restart", "attach"]
        if self._pod_service:
            words.append(f"--pod-id-file %t/{quoted(self._pod_service)}.pod-id")
            drop += ["pod", "pod-id-file"]
        if found.given("sdnotify") is None:
            words.append("--sdnotify=conmon")
        detach = found.given("detach")
        if detach is not None and not detach.on:
            drop.append("detach")
            detach = None
        if detach is None and not any("d" in option.words[0] for option in found.options if not option.name):
            words.append("-d")
        replace = found.given("replace")
        if found.given("name") is not None and (replace is None or not replace.on):     # or it would start only once
            drop.append("replace")
            words.append("--replace")
        return [*words, *(self._option(option) for option in found.without(*drop))]

    def _option(self, option: Given) -> str:
        if option.name == "name" and self._options.template:
            return " ".join(quoted(word, specifiers=True) for word in option.with_value(f"{option.value}-%i").words)
        return " ".join(quoted(word) for word in option.words)


def _restart(options: UnitOptions, found: CreateCommand | None) -> tuple[str, int]:
    """``Restart=`` and the number of attempts (0: any): as asked, else as the container was created, else on failure.
    """
    if options.restart_policy is not None:
        return options.restart_policy, 0
    asked = found.given("restart") if found is not None else None
    if asked is None or not asked.value:
        return "on-failure", 0
    policy, _, retries = asked.value.partition(":")
    return "always" if policy == "unless-stopped" else policy, int(retries) if retries.isdigit() else 0


def executable(leading: Sequence[str]) -> list[str]:
    """This wherry with the global options *leading*, quoted."""
    return [quoted(word) for word in (*program(), *leading)]


def head(name: str, title: str, mounts: str, options: UnitOptions) -> Unit:
    """A unit begun: its comments and the first lines of ``[Unit]``."""
    unit = Unit(name)
    unit.comment(name)
    if options.header:
        from time import strftime

        from wherry import __version__

        unit.comment(f"autogenerated by wherry {__version__}")
        unit.comment(strftime("%a %b %e %H:%M:%S %Z %Y"))
    unit.section("Unit")
    unit.set("Description", f"Podman {title}")
    unit.set("Documentation", "man:podman-generate-systemd(1)")
    unit.set("Wants", "network-online.target")
    unit.set("After", "network-online.target")
    unit.set("RequiresMountsFor", mounts if mounts.startswith("%") else quoted(mounts))
    return unit


def dependencies(unit: Unit, options: UnitOptions) -> None:
    """What the user wants the unit to wait for."""
    if options.wants or options.after or options.requires:
        unit.gap()
        unit.comment("User-defined dependencies")
    for key, names in (("Wants", options.wants), ("After", options.after), ("Requires", options.requires)):
        if names:
            unit.set(key, " ".join(names))


def service(unit: Unit, options: UnitOptions, policy: str, stop: int, *, burst: int = 0) -> None:
    """The first lines of ``[Service]``."""
    unit.section("Service")
    unit.set("Environment", "PODMAN_SYSTEMD_UNIT=%n")
    unit.set_each("Environment", (assignment(text) for text in options.env))
    unit.set("Restart", policy)
    if burst:
        unit.set("StartLimitBurst", burst)
    if options.restart_sec:
        unit.set("RestartSec", options.restart_sec)
    if options.start_timeout is not None:
        unit.set("TimeoutStartSec", options.start_timeout)
    unit.set("TimeoutStopSec", stop + GRACE)


def exists(unit: Unit, runtime: Runtime, who: str, config: ContainerConfig, stop: int) -> None:
    """Start and stop a container that is there."""
    wherry = executable(global_words(runtime))
    unit.exec("ExecStart", [*wherry, "start", who])
    for key in ("ExecStop", "ExecStopPost"):
        unit.exec(key, [*wherry, "stop", f"-t {stop}", who])
    unit.set("PIDFile", quoted(config.conmon_pid_file or f"{run_directory(runtime, config)}/conmon.pid"))
    unit.set("Type", "forking")


def run_directory(runtime: Runtime, config: ContainerConfig) -> str:
    """Where a container's run files are while it runs."""
    return runtime.paths.own_run_directory(config.id) if config.rootfs else runtime.store.container_run_dir(config.id)


def install(unit: Unit) -> str:
    unit.section("Install")
    unit.set("WantedBy", "default.target")
    return unit.text()
