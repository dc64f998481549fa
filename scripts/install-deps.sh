#!/usr/bin/env bash
# Installs what building, testing and the demo need, where it is missing (Debian, Ubuntu).
#
# Nothing that is installed here is started: no Docker engine, no PostgreSQL. Of ZooKeeper there are the
# programs and not the service.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# package, and a file or program that tells that it is there
needs=(
    "gcc gcc"
    "make make"
    "docker.io dockerd"
    "docker-compose docker-compose"
    "e2fsprogs mke2fs"
    "xfsprogs mkfs.xfs"
    "util-linux losetup"
    "systemd systemd-analyze"
    "busybox-static /bin/busybox"
    "ca-certificates /etc/ssl/certs/ca-certificates.crt"
    "curl curl"
    "fio fio"
    "postgresql /usr/lib/postgresql"
    "nfs-ganesha ganesha.nfsd"
    "nfs-ganesha-vfs /usr/share/doc/nfs-ganesha-vfs"
    "rpcbind rpcbind"
    "binutils strip"
    "libacl1-dev /usr/include/sys/acl.h"
    "debootstrap debootstrap"
    "nbdkit nbdkit"
    "qemu-system-x86 qemu-system-x86_64"
    "default-jre-headless java"
    "libzookeeper-java /usr/share/java/zookeeper.jar"
)

export PATH=$PATH:/usr/sbin:/sbin
missing=()
for need in "${needs[@]}"; do
    read -r package sign <<<"$need"
    [ -e "$sign" ] || command -v "$sign" >/dev/null || missing+=("$package")
done
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)

# A second EC2 for the tests, kept outside the clone and pinned with all that it needs. What is
# there is not fetched again; what was interrupted is begun anew.
moto() {
    local version=5.2.5 tools=${HAWSER_TOOLS:-$HOME/.cache/hawser/tools}
    local dir=$tools/moto-$version
    [ ! -x "$dir/bin/moto_server" ] || return 0
    echo "installing: moto $version in $dir"
    rm -rf "$dir"
    mkdir -p "$tools"
    python3 -m venv "$dir"
    # The programs of a package are written after the packages that it needs.
    "$dir/bin/pip" install --quiet --disable-pip-version-check \
        --constraint tests/moto/constraints.txt "moto[server]==$version"
}

if [ ${#missing[@]} -eq 0 ]; then
    moto
    exit 0
fi

if ! command -v apt-get >/dev/null; then
    echo "scripts/install-deps.sh: please install: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "scripts/install-deps.sh: missing ${missing[*]}: run as root, or install them" >&2
    exit 1
fi

# Debian starts a service when it installs it, unless this file says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
# Nor is a database cluster made, which the next boot would start.
cluster=/etc/postgresql-common/createcluster.conf
if [ ! -e "$cluster" ]; then
    mkdir -p "$(dirname "$cluster")"
    echo 'create_main_cluster = false' >"$cluster"
fi

echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}"
# An NFS server and a portmapper, open to the network, are not to come with the next boot.
units=()
for package in "${missing[@]}"; do
    case $package in
        nfs-ganesha) units+=(nfs-ganesha.service nfs-ganesha-lock.service) ;;
        rpcbind) units+=(rpcbind.socket rpcbind.service) ;;
    esac
done
if [ ${#units[@]} -gt 0 ] && command -v systemctl >/dev/null; then
    systemctl disable --quiet "${units[@]}"
fi
moto
