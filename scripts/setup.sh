#!/bin/sh
# Install what wherry needs: distribution packages, and .venv with wherry in it (byte-compiled, with its fast launcher).
#
# Does only what is missing: a stamp below .setup holds a digest of what was installed, so a second call takes a moment.
# With the word "vm" also what builds and runs the virtual machine of tests/vm.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here"
stamps=$here/.setup
venv=$here/.venv
mkdir -p "$stamps"

# Run time, then what demo and tests use besides. A package a distribution does not have is left out with a note.
packages="conmon crun runc netavark aardvark-dns nftables iptables iproute2 catatonit uidmap ca-certificates
golang-github-containers-common python3 python3-venv util-linux mount
busybox-static docker-registry skopeo podman buildah strace dbus-daemon
gpg gpgv gpg-agent openssh-server openssh-client openssl sudo
passt slirp4netns iperf3 dnsmasq-base"

# debootstrap checks signatures with the keyring, which only Debian itself has in any case.
[ "${1:-}" != vm ] || packages="$packages debootstrap debian-archive-keyring e2fsprogs qemu-system-x86 qemu-utils"

say() { printf 'setup: %s\n' "$*"; }

missing_packages() {
    for package in $packages; do
        status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
        case $status in ii*) ;; *) printf '%s ' "$package" ;; esac
    done
}

install_packages() {
    command -v dpkg-query >/dev/null || { say "no dpkg here: install the packages by hand: $packages"; return; }
    wanted=$(missing_packages)
    [ -n "$wanted" ] || return 0
    [ "$(cat "$stamps/unavailable" 2>/dev/null)" != "$wanted" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "run this as root to install: $wanted" >&2
        exit 1
    fi
    say "installing packages: $wanted"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    known=
    unknown=
    for package in $wanted; do
        if apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]'; then
            known="$known $package"
        else
            unknown="$unknown $package"
        fi
    done
    [ -z "$known" ] || without_services apt-get install -y -qq --no-install-recommends $known >/dev/null
    [ -z "$unknown" ] || say "this distribution does not have:$unknown (what needs them is skipped)"
    missing_packages > "$stamps/unavailable"
}

# Packages with daemons come for their programs, which the tests start themselves: installed here, their services are
# neither started nor left to start at the next boot. Those of packages that were there before are not touched.
services="docker-registry:docker-registry.service openssh-server:ssh.service openssh-server:ssh.socket"

without_services() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod 755 "$policy"
    else
        policy=
    fi
    "$@"
    [ -z "$policy" ] || rm -f "$policy"
    trap - EXIT
    [ -d /run/systemd/system ] || return 0
    for pair in $services; do
        case " $wanted " in *" ${pair%%:*} "*) systemctl disable "${pair#*:}" >/dev/null 2>&1 || true ;; esac
    done
}

make_venv() {
    python=/usr/bin/python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { say "Python 3.11 or newer is needed" >&2; exit 1; }
    key=$({ "$python" --version; cat pyproject.toml; } | sha256sum)
    [ "$(cat "$stamps/venv" 2>/dev/null)" != "$key" ] || [ ! -x "$venv/bin/python" ] || return 0
    say "making $venv"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check hatchling '.[dev]' >/dev/null
    rm -f "$stamps/wherry"
    printf '%s' "$key" > "$stamps/venv"
}

install_wherry() {
    key=$(find src -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum | sha256sum)
    [ "$(cat "$stamps/wherry" 2>/dev/null)" != "$key" ] || [ ! -x "$venv/bin/wherry" ] || return 0
    say "installing wherry"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
        --force-reinstall . >/dev/null
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    # The sources of an installed package do not change: byte code that is never checked against them loads faster.
    "$venv/bin/python" -m compileall -q -f -o 0 --invalidation-mode unchecked-hash "$site/wherry"
    (cd / && "$venv/bin/python" -c "import sys; from wherry.cli.launcher import install; install(sys.argv[1])" \
        "$venv/bin/wherry")
    printf '%s' "$key" > "$stamps/wherry"
}

install_packages
make_venv
install_wherry
