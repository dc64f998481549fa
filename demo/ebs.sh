#!/usr/bin/env bash
# Shows volumes on Amazon EBS with a real Docker engine, and an EC2 of the tests' in place of
# Amazon's: its volumes are real block devices of this machine. After each step it says which calls
# to EC2 were made. Everything that it starts or makes is gone when it ends.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=demo/engine.sh
source "$repo/demo/engine.sh"

# A short directory: a socket's path has at most 107 bytes.
dir=$(mktemp -d /var/tmp/hawser-demo.XXXXXX)
driver=hawser-demo-$$
image="hawser-demo"
hawser=${HAWSER_DEMO_BINARY:-}
ec2=${HAWSER_DEMO_EC2:-}
ec2_pid=
ec2_url=
containers=("$driver-db" "$driver-job")
volumes=(pgdata assets scratch pgcopy)
# shellcheck source=demo/common.sh
source "$repo/demo/common.sh"

start() { start_hawser "$hawser" --config "$dir/hawser.toml"; }
cli() { HAWSER_ADMIN_SOCKET=$dir/admin.sock "$hawser" "$@"; }
list_volumes() { cli volume ls; }

# Shows a command of hawser's, and what it says.
hawser() {
    printf '   $ hawser %s\n' "$*"
    cli "$@" 2>&1 | sed 's/^/     /'
}

start_ec2() {
    setsid "$ec2" --listen 127.0.0.1:0 --dir "$dir/ec2" --delay-ms 300 \
        </dev/null >"$dir/ec2.env" 2>"$dir/ec2.log" &
    ec2_pid=$!
    local _
    for _ in $(seq 100); do
        ! grep -q AWS_SECRET_ACCESS_KEY "$dir/ec2.env" || break
        kill -0 "$ec2_pid" 2>/dev/null || fail "the EC2 ended by itself: $(cat "$dir/ec2.log")"
        sleep 0.1
    done
    # Not its keys: the metadata service gives an instance's role.
    eval "$(grep -E '^export (AWS_ENDPOINT_URL_EC2|AWS_EC2_METADATA_SERVICE_ENDPOINT)=' "$dir/ec2.env")"
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION
    ec2_url=$AWS_ENDPOINT_URL_EC2
}

# What the EC2 is told or asked beside its own API.
tell_ec2() { curl --silent --show-error --fail --noproxy '*' "$ec2_url/fake/$1"; }

# The calls since the last time, one line; forgotten then.
calls() {
    tell_ec2 calls | { grep -o '"action":"[^"]*"' || true; } | cut -d'"' -f4 | sort | uniq -c |
        awk '{ printf "%s%s %s", (NR > 1 ? ", " : ""), $1, $2 }'
    tell_ec2 reset-calls >/dev/null
}
show_calls() {
    local made
    made=$(calls)
    note "calls to EC2: ${made:-none}"
}
no_calls() {
    local made
    made=$(calls)
    [ -z "$made" ] || fail "this should cost no call to EC2: $made"
    note "calls to EC2: none"
}

# EC2's name of a volume.
storage_of() { cli volume inspect --json "$1" | grep -o 'vol-[0-9a-f]*' | head -n 1; }
# How EC2 shows a volume's attachment: attached, detaching, or nothing.
attachment_of() {
    tell_ec2 volumes | tr -d '\n' | sed 's/"attachment":/\n&/g' | grep -F "\"id\":\"$1\"" |
        grep -o '"state":"[a-z]*ing"\|"state":"attached"' | head -n 1 | cut -d'"' -f4
}
until_attachment() {
    local volume=$1 wanted=$2 _
    for _ in $(seq 200); do
        [ "$(attachment_of "$volume")" != "$wanted" ] || return 0
        sleep 0.1
    done
    fail "$volume is not '$wanted': $(attachment_of "$volume")"
}

cleanup() {
    local status=$?
    set +e
    trap - EXIT INT TERM
    say "Cleaning up."
    [ -z "$ec2_url" ] || tell_ec2 clear-wire-faults >/dev/null 2>&1
    if [ -n "$docker" ]; then
        timeout 30 "$docker" rm --force "${containers[@]}" >/dev/null 2>&1
        timeout 60 "$docker" volume rm "${volumes[@]}" >/dev/null 2>&1
        timeout 30 "$docker" image rm "$image" >/dev/null 2>&1
    fi
    stop_hawser
    stop_engine
    if [ -n "$ec2_pid" ]; then
        kill "$ec2_pid" 2>/dev/null
        wait "$ec2_pid" 2>/dev/null
    fi
    release_all
    [ "$status" -ne 0 ] || summary
    exit "$status"
}

summary() {
    say "What you saw"
    note "- docker run made an EBS volume with the size and type written in its name: one CreateVolume;"
    note "- a second container, and one in the place of another, cost no call to EC2 at all;"
    note "- a volume that EC2 did not let go held up nobody else;"
    note "- a volume grew while it was written to, and a snapshot of it became another volume;"
    note "- hawser was killed and started again, and the container that was writing went on;"
    note "- nothing of it is left on this machine, nor in that EC2."
    note "It was the EC2 of hawser's tests. What only Amazon's can show is in docs/ebs.md."
}

need_root
clean_up_at_the_end

