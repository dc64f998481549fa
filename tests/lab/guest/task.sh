#!/bin/sh
# A command with a volume at /mnt/data, in a mount namespace that has nothing else of hawser's, as a
# container's has: task.sh PATH COMMAND [ARGUMENT...]
# shellcheck disable=SC2016  # the inner shell expands it
exec unshare -m --propagation slave sh -ec '
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/data
    mount --bind "$0" /mnt/data
    umount -R -l /var/lib/hawser
    exec "$@"' "$@"
