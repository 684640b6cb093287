#!/usr/bin/env bash
# Measures the service against vLLM on one GPU, in one call of at most TIME_LIMIT seconds (570). Writes OUT/results.json, OUT/log.txt
# and OUT/engines.log; a later call on the same machine continues with the results of the earlier ones.
#   tools/gpu_bench/run.sh PART…          all parts but warm if none is named; parts of one engine are measured together
#   DRY_RUN=1 tools/gpu_bench/run.sh      the same steps with the demo model on a CPU, short and small: a test of the script
# Parts, by the engine they need
#   our flags:  warm          starts the engine once, which caches its compiled kernels for the next start
#               pairs         ours and raw vLLM alternately: captions and Stage-A with 240, 16 and 1 clients
#               raw           raw vLLM alone, with 240 clients and with 1: the baseline of fp8 if there is no time for pairs
#               profile       the bottleneck with 240 clients of our service: OUT/profile.txt
#               more-pairs    the same with 64
#               stage-b       the same as pairs for tickets: sampled tokens a second of the worker against the raw engine's
#               tickets       tickets that are decided by their first four votes
#               free          raw vLLM with our caption grammar against raw vLLM without one
#   stock       `vllm serve` with its own defaults and 240 clients: with our grammar, and without one
#   fp8, encoder-graphs, shared-tensors
#               our flags and that lever (engines.py), raw, with 240 clients: compare with the raw side of pairs
#   recited, drafts, drafts-graphs, recited-stock
#               answers are the labels of drawn scenes (replay_engine.py), raw, with 240 clients: our flags, with drafts, with drafts and
#               encoder-graphs, and vLLM with its defaults; compare them with each other
#   drafts-pairs, drafts-stage-b
#               as pairs and stage-b, on the engine with drafts; up to three rounds of pairs, as time allows
#   twins       two engines with our flags on one GPU, 120 clients each, raw
#   transformers  Stage-A by transformers in batches of 8
#   quality     the demo model on 200 held-out scenes, through the service: bf16, fp8, and bf16 without drafts
#   same        the demo model's answers with and without drafts, one client, compared
# PARTS is the folder of pack.sh's PART.* (build/gpu/serve), unpacked once into SITE (/tmp/vqc-site); EXTRA is the folder of its py-spy
# (build/gpu/extra), which profile needs. CUDA_VISIBLE_DEVICES and taskset choose GPU and cores. Concurrent calls, each on a GPU of its
# own, need a STATE (/tmp/vqc-bench) each, where a call leaves its results for later ones; another vLLM needs another SITE.
set -euo pipefail
cd "$(dirname "$0")/../.."
began=$SECONDS
limit=${TIME_LIMIT:-570}; out=${OUT:-output/gpu_bench}; parts_in=${PARTS:-build/gpu/serve}; extra=${EXTRA:-build/gpu/extra}; site=${SITE:-/tmp/vqc-site}; size=${SIZE:-4b}
python=${PYTHON:-python3}; [ -z "${DRY_RUN:-}" ] || python=.venv/bin/python
read -ra valid < <("$python" -c 'from tools.gpu_bench.engines import PARTS; print(*PARTS)')
wanted=("$@"); [ ${#wanted[@]} -gt 0 ] || wanted=("${valid[@]:1}")
for part in "${wanted[@]}"; do
    case " ${valid[*]} " in *" $part "*) ;; *) echo "unknown part $part; valid: ${valid[*]}" >&2; exit 2 ;; esac
done
mkdir -p "$out"; out=$(realpath "$out")
exec > >(tee -a "$out/log.txt") 2>&1
export PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1

if [ -n "${DRY_RUN:-}" ]; then
    export PYTHONPATH=$PWD
    model=deploy/demo/model; state=$out; more=(--dry-run)
