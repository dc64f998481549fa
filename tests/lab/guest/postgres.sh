#!/bin/sh
# PostgreSQL on a volume: postgres.sh start DIR, postgres.sh stop, postgres.sh commit TAG
#
# `start` makes a cluster with pgbench's tables where DIR has none. `commit` inserts rows until it cannot,
# and each commit that was answered is acknowledged on the console, which the host keeps.
set -e
bin=/usr/lib/postgresql/15/bin
as() { runuser -u postgres -- env PGHOST=/run/postgres PATH="$bin:$PATH" "$@"; }

case $1 in
start)
    mkdir -p /database /run/postgres
    chown postgres /run/postgres
    # As a container gets it: nobody but root may walk to the volume.
    mount --bind "$2" /database
    if [ ! -e /database/pg/PG_VERSION ]; then
        install -d -o postgres -m 700 /database/pg
        as initdb -D /database/pg -A trust -E UTF8 --locale C >/dev/null
        new=yes
    fi
    as pg_ctl -D /database/pg -w -t 300 -l /run/postgres/log -s -o "-k /run/postgres -c listen_addresses=" start ||
        { cat /run/postgres/log >&2; exit 1; }
    if [ -n "$new" ]; then
        as pgbench -q -i postgres 2>/dev/null
        as psql -q -c 'create table acknowledged (id bigserial primary key)'
    fi
    ;;
stop)
    as pg_ctl -D /database/pg -w -s -m fast stop
    umount /database
    ;;
commit)
    # The server sends a result's end after the commit, and psql shows no result before its end.
    yes "with row as (insert into acknowledged default values returning id)
        select 'acked $2 ' || id || ' 0' from row;" | as psql -qAt >/dev/console
    ;;
esac
