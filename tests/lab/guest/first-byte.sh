#!/bin/sh
# Mounts a volume as Docker does, reads the file `first` in it and adds a line: first-byte.sh VOLUME ID
#
# Prints how many milliseconds there were from the call to its answer, to the first byte, and to the line's
# being safe.
began=$(date +%s%3N)
since() { echo $(($(date +%s%3N) - began)); }

answer=$(curl -sS --max-time 120 --unix-socket /run/docker/plugins/hawser.sock \
    -d "{\"Name\": \"$1\", \"ID\": \"$2\"}" http://plugin/VolumeDriver.Mount)
mounted=$(since)
path=$(echo "$answer" | sed -n 's/.*"Mountpoint": *"\([^"]*\)".*/\1/p')
if [ -z "$path" ]; then
    echo "$answer" >&2
    exit 1
fi
[ -n "$(head -c 1 "$path/first")" ] || exit 1
read=$(since)
echo line >>"$path/lines" && sync "$path/lines" || exit 1
echo "$mounted $read $(since)"
