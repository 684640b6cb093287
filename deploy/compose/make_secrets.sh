#!/bin/sh
# Creates the secrets once, in a volume: the password of Valkey, in its configuration and in the URL for API and workers.
set -eu
cd /run/secrets/vqc
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
[ -s vqc_redis_url ] && exit 0
password=$(random)
# noeviction and an append-only file: a ticket that was answered with 202 must not be dropped.
printf '%s\n' "requirepass $password" 'appendonly yes' 'appendfsync always' 'maxmemory-policy noeviction' 'dir /data' >valkey.conf
printf '%s' "redis://:$password@valkey:6379/0" >vqc_redis_url
chmod 444 valkey.conf vqc_redis_url # only these containers mount the volume, each as another user
echo "created a password for Valkey"
