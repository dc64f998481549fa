#!/bin/sh
# The device with this serial number, once it is there: find-disk.sh vol0abc
for _ in $(seq 600); do
    for disk in /sys/block/nvme* /sys/block/vd*; do
        name=${disk##*/}
        if [ "$(cat "$disk/serial" "$disk/device/serial" 2>/dev/null | tr -d ' ')" = "$1" ] && [ -b "/dev/$name" ]; then
            echo "/dev/$name"
            exit
        fi
    done
    sleep 0.05
done
echo "no disk has the serial number $1" >&2
exit 1
