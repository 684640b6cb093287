"""The measurements of ``run.sh``: one engine after the other, and on each engine the parts that can share it.

    python -m tools.gpu_bench.bench OUT --seconds 570 pairs stage-b …

``OUT/results.json`` is written after every level; ``OUT/engines.log`` has the output of the engines. A part that fails is
reported, and the others go on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import traceback
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Protocol

import yaml

from engine.profile import DRAFTS, EngineSettings, Quantization, vllm_command
from loadtest.load.pairs import PairPlan, PairReport, PairRow
from loadtest.load.payloads import draw_payloads
from loadtest.load.scenario import CaptionLoad, Load, StageALoad
from loadtest.loop import run
from loadtest.suites.pair import compare_with_vllm
from loadtest.suites.speculation import compare_drafts
from loadtest.targets.server import RunningServer
from loadtest.targets.service import in_front_of, our_service, plain_command, raw_engine
from service.learning.config import DEFAULT_SAMPLER
from tools.gpu_bench.commands import output_of
from tools.gpu_bench.engines import PARTS, VARIANTS, EngineVariant
from tools.gpu_bench.pair_parts import pair_part
from tools.gpu_bench.profiling import profile_service
from tools.gpu_bench.results import Results, conclusions, describe_row, engine_facts
from tools.gpu_bench.scale import DRY_RUN, GPU, BenchScale
from vqc.cores import usable_cores

_DEMO = Path("deploy/demo/model")
_CONFIG = Path("configs/stage_b_training_free.yaml")
_MAX_MODEL_LEN = 8192
_TIMEOUT_S = 120.0
_FIRST_WAVE = {"grid": [{"temperature": 0.6, "top_p": 0.95, "max_new_tokens": 128, "seed": 142}]}
"""The sampler's configuration for tickets that are decided by their first four votes."""


class EngineLauncher(Protocol):
    """Starts an engine: ``raw_engine``, or a double of it."""

    def __call__(
        self, settings: EngineSettings, *, as_it_comes: bool, log_path: Path, start_timeout_s: float
    ) -> AbstractAsyncContextManager[RunningServer]:
        """A running engine inside the block; its output goes to ``log_path``."""
        ...


