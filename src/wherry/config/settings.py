"""All settings as typed values: one field per key of containers.conf(5), under the same name, with its default.

The annotations are also the schema: :mod:`wherry.config.tables` checks a file's values against them.  Where the
documented default depends on the host, the field says so and :mod:`wherry.config.containers_conf` fills it in.
"""

from __future__ import annotations

from wherry.config.environment import EnvironmentFacts
from wherry.config.options import GlobalOptions
from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BIN_DIRS = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/sbin", "/bin")
_LIBEXEC_DIRS = ("/usr/libexec/podman", "/usr/local/libexec/podman", "/usr/local/lib/podman")


class ContainerDefaults(Record):
    """``[containers]``."""

    annotations: Sequence[str] = ()
    apparmor_profile: str = ""                 # empty: the engine's own default profile
    base_hosts_file: str = ""
    cgroup_conf: Sequence[str] = ()
    cgroupns: str = ""                         # resolved: private on cgroups v2, else host
    cgroups: str = "enabled"
    container_name_as_hostname: bool = False
    default_capabilities: Sequence[str] = (    # without the CAP_ prefix
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
        "SETUID", "SYS_CHROOT",
    )
    default_sysctls: Sequence[str] = ()
    default_ulimits: Sequence[str] = ()
    devices: Sequence[str] = ()
    dns_options: Sequence[str] = ()
    dns_searches: Sequence[str] = ()
    dns_servers: Sequence[str] = ()
    env: Sequence[str] = (_PATH,)
    env_host: bool = False
    host_containers_internal_ip: str = ""
    http_proxy: bool = True
    init: bool = False
    init_path: str = ""
    interface_name: str = ""
    ipcns: str = "shareable"
    keyring: bool = True
    label: bool = False                        # resolved: true where SELinux is enabled
    label_users: bool = False
    log_driver: str = ""                       # resolved: journald where it is usable, else k8s-file
    log_path: str = ""
    log_size_max: int = -1
    log_tag: str = ""
    mounts: Sequence[str] = ()
    netns: str = "private"
    no_hosts: bool = False
    oom_score_adj: int | None = None
    pidns: str = "private"
    pids_limit: int = 2048                     # 0 for a rootless engine that cannot set it
    prepare_volume_on_create: bool = False
    privileged: bool = False
    read_only: bool = False
    seccomp_profile: str = ""                  # resolved: the seccomp.json of the system, empty when there is none
    shm_size: str = "65536k"
    tz: str = ""
    umask: str = "0022"
    userns: str = ""
    userns_size: int = 65536
    utsns: str = "private"
    volumes: Sequence[str] = ()


class ServiceDestination(Record):
    """``[engine.service_destinations.NAME]``."""

    uri: str = ""
    identity: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_ca: str = ""
    is_machine: bool = False


