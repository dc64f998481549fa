#!/bin/sh
# The first process of a machine, once its root file system can be written: file systems, network, the
# agent that runs the tests' commands. Servers are started by the steps that need them.
export PATH=/lab:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Handed over on the kernel's command line: lab.name=a lab.address=10.77.0.2/24 lab.host=10.78.0.15/24, and
# lab.systemd=SERIAL where systemd is to go on as the first process (systemd.sh).
# shellcheck disable=SC2013  # words, not lines
for word in $(cat /proc/cmdline); do
    case $word in
    lab.name=*) name=${word#*=} ;;
    lab.address=*) address=${word#*=} ;;
    lab.host=*) host=${word#*=} ;;
    lab.systemd=*) systemd=${word#*=} ;;
    esac
done

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# As systemd does it; tests of propagation depend on it.
mount --make-rshared /

# NFSv4 knows its clients by their host names.
echo "$name" >/etc/hostname
hostname "$name"
# The same after each start, and another one on each machine: the image has none.
echo "the lab's $name" | md5sum | cut -c1-32 >/etc/machine-id
echo "127.0.0.1 localhost $name" >/etc/hosts

# virtio_pci first: without it the others find no device, and say nothing.
modprobe virtio_pci
modprobe -a virtio_blk virtio_console virtio_net virtio_rng
[ -n "$systemd" ] || /usr/lib/systemd/systemd-udevd --daemon
# There from the start, as systemd makes it; the driver is loaded by the first who opens it.
mknod -m 600 /dev/loop-control c 10 237
ip link set lo up
ip address add "$address" dev eth0
ip link set eth0 up
# To the services on the host.
ip address add "$host" dev eth1
ip link set eth1 up

# The kernel names its ports when QEMU has told it, a moment later.
until [ -n "$agent" ]; do
    for port in /sys/class/virtio-ports/*; do
        if [ "$(cat "$port/name" 2>/dev/null)" = org.qemu.guest_agent.0 ]; then
            agent=/dev/${port##*/}
        fi
    done
done
[ -z "$systemd" ] || exec /lab/systemd.sh "$systemd" "$agent"
cat >/etc/inittab <<INITTAB
::respawn:/usr/sbin/qemu-ga --method=virtio-serial --path=$agent --statedir=/run
::ctrlaltdel:/bin/busybox reboot
::shutdown:/bin/umount -a -r
INITTAB
exec /bin/busybox init
