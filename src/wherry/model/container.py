"""Containers: the immutable configuration and the mutable state (libpod ``ContainerConfig``, ``ContainerState``).

``spec`` holds the base OCI runtime spec made by ``spec.resolve``; ``spec.compile`` adds what is only known when the
container starts (root path, namespace paths, hosts and resolv.conf files, user looked up in the image).
"""

from __future__ import annotations

from wherry.model.exec_session import ExecSession
from wherry.model.health import HealthConfig
from wherry.model.mount import ArtifactVolume, IDMap, ImageVolume, NamedVolume, OverlayVolume
from wherry.model.network import NetworkOptions, NetworkStatus, PortMapping
from wherry.model.record import EMPTY, Record, field
from wherry.model.status import CONFIGURED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class IDMappings(Record):
    host_uid_mapping: bool = field(default=True, key="HostUIDMapping")
    host_gid_mapping: bool = field(default=True, key="HostGIDMapping")
    uid_map: Sequence[IDMap] = field(default=(), key="UIDMap", records=IDMap)
    gid_map: Sequence[IDMap] = field(default=(), key="GIDMap", records=IDMap)
    auto_userns: bool = field(default=False, key="AutoUserNs")


class SecretMount(Record):
    """A secret made available as a file in the container."""

    id: str = ""
    name: str = ""
    target: str = ""
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