if [ -z "$hawser" ] || [ -z "$ec2" ]; then
    say "Building hawser, and the EC2 that its tests use."
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/hawser/target}
    (cd "$repo" && cargo build --locked --workspace --bin hawser --bin ec2-fake)
    hawser=$CARGO_TARGET_DIR/debug/hawser
    ec2=$CARGO_TARGET_DIR/debug/ec2-fake
fi

start_engine "$dir"
make_image
start_ec2
instance=$(sed -n 's/.*metadata of \(i-[0-9a-f]*\);.*/\1/p' "$dir/ec2.env")
cat >"$dir/hawser.toml" <<END
[daemon]
cluster = "demo"
docker_socket = "/run/docker/plugins/$driver.sock"
state_dir = "$dir/state"
root = "$dir/mnt"

[volumes]
default_backend = "ebs"
linger = "1s"
undelete = "0s"

[backends.ebs]
enabled = true
# On an instance of Amazon's these two are not needed.
dev_dir = "$dir/ec2/$instance/dev"
sys_dir = "$dir/ec2/$instance/sys"
END

say "Starting hawser on the instance $instance, with this configuration:"
sed 's/^/     /' "$dir/hawser.toml"
note "Region, zone, instance and credentials are the instance's own: its metadata and its role."
start
note "\$ hawser doctor"
# Of the rest it may complain with reason: this is not a host that anybody set up.
cli doctor --config "$dir/hawser.toml" >"$dir/doctor" || true
grep -E 'EBS|EC2' "$dir/doctor" | sed 's/^/     /'
! grep -qE 'PROBLEM +(EBS|EC2)' "$dir/doctor" || fail "that is not well"
calls >/dev/null
run=("$docker" run --network none --volume-driver "$driver")

say "1. docker run makes the EBS volume that the app states, attaches and formats it."
show "${run[@]}" --rm -v 'name=pgdata,size=2GiB,type=gp3,throughput=200,fs=xfs:/data' "$image" df -h /data
show_calls
note "In EC2: $(storage_of pgdata), a gp3 of 2 GiB with 200 MiB/s, tagged with the cluster and the name."

say "2. A container that writes, and another one beside it, on the same volume."
show "${run[@]}" -d --name "$driver-db" -v pgdata:/data "$image" \
    sh -c 'while sleep 0.1; do date >> /data/log; done'
sleep 1
show "${run[@]}" --rm --name "$driver-job" -v pgdata:/data "$image" tail -n 2 /data/log
no_calls

say "3. The container is replaced by another: the volume stays attached."
show "$docker" rm --force "$driver-db"
show "${run[@]}" -d --name "$driver-db" -v pgdata:/data "$image" \
    sh -c 'while sleep 0.1; do date >> /data/log; done'
[ "$(attachment_of "$(storage_of pgdata)")" = attached ] || fail "it was detached"
no_calls

say "4. EC2 does not let a volume go (attach=follow: detached after its task). Who waits for it? Nobody."
show "${run[@]}" --rm -v 'name=scratch,size=1GiB,attach=follow:/data' "$image" touch /data/file
scratch=$(storage_of scratch)
tell_ec2 "stick?volume=$scratch&transition=detach" >/dev/null
until_attachment "$scratch" detaching
note "EC2 says that $scratch is detaching, and that will stay so."
show_calls
begun=$(date +%s%N)
show "${run[@]}" --rm -v 'name=assets,size=1GiB:/data' "$image" df -h /data
note "A new volume meanwhile: $((($(date +%s%N) - begun) / 1000000)) ms with its container; and still \
$(attachment_of "$scratch"): $scratch"
show_calls
tell_ec2 "unstick?volume=$scratch" >/dev/null
until_attachment "$scratch" ""
note "EC2 has let it go now. (After backends.ebs.force_detach_after, 5 minutes, hawser forces it.)"
calls >/dev/null

say "5. The volume grows while the container writes."
hawser volume grow pgdata 4GiB
show "$docker" exec "$driver-db" df -h /data
show_calls

say "6. A snapshot while the container writes, and a volume made from it."
note "\$ hawser snapshot create pgdata"
snapshot=$(cli snapshot create pgdata)
note "  $snapshot"
show_calls
for _ in $(seq 100); do
    [[ $(cli snapshot ls --json pgdata) != *'"completed"'* ]] || break
    sleep 0.1
done
calls >/dev/null
show "${run[@]}" --rm -v "name=pgcopy,size=4GiB,snapshot=$snapshot:/data" "$image" wc -l /data/log
show_calls

say "7. hawser is killed and started again while the container writes."
lines() { "$docker" exec "$driver-db" sh -c 'wc -l < /data/log'; }
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
show_calls

say "8. The volumes, as Docker and hawser list them."
show "$docker" volume ls --filter "driver=$driver"
hawser volume ls
no_calls

say "9. Removal: what was made in EC2 is deleted there."
show "$docker" rm --force "$driver-db"
show "$docker" volume rm "${volumes[@]}"
note "Docker has its answer; hawser detaches and deletes them now."
hawser snapshot rm --yes "$snapshot"
for _ in $(seq 200); do
    left=$(tell_ec2 volumes)$(tell_ec2 snapshots)
    [ "$left" != "[][]" ] || break
    sleep 0.1
done
[ "$left" = "[][]" ] || fail "this is left in EC2: $left"
show_calls
note "EC2 has no volume and no snapshot of the cluster any more."
