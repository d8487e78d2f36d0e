#!/bin/bash
# The main job end to end, on a locally made image: "make demo" runs this as root after "make setup".
#
# Everything lives below one temporary directory and is removed at the end.
set -eu -o pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
python=$here/.venv/bin/python
base=$(mktemp -d /var/tmp/wherry-demo.XXXXXX)
registry_pid=
failed=yes

export CONTAINERS_CONF=$base/containers.conf CONTAINERS_REGISTRIES_CONF=$base/registries.conf
wherry() { "$here/.venv/bin/wherry" --root "$base/root" --runroot "$base/run" --network-config-dir "$base/networks" "$@"; }

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '$ wherry %s\n' "$*"; wherry "$@"; }

finish() {
    status=$?
    wherry rm --all --force --time 0 >/dev/null 2>&1 || true
    wherry system check --repair >/dev/null 2>&1 || true
    [ -z "$registry_pid" ] || kill "$registry_pid" 2>/dev/null || true
    grep -o "$base[^ ]*" /proc/self/mountinfo | sort -r | uniq | while read -r point; do umount -l "$point" 2>/dev/null || true; done
    rm -rf "$base"
    [ "$failed" = no ] || echo "demo failed (exit code $status)" >&2
    exit "$status"
}
trap finish EXIT

port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

begun=$(date +%s)
registry_port=$(port)
web_port=$(port)
image=127.0.0.1:$registry_port/demo/busybox:1
: > "$CONTAINERS_CONF"
cat > "$CONTAINERS_REGISTRIES_CONF" <<CONF
[[registry]]
location = "127.0.0.1:$registry_port"
insecure = true
CONF

say "Make a small image from the distribution's static busybox"
"$python" "$here/scripts/busybox_image.py" "$base/layout" --file "www/index.html=a page served by wherry"
du -sh "$base/layout"

say "Start a registry on 127.0.0.1:$registry_port and push the image there with skopeo"
cat > "$base/registry.yml" <<CONF
version: 0.1
storage: {filesystem: {rootdirectory: $base/registry}}
http: {addr: "127.0.0.1:$registry_port"}
log: {level: error, accesslog: {disabled: true}}
CONF
docker-registry serve "$base/registry.yml" >"$base/registry.log" 2>&1 &
registry_pid=$!
for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$registry_port") 2>/dev/null && break
    sleep 0.1
done
skopeo copy --insecure-policy --dest-tls-verify=false "oci:$base/layout:latest" "docker://$image"

say "Pull it with wherry"
show pull "$image"
show images

say "Run in the foreground: output and exit code pass through"
show run --rm "$image" echo "hello from a container"
code=0
show run --rm "$image" sh -c 'echo "to stderr" >&2; exit 7' || code=$?
echo "exit code: $code"
[ "$code" = 7 ]

say "Run detached on the default bridge with a published port"
show run --detach --init --name web --publish "127.0.0.1:$web_port:80" "$image" httpd -f -v -h /www
page=
for _ in $(seq 50); do
    page=$("$python" -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$web_port/', timeout=2).read().decode())" 2>/dev/null) && break
    sleep 0.1
done
echo "fetched from 127.0.0.1:$web_port: $page"
[ "$page" = "a page served by wherry" ]

say "Look at it"
show ps
show logs web
show inspect --format '{{.Name}} is {{.State.Status}} at {{.NetworkSettings.IPAddress}}, image {{.ImageName}}' web
show exec web sh -c 'echo "inside $(hostname): $(ls /www)"'

say "Stop and remove it"
show stop --time 1 web
show ps --all
show rm web

say "The same from Python"
cat "$here/scripts/demo.py"
"$python" "$here/scripts/demo.py" "$base" "$image" "$(port)"

say "Check that store, database, mounts and processes agree"
show system check
left=$(wherry ps --all --quiet | wc -l)
[ "$left" = 0 ]

failed=no
say "Summary"
echo "image made, pushed, pulled; containers run in the foreground and detached; page fetched; looked at, stopped, removed"
echo "everything again from Python; nothing left over; $(( $(date +%s) - begun )) seconds"
