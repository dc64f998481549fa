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
hawser=${HAWSER_DEMO_BINARY:-}
volumes=(pgdata assets)
# shellcheck source=demo/common.sh
source "$repo/demo/common.sh"

start() { start_hawser "$hawser" --state-dir "$dir/state" --root "$dir/mnt"; }
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
    stop_hawser
    stop_engine
    release_all
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

need_root
clean_up_at_the_end

if [ -z "$hawser" ]; then
    say "Building hawser."
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/hawser/target}
    (cd "$repo" && cargo build --locked --bin hawser)
    hawser=$CARGO_TARGET_DIR/debug/hawser
fi

start_engine "$dir"
make_image

say "Starting hawser with no configuration: records and image files go to $dir/state."
start
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
kill_hawser
sleep 1
during=$(lines)
start
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
