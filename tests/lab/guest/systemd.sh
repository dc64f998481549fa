#!/bin/sh
# Goes on as systemd, of a host with Docker and nothing else: systemd.sh SERIAL GUEST-AGENT'S-DEVICE
#
# On the disk with that serial number is what a host keeps over reboots; all else is as on the first day.
set -e
device=$(find-disk.sh "$1")
blkid "$device" >/dev/null || mkfs.ext4 -q "$device"
mkdir -p /host
mount "$device" /host
# What is mounted below a directory is not to be seen below the disk, too.
mount --make-private /host
for dir in etc/hawser etc/systemd/system opt/hawser var/lib/containerd var/lib/docker var/lib/hawser; do
    mkdir -p "/host/$dir" "/$dir"
    mount --bind "/host/$dir" "/$dir"
    mount --make-shared "/$dir"
done

# What the image's packages had enabled in /etc/systemd/system is hidden now.
wants=/etc/systemd/system/multi-user.target.wants
mkdir -p $wants
ln -sf /lib/systemd/system/docker.service $wants/
echo 'DOCKER_OPTS="--bridge none --iptables=false --ip6tables=false"' >/etc/default/docker

# Nobody logs in, and there is neither an /etc/fstab nor a script of System V.
mkdir -p /run/systemd/system/sysinit.target.wants /run/systemd/system-generators
ln -s /dev/null /run/systemd/system/getty.target
ln -s /dev/null /run/systemd/system/systemd-logind.service
for generator in /lib/systemd/system-generators/*; do
    ln -s /dev/null "/run/systemd/system-generators/${generator##*/}"
done
# Newer than /usr: no indices are built.
touch /etc/.updated /var/.updated

mkdir -p /etc/systemd/journald.conf.d
cat >/etc/systemd/journald.conf.d/lab.conf <<JOURNAL
[Journal]
Storage=volatile
ForwardToConsole=yes
MaxLevelConsole=info
JOURNAL

# Under the name of the package's own, which udev would start later; before all else, and to the end.
cat >/run/systemd/system/qemu-guest-agent.service <<AGENT
[Unit]
Description=Runs the test's commands
DefaultDependencies=no
[Service]
ExecStart=/usr/sbin/qemu-ga --method=virtio-serial --path=$2 --statedir=/run
LogLevelMax=warning
Restart=always
AGENT
ln -s ../qemu-guest-agent.service /run/systemd/system/sysinit.target.wants/

exec env -i /lib/systemd/systemd
