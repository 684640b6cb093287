#!/usr/bin/env bash
# Measures the service against vLLM on one GPU, in one call of at most TIME_LIMIT seconds (570). Leaves OUT/results.json, OUT/log.txt
# and OUT/engines.log; a later call on the same machine carries on with the results of those before it.
#   tools/gpu_bench/run.sh PART…          all parts but warm where none is named; those that share an engine are measured together
#   DRY_RUN=1 tools/gpu_bench/run.sh      the same steps with the demo model on a CPU, short and small: proves the script
# Parts, by the engine they need
#   our flags:  warm          starts the engine once, so that what it compiles is there for the next start
#               pairs         ours and raw vLLM in turns: captions and Stage-A with 240, 16 and 1 clients
#               raw           raw vLLM alone, with 240 clients and with 1: what fp8 is read against where there is no time for pairs
#               profile       what bounds the engine with 240 clients of our service: OUT/profile.txt
#               more-pairs    the same with 64
#               stage-b       the same as pairs for tickets: sampled tokens a second of the worker against the raw engine's
#               tickets       tickets that their first four votes decide
#               free          raw vLLM with our caption grammar against raw vLLM without one
#   stock       `vllm serve` as it comes, with 240 clients: with our grammar, and without any
#   fp8, encoder-graphs, shared-tensors
#               our flags and that lever (engines.py), raw, with 240 clients: to be read against the raw side of pairs
#   recited, drafts, drafts-graphs, recited-stock
#               answers that are the labels of drawn scenes (recited.py), raw, with 240 clients: our flags, guessing ahead, that with
#               encoder-graphs, and vLLM as it comes; to be read against each other
#   drafts-pairs, drafts-stage-b
#               as pairs and stage-b, on the engine that guesses ahead; as many of three rounds of pairs as there is time for
#   twins       two engines with our flags on the one GPU, 120 clients each, raw
#   transformers  Stage-A by transformers in batches of 8
#   quality     the demo model on 200 held-out scenes, through the service: bf16, fp8, and bf16 without drafts
#   same        the demo model's answers with and without drafts, one client, compared
# PARTS is where pack.sh's PART.* are (build/gpu/serve), unpacked once into SITE (/tmp/vqc-site); EXTRA is where its py-spy is
# (build/gpu/extra), without which there is no profile. Which GPU and cores: CUDA_VISIBLE_DEVICES and taskset. Calls at once, on
# GPUs of their own, want a STATE (/tmp/vqc-bench) each, where a call leaves its results for later ones; another vLLM another SITE.
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
    model=deploy/demo/model; state=$out; more=(--dry)
else
    state=${STATE:-/tmp/vqc-bench}; more=(); mkdir -p "$state"
    exec 9> "$site.lock"; flock 9  # a call beside this one, on another GPU, finds all unpacked
    nvidia-smi --query-gpu=index,name,memory.total,memory.used,driver_version --format=csv,noheader || true
    echo "shared memory: $(df -h --output=size,avail /dev/shm | tail -1); byte code: ${PYTHONDONTWRITEBYTECODE:-kept}"
    echo "GPU ${CUDA_VISIBLE_DEVICES:-all}, cores $(taskset -pc $$ | sed 's/.*: //'), $(uname -r)"
    if [ ! -f "$site/.complete" ]; then
        mkdir -p "$site"; cat "$parts_in"/PART.* | xz -dc -T0 | tar x -C "$site"; touch "$site/.complete"
    fi
    # The service reads its version from an installed distribution.
    mkdir -p "$site/vqc.dist-info"; printf 'Metadata-Version: 2.1\nName: vqc\nVersion: 0.1.0\n' > "$site/vqc.dist-info/METADATA"
    echo "def setNumThreads(count): pass  # OpenCV is 150 MB, and nothing here augments" > "$site/cv2.py"
    export PYTHONPATH=$PWD:$site FLASHINFER_DISABLE_VERSION_CHECK=1
    # Three generations of processes import all of vLLM before an engine starts: byte code is kept, wherever modules lie.
    unset PYTHONDONTWRITEBYTECODE; export PYTHONPYCACHEPREFIX=/tmp/vqc-bytecode
    export VLLM_WORKER_MULTIPROC_METHOD=spawn  # what vLLM wants to be told before it shares tensors; it spawns in any case
    # Every sampled request here has a seed, which FlashInfer's sampler cannot take: without it nothing is compiled for nothing.
    export VLLM_USE_FLASHINFER_SAMPLER=0
    if [ -d "$site/torch" ]; then  # vLLM 0.32 with its own torch, on the machine's libraries of NVIDIA but those that came along
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
