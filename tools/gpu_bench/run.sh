#!/usr/bin/env bash
# Measures the service against vLLM on one H100, in one call of at most TIME_LIMIT seconds (570). Results: OUT/*.json and OUT/*.txt.
#   tools/gpu_bench/run.sh                       all parts, in the order below, while there is time
#   tools/gpu_bench/run.sh stage-b fp8           these parts
#   DRY_RUN=1 tools/gpu_bench/run.sh             the same steps with the demo model on a CPU, short and small: proves the script
# Parts
#   pairs     ours and raw vLLM in turns on one engine: captions and Stage-A at 1, 16, 64, 240 clients
#   stage-b   the same for tickets: sampled tokens a second of the worker against the raw engine's
#   stock     what we configure, and `vllm serve` as it comes, both driven beyond what they can do
#   free      raw vLLM with our caption grammar against raw vLLM without one
#   fp8       the same load with --quantization fp8
# PARTS is where pack.sh's PART.* are (build/gpu). They are unpacked once into SITE (/tmp/vqc-site).
set -euo pipefail
cd "$(dirname "$0")/../.."
began=$SECONDS
limit=${TIME_LIMIT:-570}; out=${OUT:-output/gpu_bench}; parts_in=${PARTS:-build/gpu}; site=${SITE:-/tmp/vqc-site}; size=${SIZE:-4b}
mkdir -p "$out"; out=$(realpath "$out")
wanted=("$@"); [ ${#wanted[@]} -gt 0 ] || wanted=(pairs stage-b stock free fp8)

if [ -n "${DRY_RUN:-}" ]; then
    python=.venv/bin/python; export PYTHONPATH=$PWD
    model=deploy/demo/model; weights=(); levels=1,4; few=2; window=4; shape=(--width 256 --height 192 --max-new-tokens 64)
else
    python=${PYTHON:-python3}
    if [ ! -f "$site/.complete" ]; then
        mkdir -p "$site"; cat "$parts_in"/PART.* | xz -dc -T0 | tar x -C "$site"; touch "$site/.complete"
    fi
    export PYTHONPATH=$PWD:$site FLASHINFER_DISABLE_VERSION_CHECK=1 HF_HUB_OFFLINE=1
    model=/tmp/vqc-dummy-$size; weights=(--random-weights); levels=1,16,64,240; few=64; window=12; shape=()
    [ -d "$model" ] || $python -m loadtest dummy "$size" "$model"
fi
scenario=$(mktemp --suffix=.yaml); trap 'rm -f "$scenario"' EXIT
if [ -n "${DRY_RUN:-}" ]; then rate=3; seconds=4; photos='{width: 256, height: 192, drawn: 8}'; tokens=64
else rate=70; seconds=15; photos='{width: 1024, height: 768, drawn: 48}'; tokens=256; fi
echo "{rates_per_s: [$rate], seconds: $seconds, arrivals: even, timeout_s: 300, photos: $photos, mix: [{task: caption, max_new_tokens: $tokens}, {task: stage-a}]}" > "$scenario"

left() { echo $((limit - (SECONDS - began))); }
measured() {  # NAME ARGUMENTS…: one benchmark; a failure is told and does not end the others
    local name=$1; shift
    echo "== $name, $(left) s left: vqc-bench $*"
    timeout "$(left)" "$python" -m loadtest "$@" --json >"$out/$name.json" 2>"$out/$name.txt" || echo "   failed ($?): $(tail -n 2 "$out/$name.txt")"
    "$python" tools/gpu_bench/told.py "$out/$name.json" || true
}
nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2>/dev/null || true
for part in "${wanted[@]}"; do
    if [ "$(left)" -lt "${LEAST:-120}" ]; then echo "== no time for $part"; continue; fi
    common=(--model "$model" "${weights[@]}")
    case $part in
        pairs) measured pairs pair "${common[@]}" --task stage-a --task caption --clients $levels --seconds $window --rounds 1 "${shape[@]}" --budget "$(($(left) - 20))" ;;
        stage-b) measured stage-b pair "${common[@]}" --task stage-b --clients $few --seconds $window --rounds 1 --budget "$(($(left) - 20))" ;;
        stock) measured ours mixed "$scenario" "${common[@]}"; measured stock engine "$scenario" "${common[@]}" --as-it-comes ;;
        free) measured free pair "${common[@]}" --task caption --free --clients $few --seconds $window --rounds 1 "${shape[@]}" --budget "$(($(left) - 20))" ;;
        fp8) measured fp8 mixed "$scenario" "${common[@]}" --engine-args "--quantization fp8" ;;
        *) echo "unknown part $part; valid: pairs stage-b stock free fp8" >&2; exit 2 ;;
    esac
done
echo "== done after $((SECONDS - began)) s; results in $out"
