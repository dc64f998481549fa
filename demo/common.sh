# shellcheck shell=bash disable=SC2154
# What the demonstrations have in common: how they talk, the containers' image, hawser itself, and
# the end, after which nothing is left. They set dir, driver and image, and source this.

# Not for hawser: it refuses variables that it does not know.
export -n HAWSER_DEMO_BINARY HAWSER_DEMO_EC2
# Filled in by start_engine (demo/engine.sh).
docker=
hawser_pid=

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

need_root() {
    [ "$(id -u)" -eq 0 ] || {
        echo "demo: mounting file systems needs root" >&2
        exit 1
    }
}

# Cleans up however the demo ends.
clean_up_at_the_end() {
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

make_image() {
    local applet
    mkdir -p /run/docker/plugins "$dir/image/bin"
    cp /bin/busybox "$dir/image/bin/"
    for applet in sh cat date dd df head ls rm sleep tail touch wc; do
        ln -s busybox "$dir/image/bin/$applet"
    done
    tar -C "$dir/image" -c . | "$docker" import - "$image" >/dev/null
}

# start_hawser BINARY [OPTION]...; a session of its own, so that Ctrl-C ends the demo and not it.
start_hawser() {
    local binary=$1 _
    shift
    setsid "$binary" serve --docker-socket "/run/docker/plugins/$driver.sock" \
        --admin-socket "$dir/admin.sock" "$@" >>"$dir/hawser.log" 2>&1 &
    hawser_pid=$!
    for _ in $(seq 100); do
        ! list_volumes >/dev/null 2>&1 || return 0
        kill -0 "$hawser_pid" 2>/dev/null || fail "hawser ended by itself"
        sleep 0.1
    done
    fail "hawser did not start"
}

kill_hawser() {
    kill -9 "$hawser_pid"
    wait "$hawser_pid" 2>/dev/null || true
}

stop_hawser() {
    [ -n "$hawser_pid" ] || return 0
    kill "$hawser_pid" 2>/dev/null
    wait "$hawser_pid" 2>/dev/null
}

# Whatever is still mounted from the demo's directory, or attached to a file in it.
release_all() {
    local point device
    awk -v dir="$dir/" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | tac |
        while read -r point; do umount -l "$point"; done
    losetup --list --noheadings --output NAME,BACK-FILE | grep -F "$dir/" |
        while read -r device _; do losetup -d "$device"; done
    rm -f "/run/docker/plugins/$driver.sock"
    chattr -R -f -i "$dir" 2>/dev/null
    rm -rf "$dir"
}
