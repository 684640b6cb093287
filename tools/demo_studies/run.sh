#!/usr/bin/env bash
# The studies on one GPU, in one call of at most TIME_LIMIT seconds (400). Results: OUT/results.jsonl, OUT/tables.md, OUT/runs.txt (what each run said).
#   tools/demo_studies/run.sh [ARGUMENTS of python -m tools.demo_studies]
#   GPU=1 CORES=16-31 tools/demo_studies/run.sh         on this GPU and these cores, beside other work on the others
#   DRY_RUN=1 tools/demo_studies/run.sh                 every arm with tiny counts on a CPU: proves the script
# SITE (/tmp/vqc-train-site) holds the trainer's packages: tools/train_bench/pack.sh packs them, tools/train_bench/run.sh unpack leaves them there.
set -euo pipefail
cd "$(dirname "$0")/../.."
began=$SECONDS
limit=${TIME_LIMIT:-400}; out=${OUT:-output/demo_studies}; site=${SITE:-/tmp/vqc-train-site}
mkdir -p "$out"; out=$(realpath "$out")
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
pinned=()
if [ -n "${DRY_RUN:-}" ]; then
    python=.venv/bin/python; export PYTHONPATH=$PWD
    root=$out/data; sizes=(--photos 24 --held-out 2 --tickets 2 --steps 2 --batch 2 --seeds 17 --jobs 2)
else
    python=${PYTHON:-/opt/torch/.venv/bin/python3}
    export CUDA_VISIBLE_DEVICES=${GPU:-0}
    [ -z "${CORES:-}" ] || pinned=(taskset -c "$CORES")
    [ -f "$site/.complete" ] || { echo "$site is not complete: tools/train_bench/run.sh unpack" >&2; exit 1; }
    export PYTHONPATH=$PWD:$site
    if ! "$python" -c 'import cv2' 2>/dev/null; then  # 60 MB that only augmentation works with, and nothing here augments
        mkdir -p /tmp/vqc-no-cv2; echo 'def setNumThreads(count): pass' > /tmp/vqc-no-cv2/cv2.py
        export PYTHONPATH=$PYTHONPATH:/tmp/vqc-no-cv2
    fi
    root=/tmp/vqc-demo-studies; sizes=(--jobs 7)
    nvidia-smi --query-gpu=index,name,memory.total,utilization.gpu --format=csv,noheader || true
fi
"$python" -c "import torch, transformers, PIL, tools.demo_studies.__main__; print('torch', torch.__version__, 'transformers', transformers.__version__, 'Pillow', PIL.__version__, 'GPUs', torch.cuda.device_count(), flush=True)"
echo "== imports took $((SECONDS - began)) s"
status=0
"${pinned[@]}" "$python" -m tools.demo_studies --root "$root" --out "$out" --limit $((limit - (SECONDS - began) - 8)) "${sizes[@]}" "$@" || status=$?
tail -n 40 "$root"/logs/*.txt "$root"/runs/*/logging.jsonl > "$out/runs.txt" 2>/dev/null || true
echo "== done after $((SECONDS - began)) s; results in $out"
exit $status
