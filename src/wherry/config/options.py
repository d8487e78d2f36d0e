"""What the global command line options (or the keyword arguments of ``Runtime``) say about configuration."""

from __future__ import annotations

from wherry.model.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class GlobalOptions(Record):
    """Options before the command, podman(1) "GLOBAL OPTIONS". Empty means: not given."""

    root: str = ""
    runroot: str = ""
    imagestore: str = ""
    storage_driver: str = ""
    storage_opts: Sequence[str] = ()         # one empty string: forget those of storage.conf
    runtime: str = ""
    runtime_flags: Sequence[str] = ()
    cgroup_manager: str = ""
    log_level: str = "warn"
    events_backend: str = ""
    network_config_dir: str = ""
    network_backend: str = ""
    tmpdir: str = ""
    conmon: str = ""
    volumepath: str = ""
    namespace: str = ""
    default_mounts_file: str = ""
    registries_conf: str = ""
    identity: str = ""
    hooks_dir: Sequence[str] = ()
    cdi_spec_dir: Sequence[str] = ()
    modules: Sequence[str] = ()
    transient_store: bool = False
    syslog: bool = False
