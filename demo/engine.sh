# shellcheck shell=bash
# A Docker engine for the demo: the running one, or a private one in a directory of its own.
#
# start_engine DIR sets DOCKER_HOST and docker; stop_engine ends what was started, and only that.

engine_dir=
engine_pid=

find_docker() {
    local candidate
    for candidate in /usr/bin/docker /usr/local/bin/docker; do
        if [ -x "$candidate" ]; then
            docker=$candidate
            return
        fi
    done
    echo "there is no docker client: scripts/install-deps.sh installs one" >&2
    return 1
}

start_engine() {
    find_docker
    if "$docker" version >/dev/null 2>&1; then
        say "A Docker engine is running: the demo uses it."
        return
    fi
    say "No Docker engine is running: the demo starts a private one, in $1/docker."
    engine_dir=$1/docker
    mkdir -p "$engine_dir"
    ensure_cgroups
    export DOCKER_HOST=unix://$engine_dir/docker.sock
    PATH=$PATH:/usr/sbin:/sbin dockerd \
        --data-root "$engine_dir/data" --exec-root "$engine_dir/exec" \
        --pidfile "$engine_dir/docker.pid" --config-file <(echo '{}') --host "$DOCKER_HOST" \
        --iptables=false --ip6tables=false --ip-forward=false --bridge=none \
        --storage-driver=vfs >"$engine_dir/log" 2>&1 &
    engine_pid=$!
    local i
    for i in $(seq 300); do
        "$docker" version >/dev/null 2>&1 && return
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.1
    done
    tail -20 "$engine_dir/log" >&2
    echo "dockerd did not start (try $i)" >&2
    return 1
}

stop_engine() {
    [ -n "$engine_pid" ] || return 0
    kill "$engine_pid" 2>/dev/null || true
    wait "$engine_pid" 2>/dev/null || true
    # dockerd leaves a bind of its data directory.
    local point
    awk -v dir="$engine_dir/" 'index($5, dir) == 1 {print $5}' /proc/self/mountinfo | tac |
        while read -r point; do umount -l "$point" 2>/dev/null || true; done
}

# A machine without an init that mounts control groups, such as a bare container.
ensure_cgroups() {
    ! grep -q ' - cgroup' /proc/self/mountinfo || return 0
    local controllers controller
    mapfile -t controllers < <(awk '$1 !~ /^#/ && $4 == 1 {print $1}' /proc/cgroups 2>/dev/null)
    if [ ${#controllers[@]} -eq 0 ]; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
        return
    fi
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    for controller in "${controllers[@]}"; do
        mkdir "/sys/fs/cgroup/$controller"
        mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
    done
}
