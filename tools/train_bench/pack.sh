#!/usr/bin/env bash
# Packs what run.sh needs on a GPU host without a network: the trainer's packages, Liger, DeepSpeed and ms-swift, for its
# Python 3.12 (the host must have torch 2.11 with torchvision, triton and numpy).
#   tools/train_bench/pack.sh OUT      leaves OUT/PART.* of at most 32 MB
# DeepSpeed has no wheel: PYTHON (.venv/bin/python), which must have torch, builds one without compiled operators.
# FOR=3.11 SITE=DIR packs nothing and installs the same packages for this machine's Python into DIR, for a dry run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); python=${PYTHON:-$here/../../.venv/bin/python}; tmp=$(mktemp -d); site=${SITE:-$tmp/site}
trap 'rm -rf "$tmp"' EXIT
flags=(--no-deps --only-binary=:all: --python-version "${FOR:-3.12}" --implementation cp)
source "$here/../gpu_host.sh"; flags+=("${platforms[@]}")
mkdir -p "$tmp/wheels"
sources='^(deepspeed|attrdict|dacite)=='
grep -vE "$sources" "$here/packages.txt" > "$tmp/binary.txt"
pip download -qqq "${flags[@]}" -d "$tmp/wheels" -r "$tmp/binary.txt"
for name in $(grep -E "$sources" "$here/packages.txt"); do
    DS_BUILD_OPS=0 "$python" -m pip wheel -qqq --no-deps --no-build-isolation -w "$tmp/wheels" "$name"
done
pip install -qqq "${flags[@]}" --no-index --no-compile --target "$site" "$tmp"/wheels/*.whl
cd "$site"  # delete the files that neither trainer opens
rm -rf bin pyarrow/{tests,include,includes,src} pyarrow/libarrow_flight.so* pyarrow/_{flight,pyarrow_cpp_tests}.*so
rm -rf pyarrow/libarrow_python*.so pyarrow/lib*.so.*.*.* pandas/tests modelscope/{models,pipelines,trainers,preprocessors,metrics} swift/{megatron,ui}
find . \( -name '*.pyx' -o -name '*.pxi' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.h' -o -name '*.cu' -o -name '*.cpp' \) -delete
(cd transformers/models && for family in *; do case $family in
    qwen* | auto | llama* | __init__* | siglip | clip | mllama | timm* | bert | encoder_decoder | llava* | whisper | t5 | gpt2 | gpt_oss | mixtral | deepseek* | gemma*) ;;
    *) find "$family" -name 'modular_*' -delete ;; esac; done)
echo "def setNumThreads(count): pass  # a stub: OpenCV is 150 MB, and nothing here augments" > cv2.py
[ -z "${FOR:-}" ] || exit 0
out=$(realpath -m "$1"); mkdir -p "$out"; rm -f "$out"/PART.*
tar -c . | xz -T0 -6 | split -b 32000000 - "$out/PART."
ls -l "$out"
