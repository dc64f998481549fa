#!/usr/bin/env bash
# Builds the managed plugin: a root file system with hawser and the programs that it calls,
# and, unless told otherwise, `docker plugin create` from it.
#
#   plugin/build.sh [--binary FILE] [--out DIR] [--name NAME] [--drop-capability CAP_X]... [--no-create]
#
#   --binary FILE            a hawser to pack (default: a release build is made)
#   --out DIR                where rootfs/ and config.json are put (default: target/plugin)
#   --name NAME              the plugin's name (default: hawser:latest)
#   --drop-capability CAP_X  leave a capability out: runc refuses a plugin that asks for one
#                            that the host itself does not have
#   --no-create              build the directory only
#
# The docker client is asked where DOCKER_HOST says; DOCKER names another client program.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname "$here")
docker=${DOCKER:-docker}
binary=
out=
name=hawser:latest
create=yes
drop=()

fail() {
    echo "plugin/build.sh: $*" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --binary) binary=$2 && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    --name) name=$2 && shift 2 ;;
    --drop-capability) drop+=("$2") && shift 2 ;;
    --no-create) create=no && shift ;;
    *) fail "unknown option $1" ;;
    esac
done

target=${CARGO_TARGET_DIR:-$repo/target}
out=${out:-$target/plugin}
rootfs=$out/rootfs

if [ -z "$binary" ]; then
    (cd "$repo" && cargo build --locked --release --bin hawser)
    binary=$target/release/hawser
fi
[ -x "$binary" ] || fail "$binary is not an executable file"

# What hawser calls (src/sys). mkfs.ext4 and fsck.ext4 are other names of mke2fs and e2fsck.
programs=(
    mke2fs mkfs.ext4 e2fsck resize2fs tune2fs dumpe2fs
    mkfs.xfs xfs_repair xfs_growfs xfs_io
    blkid fstrim
)

find_program() {
    PATH=/usr/sbin:/sbin:/usr/bin:/bin:$PATH command -v "$1" ||
        fail "$1 is not installed (scripts/install-deps.sh installs it)"
}

# Libraries keep their paths; the loader has its path in every program.
copy_with_libraries() {
    local file=$1 to=$2 library
    install -D -m 0755 "$file" "$rootfs$to"
    # A static program has no libraries, and ldd says so by failing.
    for library in $(ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || true); do
        [ -e "$rootfs$library" ] || install -D -m 0755 "$library" "$rootfs$library"
    done
}

rm -rf "$rootfs"
# The host's merged /usr, or else a library would be found under one of its names only.
mkdir -p "$rootfs/usr/bin" "$rootfs/usr/sbin" "$rootfs/usr/lib" "$rootfs/usr/lib64"
for directory in bin sbin lib lib64; do
    ln -s "usr/$directory" "$rootfs/$directory"
done
# Mount points, and what programs expect to find.
mkdir -p "$rootfs"/{dev,proc,sys,tmp,etc,run/docker/plugins,var/lib/hawser,mnt/hawser}
chmod 1777 "$rootfs/tmp"
ln -s /proc/self/mounts "$rootfs/etc/mtab"
echo 'root:x:0:0:root:/:/usr/sbin/nologin' >"$rootfs/etc/passwd"
echo 'root:x:0:' >"$rootfs/etc/group"
# Whom to believe that it is Amazon's EC2.
authorities=/etc/ssl/certs/ca-certificates.crt
[ -e "$authorities" ] || fail "ca-certificates is not installed (scripts/install-deps.sh installs it)"
install -D -m 0644 "$authorities" "$rootfs$authorities"
[ ! -e /etc/mke2fs.conf ] || cp /etc/mke2fs.conf "$rootfs/etc/"

copy_with_libraries "$binary" /usr/bin/hawser
for program in "${programs[@]}"; do
    path=$(find_program "$program")
    copy_with_libraries "$(readlink -f "$path")" "/usr/sbin/$program"
done
touch "$rootfs/etc/ld.so.conf"
ldconfig -r "$rootfs" /usr/lib /usr/lib64 "/usr/lib/$(uname -m)-linux-gnu"

cp "$here/config.json" "$out/config.json"
# One capability stands on each line of config.json, and the last of them cannot be dropped.
for capability in "${drop[@]}"; do
    grep -q "\"$capability\"," "$out/config.json" || fail "config.json has no droppable $capability"
    sed -i "/\"$capability\",/d" "$out/config.json"
done

echo "plugin directory: $out ($(du -sh "$rootfs" | cut -f1))"
if [ "$create" = yes ]; then
    "$docker" plugin create "$name" "$out"
fi
