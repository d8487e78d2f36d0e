"""The runtime: one engine on one store, its services made when first needed."""

from __future__ import annotations

import os

from wherry.config.load import load
from wherry.config.options import GlobalOptions
from wherry.config.places import current
from wherry.engine.paths import Paths
from wherry.model import ranks
from wherry.sys import log
from wherry.sys.files import make_dirs
from wherry.sys.locks import RankedLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from wherry.engine.artifacts import ArtifactCollection
    from wherry.engine.container import Container
    from wherry.engine.containers import ContainerCollection
    from wherry.engine.exec_handle import Exec
    from wherry.engine.images import ImageCollection
    from wherry.engine.locked import LockedContainer
    from wherry.engine.networking import Networking
    from wherry.engine.networks import NetworkCollection
    from wherry.engine.pods import PodCollection
    from wherry.engine.secrets import SecretCollection
    from wherry.engine.volume_collection import VolumeCollection
    from wherry.events.publisher import Publisher
    from wherry.events.reader import EventStream
    from wherry.oci.runtime import OciRuntime
    from wherry.state.protocol import State
    from wherry.storage.store import Store
    from wherry.update.auto_update import AutoUpdate

    T = TypeVar("T")


class Runtime:
    """A container engine on one store.

    ``Runtime()`` uses the host's configuration like the command line does; ``root`` and ``runroot`` alone make a
    separate engine, ``config`` names a containers.conf to use instead of the host's.  Further keywords are the global
    options of the command line with underscores (``storage_driver=``, ``runtime=``, ``cgroup_manager=``, ...).

    A runtime opens nothing until it is used and holds no lock between calls; several may be open on the same store, in
    one process or in many.  Use it as a context manager or call :meth:`close`.
    """

    def __init__(self, options: GlobalOptions | None = None, *, config: str = "", **overrides: Any) -> None:
        if options is None:
            options = GlobalOptions(**overrides)
        elif overrides:
            options = options.replace(**overrides)
        #: Environment variables that replace those of this process where configuration is read.
        self.environment_changes = {"CONTAINERS_CONF": os.path.abspath(config)} if config else {}
        self.settings = load(options, places=current().with_environment(self.environment_changes))
        self.paths = Paths(self.settings)
        self._services: dict[str, Any] = {}

    # -- nouns ---------------------------------------------------------------------------------------------------

    @property
    def containers(self) -> ContainerCollection:
        """Containers of this engine: create, run, get, list, prune."""
        made: ContainerCollection | None = self._services.get("containers")
        if made is None:
            from wherry.engine.containers import ContainerCollection

            made = self._services["containers"] = ContainerCollection(self)
        return made

    @property
    def images(self) -> ImageCollection:
        """Images of the shared store: pull, get, list, load, import, remove."""
        made: ImageCollection | None = self._services.get("images")
        if made is None:
            from wherry.engine.images import ImageCollection

            made = self._services["images"] = ImageCollection(self)
        return made

    @property
    def artifacts(self) -> ArtifactCollection:
        """OCI artifacts of the shared store: add, get, list, extract, pull, push, remove."""
        from wherry.engine.artifacts import ArtifactCollection

        return self.cached("artifacts", lambda: ArtifactCollection(self))

    @property
    def pods(self) -> PodCollection:
        """Pods of this engine: create, get, list, prune."""
        from wherry.engine.pods import PodCollection

        return self.cached("pods", lambda: PodCollection(self))

    @property
    def secrets(self) -> SecretCollection:
        """Secrets of this engine: create, get, list, remove."""
        from wherry.engine.secrets import SecretCollection

        return self.cached("secrets", lambda: SecretCollection(self))

    @property
    def volumes(self) -> VolumeCollection:
        """Volumes of this engine: create, get, list, prune."""
        from wherry.engine.volume_collection import VolumeCollection

        return self.cached("volumes", lambda: VolumeCollection(self))

    @property
    def networks(self) -> NetworkCollection:
        """Networks of this host's configuration directory: create, get, list, connect, remove."""
        made: NetworkCollection | None = self._services.get("networks")
        if made is None:
            from wherry.engine.networks import NetworkCollection

            made = self._services["networks"] = NetworkCollection(self)
        return made

    @property
    def auto_update(self) -> AutoUpdate:
        """Unattended updates: plan, apply, history, rollback."""
        made: AutoUpdate | None = self._services.get("auto_update")
        if made is None:
            made = self._services["auto_update"] = _noun_above("wherry.update.auto_update", "AutoUpdate")(self)
        return made

    # -- services ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        made: State | None = self._services.get("state")
        if made is None:
            from wherry.state.sqlite import SqliteState

            storage = self.settings.storage
            make_dirs(self.paths.state_dir)
            made = self._services["state"] = SqliteState(
                self.paths.database,
                identity={
                    "graph root": storage.graph_root,
                    "run root": storage.run_root,
                    "graph driver": storage.driver,
                    "volume path": self.paths.volumes,
                },
            )
            self._look_after_probes()
        return made

    def _look_after_probes(self) -> None:
        """If health checks are scheduled and the process that runs them was killed, start another."""
        try:
            os.close(os.open(self.paths.health + "/wake", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except FileNotFoundError:
            pass        # nothing is scheduled
        except OSError:
            from wherry.engine.health_timers import revive

            revive(self)

    @property
    def store(self) -> Store:
        made: Store | None = self._services.get("store")
        if made is None:
            from wherry.storage.store import Store

            made = self._services["store"] = Store(self.settings.storage)
        return made

    @property
    def publisher(self) -> Publisher:
        made: Publisher | None = self._services.get("publisher")
        if made is None:
            from wherry.events.publisher import Publisher

            engine = self.settings.engine
            made = self._services["publisher"] = Publisher(
                engine.events_logger, self.paths.events, max_size=engine.events_logfile_max_size
            )
        return made

    @property
    def networking(self) -> Networking:
        made: Networking | None = self._services.get("networking")
        if made is None:
            from wherry.engine.networking import Networking

            made = self._services["networking"] = Networking(self)
        return made

    def oci_runtime(self, name: str = "") -> OciRuntime:
        """The OCI runtime called *name* (a name or path; empty: the host's default). Raises ``Unavailable``."""
        key = "oci:" + name
        made: OciRuntime | None = self._services.get(key)
        if made is None:
            from wherry.oci.choose import choose

            options, engine = self.settings.options, self.settings.engine
            chosen = choose(
                engine,
                name or options.runtime,
                flags=options.runtime_flags,
                systemd_cgroup=engine.cgroup_manager == "systemd",
            )
            log.once("info" if chosen.fallback else "debug", f"OCI runtime {chosen.explanation}")
            made = self._services[key] = chosen.runtime
        return made

    @property
    def conmon_path(self) -> str:
        path: str | None = self._services.get("conmon")
        if path is None:
            from wherry.oci.choose import find_conmon

            path = self._services["conmon"] = find_conmon(self.settings.engine, self.settings.options.conmon)
        return path

    def cached(self, key: str, make: Callable[[], T]) -> T:
        """What *make* gives, made once for this runtime."""
        if key not in self._services:
            self._services[key] = make()
        value: T = self._services[key]
        return value

    def warm_up(self) -> None:
        """A container or exec session is about to be created: let a thread take the kernel's wait for it meanwhile."""
        from wherry.oci.cgroup_warmup import CgroupWarmup

        running = self._services.get("warm-up")
        if running is None or not running.active:
            self._services["warm-up"] = CgroupWarmup().start()

    def cool_down(self) -> None:
        """It was created, or was not."""
        running = self._services.pop("warm-up", None)
        if running is not None:
            running.stop()

    # -- locks and events ----------------------------------------------------------------------------------------

    def lock(self, container: Container | str, timeout: float | None = None) -> LockedContainer:
        """Lock a container (handle or full id); the result is a context manager and the only mutator.

        Entering it waits for other holders (at most *timeout* seconds), reads the container and reconciles its state
        with reality.  Raises ``NoSuchContainer`` if it is gone and ``TimedOut``.
        """
        from wherry.engine.locked import LockedContainer

        identity = container if isinstance(container, str) else container.id
        return LockedContainer(self, identity, timeout)

    def object_lock(self, kind: str, rank: int, key: str) -> RankedLock:
        """The lock file of one object; *rank* is one of :mod:`wherry.model.ranks`."""
        make_dirs(self.paths.locks)
        return RankedLock(self.paths.lock(kind, key), rank, key)

    def container_lock(self, identity: str) -> RankedLock:
        return self.object_lock("container", ranks.CONTAINER, identity)

    def publish(self) -> None:
        """Hand committed events to the event backend.

        A crash in between loses none: the next publish sends them.  Nor does an event log that cannot be written fail
        the verb whose work is done.
        """
        from wherry.errors import WherryError

        try:
            self.state.drain_events(self.publisher.publish)
        except WherryError as error:
            log.error(f"unable to write event: {error}")

    def exec_session(self, text: str) -> Exec:
        """The exec session with this id, or unique beginning of one. Raises ``NoSuchExecSession``."""
        from wherry.engine.exec_handle import find

        return find(self, text)

    def events(
        self, *, since: str = "", until: str = "", filters: Sequence[str] = (), follow: bool = False
    ) -> EventStream:
        """Events in the order they happened, as an iterator to close (or use in ``with``).

        *since*, *until* and *filters* (``key=value``) are those of ``wherry events``; with *follow* it waits for more.
        Raises ``InvalidArgument``, ``Unsupported`` for the backend "none".
        """
        from wherry.events.reader import EventReader

        self.publish()
        publisher = self.publisher
        reader = EventReader(publisher.backend, publisher.path, root=publisher.root)
        return reader.read(since=since, until=until, filters=filters, follow=follow)

    # -- host ----------------------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """What ``wherry info`` shows, as the JSON tree Podman uses."""
        from wherry.engine.info import info

        return info(self)

    def version(self) -> dict[str, Any]:
        """Version of wherry and of the API it speaks, as the JSON tree Podman uses."""
        from wherry.engine.version import version

        return version()

    def check(self, *, quick: bool = False, repair: bool = False) -> list[Any]:
        """Verify store, database, mounts, leases and processes; returns the damage found (after repair: left)."""
        from wherry.engine.check import check

        return check(self, quick=quick, repair=repair)

    def close(self) -> None:
        """Release the database. The runtime may be used again afterwards."""
        state = self._services.pop("state", None)
        if state is not None:
            state.close()
        self._services.clear()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _noun_above(module: str, name: str) -> Any:
    """A class of a package above this one, which works on the engine's public face alone and is part of it to users."""
    return getattr(__import__(module, None, None, (name,)), name)
