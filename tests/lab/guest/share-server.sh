#!/bin/sh
# Serves what hawser's configuration says, on its port: share-server.sh CONF PORT
set -e
mkdir -p /var/run/ganesha
ganesha.nfsd -f "$1" -L /dev/console -p /run/ganesha.pid
for _ in $(seq 600); do
    ss -ltn | grep -q ":$2 " && exit
    sleep 0.05
done
echo "Ganesha does not listen on $2" >&2
exit 1