class GpuBench:
    """One call: parts measured with one checkpoint until the time is up."""

    def __init__(
        self,
        model: Path,
        results: Results,
        out: Path,
        *,
        until: float,
        scale: BenchScale,
        variants: Mapping[str, EngineVariant] = VARIANTS,
        launch: EngineLauncher = raw_engine,
    ) -> None:
        self.results = results
        self._until = until
        self._out = out
        self._model = model
        self._scale = scale
        self._variants = variants
        self._launch = launch
        self._payloads = draw_payloads(scale.photos, os.urandom(4).hex())
        self._loads: tuple[Load, ...] = (CaptionLoad(max_new_tokens=scale.caption_tokens), StageALoad())

    def seconds_left(self) -> float:
        """Seconds until the call must have ended."""
        return self._until - perf_counter()

    async def perform(self, parts: Sequence[str]) -> None:
        """All parts for which there is time, those of one engine together."""
        without_engine = {
            "twins": self._measure_twins,
            "transformers": self._measure_transformers,
            "quality": self._measure_quality,
            "same": self._compare_drafts,
        }
        rest = [*parts]
        while rest:
            engine = PARTS[rest[0]]
            shared = [part for part in rest if engine and PARTS[part] == engine] or rest[:1]
            rest = [part for part in rest if part not in shared]
            if self.seconds_left() < self._scale.least_s:
                self.results.log(f"no time for {' '.join(shared)}")
                continue
            work = self._measure_on(engine, shared) if engine else without_engine[shared[0]]()
            await self._attempt(", ".join(shared), work)
        for name, value in conclusions(self.results, self._scale.most_clients).items():
            self.results.log(f"{name}: {value}")

    async def _attempt(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Runs ``work`` within the time; logs and saves its failure instead of raising it."""
        try:
            async with asyncio.timeout(max(self.seconds_left() - 8, 1)):
                await work
        except Exception as error:
            reason = "the time was up" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
            self.results.log(f"FAILED {name}: {reason}")
            if not isinstance(error, TimeoutError):
                traceback.print_exc(file=sys.stdout)
            self.results.save("failed", name, reason[-6000:])

    def _settings(self, variant: EngineVariant) -> EngineSettings:
        return EngineSettings(
            model=self._model,
            max_model_len=_MAX_MODEL_LEN,
            extra_args=("--load-format", "dummy", *variant.answer_flags, *variant.flags),
            quantization=variant.quantization,
            drafts=variant.drafts,
        )

    async def _measure_on(self, name: str, parts: Sequence[str]) -> None:
        variant = self._variants[name]
        async with self._engine(name, self._settings(variant), as_it_comes=variant.as_it_comes) as engine:
            for part in parts:
                if self.seconds_left() < 20:
                    self.results.log(f"no time for {part}")
                else:
                    work = self._profile(engine) if part == "profile" else self._measure_pairs(part, engine)
                    await self._attempt(part, work)

    @asynccontextmanager
    async def _engine(
        self, name: str, settings: EngineSettings, *, as_it_comes: bool = False
    ) -> AsyncGenerator[RunningServer, None]:
        """A running engine; its command, its start time and the facts of its log are saved."""
        log, began = self._out / "engines.log", perf_counter()
        start = log.stat().st_size if log.exists() else 0
        socket = Path("/tmp/engine.sock")
        command = plain_command(settings, socket) if as_it_comes else vllm_command(settings, socket)
        record: dict[str, object] = {"command": " ".join(command)}
        self.results.save("engines", name, record)
        self.results.log(f"engine {name} starts: {record['command']}")
        try:
            async with self._launch(
                settings, as_it_comes=as_it_comes, log_path=log, start_timeout_s=self.seconds_left()
            ) as engine:
                record["started_s"] = round(perf_counter() - began, 1)
                self.results.log(f"engine {name} answers after {record['started_s']} s")
                yield engine
        finally:
            output = log.read_text("utf-8", "replace")[start:] if log.exists() else ""
            record["facts"] = engine_facts(output)
            if "started_s" not in record:
                record["log ends"] = output.splitlines()[-150:]
            self.results.save("engines", name, record)

    async def _measure_pairs(self, name: str, engine: RunningServer) -> None:
        part = pair_part(name, self._scale, self._loads, self._plan())
        rows = dict[tuple[str, int], PairRow]()

        def on_row(row: PairRow) -> None:
            rows[row.label, row.clients] = row
            self.results.log(f"  {name}: {describe_row(asdict(row))}")
            self.results.save("parts", name, asdict(PairReport(rows=(*rows.values(),), problems=())))

        if name == "tickets":
            os.environ["VQC_STAGE_B_CONFIG"] = str(_write_first_wave(self._out))
        try:
            report = await compare_with_vllm(
                engine, "vqc", part.loads, part.plan, self._payloads, sides=part.sides, on_row=on_row
            )
        finally:
            os.environ.pop("VQC_STAGE_B_CONFIG", None)
        self.results.save("parts", name, asdict(report))
        for problem in report.problems[:3]:
            self.results.log(f"  {name}: PROBLEM {problem}")

    async def _measure_twins(self) -> None:
        """Two engines on one device, with half of the clients each: one's kernels run while the other's host works."""
        cores = max(1, usable_cores() // 6)
        settings = replace(self._settings(VARIANTS["ours"]), gpu_memory_utilization=0.45, api_server_count=cores)
        async with self._engine("twin 1", settings) as first, self._engine("twin 2", settings) as second:
            plan = replace(self._plan(), clients=(self._scale.most_clients // 2,))
            both = (
                compare_with_vllm(engine, "vqc", self._loads, plan, self._payloads, sides="raw")
                for engine in (first, second)
            )
            for number, report in enumerate(await asyncio.gather(*both), start=1):
                self.results.save("parts", f"twin {number}", asdict(report))
                for row in report.rows:
                    self.results.log(f"  twin {number}: {describe_row(asdict(row))}")

    async def _profile(self, engine: RunningServer) -> None:
        """Profiles of Stage-A, then of captions; ``OUT/profile.txt`` has the reports."""
        lines = list[str]()

        def on_report(report: str) -> None:
            lines.extend(report.splitlines())
            (self._out / "profile.txt").write_text("\n".join(lines) + "\n", "utf-8")
            self.results.save("parts", "profile", lines)
            self.results.log("\n".join(line for line in report.splitlines() if not line.startswith((" ", "--"))))

        await profile_service(
            engine,
            self._loads[::-1],
            self._payloads,
            self._scale.most_clients,
            self._scale.profile_s,
            self._out,
            on_report,
        )

    def _plan(self) -> PairPlan:
        return PairPlan(
            clients=self._scale.pair_clients,
            seconds=self._scale.window_s,
            rounds=1,
            timeout_s=_TIMEOUT_S,
            malformed_too=self._scale.malformed_too,
            budget_s=self.seconds_left() - 12,
        )

    async def _measure_transformers(self) -> None:
        output = await _run_module("tools.gpu_bench.predecessor", str(self._model), *self._scale.transformers_args)
        self.results.save("parts", "transformers", json.loads(output.splitlines()[-1]))
        self.results.log(f"  transformers: {output.splitlines()[-1]}")

    def _demo_settings(self, quantization: Quantization | None = None, drafts: int = DRAFTS) -> EngineSettings:
        return EngineSettings(
            model=_DEMO,
            max_model_len=_MAX_MODEL_LEN,
            quantization=quantization,
            drafts=drafts,
            extra_args=self._scale.demo_args,
        )

    async def _compare_drafts(self) -> None:
        photos = self._scale.same_photos
        for row in await compare_drafts(self._demo_settings(), (512, 384), photos, (1,), 1, lambda _: None):
            self.results.log(
                f"  same: {row.task}: {row.same} of {row.answers} answers; {row.tokens_a_step} tokens a step"
            )
            self.results.save("parts", f"same, {row.task}", asdict(row))

    async def _measure_quality(self) -> None:
        """The demo model's scores on held-out scenes, through our service."""
        count, workers = str(self._scale.quality_scenes), str(self._scale.quality_workers)
        drawn = ("--seed", "2", "--count", count, "--workers", workers)
        output = await _run_module("trainer.cli", "scenes", str(self._out / "scenes"), *drawn)
        data = Path(output.splitlines()[-1])
        engines = {
            "bf16": self._demo_settings(),
            "fp8": self._demo_settings("fp8"),
            "bf16 without drafts": self._demo_settings(drafts=0),
        }
        for name, settings in engines.items():
            await self._attempt(f"quality {name}", self._score(name, settings, data))

    async def _score(self, name: str, settings: EngineSettings, data: Path) -> None:
        async with (
            self._engine(f"demo {name}", settings) as engine,
            our_service(in_front_of(engine, settings.served_name), tickets=False) as service,
        ):
            url = f"http://{service.target.host}:{service.target.port}"
            output = await _run_module("trainer.cli", "evaluate", "--url", url, "--data", str(data), "--json")
        report = json.loads(output.splitlines()[-1])
        earlier = self.results.document["parts"].get("quality", {})
        self.results.save("parts", "quality", {**earlier, name: report})
        self.results.log(f"  quality {name}: {json.dumps(report, ensure_ascii=False)[:1500]}")


async def _run_module(module: str, *arguments: str) -> str:
    """The standard output of a module. Raises ``RuntimeError`` with the end of its standard error."""
    return await output_of(module, sys.executable, "-m", module, *arguments)


def _write_first_wave(folder: Path) -> Path:
    """Writes a configuration that samples one wave, and returns its path."""
    usual, path = yaml.safe_load(_CONFIG.read_text("utf-8")), folder / "first_wave.yaml"
    path.write_text(yaml.safe_dump(usual | {"sampler": DEFAULT_SAMPLER.model_dump(mode="json") | _FIRST_WAVE}), "utf-8")
    return path


def main() -> None:
    """The command. The exit code is 0 even if parts fail: the results name them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=570.0)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--dry-run", action="store_true")
    arguments = parser.parse_args()
    began = perf_counter()
    bench = GpuBench(
        arguments.model,
        Results(arguments.out / "results.json", arguments.state / "results.json", began),
        arguments.out,
        until=began + arguments.seconds,
        scale=DRY_RUN if arguments.dry_run else GPU,
        variants={name: variant.without_levers() for name, variant in VARIANTS.items()}
        if arguments.dry_run
        else VARIANTS,
    )
    run(bench.perform(arguments.parts))


if __name__ == "__main__":
    main()
