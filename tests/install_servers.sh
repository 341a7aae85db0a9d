#!/bin/sh
# Installs Debian's PostgreSQL and Redis where their programs are missing and can be installed.
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1
have_postgres=$?
command -v redis-server >/dev/null 2>&1
have_redis=$?
[ $have_postgres = 0 ] && [ $have_redis = 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing postgresql and redis-server for the tests ..."
    apt-get update -qq >/dev/null 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql redis-server >/dev/null 2>&1
fi
exit 0
