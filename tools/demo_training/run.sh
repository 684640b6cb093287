#!/usr/bin/env bash
# Trains the next demo model on one GPU of a machine on loan, in calls of at most LIMIT seconds (see README.md). Results: OUT.
#   run.sh learn     draws the data and trains, or goes on from the last checkpoint, until the step of the recipe or the limit
#   run.sh settle    lets the rate fall, exports, scores held-out scenes and tickets
# PARTS is pack.sh's folder, WORK where this machine keeps code, data and checkpoints. ON_CPU=1: with the packages of PYTHON, for a test.
set -euo pipefail
what=${1:?learn or settle}; parts=$(realpath "$(dirname "$0")"); work=${WORK:-/tmp/vqc-demo}; python=${PYTHON:-python3}; limit=${LIMIT:-570}
export PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=4 OUT=${OUT:-$work/out}
mkdir -p "$work" "$OUT"; tar -xf "$parts/code.tar.gz" -C "$work"; cd "$work"; export PYTHONPATH=$work
if [ -z "${ON_CPU:-}" ]; then
    [ -d "$work/site" ] || "$python" -m pip install -q --no-index --no-deps --no-compile --target "$work/site" "$parts"/wheels/*.whl
    export PYTHONPATH=$work:$work/site
fi
vqc_train() { "$python" -m trainer.cli "$@"; }
newest() { { ls -dv "$1"/checkpoint-* 2>/dev/null || true; } | tail -n 1; }
ship() {  # a model in pieces of at most 15 MB
    CUDA_VISIBLE_DEVICES='' vqc_train export "$1" "$2"; split -b 15000000 "$2/model.safetensors" "$OUT/$(basename "$2").safetensors."
    cp "$2/vqc_manifest.json" "$OUT/"
}
train() {  # CONFIG: until its end, or until a checkpoint that the next one would bring past the limit
    local run last began
    run=$(sed -n 's/^  output_dir: //p' "$1"); last=$(newest "$run"); cp "$1" go.yaml
    if [ -n "$last" ]; then printf 'extends: %s\ntraining: {resume_from_checkpoint: %s}\n' "$1" "$last" > go.yaml; else echo "extends: $1" > go.yaml; fi
    vqc_train run go.yaml > "$run.log" 2>&1 & local trainer=$!
    began=$SECONDS
    while kill -0 $trainer 2>/dev/null; do
        sleep 1
        if [ "$(newest "$run")" != "$last" ]; then
            last=$(newest "$run"); echo "== $SECONDS s: $last after $((SECONDS - began)) s"; began=$SECONDS
            [ $((limit - SECONDS)) -ge "${SPACING:-45}" ] || kill -TERM $trainer
        fi
    done
    tail -n 3 "$run.log"
}
mkdir -p output/demo_curriculum output/demo_curriculum_settle build
[ -d build/demo-base ] || vqc_train tiny build/demo-base --size demo --seed 17
if [ "$what" = learn ]; then
    train "${CONFIG:-configs/demo_curriculum.yaml}"; rm -rf build/demo-learns; ship "$(newest output/demo_curriculum)" build/demo-learns
else
    ln -sfn ../demo_curriculum/scenes output/demo_curriculum_settle/scenes
    train "${CONFIG:-configs/demo_curriculum_settle.yaml}"; ship "$(newest output/demo_curriculum_settle)" build/demo-curriculum
    timeout "$((limit - SECONDS > 5 ? limit - SECONDS : 5))" "$python" "$parts/judge.py" build/demo-curriculum "${SCENES:-100}" "${TICKETS:-20}" || true
fi
echo "== $SECONDS s"
