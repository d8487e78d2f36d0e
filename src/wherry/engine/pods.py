"""The pods of a runtime."""

from __future__ import annotations

from wherry.engine import pod_status
from wherry.engine.pod import Pod
from wherry.errors import NoSuchPod, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from builtins import list as List
    from collections.abc import Mapping, Sequence
    from typing import Any

    from wherry.engine.listing import Summary
    from wherry.engine.runtime import Runtime
    from wherry.registry.progress import Reporter
    from wherry.spec.pod_spec import PodSpec


def summaries(runtime: Runtime) -> dict[str, list[Summary]]:
    """Pod id -> summaries of its containers, the infra container's among them, in the order of creation."""
    found: dict[str, list[Summary]] = {}
    for summary in runtime.containers.list(all=True):
        if summary.pod:
            found.setdefault(summary.pod, []).append(summary)
    return found


def pod_spec(name: str, **options: Any) -> PodSpec:
    """The specification that fields of :class:`PodSpec` and keywords of containers ask for."""
    from wherry.config.environment import environ
    from wherry.spec.parse_keywords import from_keywords
    from wherry.spec.pod_spec import PodSpec

    own = {key: options.pop(key) for key in list(options) if key in PodSpec.__annotations__ and key != "container"}
    return PodSpec(name=name, container=from_keywords("", (), environ=environ(), **options), **own)


class PodCollection:
    """``rt.pods``: make, find and list pods."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def create(
        self,
        name: str = "",
        *,
        infra: bool = True,
        infra_image: str | None = None,
        infra_command: Sequence[str] | None = None,
        infra_name: str = "",
        infra_conmon_pid_file: str = "",
        share: Sequence[str] | None = None,
        share_parent: bool = True,
        exit_policy: str | None = None,
        replace: bool = False,
        pod_id_file: str = "",
        **options: Any,
    ) -> Pod:
        """Create a pod. *options* are keywords of containers that concern what members share: ``ports=``,
        ``network=``, ``hostname=``, ``labels=``, ``dns=``, ``volumes=``, ``memory=``, ``restart=``, ...

        *share* names namespaces (ipc, net, uts, pid, cgroup, user); None is ipc, net and uts.
        """
        return self.create_from_spec(pod_spec(
            name,
            infra=infra,
            infra_image=infra_image,
            infra_command=infra_command,
            infra_name=infra_name,
            infra_conmon_pid_file=infra_conmon_pid_file,
            share=share,
            share_parent=share_parent,
            exit_policy=exit_policy,
            replace_existing=replace,
            pod_id_file=pod_id_file,
            **options,
        ))

    def create_from_spec(self, spec: PodSpec, reporter: Reporter | None = None) -> Pod:
        """Create a pod from a parsed specification (what the command line does)."""
        from wherry.engine.pod_create import create

        return Pod(self._runtime, create(self._runtime, spec, reporter))

    def get(self, text: str) -> Pod:
        """The pod with this id, unique id prefix or name. Raises ``NoSuchPod``."""
        state = self._runtime.state
        return Pod(self._runtime, state.pod(state.pod_id(text, self._runtime.settings.options.namespace))[0])

    def exists(self, text: str) -> bool:
        try:
            self._runtime.state.pod_id(text)
        except NoSuchPod:
            return False
        return True

    def list(self, filters: Mapping[str, Sequence[str]] | None = None) -> List[Pod]:
        """Pods in the order of creation; *filters* as for ``wherry pod ps``."""
        state = self._runtime.state
        found = [Pod(self._runtime, state.pod(row.id)[0]) for row in state.pod_rows()]
        if not filters:
            return found
        from wherry.engine.pod_filters import select

        return select(self._runtime, found, filters)

    def prune(self) -> tuple[List[str], dict[str, WherryError]]:
        """Remove every pod whose containers have all ended; returns their ids, and why others stayed."""
        members = summaries(self._runtime)
        gone: List[str] = []
        failed: dict[str, WherryError] = {}
        for pod in self.list():
            state = pod_status.of([summary.state for summary in members.get(pod.id, ())])
            if state not in (pod_status.STOPPED, pod_status.EXITED):
                continue
            try:
                pod.remove()
            except WherryError as error:
                failed[pod.id] = error
            else:
                gone.append(pod.id)
        return gone, failed
