#!/bin/sh
# A Docker engine that keeps everything on the disk at /var/lib/hawser, with an image `busybox`.
#
# start-docker.sh        containers have no network
# start-docker.sh swarm  they have Swarm's, and print on the console
mode=$1
if [ "$mode" = swarm ]; then
    # As sysctl.d and modules-load.d have it on a host; without the first overlay networks have no gateway.
    echo 1 >/proc/sys/net/ipv4/ip_forward
    modprobe -a br_netfilter ip_vs vxlan xt_ipvs
    log=/run/containers.sock
    rm -f $log
    setsid /lab/containers-to-console.py $log </dev/null >/dev/console 2>&1 &
    until [ -S $log ]; do sleep 0.1; done
    set -- --log-driver syslog --log-opt syslog-address=unixgram://$log --log-opt "tag={{.Name}}"
else
    set -- --bridge none --iptables=false --ip6tables=false
fi
dockerd --data-root /var/lib/hawser/docker --log-level warn "$@" </dev/null >/dev/console 2>&1 &
for _ in $(seq 600); do
    docker version >/dev/null 2>&1 && break
    sleep 0.1
done
/lab/busybox-image.sh
if [ "$mode" = swarm ]; then
    # Swarm places tasks where the engine knows the plugin, and it looks for it with the first call only.
    docker volume ls >/dev/null
fi