class ContainerConfig(Record):
    # identity
    id: str = ""
    name: str = ""
    pod: str = ""
    namespace: str = ""
    spec: Mapping[str, Any] = EMPTY
    create_command: Sequence[str] = field(default=(), key="CreateCommand")
    raw_image_name: str = field(default="", key="RawImageName")
    id_mappings: IDMappings = field(default=IDMappings(), key="idMappingsOptions", record=IDMappings)
    dependencies: Sequence[str] = ()                       # ids: --requires, container: namespaces, volumes-from
    labels: Mapping[str, str] = EMPTY
    annotations: Mapping[str, str] = EMPTY                 # user's own; they are in spec too
    created_time: str = field(default="", key="createdTime")
    # rootfs
    rootfs_image_id: str = field(default="", key="rootfsImageID")
    rootfs_image_name: str = field(default="", key="rootfsImageName")
    rootfs: str = ""                                       # a directory of the user's instead of an image
    rootfs_overlay: bool = False
    rootfs_mapping: str | None = None
    shm_dir: str = field(default="", key="ShmDir")
    no_shm: bool = field(default=False, key="NoShm")
    no_shm_share: bool = field(default=False, key="NoShmShare")
    shm_size: int = field(default=0, key="shmSize")        # bytes
    shm_size_systemd: int = field(default=0, key="shmSizeSystemd")
    static_dir: str = field(default="", key="staticDir")   # <graphroot>/overlay-containers/<id>/userdata
    mounts: Sequence[str] = ()                             # destinations the user asked for
    named_volumes: Sequence[NamedVolume] = field(default=(), key="namedVolumes", records=NamedVolume)
    overlay_volumes: Sequence[OverlayVolume] = field(default=(), key="overlayVolumes", records=OverlayVolume)
    artifact_volumes: Sequence[ArtifactVolume] = field(
        default=(), key="ctrArtifactVolumes", records=ArtifactVolume
    )
    image_volumes: Sequence[ImageVolume] = field(default=(), key="ctrImageVolumes", records=ImageVolume)
    create_working_dir: bool = field(default=False, key="createWorkingDir")
    secrets: Sequence[SecretMount] = field(default=(), records=SecretMount)
    env_secrets: Mapping[str, str] = field(default=EMPTY, key="secret_env")     # variable -> secret id
    storage_opts: Mapping[str, str] = field(default=EMPTY, key="storageOpts")
    volatile: bool = False                                 # --rm: the layer need not survive a power cut
    chroot_dirs: Sequence[str] = ()
    # security
    privileged: bool = False
    process_label: str = field(default="", key="ProcessLabel")
    mount_label: str = field(default="", key="MountLabel")
    label_opts: Sequence[str] = field(default=(), key="labelopts")
    seccomp_profile: str = field(default="", key="seccompProfilePath")   # path, "unconfined" or "" for the default
    apparmor_profile: str = ""
    user: str = ""                                         # as given; looked up at start
    groups: Sequence[str] = ()
    host_users: Sequence[str] = field(default=(), key="HostUsers")
    passwd: bool = True
    passwd_entry: str = ""
    group_entry: str = ""
    add_current_user_passwd_entry: bool = field(default=False, key="addCurrentUserPasswdEntry")
    # namespaces shared with another container (its id)
    ipc_ns_ctr: str = field(default="", key="ipcNsCtr")
    mount_ns_ctr: str = field(default="", key="mountNsCtr")
    net_ns_ctr: str = field(default="", key="netNsCtr")
    pid_ns_ctr: str = field(default="", key="pidNsCtr")
    user_ns_ctr: str = field(default="", key="userNsCtr")
    uts_ns_ctr: str = field(default="", key="utsNsCtr")
    cgroup_ns_ctr: str = field(default="", key="cgroupNsCtr")
    # network
    create_net_ns: bool = field(default=False, key="createNetNS")
    networks: Mapping[str, NetworkOptions] = field(default=EMPTY, key="newNetworks", table=NetworkOptions)
    network_mode: str = field(default="", key="networkMode")   # bridge, host, none, container:ID, ns:PATH, pasta, ...
    network_options: Mapping[str, Sequence[str]] = EMPTY
    port_mappings: Sequence[PortMapping] = field(default=(), key="newPortMappings", records=PortMapping)
    exposed_ports: Mapping[str, Sequence[str]] = field(default=EMPTY, key="exposedPorts")   # "80" -> ["tcp"]
    use_image_resolv_conf: bool = field(default=False, key="useImageResolvConf")
    dns_servers: Sequence[str] = field(default=(), key="dnsServer")
    dns_search: Sequence[str] = field(default=(), key="dnsSearch")
    dns_options: Sequence[str] = field(default=(), key="dnsOption")
    use_image_hosts: bool = field(default=False, key="useImageHosts")
    use_image_hostname: bool = field(default=False, key="useImageHostname")
    base_hosts_file: str = field(default="", key="baseHostsFile")
    hosts_add: Sequence[str] = field(default=(), key="hostsAdd")
    # image
    user_volumes: Sequence[str] = field(default=(), key="userVolumes")
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    # the rest
    stdin: bool = False
    stop_signal: int = field(default=15, key="stopSignal")
    stop_timeout: int = field(default=10, key="stopTimeout")     # seconds
    timeout: int = 0                                       # seconds the container may run, 0 = for ever
    cgroups_mode: str = field(default="enabled", key="cgroupsMode")   # enabled, disabled, no-conmon, split
    cgroup_parent: str = field(default="", key="cgroupParent")
    cgroup_manager: str = field(default="cgroupfs", key="cgroupManager")
    log_path: str = field(default="", key="logPath")
    log_tag: str = field(default="", key="logTag")
    log_size: int = field(default=-1, key="logSize")       # bytes, -1 = no limit
    log_max_files: int = field(default=0, key="logMaxFiles")    # full log files to keep; 0: conmon empties the log
    log_driver: str = field(default="k8s-file", key="logDriver")
    conmon_pid_file: str = field(default="", key="conmonPidFile")
    pid_file: str = ""
    cid_file: str = ""
    restart_policy: str = ""                               # "", no, on-failure, always, unless-stopped
    restart_retries: int = 0
    runtime: str = ""                                      # OCI runtime name or path chosen at creation
    exit_command: Sequence[str] = field(default=(), key="exitCommand")
    auto_remove: bool = field(default=False, key="autoRemove")
    auto_remove_image: bool = field(default=False, key="autoRemoveImage")
    is_infra: bool = field(default=False, key="pause")
    is_service: bool = field(default=False, key="isService")
    init_container_type: str = ""
    sdnotify_mode: str = field(default="container", key="sdnotifyMode")
    sdnotify_socket: str = field(default="", key="sdnotifySocket")
    systemd: bool = False
    health_check: HealthConfig | None = field(default=None, key="healthcheck", record=HealthConfig)
    startup_health_check: HealthConfig | None = field(default=None, key="startupHealthCheck", record=HealthConfig)
    health_check_on_failure: str = field(default="none", key="healthcheck_on_failure_action")
    health_log_destination: str = field(default="local", key="healthLogDestination")
    health_max_log_count: int = field(default=5, key="healthMaxLogCount")
    health_max_log_size: int = field(default=500, key="healthMaxLogSize")
    preserve_fds: int = field(default=0, key="preserveFds")
    preserve_fd: Sequence[int] = field(default=(), key="preserveFd")
    timezone: str = ""
    umask: str = "0022"
    cdi_devices: Sequence[str] = field(default=(), key="cdiDevices")
    device_host_src: Sequence[Mapping[str, Any]] = ()      # --device as given: path, containerPath, permissions
    image_volume_mode: str = field(default="anonymous", key="imageVolumeMode")
    init_path: str = field(default="", key="initPath")     # catatonit, empty without --init
    detach_keys: str | None = field(default=None, key="detachKeys")

    @property
    def terminal(self) -> bool:
        """Was a pseudo-terminal asked for?"""
        process: Mapping[str, Any] = self.spec.get("process", EMPTY)
        return bool(process.get("terminal"))


