#!/bin/sh
# Creates the secrets once, in two volumes: Valkey's password, in its configuration and in the URL for API and workers, and the
# password of Grafana's user admin. Each container mounts only what it needs.
set -eu
umask 022
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

cd "${2:-/run/secrets/grafana}"
if [ ! -s admin_password ]; then
  random >part && chmod 444 part && mv part admin_password # read by Grafana's own user
  echo "created a password for Grafana's user admin"
fi

cd "${1:-/run/secrets/vqc}"
[ -s vqc_redis_url ] && exit 0
password=$(random)
# noeviction and an append-only file: a ticket that was answered with 202 must not be dropped.
printf '%s\n' "requirepass $password" 'appendonly yes' 'appendfsync always' 'maxmemory-policy noeviction' 'dir /data' >valkey.conf
printf '%s' "redis://:$password@valkey:6379/0" >part
chmod 444 valkey.conf part # only these containers mount the volume, each as another user
mv part vqc_redis_url
echo "created a password for Valkey"
