#!/bin/sh
# Make a root file system with the newer Podman of Debian 13 in DIRECTORY, for "bench/run.py --chroot DIRECTORY".
set -eu
directory=${1:?usage: newer-podman.sh DIRECTORY}
command -v debootstrap >/dev/null || apt-get install -y -q debootstrap
if [ ! -x "$directory/usr/bin/podman" ]; then
    debootstrap --variant=minbase \
        --include=podman,crun,conmon,netavark,aardvark-dns,nftables,iproute2,ca-certificates trixie "$directory"
fi
# Podman remounts its root while it unpacks layers, so the root must be a mount of its own.
mountpoint -q "$directory" || mount --bind "$directory" "$directory"
for name in proc sys dev; do
    mountpoint -q "$directory/$name" || mount --rbind "/$name" "$directory/$name"
done
echo "run: bench/run.py --chroot $directory"
