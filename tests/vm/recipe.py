"""What the guest is made of: a small Debian with systemd and the container tools.

Everything here goes into the key of the cached disk image: a change makes a new image with the next ``make test-vm``.
"""

from __future__ import annotations

import hashlib
import json

SUITE = "bookworm"
DISK_SIZE = "6G"
PACKAGES = (
    "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "linux-image-cloud-amd64", "initramfs-tools",
    "crun", "runc", "conmon", "netavark", "aardvark-dns", "criu", "uidmap", "slirp4netns", "passt", "fuse-overlayfs",
    "catatonit", "iproute2", "nftables", "iptables", "procps", "python3", "ca-certificates", "busybox-static",
    "docker-registry", "skopeo", "podman", "golang-github-containers-common",
)
#: A system to run inside a container; packed as SYSTEM_TAR.
SYSTEM_PACKAGES = ("systemd-sysv", "dbus")
SYSTEM_TAR = "/usr/local/share/debian-systemd.tar"
#: Not needed in either.
WASTE = ("usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/info", "var/cache/apt", "var/lib/apt/lists")

#: Where the disk with wherry is mounted, and the port its agent answers on.
PAYLOAD = "/opt/wherry"
PORT = "org.wherry.agent"

AGENT_UNIT = f"""\
[Unit]
Description=Test agent
After=multi-user.target docker-registry.service
RequiresMountsFor={PAYLOAD}

[Service]
# What a test starts in the background lives on, like what somebody starts in a shell.
ExecStart=/usr/bin/python3 {PAYLOAD}/agent.py /dev/virtio-ports/{PORT}
KillMode=process
Restart=always
LimitNOFILE=1048576
OOMScoreAdjust=-900

[Install]
WantedBy=default.target
"""

REGISTRY = """\
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: /var/lib/docker-registry}
  delete: {enabled: true}
http: {addr: "127.0.0.1:5000"}
"""

#: path -> text
FILES = {
    "etc/fstab": f"/dev/vda / ext4 defaults 0 1\nLABEL=wherry {PAYLOAD} ext4 ro 0 0\n",
    "etc/hostname": "guest\n",
    "etc/hosts": "127.0.0.1 localhost guest\n::1 localhost\n",
    "etc/machine-id": "",
    "etc/resolv.conf": "",
    "etc/systemd/system/wherry-test-agent.service": AGENT_UNIT,
    # Software emulation is slow to start things; what hangs should not hold up a reboot.
    "etc/systemd/system.conf.d/test.conf": "[Manager]\nDefaultTimeoutStopSec=20s\n",
    "etc/systemd/journald.conf.d/test.conf": "[Journal]\nStorage=persistent\nRateLimitBurst=0\n",
    "etc/docker/registry/config.yml": REGISTRY,
    "etc/containers/registries.conf.d/local.conf": '[[registry]]\nlocation = "127.0.0.1:5000"\ninsecure = true\n',
    "etc/containers/policy.json": '{"default": [{"type": "insecureAcceptAnything"}]}\n',
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\n",
    "etc/initramfs-tools/conf.d/test": "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n",
}
#: link -> target
LINKS = {
    "usr/local/bin/wherry": f"{PAYLOAD}/bin/wherry",
    "etc/systemd/system/default.target.wants/wherry-test-agent.service":
        "/etc/systemd/system/wherry-test-agent.service",
}
MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "fstrim.timer", "podman-auto-update.timer", "podman-auto-update.service", "podman-restart.service", "podman.socket",
    "podman.service", "systemd-timesyncd.service", "getty@tty1.service", "serial-getty@ttyS0.service",
    "systemd-update-utmp-runlevel.service", "systemd-binfmt.service", "dev-hugepages.mount", "dev-mqueue.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "modprobe@configfs.service", "modprobe@dm_mod.service",
    "modprobe@drm.service", "modprobe@efi_pstore.service", "systemd-pstore.service",
)
#: Run in the new system as root.
SETUP = f"""\
set -eu
mkdir -p {PAYLOAD} /var/log/journal
useradd --create-home --shell /bin/bash tester
chown docker-registry /var/lib/docker-registry
passwd --delete root
update-initramfs -u -k all
"""


def key() -> str:
    """Names the image this recipe makes."""
    parts = [
        SUITE, DISK_SIZE, PACKAGES, SYSTEM_PACKAGES, SYSTEM_TAR, WASTE, FILES, LINKS, MASKED, SETUP,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
