#!/bin/sh
# A file-system test suite in a directory: suites.sh fsx|holes|fio|stress|posix DIR
#
# Says one line for each case, `CASE OUTCOME`, so that two file systems can be compared. What a suite
# itself says of a failure goes to the console.
set -e
suite=$1 dir=$2/$1
command -v fsx pjdfstest stress-ng fio >/dev/null || {
    echo "a suite is missing: scripts/lab-suites.sh and scripts/lab-image.sh make them" >&2
    exit 1
}
mkdir -p "$dir" /run/suites
cd /run/suites

outcome() {
    name=$1
    shift
    if "$@" >"$name.log" 2>&1; then
        echo "$name ok"
    else
        echo "$name failed with $?"
        tail -n 12 "$name.log" >/dev/console
    fi
}

exercise() {
    for seed in 1 2 3; do
        outcome "$1-$seed" fsx -q -q -N 400 -S "$seed" -P /run/suites -f "$1.toml" "$dir/$1-$seed"
    done
}

verify() {
    name=$1
    shift
    outcome "$name" fio --name="$name" --directory="$dir" --size=8m --fallocate=none --randrepeat=1 \
        --verify=crc32c --verify_fatal=1 --fsync=64 "$@" --output-format=terse
}

case $suite in
fsx)
    cat >fsx.toml <<'TOML'
[weights]
close_open = 2
read = 10
write = 10
mapread = 10
mapwrite = 10
invalidate = 2
truncate = 5
fsync = 1
fdatasync = 1
sendfile = 5
posix_fadvise = 2
TOML
    exercise fsx
    ;;
holes)
    cat >holes.toml <<'TOML'
[weights]
close_open = 2
posix_fallocate = 5
punch_hole = 5
copy_file_range = 5
TOML
    exercise holes
    ;;
fio)
    verify mixed --rw=randrw --bsrange=512-64k
    verify direct --rw=randwrite --bs=4k --direct=1
    verify mapped --rw=randwrite --bs=4k --ioengine=mmap
    ;;
stress)
    # Not link and symlink: each looks for 8192 names at its end, one after the other. pjdfstest has both.
    for stressor in chmod chown copy-file dentry dir fallocate filename flock fpunch fstat getdent hdd iomix \
        lease locka lockf lockofd msync open rename seek sync-file utime xattr; do
        outcome "$stressor" timeout 240 stress-ng --verify --temp-path "$dir" --iomix-bytes 16m --hdd-bytes 16m \
            --dentries 100 "--$stressor" 1 --timeout 4
    done
    ;;
posix)
    id tests >/dev/null 2>&1 || useradd --user-group --no-create-home tests
    cat >posix.toml <<'TOML'
[features]
posix_fallocate = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.01
allow_remount = false
[dummy_auth]
entries = [["nobody", "nogroup"], ["tests", "tests"]]
TOML
    # It fails where one of its cases does.
    pjdfstest -c posix.toml -p "$dir" >posix.log 2>&1 || true
    grep -A 2 FAILED posix.log >/dev/console || true
    awk 'NF == 2 && $2 ~ /^(ok|FAILED|skipped)$/ { print }' posix.log
    ;;
esac
