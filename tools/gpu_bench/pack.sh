#!/usr/bin/env bash
# Packs what run.sh needs on a GPU host without a network: vLLM and the service's packages, for its Python 3.12
# (the host must have torch 2.11 with CUDA 13 and transformers 5.17).
#   tools/gpu_bench/pack.sh OUT [0.24|0.32]
#                                     five minutes on two cores, 2 GB of temporary disk; leaves OUT/PART.* of at most PART_BYTES,
#                                     and py-spy's wheel in OUT/../extra
# vLLM 0.32 is packed with its torch, Triton and transformers; run.sh links the host's NVIDIA libraries to them, except NCCL, which
# is too old there. Twice the time and four times the disk. It runs the recited parts, quality and same: long_answers.py needs the
# model runner of 0.24.
# Left out is what a Hopper GPU with a dense model does not load: FlashAttention 2 (vLLM takes 3 there), the kernels of mixtures of
# experts, those for Blackwell, debug symbols, translations, other models' vocabularies. Of 0.32 also: FlashInfer (no sampler
# here can take it), DeepGEMM (block-wise fp8), attention that is not Qwen's, linear algebra (torch loads it when it is called) and
# the front end in Rust.
set -euo pipefail
out=$(realpath -m "$1"); version=${2:-0.24}; here=$(cd "$(dirname "$0")" && pwd); tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$out" "$out/../extra"; rm -f "$out"/PART.*
flags=(--no-deps --only-binary=:all: --python-version 3.12 --implementation cp)
source "$here/../gpu_host.sh"; flags+=("${platforms[@]}")
pip download -qqq "${flags[@]}" -d "$tmp/wheels" -r "$here/vllm-$version.txt" -r "$here/service.txt"
pip download -qqq "${flags[@]}" -d "$out/../extra" py-spy==0.4.3
pip install -qqq "${flags[@]}" --no-index --no-compile --target "$tmp/site" "$tmp"/wheels/*.whl
cd "$tmp/site"
rm -rf vllm/third_party/deep_gemm/_C.cpython-31[0134]* vllm/vllm_flash_attn/_vllm_fa2_C.abi3.so vllm/_moe_C_stable_libtorch.abi3.so
rm -rf vllm/third_party/fmha_sm100 xgrammar/lib xgrammar/include pycountry/locales mistral_common/data/tekken*
libraries=(xgrammar/libxgrammar_bindings.so)
if [ -d torch ]; then
    rm -rf vllm/vllm-rs vllm/third_party/{deep_gemm,tml_fa4} vllm/_{qutlass,flashkda,deepselect,flashmla,flashmla_extension}_C.abi3.so
    rm -rf torch/bin/protoc* torch/lib/libtorch_cuda_linalg.so nvidia/nccl/include triton/{_C/libproton.so,instrumentation,plugins,FileCheck}
    rm -rf triton/backends/nvidia/{bin/{ptxas-blackwell,nvdisasm,cuobjdump},lib/cupti}
    libraries+=(torch/lib/libtorch_{cpu,cuda,python}.so vllm/_C_stable_libtorch.abi3.so vllm/vllm_flash_attn/*.so)
    libraries+=(triton/_C/libtriton.so nvidia/nccl/lib/libnccl.so.2)
fi
strip --strip-unneeded "${libraries[@]}"
tar -c . | xz -T0 -6 | split -b "${PART_BYTES:-32000000}" - "$out/PART."
ls -l "$out"
