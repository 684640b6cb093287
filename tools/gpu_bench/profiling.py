"""The bottleneck of the engine under many clients of our service: the GPU, one of its processes, or one of ours.

For each load py-spy records three processes twice: first the code on a processor; then the engine core including its waits, and
the holder of the Python lock in the two others. Beside the first recording: the cores that every process uses, the counters of
the GPU and vLLM's metrics.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from time import perf_counter

from engine.client import VllmClient
from loadtest.load.engine_metrics import metric_totals
from loadtest.load.outcome import RequestOutcome
from loadtest.load.payloads import Payloads
from loadtest.load.scenario import Load
from loadtest.load.sender import closed_loop
from loadtest.load.workers import Backend
from loadtest.process_usage import stats_in, tree_in
from loadtest.targets.service import RunningServer, in_front_of, our_service
from tools.gpu_bench.stacks import record, tables

_GAUGES = ("vllm:num_requests_running", "vllm:num_requests_waiting")
_MEANS = ("iteration_tokens_total", "request_queue_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds",
          "time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds")  # fmt: skip
_MAIN = "MainThread"
_TIMEOUT_S = 120.0
_GPU = "utilization.gpu,utilization.memory,power.draw,clocks.sm"


async def profile_service(
    engine: RunningServer,
    loads: Sequence[Load],
    payloads: Payloads,
    clients: int,
    seconds: int,
    out: Path,
    on_report: Callable[[str], None],
) -> None:
    """``on_report`` gets the report of each load: recordings of ``seconds``, once there are as many answers as ``clients``.

    py-spy writes temporary files to ``out``.

    Raises:
        RuntimeError: there is no py-spy (``PY_SPY`` is its path).
    """
    py_spy = shutil.which(os.environ.get("PY_SPY", "py-spy"))
    if py_spy is None:
        raise RuntimeError("no py-spy: PY_SPY must be its path")
    numbers = count()
    async with our_service(in_front_of(engine, "vqc"), tickets=False) as service:
        processes = _find_processes(engine, service)
        for job in Backend(target=service.target).jobs(loads, payloads):
            ready, over = asyncio.Event(), asyncio.Event()

            def is_ongoing(
                answered: Sequence[RequestOutcome], ready: asyncio.Event = ready, over: asyncio.Event = over
            ) -> bool:
                if len(answered) >= clients:
                    ready.set()
                return not over.is_set()

            async with asyncio.TaskGroup() as group:
                group.create_task(
                    closed_loop(
                        service.target, job, clients, numbers, _TIMEOUT_S, is_ongoing=is_ongoing, spread_s=seconds
                    )
                )
                await asyncio.sleep(seconds)  # until every client has sent a request
                await ready.wait()
                on_report(await _profile(job.label, engine, processes, py_spy, seconds, out))
                over.set()


def _find_processes(engine: RunningServer, service: RunningServer) -> dict[str, int]:
    """The processes by name: ``core``, ``vllm api 0`` …, ``our api``, ``load``. An engine in one process is its ``core``."""
    assert engine.pid is not None
    assert service.pid is not None
    found = dict[str, int]()
    for pid in sorted(tree_in(stats_in(Path("/proc")), engine.pid)):
        title = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
        if "EngineCore" in title:
            found["core"] = pid
        elif "APIServer" in title or "ApiServer" in title:
            found[f"vllm api {sum(name.startswith('vllm') for name in found)}"] = pid
    return {"core": engine.pid} | found | {"our api": service.pid, "load": os.getpid()}


async def _profile(
    label: str, engine: RunningServer, processes: Mapping[str, int], py_spy: str, seconds: int, out: Path
) -> str:
    stacked = {name: processes[name] for name in ("core", "vllm api 0", "our api") if name in processes}
    aside = asyncio.gather(_measure_cores(processes, seconds), _measure_gpu(seconds), _measure_engine(engine, seconds))
    running = await _record_stacks(py_spy, stacked, seconds, out, {})
    lines = [f"== {label}", *[line for part in await aside for line in part]]
    waiting = await _record_stacks(
        py_spy, stacked, seconds, out, {"core": "--idle"} | dict.fromkeys([*stacked][1:], "--gil")
    )
    for name in stacked:
        lines += [f"-- {name}, on a processor", *running[name]]
        lines += [f"-- {name}, {'waiting included' if name == 'core' else 'with the Python lock'}", *waiting[name]]
    return "\n".join(lines) + "\n"


async def _record_stacks(
    py_spy: str, stacked: Mapping[str, int], seconds: int, out: Path, options: Mapping[str, str]
) -> dict[str, list[str]]:
    texts = await asyncio.gather(
        *(
            record(py_spy, pid, seconds, out / f"stacks.{pid}", *filter(None, [options.get(name)]))
            for name, pid in stacked.items()
        ),
        return_exceptions=True,
    )
    return {
        name: tables(text, seconds, _MAIN if options.get(name) == "--idle" else "")
        if isinstance(text, str)
        else [f"  PROBLEM {text}"]
        for name, text in zip(stacked, texts, strict=True)
    }


async def _measure_cores(processes: Mapping[str, int], seconds: int) -> list[str]:
    """The cores that each process uses, with its three busiest threads."""
    before, began = {name: _thread_ticks(pid) for name, pid in processes.items()}, perf_counter()
    await asyncio.sleep(seconds)
    took, lines = (perf_counter() - began) * os.sysconf("SC_CLK_TCK"), list[str]()
    for name, pid in processes.items():
        used = {tid: (ticks - before[name].get(tid, 0)) / took for tid, ticks in _thread_ticks(pid).items()}
        busiest = sorted(used, key=lambda tid: used[tid], reverse=True)[:3]
        top = ", ".join(f"{used[tid]:.2f} {_thread_name(pid, tid)}" for tid in busiest)
        lines.append(f"cores: {sum(used.values()):.2f} {name} (threads: {top})")
    return lines


def _thread_name(pid: int, tid: int) -> str:
    return Path(f"/proc/{pid}/task/{tid}/comm").read_text("utf-8").strip()


def _thread_ticks(pid: int) -> dict[int, int]:
    """CPU ticks by thread id."""
    return {tid: ticks for tid, (_, ticks) in stats_in(Path(f"/proc/{pid}/task")).items()}


async def _measure_gpu(seconds: int) -> list[str]:
    """The counters of the GPU, read twice a second: mean, lowest and highest."""
    if not shutil.which("nvidia-smi"):
        return ["GPU: no nvidia-smi"]
    process = await asyncio.create_subprocess_exec(
        "nvidia-smi", "-i", os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0], f"--query-gpu={_GPU}",
        "--format=csv,noheader,nounits", "-lms", "500", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await asyncio.sleep(seconds)
    process.terminate()
    output, _ = await process.communicate()
    rows = [[*map(float, line.split(","))] for line in output.decode().splitlines() if re.fullmatch(r"[\d., ]+", line)]
    columns = zip(_GPU.split(","), zip(*rows, strict=True), strict=True) if rows else ()
    return [
        f"GPU {name}: {statistics.mean(values):.0f} ({min(values):.0f} to {max(values):.0f})"
        for name, values in columns
    ]


async def _measure_engine(engine: RunningServer, seconds: int) -> list[str]:
    """Running and waiting requests, tokens a second, and the means of vLLM's own histograms, over the window."""
    client, gauges = VllmClient(Path(str(engine.target.uds)), "vqc"), list[dict[str, float]]()
    try:
        before, began = metric_totals(await client.metrics()), perf_counter()
        while perf_counter() - began < seconds:
            await asyncio.sleep(0.5)
            gauges.append(metric_totals(await client.metrics()))
        took = perf_counter() - began
    finally:
        await client.aclose()
    grown = {name: value - before.get(name, 0.0) for name, value in gauges[-1].items()}
    lines = [f"{name}: {statistics.mean(one.get(name, 0.0) for one in gauges):.0f} on average" for name in _GAUGES]
    for name in ("vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:iteration_tokens_total_count"):
        # Every API process counts the steps that it takes part in.
        lines.append(f"{name}: {grown.get(name, 0.0) / took:.1f}/s")
    for name in _MEANS:
        if number := grown.get(f"vllm:{name}_count"):
            lines.append(f"vllm:{name}: {grown[f'vllm:{name}_sum'] / number:.4f} on average of {number:.0f}")
    return lines
