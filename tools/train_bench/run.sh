#!/usr/bin/env bash
# Measures the trainer on GPUs, in one call of at most TIME_LIMIT seconds (one: 330, two: 170). Results: OUT/one.json,
# OUT/one.profiles.txt, OUT/two.json.
#   tools/train_bench/run.sh unpack      only unpacks the parts, which may arrive over several calls
#   tools/train_bench/run.sh one [PHASE…]  one GPU: our variants and ms-swift alternately
#   tools/train_bench/run.sh two [WAY…]    two GPUs: DDP, ZeRO-3, FSDP2, ZeRO-2 against one
#   DRY_RUN=1 tools/train_bench/run.sh one|two     the same steps with the tiny model on a CPU: a test of the script
# TRAIN_PARTS is the folder of pack.sh's PART.* (build/gpu/train). They are copied to KEPT and unpacked once into SITE when all COUNT are there.
set -euo pipefail
cd "$(dirname "$0")/../.."
part=${1:?one or two}; shift
out=${OUT:-output/train_bench}; parts=${TRAIN_PARTS:-build/gpu/train}; site=${SITE:-/tmp/vqc-train-site}; work=${WORK:-/tmp/vqc-train-$part}
kept=${KEPT:-/tmp/vqc-train-parts}; began=$SECONDS
mkdir -p "$out" "$work"; out=$(realpath "$out")
if [ -n "${DRY_RUN:-}" ]; then
    python=${PYTHON:-.venv/bin/python}; export PYTHONPATH=$PWD${SITE:+:$SITE}${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=1
    options=(--small); model=$work/small; tiny=$work/tiny; records=24; size=512x384
else
    python=${PYTHON:-/opt/torch/.venv/bin/python3}; options=(); model=/tmp/vqc-4b; tiny=/tmp/vqc-tiny; records=192; size=1024x768
    mkdir -p "$kept"; cp -n "$parts"/PART.* "$kept"/ 2>/dev/null || true
    if [ ! -f "$site/.complete" ]; then
        have=$(find "$kept" -name 'PART.*' | wc -l); need=${COUNT:-3}
        if [ "$have" -lt "$need" ]; then echo "$have of $need parts are there"; [ "$part" = unpack ] && exit 0 || exit 1; fi
        mkdir -p "$site"; cat "$kept"/PART.* | xz -dc -T0 | tar x -C "$site"; touch "$site/.complete"
    fi
    export PYTHONPATH=$PWD:$site HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=4
    export NCCL_NVLS_ENABLE=0 TORCH_SYMM_MEM_DISABLE_MULTICAST=1 NVSHMEM_DISABLE_NVLS=1 TORCHINDUCTOR_COMPILE_THREADS=8 TORCH_LOGS=graph_breaks,recompiles
fi
[ "$part" = unpack ] && { echo "unpacked"; exit 0; }
echo "== $((SECONDS - began)) s: packages"
check() { "$python" - <<'PY'
import torch, transformers, peft, accelerate
print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__, torch.cuda.device_count(), "GPUs")
for name in ("liger_kernel.transformers", "deepspeed", "swift.pipelines"):
    try:
        __import__(name)
    except Exception as error:
        print("missing:", name, repr(error)[:500])
PY
}
check &
[ -d "$tiny" ] || "$python" -m trainer.tiny_checkpoint "$tiny"
if [ -n "${DRY_RUN:-}" ]; then [ -d "$model" ] || "$python" -m trainer.tiny_checkpoint --seed 1 "$model"
else [ -d "$model" ] || "$python" -m trainer.tiny_checkpoint --size 4b "$model" & fi
data=/tmp/vqc-train-data-$size
if [ ! -f "$data/swift.jsonl" ]; then "$python" -m tools.train_bench.data "$tiny" "$data" --records $records --size $size; fi
ln -sfn "$data" "$work/data"
wait
echo "== $((SECONDS - began)) s: checkpoints and data: $(du -sh "$model" | cut -f1)"
case $part in one) limit=${TIME_LIMIT:-330} ;; two) limit=${TIME_LIMIT:-170} ;; *) echo "unknown part $part; valid: unpack one two" >&2; exit 2 ;; esac
"$python" -m "tools.train_bench.$part" --model "$model" --tiny "$tiny" --work "$work" --out "$out" \
    --limit $((limit - (SECONDS - began))) "${options[@]}" "$@"
