#!/usr/bin/env bash
# Packs what a GPU host without a network lacks for run.sh: vLLM 0.24 and the service's own packages, for its Python 3.12
# (torch 2.11 with CUDA 13 and transformers 5.17 must be there already).
#   tools/gpu_bench/pack.sh OUT        five minutes on two cores, 2 GB of temporary disk; leaves OUT/PART.* of at most PART_BYTES,
#                                     and py-spy's wheel in OUT/../extra
# Left out is what no run on a Hopper GPU with a dense model loads: FlashAttention 2 (vLLM takes 3 there), the kernels of mixtures of
# experts, those for Blackwell, debug symbols, translations, other models' vocabularies.
set -euo pipefail
out=$(realpath -m "$1"); here=$(cd "$(dirname "$0")" && pwd); tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$out" "$out/../extra"; rm -f "$out"/PART.*
flags=(--no-deps --only-binary=:all: --python-version 3.12 --implementation cp)
source "$here/../gpu_host.sh"; flags+=("${platforms[@]}")
pip download -qqq "${flags[@]}" -d "$tmp/wheels" -r "$here/vllm-0.24.txt" -r "$here/service.txt"
pip download -qqq "${flags[@]}" -d "$out/../extra" py-spy==0.4.3
pip install -qqq "${flags[@]}" --no-index --no-compile --target "$tmp/site" "$tmp"/wheels/*.whl
cd "$tmp/site"
rm -rf vllm/third_party/deep_gemm/_C.cpython-31[0134]* vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so vllm/_moe_C_stable_libtorch.abi3.so
rm -rf vllm/third_party/fmha_sm100 xgrammar/lib xgrammar/include pycountry/locales mistral_common/data/tekken*
strip --strip-unneeded xgrammar/libxgrammar_bindings.so
tar -c . | xz -T0 -6 | split -b "${PART_BYTES:-32000000}" - "$out/PART."
ls -l "$out"
