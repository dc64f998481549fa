#!/bin/sh
# Exports /export/apps, on this disk, by the kernel's NFS server: serve-nfs.sh /dev/nvme2n1
set -e
blkid "$1" >/dev/null || mkfs.ext4 -q "$1"
mkdir -p /disk /run/rpc_pipefs
mount "$1" /disk
mkdir -p /disk/apps /disk/state
# What the server and the lock manager know of their clients has to outlive the machine.
mount --bind /disk/state /var/lib/nfs
mkdir -p /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/nfsdcld
touch /var/lib/nfs/etab /var/lib/nfs/rmtab /var/lib/nfs/state
# NFSv4 starts at a root, which cannot be an overlay: a tmpfs, by the same paths as NFSv3's.
mount -t tmpfs tmpfs /srv
mkdir -p /srv/export/apps
mount --bind /disk/apps /srv/export/apps
printf '[general]\npipefs-directory=/run/rpc_pipefs\n[exports]\nrootdir=/srv\n' >/etc/nfs.conf
# Clients come back within these seconds and not 90: nothing new is locked or opened meanwhile. The
# lock manager of NFSv3 has a time of its own, in which NFSv4 takes no locks either.
modprobe lockd nlm_grace_period=10
modprobe nfsd
mount -t nfsd nfsd /proc/fs/nfsd
mount -t rpc_pipefs rpc_pipefs /run/rpc_pipefs
echo 10 >/proc/fs/nfsd/nfsv4leasetime
echo 10 >/proc/fs/nfsd/nfsv4gracetime
rpcbind -w
rpc.statd
nfsdcld
exportfs -o ro,fsid=0,no_subtree_check,insecure '*:/'
exportfs -o rw,sync,no_root_squash,no_subtree_check,insecure '*:/export/apps'
rpc.mountd
# A busy machine's tracker may come too late for the kernel, which then takes an older one, with
# records of its own.
until rpc.nfsd 4 && dmesg | grep 'client tracking' | tail -n 1 | grep -q nfsdcld; do
    rpc.nfsd 0
done
