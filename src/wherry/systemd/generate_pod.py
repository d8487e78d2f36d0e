"""Units for a pod: one for the infra container, and one bound to it for every other container."""

from __future__ import annotations

from wherry.engine.exit_command import global_words
from wherry.engine.pod_verbs import members
from wherry.errors import InvalidArgument
from wherry.systemd import command as commands
from wherry.systemd.generate import (
    ContainerUnit,
    dependencies,
    executable,
    exists,
    head,
    install,
    service,
)
from wherry.systemd.options import UnitOptions, service_name
from wherry.systemd.unit import Unit, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.model.pod import PodConfig
    from wherry.systemd.command import CreateCommand


def generate_pod(runtime: Runtime, identity: str, options: UnitOptions) -> dict[str, str]:
    """Unit name without suffix -> text, the pod's first, then its containers' in the order of dependency."""
    if options.template:
        raise InvalidArgument("--template is not supported for pods")
    pod, state = runtime.state.pod(identity)
    if not state.infra_id:
        raise InvalidArgument(
            f'generating systemd unit files: Pod "{pod.name}" has no infra container',
            hint="the unit's main process is the infra container's monitor: create the pod with --infra",
        )
    configs = members(runtime, identity)
    infra = configs.pop(state.infra_id)
    own = service_name(options.pod_prefix, options.separator, pod.name if options.names else pod.id)
    names = {
        container.id: service_name(
            options.container_prefix, options.separator, container.name if options.names else container.id
        )
        for container in configs.values()
    }
    found = {own: _PodUnit(runtime, pod, infra, options, own).text(list(names.values()))}
    for container in configs.values():
        bound = [names[other] for other in container.dependencies if other in names]
        writer = ContainerUnit(runtime, container, options, pod_service=own, bound=bound)
        found[writer.service] = writer.text()
    _check_names(found, names)
    return found


def _check_names(found: Mapping[str, str], names: Mapping[str, str]) -> None:
    if len(found) != len(names) + 1:
        raise InvalidArgument(
            "two units would have the same name", hint="choose other values for --container-prefix and --pod-prefix"
        )


class _PodUnit:
    def __init__(
        self, runtime: Runtime, pod: PodConfig, infra: ContainerConfig, options: UnitOptions, name: str
    ) -> None:
        self._runtime = runtime
        self._pod = pod
        self._infra = infra
        self._options = options
        self._service = name

    def text(self, containers: list[str]) -> str:
        options, infra = self._options, self._infra
        name = f"{self._service}.service"
        unit = head(name, name, self._runtime.settings.storage.run_root, options)
        if containers:
            services = " ".join(f"{container}.service" for container in containers)
            unit.set("Wants", services)
            unit.set("Before", services)
        dependencies(unit, options)
        stop = infra.stop_timeout if options.stop_timeout is None else options.stop_timeout
        service(unit, options, options.restart_policy or "on-failure", stop)
        if options.new:
            self._create_anew(unit, stop)
        else:
            exists(unit, self._runtime, infra.name if options.names else infra.id, infra, stop)
        return install(unit)

    def _create_anew(self, unit: Unit, stop: int) -> None:
        if not self._pod.create_command:
            raise InvalidArgument(
                f'cannot use --new on pod "{self._pod.id}": no create command found',
                hint="pods made with the Python API have none: leave out --new",
            )
        found = commands.of_pod(self._pod.create_command)
        wherry = executable(found.leading or global_words(self._runtime))
        own = quoted(self._service)
        pid_file, id_file = f"%t/{own}.pid", f"%t/{own}.pod-id"
        unit.exec("ExecStartPre", ["/bin/rm", f"-f {pid_file} {id_file}"])
        unit.exec("ExecStartPre", [*wherry, "pod", "create", *_create_options(found, pid_file, id_file)])
        unit.exec("ExecStart", [*wherry, "pod", "start", f"--pod-id-file {id_file}"])
        unit.exec("ExecStop", [*wherry, "pod", "stop", "--ignore", f"--pod-id-file {id_file}", f"-t {stop}"])
        unit.exec("ExecStopPost", [*wherry, "pod", "rm", "--ignore", "-f", f"--pod-id-file {id_file}"])
        unit.set("PIDFile", pid_file)
        unit.set("Type", "forking")


def _create_options(found: CreateCommand, pid_file: str, id_file: str) -> list[str]:
    words = [f"--infra-conmon-pidfile {pid_file}", f"--pod-id-file {id_file}"]
    if found.given("exit-policy") is None:
        words.append("--exit-policy=stop")
    words += [
        " ".join(quoted(word) for word in option.words)
        for option in found.without("infra-conmon-pidfile", "pod-id-file")
    ]
    if found.given("replace") is None and (found.words or found.given("name") is not None):
        words.append("--replace")
    return [*words, *(quoted(word) for word in found.words)]