class ContainerState(Record, mutable=True):
    status: str = field(default=CONFIGURED, key="state")
    config_path: str = field(default="", key="configPath")       # config.json of the bundle
    run_dir: str = field(default="", key="runDir")               # <runroot>/overlay-containers/<id>/userdata
    mounted: bool = False
    mount_point: str = field(default="", key="mountPoint")
    started_time: str = field(default="", key="startedTime")
    finished_time: str = field(default="", key="finishedTime")
    exit_code: int = field(default=0, key="exitCode")
    exited: bool = False
    oom_killed: bool = field(default=False, key="oomKilled")
    error: str = ""
    pid: int = 0
    pid_start: int = field(default=0, key="pidStart")            # clock ticks since boot: guards against pid reuse
    conmon_pid: int = field(default=0, key="conmonPid")
    conmon_start: int = field(default=0, key="conmonStart")
    boot_id: str = field(default="", key="bootID")               # of the boot in which pids and mounts are valid
    owner_pid: int = field(default=0, key="ownerPid")            # process that put the container in a passing state
    owner_start: int = field(default=0, key="ownerStart")
    net_ns: str = field(default="", key="netNSPath")
    network_status: Mapping[str, NetworkStatus] = field(default=EMPTY, key="networkStatus", table=NetworkStatus)
    port_mappings: Sequence[PortMapping] = field(default=(), key="portMappings", records=PortMapping)
    bind_mounts: Mapping[str, str] = field(default=EMPTY, key="bindMounts")     # destination -> file on the host
    exec_sessions: Mapping[str, ExecSession] = field(default=EMPTY, key="newExecSessions", table=ExecSession)
    stopped_by_user: bool = field(default=False, key="stoppedByUser")
    restart_policy_match: bool = field(default=False, key="restartPolicyMatch")
    restart_count: int = field(default=0, key="restartCount")
    startup_hc_passed: bool = field(default=False, key="startupHCPassed")
    startup_hc_successes: int = field(default=0, key="startupHCSuccessCount")
    startup_hc_failures: int = field(default=0, key="startupHCFailureCount")
    health_status: str = field(default="", key="healthStatus")   # "", starting, healthy, unhealthy
    health_streak: int = field(default=0, key="healthFailingStreak")
    health_epoch: int = field(default=0, key="healthEpoch")      # a pause or a change of the check begins a new one
    health_action: str = field(default="", key="healthAction")   # what is being done to an unhealthy container
    health_actor: int = field(default=0, key="healthActorPid")
    health_actor_start: int = field(default=0, key="healthActorStart")
    checkpointed: bool = False
    checkpointed_time: str = field(default="", key="checkpointedTime")
    restored_time: str = field(default="", key="restoredTime")
    checkpoint_path: str = field(default="", key="checkpointPath")
    checkpoint_log: str = field(default="", key="checkpointLog")
    restore_log: str = field(default="", key="restoreLog")
    restored: bool = False
    cgroup_path: str = field(default="", key="cgroupPath")
    runtime: str = ""                                            # path of the OCI runtime that holds the container
