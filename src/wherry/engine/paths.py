"""Where the engine keeps things, below the state and run directories of the settings.

``state_dir`` (``<graphroot>/wherry``) survives a reboot; ``run_dir`` (``<runroot>/wherry``) is on tmpfs and need not.
"""

from __future__ import annotations

from wherry.sys.files import make_dirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.config.settings import Settings


class Paths:
    """File names only; :meth:`prepare` makes the directories a container needs when it starts."""

    def __init__(self, settings: Settings) -> None:
        state = settings.state_dir
        run = settings.run_dir
        self.state_dir = state
        self.run_dir = run
        self.database = state + "/state.db"
        self.volumes = settings.engine.volume_path or state + "/volumes"
        self.secrets = state + "/secrets"
        self.locks = run + "/locks"
        self.exits = run + "/exits"            # conmon writes <id> here
        self.persist = run + "/persist"        # conmon writes <id>/exit and <id>/oom here
        self.sockets = run + "/socket"         # conmon makes <id>/attach here
        self.owners = run + "/owners"          # flock of the process that will clean up after a container
        self.net_namespaces = run + "/netns"
        self.networks = run + "/networks"      # address leases, netavark's state
        self.seccomp = run + "/seccomp"        # precompiled filters
        self.health = run + "/health"          # schedule of health checks, files of probes under way
        self.events = settings.engine.events_logfile_path or run + "/events/events.log"

    def prepare(self) -> None:
        """Make the run directories; cheap when they exist."""
        for path in (self.locks, self.exits, self.persist, self.sockets, self.owners):
            make_dirs(path, 0o711 if path == self.sockets else 0o700)

    def own_directory(self, identity: str) -> str:
        """The directory of a container that has no storage record (``--rootfs``)."""
        return f"{self.state_dir}/containers/{identity}/userdata"

    def own_run_directory(self, identity: str) -> str:
        """The same in the run directory."""
        return f"{self.run_dir}/containers/{identity}/userdata"

    def mount_claims(self, identity: str) -> str:
        """Notes of processes that use a container's mount for a while."""
        return f"{self.run_dir}/mounts/{identity}"

    def lock(self, kind: str, key: str) -> str:
        return f"{self.locks}/{kind}-{key}"
