#!/usr/bin/env bash
# Packs what a GPU host without a network lacks for run.sh: vLLM 0.24 and the service's own packages, for its Python 3.12
# (torch 2.11 with CUDA 13 and transformers 5.17 must be there already).
#   tools/gpu_bench/pack.sh OUT        five minutes on two cores, 2 GB of temporary disk; leaves OUT/PART.* of at most 50 MB
set -euo pipefail
out=$(realpath -m "$1"); here=$(cd "$(dirname "$0")" && pwd); tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$out"
flags=(--no-deps --only-binary=:all: --python-version 3.12 --implementation cp)
for n in 39 35 34 31 28 27 26 24 17 12 5; do flags+=(--platform "manylinux_2_${n}_x86_64"); done
flags+=(--platform manylinux2014_x86_64 --platform manylinux1_x86_64)
pip download -qqq "${flags[@]}" -d "$tmp/wheels" -r "$here/vllm-0.24.txt" -r "$here/service.txt"
pip install -qqq "${flags[@]}" --no-index --no-compile --target "$tmp/site" "$tmp"/wheels/*.whl
rm -f "$tmp"/site/vllm/third_party/deep_gemm/_C.cpython-31[0134]*  # of other Pythons
tar -C "$tmp/site" -c . | xz -T0 -3 | split -b 50000000 - "$out/PART."
ls -l "$out"