class EngineSettings(Record):
    """``[engine]``. Times are seconds, sizes bytes."""

    active_service: str = ""
    add_compression: Sequence[str] = ()
    cdi_spec_dirs: Sequence[str] = ("/etc/cdi", "/var/run/cdi")
    cgroup_check: bool = False
    cgroup_manager: str = ""                   # resolved: systemd where it is the init system, else cgroupfs
    chown_copied_files: bool = True
    compat_api_enforce_docker_hub: bool = True
    compose_providers: Sequence[str] = (
        "$HOME/.docker/cli-plugins/docker-compose", "/usr/local/lib/docker/cli-plugins/docker-compose",
        "/usr/local/libexec/docker/cli-plugins/docker-compose", "/usr/lib/docker/cli-plugins/docker-compose",
        "/usr/libexec/docker/cli-plugins/docker-compose", "docker-compose", "podman-compose",
    )
    compose_warning_logs: bool = True
    compression_format: str = "gzip"
    compression_level: int | None = None
    conmon_env_vars: Sequence[str] = (_PATH,)
    conmon_path: Sequence[str] = tuple(
        f"{directory}/conmon" for directory in (
            *_LIBEXEC_DIRS, "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin",
            "/run/current-system/sw/bin",
        )
    )
    conmonrs_path: Sequence[str] = tuple(
        f"{directory}/conmonrs" for directory in (
            *_LIBEXEC_DIRS, "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin",
            "/run/current-system/sw/bin",
        )
    )
    database_backend: str = ""
    detach_keys: str = "ctrl-p,ctrl-q"
    enable_port_reservation: bool = True
    env: Sequence[str] = ()
    events_container_create_inspect_data: bool = False
    events_logfile_max_size: int = 1_000_000
    events_logfile_path: str = ""              # empty: below the run directory
    events_logger: str = ""                    # resolved: journald where it is usable, else file
    exit_command_delay: int = 300
    healthcheck_events: bool | None = None     # true: one per probe (as Podman); false: none; unset: one per change
    helper_binaries_dir: Sequence[str] = (
        "/usr/local/libexec/podman", "/usr/local/lib/podman", "/usr/libexec/podman", "/usr/lib/podman",
    )
    hooks_dir: Sequence[str] = ("/usr/share/containers/oci/hooks.d",)
    image_build_format: str = "oci"
    image_copy_tmp_dir: str = ""               # resolved: $TMPDIR or /var/tmp; "storage" means below graphroot
    image_default_format: str = ""
    image_default_transport: str = "docker://"
    image_parallel_copies: int = 0
    image_volume_mode: str = "anonymous"
    infra_command: str = ""
    infra_image: str = ""
    init_path: str = ""
    kube_generate_type: str = "pod"
    lock_type: str = "shm"
    multi_image_archive: bool = False
    namespace: str = ""
    network_cmd_options: Sequence[str] = ()
    network_cmd_path: str = ""
    no_pivot_root: bool = False
    num_locks: int = 2048
    platform_to_oci_runtime: Mapping[str, str] = {
        "wasi/wasm": "crun-wasm", "wasi/wasm32": "crun-wasm", "wasi/wasm64": "crun-wasm",
    }
    pod_exit_policy: str = "continue"
    podmansh_timeout: int = 30
    pull_policy: str = "missing"
    remote: bool = False
    remote_identity: str = ""
    remote_uri: str = ""
    retry: int = 3
    retry_delay: str = ""
    runtime: str = ""                          # empty: the first of crun, runc, ... that is there
    runtime_path: Sequence[str] = ()
    runtime_supports_json: Sequence[str] = ("crun", "runc", "kata", "runsc", "youki", "krun", "ocijail")
    runtime_supports_kvm: Sequence[str] = ("kata", "kata-runtime", "kata-qemu", "kata-fc", "krun")
    runtime_supports_nocgroup: Sequence[str] = ("crun", "krun")
    runtimes: Mapping[str, Sequence[str]] = {
        **{
            name: tuple(f"{directory}/{name}" for directory in (*_BIN_DIRS, "/run/current-system/sw/bin"))
            for name in ("crun", "crun-vm", "crun-wasm", "krun", "ocijail", "runc", "runj", "runsc", "youki")
        },
        "kata": tuple(
            f"{directory}/{name}" for name in ("kata-runtime", "kata-qemu", "kata-fc") for directory in _BIN_DIRS
        ),
    }
    runtimes_flags: Mapping[str, Sequence[str]] = EMPTY
    service_destinations: Mapping[str, ServiceDestination] = field(default=EMPTY, table=ServiceDestination)
    service_timeout: int = 5
    ssh_config: str = ""
    static_dir: str = ""                       # empty: the state directory
    stop_timeout: int = 10
    tmp_dir: str = ""                          # empty: the run directory
    volume_path: str = ""                      # empty: below the state directory
    volume_plugin_timeout: int = 5
    volume_plugins: Mapping[str, str] = EMPTY


class SubnetPool(Record):
    """Where subnets of new networks are taken from: *base* in CIDR notation, *size* the prefix length of each."""

    base: str = ""
    size: int = 0


class NetworkSettings(Record):
    """``[network]``."""

    cni_plugin_dirs: Sequence[str] = (
        "/usr/local/libexec/cni", "/usr/libexec/cni", "/usr/local/lib/cni", "/usr/lib/cni", "/opt/cni/bin",
    )
    default_network: str = "podman"
    default_rootless_network_cmd: str = "pasta"
    default_subnet: str = "10.88.0.0/16"
    default_subnet_pools: Sequence[SubnetPool] = field(
        default=tuple(
            SubnetPool(base=base, size=24)
            for base in ("10.89.0.0/16", "10.90.0.0/15", "10.92.0.0/14", "10.96.0.0/11", "10.128.0.0/9")
        ),
        records=SubnetPool,
    )
    dns_bind_port: int = 0
    firewall_driver: str = ""
    netavark_plugin_dirs: Sequence[str] = (
        "/usr/local/libexec/netavark", "/usr/libexec/netavark", "/usr/local/lib/netavark", "/usr/lib/netavark",
    )
    network_backend: str = ""
    network_config_dir: str = ""               # resolved: /etc/containers/networks; rootless <graphroot>/networks
    pasta_options: Sequence[str] = ()


