"""Annotation keys Podman's tools read (libpod ``define/annotations.go``): they say how a container was asked for."""

from __future__ import annotations

TRUE = "TRUE"

_PREFIX = "io.podman.annotations."
CID_FILE = _PREFIX + "cid-file"
AUTOREMOVE = _PREFIX + "autoremove"
AUTOREMOVE_IMAGE = _PREFIX + "autoremove-image"
PRIVILEGED = _PREFIX + "privileged"
PUBLISH_ALL = _PREFIX + "publish-all"
INIT = _PREFIX + "init"
LABEL = _PREFIX + "label"
SECCOMP = _PREFIX + "seccomp"
APPARMOR = _PREFIX + "apparmor"
USERNS = _PREFIX + "userns"
ULIMIT = _PREFIX + "ulimit"
VOLUMES_FROM = _PREFIX + "volumes-from"
PIDS_LIMIT = _PREFIX + "pids-limit"
CPUSET = _PREFIX + "cpuset"
MEMORY_NODES = _PREFIX + "memory-nodes"

KEEP_GROUPS = "run.oci.keep_original_groups"
MOUNT_CONTEXT = "run.oci.mount_context_type"
MANAGER = "io.container.manager"
STOP_SIGNAL = "org.opencontainers.image.stopSignal"
SYSTEMD_KILL_SIGNAL = "org.systemd.property.KillSignal"
SYSTEMD_STOP_TIMEOUT = "org.systemd.property.TimeoutStopUSec"
