"""What was asked for a container: the values of the options, parsed but not yet completed.

Every field is ``None`` until somebody sets it, so that "not said" stays apart from "no", "none" and "empty".  The
fields are those named in the option table (:mod:`wherry.spec.options`); a test keeps the two in step.
"""

from __future__ import annotations

from wherry.model.network import NetworkOptions, PortMapping
from wherry.model.record import EMPTY, Record, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class MountRequest(Record):
    """One mount asked for with ``-v``, ``--mount`` or ``--tmpfs``.

    ``type`` is bind, volume (named, or anonymous when the source is empty), overlay (``-v SRC:DEST:O``), tmpfs, ramfs,
    devpts, image, artifact or glob.
    """

    type: str = ""
    source: str = ""
    destination: str = ""
    options: Sequence[str] = ()
    subpath: str = ""
    read_write: bool = False        # image mounts only
    via: str = ""                   # the option it came from: volume, mount, tmpfs


class DeviceRequest(Record):
    """A host device (or a directory of them), or a qualified CDI name when ``cdi`` is set."""

    host: str = ""
    container: str = ""
    permissions: str = "rwm"
    cdi: bool = False
    text: str = ""                  # as it was written, for messages


class UlimitRequest(Record):
    """A resource limit; -1 is unlimited.  The name ``host`` alone asks for the limits of the host as they are."""

    name: str = ""                  # nofile, nproc, ...
    soft: int = 0
    hard: int = 0


class RestartRequest(Record):
    policy: str = ""                # "", no, on-failure, always, unless-stopped
    retries: int = 0                # 0: for ever


#: the name ``--network bridge`` gives the network the settings call default
DEFAULT_NETWORK = "default"


class NetworkRequest(Record):
    """The words of ``--network``."""

    mode: str = ""                  # bridge, host, none, private, pod, slirp4netns, pasta, container:NAME, ns:PATH
    networks: Mapping[str, NetworkOptions] = field(default=EMPTY, table=NetworkOptions)
    options: Mapping[str, Sequence[str]] = EMPTY      # of slirp4netns and pasta


class SecurityRequest(Record):
    """The words of ``--security-opt``."""

    apparmor: str = ""
    label: Sequence[str] = ()
    label_nested: bool = False
    mask: Sequence[str] = ()
    unmask: Sequence[str] = ()
    no_new_privileges: bool | None = None
    proc_options: Sequence[str] | None = None
    seccomp: str = ""


class SecretRequest(Record):
    """A secret as a file (``type`` mount) or as a variable (``type`` env)."""

    source: str = ""
    type: str = "mount"
    target: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


class LogRequest(Record):
    """The words of ``--log-opt``."""

    driver: str = ""
    path: str = ""
    max_size: int | None = None     # bytes
    max_files: int | None = None    # full log files to keep besides the one being written
    labels: Mapping[str, str] = EMPTY
    options: Mapping[str, str] = EMPTY