class SecretSettings(Record):
    """``[secrets]``."""

    driver: str = "file"
    opts: Mapping[str, str] = EMPTY


class ConfigMapSettings(Record):
    """``[configmaps]``."""

    driver: str = ""
    opts: Mapping[str, str] = EMPTY


class MachineSettings(Record):
    """``[machine]``: read for completeness; wherry runs no virtual machines. Sizes are GiB (disk) and MiB (memory)."""

    cpus: int = 0                              # 0: half of those the host has
    disk_size: int = 100
    image: str = ""
    memory: int = 2048
    provider: str = ""
    rosetta: bool = True
    user: str = "core"
    volumes: Sequence[str] = ("$HOME:$HOME",)


class FarmSettings(Record):
    """``[farms]``: read for completeness."""

    default: str = ""
    list: Mapping[str, Sequence[str]] = EMPTY


class PodmanshSettings(Record):
    """``[podmansh]``: the login shell."""

    container: str = "podmansh"
    shell: str = "/bin/sh"
    timeout: int = 0                           # 0: engine.podmansh_timeout


class AutoUpdateSettings(Record):
    """``[wherry.auto_update]``: unattended updates. A table of wherry's own; Podman passes over it."""

    allowed_restarts: int = 0                  # a container may restart this often while it is watched
    host_hooks: bool = False                   # may labels name commands that run on the host?
    keep_images: int = 2                       # replaced images kept per reference, safe from prune
    notify_command: Sequence[str] = ()         # run after a run that did something, the report as JSON on its input
    notify_url: str = ""                       # the same report is sent there with POST
    window: str = ""                           # how long an update is watched, "30s"; empty: by the health check


class StorageSettings(Record):
    """storage.conf(5) and what overrides it. Paths are absolute and without symbolic links."""

    driver: str = ""                           # overlay or vfs (or another name, which the store refuses)
    graph_root: str = ""
    run_root: str = ""
    image_store: str = ""
    transient_store: bool = False
    additional_image_stores: Sequence[str] = ()
    additional_layer_stores: Sequence[str] = ()
    mount_options: Sequence[str] = ()          # options.overlay.mountopt, split
    mount_program: str = ""
    force_mask: str = ""                       # octal digits; "shared" and "private" are translated
    ignore_chown_errors: bool = False
    disable_volatile: bool = False
    skip_mount_home: bool = False
    use_composefs: bool = False
    size: str = ""                             # quota of a container's layer, as written
    inodes: str = ""
    pull_options: Mapping[str, str] = EMPTY
    auto_userns_user: str = ""
    auto_userns_min_size: int = 1024
    auto_userns_max_size: int = 65536
    driver_options: Mapping[str, str] = EMPTY  # "overlay.mountopt" -> value, as "info" shows them
    config_file: str = ""                      # the storage.conf read, or the one that would be
    rootless: bool = False


class Settings(Record):
    """Everything configuration says, for one user and one set of global options."""

    options: GlobalOptions = field(default=GlobalOptions(), record=GlobalOptions)
    storage: StorageSettings = field(default=StorageSettings(), record=StorageSettings)
    containers: ContainerDefaults = field(default=ContainerDefaults(), record=ContainerDefaults)
    engine: EngineSettings = field(default=EngineSettings(), record=EngineSettings)
    network: NetworkSettings = field(default=NetworkSettings(), record=NetworkSettings)
    secrets: SecretSettings = field(default=SecretSettings(), record=SecretSettings)
    configmaps: ConfigMapSettings = field(default=ConfigMapSettings(), record=ConfigMapSettings)
    machine: MachineSettings = field(default=MachineSettings(), record=MachineSettings)
    farms: FarmSettings = field(default=FarmSettings(), record=FarmSettings)
    podmansh: PodmanshSettings = field(default=PodmanshSettings(), record=PodmanshSettings)
    auto_update: AutoUpdateSettings = field(
        default=AutoUpdateSettings(), key="wherry.auto_update", record=AutoUpdateSettings
    )
    environment: EnvironmentFacts = field(default=EnvironmentFacts(), record=EnvironmentFacts)
    config_files: Sequence[str] = ()           # the containers.conf files that were read, in order
    rootless: bool = False
    uid: int = 0
    home: str = ""
    config_home: str = ""
    cache_home: str = ""
    runtime_dir: str = ""                      # /run, or the user's runtime directory

    @property
    def state_dir(self) -> str:
        """What wherry must keep: its database, volumes, secrets."""
        return self.storage.graph_root + "/wherry"

    @property
    def run_dir(self) -> str:
        """What a reboot may discard."""
        return self.storage.run_root + "/wherry"
