#!/bin/sh
# Exports /export/apps, on this disk, by a server without a lock manager for NFSv3, as many a filer is
# set up: serve-ganesha.sh /dev/nvme2n1
set -e
blkid "$1" >/dev/null || mkfs.ext4 -q "$1"
mkdir -p /disk /export/apps /var/run/ganesha
mount "$1" /disk
mkdir -p /disk/apps /disk/ganesha
mount --bind /disk/apps /export/apps
cat >/run/ganesha.conf <<'CONF'
NFS_CORE_PARAM { Protocols = 3, 4; Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false; }
NFSv4 { Grace_Period = 10; Lease_Lifetime = 10; RecoveryBackend = fs; RecoveryRoot = /disk/ganesha; }
EXPORT {
    Export_Id = 1; Path = /export/apps; Pseudo = /export/apps; Protocols = 3, 4; Transports = TCP;
    Access_Type = RW; Squash = No_Root_Squash; SecType = sys; Filesystem_Id = 1.1; FSAL { Name = VFS; }
}
CONF
rpcbind -w
ganesha.nfsd -f /run/ganesha.conf -L /dev/console -p /run/ganesha.pid
for _ in $(seq 300); do
    rpcinfo -t localhost nfs 3 >/dev/null 2>&1 && exit
    sleep 0.1
done
echo "Ganesha does not answer" >&2
exit 1
