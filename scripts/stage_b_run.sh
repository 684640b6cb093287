#!/usr/bin/env bash
# Runs Stage-B's training-free loop: scripts/stage_b_run.sh CONFIG [options of `vqc stage-b run`]
set -euo pipefail
if [[ $# -lt 1 ]]; then
  echo "usage: $0 CONFIG [--log-level debug] [--engine scripted] [--output DIR] [--fresh]" >&2
  exit 2
fi
config=$(realpath "$1")
shift
cd "$(dirname "${BASH_SOURCE[0]}")/.."
vqc=.venv/bin/vqc
[[ -x $vqc ]] || vqc=vqc
exec "$vqc" stage-b run "$config" "$@"
