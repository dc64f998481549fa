#!/usr/bin/env bash
# Makes the disk of the test lab's virtual machines (tests/lab, docs/lab.md) where it is missing, and
# prints its directory: a Debian kernel (`vmlinuz`) and a root file system (`root.ext4`).
#
# Made once and kept outside the clone, under a hash of this file; machines use it read-only. A
# directory with the final name is complete: it is made under another name and renamed.
#
# HAWSER_LAB         where it is kept (~/.cache/hawser/lab)
# HAWSER_LAB_MIRROR  a Debian mirror, on hosts whose apt has none for this release
set -euo pipefail

release=bookworm
# What the guests need before a test brings anything: the kernel with its NFS client and server, both
# NFS servers, a Docker engine, PostgreSQL with pgbench, tools to look, to write and to stress with, and
# systemd for the machines that are to have it as their first process.
packages=(
    linux-image-cloud-amd64
    busybox-static
    curl
    docker.io
    e2fsprogs
    fio
    iproute2
    kmod
    nfs-common
    nfs-ganesha
    nfs-ganesha-vfs
    nfs-kernel-server
    postgresql
    procps
    python3-minimal
    libpython3-stdlib
    qemu-guest-agent
    stress-ng
    systemd
    udev
    util-linux
    xfsprogs
)

lab=${HAWSER_LAB:-$HOME/.cache/hawser/lab}
key=$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-16)
image=$lab/image-$key

fail() {
    echo "scripts/lab-image.sh: $*" >&2
    exit 1
}

# Where the host's own apt gets its Debian from.
mirror() {
    if [ -n "${HAWSER_LAB_MIRROR:-}" ]; then
        echo "$HAWSER_LAB_MIRROR"
        return
    fi
    # shellcheck disable=SC2016  # apt-get fills these in
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v release="$release" '$1 == release && $2 == "main" { print $3; exit }'
}

# The guests' init lies on a disk that the tests make (tests/lab/guest), so that a change there does
# not make all this anew. This one gets only that far.
lab_init() {
    cat <<'INIT'
#!/bin/sh
# The root is read-only and shared by all machines: what this one writes stays in its memory.
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t tmpfs -o size=75% tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
modprobe overlay
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mount -t devtmpfs devtmpfs dev
mount -t proc proc proc
mount -t sysfs sysfs sys
for disk in sys/block/nvme*; do
    if [ "$(tr -d ' ' <"$disk/device/serial")" = lab-tools ]; then
        mount -o ro "dev/${disk##*/}" lab
    fi
done
pivot_root . mnt
umount -l mnt
exec /lab/init.sh
INIT
}

build() {
    local tree=$1/root mirror
    mirror=$(mirror)
    [ -n "$mirror" ] || fail "apt on this host has no source for Debian $release: set HAWSER_LAB_MIRROR"
    debootstrap --variant=minbase "$release" "$tree" "$mirror"

    echo "deb $mirror $release main" >"$tree/etc/apt/sources.list"
    # What nobody reads in a test.
    cat >"$tree/etc/dpkg/dpkg.cfg.d/lab" <<'DPKG'
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
DPKG
    printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
    chmod 755 "$tree/usr/sbin/policy-rc.d"
    # Tests make their database clusters on volumes; none is made in the image.
    mkdir -p "$tree/etc/postgresql-common"
    echo 'create_main_cluster = false' >"$tree/etc/postgresql-common/createcluster.conf"
    cp /etc/resolv.conf /etc/hosts "$tree/etc/"
    mount -t proc proc "$tree/proc"
    # No initrd: nvme and ext4 are built into this kernel.
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive INITRD=No \
        chroot "$tree" sh -ec "apt-get update -qq
            apt-get install -y -qq --no-install-recommends ${packages[*]}
            apt-get clean
            rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/locale/* /usr/share/man/*"
    umount "$tree/proc"
    rm "$tree/usr/sbin/policy-rc.d" "$tree/etc/apt/sources.list" "$tree/etc/hosts" "$tree/etc/resolv.conf"
    # Ganesha exports nothing without it.
    ln -sf /proc/self/mounts "$tree/etc/mtab"
    mkdir "$tree/lab"
    lab_init >"$tree/lab-init"
    chmod 755 "$tree/lab-init"

    mv "$tree"/boot/vmlinuz-* "$1/vmlinuz"
    # Read-only for ever: no journal, no reserve, no room.
    truncate -s 2G "$1/root.ext4"
    mke2fs -q -t ext4 -O ^has_journal -m 0 -L lab-root -d "$tree" "$1/root.ext4"
    rm -rf "$tree"
}

mkdir -p "$lab"
exec 9>"$lab/lock"
if ! flock -n 9; then
    echo "scripts/lab-image.sh: waiting for another run that makes the lab's image" >&2
    flock 9
fi

if [ ! -d "$image" ]; then
    [ "$(id -u)" -eq 0 ] || fail "run as root: the image's packages are installed in a chroot"
    for program in debootstrap mke2fs; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null ||
            fail "$program is missing: scripts/install-deps.sh installs it"
    done
    echo "making the lab's machine image: once, in one to five minutes ($lab/build.log)" >&2
    # What an interrupted run left.
    rm -rf "$lab"/tmp.*
    work=$(mktemp -d "$lab/tmp.XXXXXX")
    chmod 755 "$work"
    # In a mount namespace of its own, which takes its mounts with it. The lock is not passed on.
    export -f build mirror lab_init fail
    # shellcheck disable=SC2016  # the inner shell expands it
    if ! work=$work release=$release packages="${packages[*]}" PATH=$PATH:/usr/sbin:/sbin \
        unshare -m --propagation private bash -euc 'build "$work"' >"$lab/build.log" 2>&1 9>&-; then
        tail -n 40 "$lab/build.log" >&2
        fail "the image was not made; the whole log is $lab/build.log"
    fi
    mv "$work" "$image"
    # Images of other versions of this file that nobody has used for a month.
    find "$lab" -maxdepth 1 -name 'image-*' -mtime +30 -exec rm -rf {} +
fi
touch "$image"
echo "$image"
