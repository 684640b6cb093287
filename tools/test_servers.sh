#!/bin/sh
# Installs the Debian packages whose servers the tests start. Where that cannot be done, those tests say so and are skipped (in CI they fail).
set -eu
missing=""
command -v docker-registry >/dev/null || missing="$missing docker-registry"
command -v redis-server >/dev/null || missing="$missing redis-server"
command -v chromium >/dev/null || missing="$missing chromium fonts-noto-cjk"
command -v promtool >/dev/null || missing="$missing prometheus"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed:$missing (Debian packages; only root can install them)" >&2
    exit 0
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1  # 1: services are installed, not started
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "could not install$missing" >&2
fi
rm -f "$log"
