#!/bin/sh
# Gives the Docker engine the image `busybox`, where it has none.
docker image inspect busybox >/dev/null 2>&1 && exit
mkdir -p /run/busybox/bin
cp /bin/busybox /run/busybox/bin/
chroot /run/busybox /bin/busybox --install -s /bin
tar -C /run/busybox -c . | docker import - busybox
