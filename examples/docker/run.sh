#!/bin/sh
# Hawser and plain docker, step by step: a volume as large as its first container says, used again, by two at once,
# grown while it is in use, and removed.
#
#     examples/docker/run.sh
set -eu
driver=${DRIVER:-hawser} image=${IMAGE:-busybox}
run() {
    docker run --rm --network none --volume-driver "$driver" "$@"
}

# No `docker volume create`: the name says what the volume is to be.
run -v name=trial,size=512MiB,fs=xfs:/data "$image" sh -c 'echo hello >/data/greeting'

# From then on its name is enough.
run -v trial:/data:ro "$image" cat /data/greeting

# Or made beforehand, with options. The same again is no error; another size or file system is.
docker volume create --driver "$driver" -o size=512MiB -o fs=xfs trial
docker volume create --driver "$driver" -o size=512MiB -o fs=xfs trial
if run -v trial,fs=ext4:/data "$image" true; then
    echo "a volume is never silently something else than was asked for" >&2
    exit 1
fi

# Two containers, one volume; and it grows under them.
first=$(docker run -d --network none --volume-driver "$driver" -v trial:/data "$image" sleep 600)
hawser volume grow trial 768MiB
docker exec "$first" df -h /data
run -v trial:/data "$image" cat /data/greeting
docker rm --force "$first"

# Kept for the undelete window, under its old name: `hawser volume undelete trial`.
docker volume rm trial
