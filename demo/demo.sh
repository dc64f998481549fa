#!/usr/bin/env bash
# Shows hawser on this machine: sized volumes made by docker run, shared, enforced, and a restart
# that no container notices. Everything that it starts or makes is gone when it ends.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=demo/engine.sh
source "$repo/demo/engine.sh"

# A short directory: a socket's path has at most 107 bytes.
dir=$(mktemp -d /var/tmp/hawser-demo.XXXXXX)
driver=hawser-demo-$$
image="hawser-demo"
# Filled in by start_engine (demo/engine.sh).
docker=
hawser=${HAWSER_DEMO_BINARY:-}
hawser_pid=
volumes=(pgdata assets)

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
note() { printf '   %s\n' "$*"; }
fail() {
    printf '\ndemo: %s\n' "$*" >&2
    tail -20 "$dir/hawser.log" >&2 || true
    exit 1
}

# Shows a command, runs it, and indents what it says.
show() {
    printf '   $ %s\n' "$*"
    "$@" 2>&1 | sed 's/^/     /'
}

start_hawser() {
    "$hawser" serve --state-dir "$dir/state" --root "$dir/mnt" \
        --docker-socket "/run/docker/plugins/$driver.sock" --admin-socket "$dir/admin.sock" \
        >>"$dir/hawser.log" 2>&1 &
    hawser_pid=$!
    local _
    for _ in $(seq 100); do
        ! list_volumes >/dev/null 2>&1 || return 0
        kill -0 "$hawser_pid" 2>/dev/null || fail "hawser ended by itself"
        sleep 0.1
    done
    fail "hawser did not start"
}

list_volumes() { HAWSER_ADMIN_SOCKET=$dir/admin.sock "$hawser" volume ls; }

cleanup() {
    local status=$?
    set +e
    trap - EXIT INT TERM
    say "Cleaning up."
    if [ -n "$docker" ]; then
        "$docker" rm --force "$driver-web" "$driver-job" >/dev/null 2>&1
        "$docker" volume rm "${volumes[@]}" >/dev/null 2>&1
        "$docker" image rm "$image" >/dev/null 2>&1
    fi
    if [ -n "$hawser_pid" ]; then
        kill "$hawser_pid" 2>/dev/null
        wait "$hawser_pid" 2>/dev/null
    fi
    stop_engine
    local point device
    awk -v dir="$dir/" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | tac |
        while read -r point; do umount -l "$point"; done
    losetup --list --noheadings --output NAME,BACK-FILE | grep -F "$dir/" |
        while read -r device _; do losetup -d "$device"; done
    rm -f "/run/docker/plugins/$driver.sock"
    chattr -R -f -i "$dir" 2>/dev/null
    rm -rf "$dir"
    [ "$status" -ne 0 ] || summary
    exit "$status"
}

summary() {
    say "What you saw"
    note "- docker run created volumes that did not exist, each with the size written in its name;"
    note "- two containers used one of them at the same time;"
    note "- a container that wrote without end got 'No space left on device' at its volume's size;"
    note "- hawser was killed and started again, and the container that was writing went on;"
    note "- nothing of it is left on this machine."
}

[ "$(id -u)" -eq 0 ] || { echo "demo: mounting file systems needs root" >&2; exit 1; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "$hawser" ]; then
    say "Building hawser."
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/hawser/target}
    (cd "$repo" && cargo build --locked --bin hawser)
    hawser=$CARGO_TARGET_DIR/debug/hawser
fi

start_engine "$dir"
mkdir -p /run/docker/plugins "$dir/image/bin"
cp /bin/busybox "$dir/image/bin/"
for applet in sh cat date dd df head ls rm sleep tail touch wc; do
    ln -s busybox "$dir/image/bin/$applet"
done
tar -C "$dir/image" -c . | "$docker" import - "$image" >/dev/null

say "Starting hawser with no configuration: records and image files go to $dir/state."
start_hawser
run=("$docker" run --network none --volume-driver "$driver")

say "1. Two volumes of different sizes, made by docker run itself."
show "${run[@]}" --rm -v 'size=256MiB,name=pgdata:/data' "$image" df -h /data
show "${run[@]}" --rm -v 'size=64MiB,name=assets:/data' "$image" df -h /data

say "2. One volume, two containers at the same time."
show "${run[@]}" -d --name "$driver-web" -v pgdata:/data "$image" \
    sh -c 'while sleep 0.1; do date >> /data/log; done'
sleep 1
show "${run[@]}" --rm --name "$driver-job" -v pgdata:/data "$image" tail -n 2 /data/log

say "3. The size is a limit: a container writes without end to the 64 MiB volume."
if show "${run[@]}" --rm -v assets:/data "$image" dd if=/dev/zero of=/data/big bs=1M; then
    fail "the volume took more than its size"
fi
note "It was stopped there; this machine's disk and the other volume are untouched."

say "4. hawser is killed and started again while the first container writes."
lines() { "$docker" exec "$driver-web" sh -c 'wc -l < /data/log'; }
before=$(lines)
kill -9 "$hawser_pid"
wait "$hawser_pid" 2>/dev/null || true
sleep 1
during=$(lines)
start_hawser
sleep 1
after=$(lines)
note "lines written: $before before, $during while hawser was down, $after after its restart"
if [ "$during" -le "$before" ] || [ "$after" -le "$during" ]; then
    fail "the container stopped writing"
fi

say "5. The volumes, as Docker and hawser list them."
show "$docker" volume ls --filter "driver=$driver"
note "\$ hawser volume ls"
list_volumes | sed 's/^/     /'
