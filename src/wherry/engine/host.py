"""The host as resolving a spec sees it, and what only the engine can answer: other containers and networks."""

from __future__ import annotations

from wherry.spec.host import Lookup, read_facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.runtime import Runtime
    from wherry.model.container import ContainerConfig
    from wherry.spec.host import HostFacts


def host_facts(runtime: Runtime) -> HostFacts:
    """Facts of this host, read once per runtime."""
    from wherry.config.environment import environ
    from wherry.config.helpers import find

    settings = runtime.settings
    return runtime.cached(
        "host facts",
        lambda: read_facts(
            rootless=settings.rootless, environment=environ(), init_program=find(settings, "catatonit")
        ),
    )


class EngineLookup(Lookup):
    """Looks containers and networks up in this engine."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def container(self, text: str) -> ContainerConfig:
        state = self._runtime.state
        return state.container_config(state.container_id(text, self._runtime.settings.options.namespace))

    def gpu_kinds(self) -> list[str]:
        from wherry.engine.start_edits import cdi_documents
        from wherry.spec.resolve_resources import GPU_KINDS

        known = {document.kind for document in cdi_documents(self._runtime)}
        return [kind for kind in GPU_KINDS if kind in known]

    def network_name(self, text: str) -> str:
        return self._runtime.networking.definitions.get(text).name