class ContainerSpec(Record):
    image: str = ""                                     # as written; a directory with rootfs
    command: Sequence[str] = ()                         # words behind the image; empty: the image's
    create_command: Sequence[str] | None = None         # the whole command line, for inspect
    # identity
    name: str | None = None
    replace_existing: bool | None = None
    hostname: str | None = None
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
    cid_file: str | None = None
    pid_file: str | None = None
    conmon_pid_file: str | None = None
    pod: str | None = None
    pod_id_file: str | None = None
    init_container: str | None = None                   # always, once
    requires: Sequence[str] | None = None
    # process
    entrypoint: Sequence[str] | None = None
    environment: Mapping[str, str] | None = None
    environment_host: bool | None = None
    environment_merge: Sequence[str] | None = None
    environment_unset: Sequence[str] | None = None
    environment_unset_all: bool | None = None
    http_proxy: bool | None = None
    workdir: str | None = None
    user: str | None = None
    groups: Sequence[str] | None = None
    group_entry: str | None = None
    passwd: bool | None = None
    passwd_entry: str | None = None
    host_users: Sequence[str] | None = None
    umask: str | None = None
    terminal: bool | None = None
    stdin: bool | None = None
    init: bool | None = None
    init_path: str | None = None
    systemd: str | None = None                          # true, false, always
    stop_signal: int | None = None
    stop_timeout: int | None = None                     # seconds
    timeout: int | None = None                          # seconds
    timezone: str | None = None
    sdnotify: str | None = None
    preserve_fds: int | None = None
    preserve_fd: Sequence[int] | None = None
    personality: str | None = None
    oom_score_adjust: int | None = None
    chroot_dirs: Sequence[str] | None = None
    restart: RestartRequest | None = field(default=None, record=RestartRequest)
    remove: bool | None = None
    remove_image: bool | None = None
    # how the command behaves
    attach: Sequence[str] | None = None
    detach: bool | None = None
    detach_keys: str | None = None
    signal_proxy: bool | None = None
    # image
    pull: str | None = None                             # always, missing, newer, never
    platform: str | None = None                         # os[/arch[/variant]]
    os: str | None = None
    arch: str | None = None
    variant: str | None = None
    authfile: str | None = None
    credentials: str | None = None
    cert_dir: str | None = None
    tls_verify: bool | None = None
    decryption_keys: Sequence[str] | None = None
    signature_policy: str | None = None
    content_trust_disabled: bool | None = None
    retry: int | None = None
    retry_delay: str | None = None
    quiet: bool | None = None
    rootfs: bool | None = None                          # image is a directory on the host
    # health; durations in nanoseconds
    health_command: Sequence[str] | None = None
    health_interval: int | None = None                  # negative: no timer
    health_retries: int | None = None
    health_timeout: int | None = None
    health_start_period: int | None = None
    health_disabled: bool | None = None
    health_on_failure: str | None = None
    health_log_destination: str | None = None
    health_max_log_count: int | None = None
    health_max_log_size: int | None = None
    startup_command: Sequence[str] | None = None
    startup_interval: int | None = None
    startup_retries: int | None = None
    startup_successes: int | None = None
    startup_timeout: int | None = None
    # security
    privileged: bool | None = None
    cap_add: Sequence[str] | None = None
    cap_drop: Sequence[str] | None = None
    security: SecurityRequest | None = field(default=None, record=SecurityRequest)
    seccomp_policy: str | None = None
    read_only: bool | None = None
    read_only_tmpfs: bool | None = None
    uid_map: Sequence[str] | None = None                # as written; they depend on the ids this user has
    gid_map: Sequence[str] | None = None
    sub_uid_name: str | None = None
    sub_gid_name: str | None = None
    secrets: Sequence[SecretRequest] | None = field(default=None, records=SecretRequest)
    devices: Sequence[DeviceRequest] | None = field(default=None, records=DeviceRequest)
    device_rules: Sequence[Mapping[str, Any]] | None = None     # OCI LinuxDeviceCgroup
    gpus: Sequence[str] | None = None
    # namespaces: host, private, container:NAME, ns:PATH, pod and what the namespace allows besides
    pid: str | None = None
    ipc: str | None = None                              # also none, shareable
    uts: str | None = None
    cgroupns: str | None = None
    userns: str | None = None                           # also auto[:..], keep-id[:..], nomap
    # resources
    memory: int | None = None                           # bytes
    memory_reservation: int | None = None
    memory_swap: int | None = None                      # bytes of memory and swap, -1 unlimited
    memory_swappiness: int | None = None
    kernel_memory: str | None = None
    oom_kill_disable: bool | None = None
    shm_size: int | None = None
    shm_size_systemd: int | None = None
    cpus: float | None = None
    cpu_period: int | None = None                       # microseconds
    cpu_quota: int | None = None
    cpu_rt_period: int | None = None
    cpu_rt_runtime: int | None = None
    cpu_shares: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    blkio_weight: int | None = None
    blkio_weight_devices: Mapping[str, int] | None = None
    device_read_bps: Mapping[str, int] | None = None
    device_write_bps: Mapping[str, int] | None = None
    device_read_iops: Mapping[str, int] | None = None
    device_write_iops: Mapping[str, int] | None = None
    pids_limit: int | None = None
    ulimits: Sequence[UlimitRequest] | None = field(default=None, records=UlimitRequest)
    cgroups: str | None = None                          # enabled, disabled, no-conmon, split
    cgroup_parent: str | None = None
    cgroup_conf: Mapping[str, str] | None = None
    rdt_class: str | None = None
    sysctls: Mapping[str, str] | None = None
    # network
    network: NetworkRequest | None = field(default=None, record=NetworkRequest)
    ports: Sequence[PortMapping] | None = field(default=None, records=PortMapping)
    publish_all: bool | None = None
    expose: Mapping[str, Sequence[str]] | None = None
    ip: str | None = None
    ip6: str | None = None
    mac_address: str | None = None
    network_aliases: Sequence[str] | None = None
    dns: Sequence[str] | None = None                    # ["none"]: the image's resolv.conf
    dns_options: Sequence[str] | None = None
    dns_search: Sequence[str] | None = None
    hosts: Sequence[str] | None = None
    hosts_file: str | None = None
    no_hosts: bool | None = None
    no_hostname: bool | None = None
    # storage
    mounts: Sequence[MountRequest] | None = field(default=None, records=MountRequest)
    volumes_from: Sequence[str] | None = None
    image_volume: str | None = None                     # anonymous, tmpfs, ignore
    storage_opts: Mapping[str, str] | None = None
    # logs
    log_driver: str | None = None
    log: LogRequest | None = field(default=None, record=LogRequest)