else
    state=${STATE:-/tmp/vqc-bench}; more=(); mkdir -p "$state"
    exec 9> "$site.lock"; flock 9  # a concurrent call on another GPU waits until all is unpacked
    nvidia-smi --query-gpu=index,name,memory.total,memory.used,driver_version --format=csv,noheader || true
    echo "shared memory: $(df -h --output=size,avail /dev/shm | tail -1); byte code: ${PYTHONDONTWRITEBYTECODE:-kept}"
    echo "GPU ${CUDA_VISIBLE_DEVICES:-all}, cores $(taskset -pc $$ | sed 's/.*: //'), $(uname -r)"
    if [ ! -f "$site/.complete" ]; then
        mkdir -p "$site"; cat "$parts_in"/PART.* | xz -dc -T0 | tar x -C "$site"; touch "$site/.complete"
    fi
    # The service reads its version from an installed distribution.
    mkdir -p "$site/vqc.dist-info"; printf 'Metadata-Version: 2.1\nName: vqc\nVersion: 0.1.0\n' > "$site/vqc.dist-info/METADATA"
    echo "def setNumThreads(count): pass  # a stub: OpenCV is 150 MB, and nothing here augments" > "$site/cv2.py"
    export PYTHONPATH=$PWD:$site FLASHINFER_DISABLE_VERSION_CHECK=1
    # Three generations of processes import all of vLLM before an engine starts: keep the byte code.
    unset PYTHONDONTWRITEBYTECODE; export PYTHONPYCACHEPREFIX=/tmp/vqc-bytecode
    export VLLM_WORKER_MULTIPROC_METHOD=spawn  # vLLM requires it for shared tensors; it spawns in any case
    # FlashInfer's sampler takes no seeds, and every sampled request here has one: do not compile it.
    export VLLM_USE_FLASHINFER_SAMPLER=0
    if [ -d "$site/torch" ]; then  # vLLM 0.32 with its own torch, on the machine's NVIDIA libraries, except those in SITE
        for library in "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"/nvidia/*; do
            [ -e "$site/nvidia/${library##*/}" ] || ln -s "$library" "$site/nvidia/"
        done
        export PYTORCH_SKIP_CUDNN_COMPATIBILITY_CHECK=1  # 9.19 there, 9.20 when it was built
    fi
    model=$state/dummy-$size
    echo "unpacked after $((SECONDS - began)) s: $(du -sh "$site" | cut -f1)"
    "$python" - "$site" <<'PY'
import sys
from pathlib import Path
import torch, transformers, triton, numpy
site = Path(sys.argv[1]).absolute()
for module in (torch, transformers, triton, numpy):
    print(module.__name__, module.__version__, module.__file__)
    carried = (site / module.__name__).exists()
    assert Path(module.__file__).is_relative_to(site) == carried, f"{module.__name__} should come from the {'site' if carried else 'machine'}"
assert torch.ones(9, device="cuda").sum() == 9
import vllm, vllm._C_stable_libtorch, vllm.vllm_flash_attn.flash_attn_interface as flash, xgrammar
print("vllm", vllm.__version__, "xgrammar", xgrammar.__version__ if hasattr(xgrammar, "__version__") else "", flash.FA3_AVAILABLE)
assert flash.FA3_AVAILABLE, flash.FA3_UNAVAILABLE_REASON
import service.platform.version, service.cli, service.app.wiring, service.tickets.wiring, service.platform.server, service.cli.up, tools.gpu_bench.bench
PY
    "$python" -c "import trainer.cli, trainer.evaluation.evaluate, trainer.evaluation.remote" || echo "PROBLEM: quality cannot be measured"
    echo "imports work after $((SECONDS - began)) s"
    [ -d "$model" ] || "$python" -m loadtest dummy "$size" "$model"
    flock -u 9
fi
case " ${wanted[*]} " in *" profile "*)
    "$python" -m zipfile -e "$extra"/py_spy-*.whl /tmp/vqc-py-spy || echo "PROBLEM: no py-spy in $extra, so no profile"
    PY_SPY=$(echo /tmp/vqc-py-spy/py_spy-*.data/scripts/py-spy); export PY_SPY
    chmod +x "$PY_SPY" || true ;;
esac
left=$((limit - (SECONDS - began)))
timeout --signal=TERM --kill-after=8 "$left" "$python" -m tools.gpu_bench.bench "$out" "${wanted[@]}" --seconds "$((left - 4))" \
    --model "$model" --state "$state" "${more[@]}" || echo "ended with $?"
rm -rf "$out/scenes" "$out/first_wave.yaml"
tail -c 12000000 "$out/engines.log" > "$out/engines.tail" 2>/dev/null && mv "$out/engines.tail" "$out/engines.log" || true
[ -n "${DRY_RUN:-}" ] || [ -s "$out/results.json" ] || echo "NO RESULTS"
sleep 0.3; echo "== done after $((SECONDS - began)) s; results in $out"
