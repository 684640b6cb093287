"""The measurements of ``run.sh``: engines one after the other, on each the parts that can share it.

    python -m tools.gpu_bench.bench OUT --seconds 570 pairs stage-b …

``OUT/results.json`` is written after every level; ``OUT/engines.log`` has the engines' own words. A part that fails is told,
and the others go on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import traceback
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter

import yaml

from engine.profile import DRAFTS, EngineSettings, Quantization, vllm_command
from loadtest.load.pair_rows import PairRow
from loadtest.load.payloads import supply_of
from loadtest.load.scenario import CaptionLoad, Load, Photos, StageALoad, StageBLoad
from loadtest.loop import run
from loadtest.suites.pair import PairPlan, PairReport, compare
from loadtest.suites.speculation import compare as compare_drafts
from loadtest.targets.service import Served, in_front_of, our_service, plain_command, raw_engine
from tools.gpu_bench.commands import output_of
from tools.gpu_bench.engines import PARTS, VARIANTS, Variant
from tools.gpu_bench.profiling import profile_service
from tools.gpu_bench.results import Results, conclusions, facts, row_words
from vqc.cores import usable_cores

_DEMO = Path("deploy/demo/model")
_CONFIG = Path("configs/stage_b_training_free.yaml")
_FIRST_WAVE = {"grid": [{"temperature": 0.6, "top_p": 0.95, "max_new_tokens": 128, "seed": 142}]}
"""All that a ticket costs whose first four votes agree."""


class Bench:
    """One call: what is asked, of which checkpoint, until when."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self._began = perf_counter()
        self._until = self._began + asked.seconds
        self._out: Path = asked.out
        self._dry: bool = asked.dry
        self._model: Path = asked.model
        self.results = Results(asked.out / "results.json", asked.state / "results.json", self._began)
        self._photos = Photos(width=256, height=192, drawn=8) if self._dry else Photos()
        self._most = 4 if self._dry else 240
        self._supply = supply_of(self._photos, os.urandom(4).hex())
        self._loads: tuple[Load, ...] = (
            CaptionLoad(max_new_tokens=64 if self._dry else 256),
            StageALoad(),
        )

    def left(self) -> float:
        """Seconds until the call must have ended."""
        return self._until - perf_counter()

    async def perform(self, parts: Sequence[str]) -> None:
        """All parts for which there is time, those of one engine together."""
        alone = {
            "twins": self._twins, "transformers": self._transformers, "quality": self._quality, "same": self._same,
        }  # fmt: skip
        rest = [*parts]
        while rest:
            engine = PARTS[rest[0]]
            shared = [part for part in rest if engine and PARTS[part] == engine] or rest[:1]
            rest = [part for part in rest if part not in shared]
            if self.left() < (20 if self._dry else 60):
                self.results.say(f"no time for {' '.join(shared)}")
                continue
            await self._trying(", ".join(shared), self._on(engine, shared) if engine else alone[shared[0]]())
        for name, value in conclusions(self.results, self._most).items():
            self.results.say(f"{name}: {value}")

    async def _trying(self, name: str, work: Coroutine[object, object, None]) -> bool:
        """Whether it worked out within the time; else what went wrong is told and kept."""
        try:
            async with asyncio.timeout(max(self.left() - 8, 1)):
                await work
            return True
        except Exception as error:
            told = "the time was up" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
            self.results.say(f"FAILED {name}: {told}")
            if not isinstance(error, TimeoutError):
                traceback.print_exc(file=sys.stdout)
            self.results.keep("failed", name, told[-6000:])
            return False

    def _settings(self, variant: Variant) -> EngineSettings:
        return EngineSettings(
            model=self._model,
            max_model_len=8192,
            extra_args=("--load-format", "dummy", *variant.answers, *variant.flags),
            quantization=variant.quantization,
            drafts=variant.drafts,
        )

    async def _on(self, name: str, parts: Sequence[str]) -> None:
        variant = VARIANTS[name]
        if self._dry:  # a CPU has none of the levers
            variant = replace(variant, flags=(), quantization=None)
        settings = self._settings(variant)
        async with self._engine(name, settings, as_it_comes=variant.as_it_comes) as engine:
            for part in parts:
                if self.left() < 20:
                    self.results.say(f"no time for {part}")
                else:
                    await self._trying(part, self._profile(engine) if part == "profile" else self._part(part, engine))

    @asynccontextmanager
    async def _engine(
        self, name: str, settings: EngineSettings, *, as_it_comes: bool = False
    ) -> AsyncGenerator[Served, None]:
        """A running engine; its flags, start time and what it said of itself are kept."""
        log, began = self._out / "engines.log", perf_counter()
        start = log.stat().st_size if log.exists() else 0
        socket = Path("/tmp/engine.sock")
        command = plain_command(settings, socket) if as_it_comes else vllm_command(settings, socket)
        kept: dict[str, object] = {"command": " ".join(command)}
        self.results.keep("engines", name, kept)
        self.results.say(f"engine {name} starts: {kept['command']}")
        try:
            async with raw_engine(
                settings, as_it_comes=as_it_comes, log_path=log, start_timeout_s=self.left()
            ) as engine:
                kept["started_s"] = round(perf_counter() - began, 1)
                self.results.say(f"engine {name} answers after {kept['started_s']} s")
                yield engine
        finally:
            said = log.read_text("utf-8", "replace")[start:] if log.exists() else ""
            kept["facts"] = facts(said)
            if "started_s" not in kept:
                kept["log ends"] = said.splitlines()[-150:]
            self.results.keep("engines", name, kept)

    async def _part(self, part: str, engine: Served) -> None:
        base = self._plan(self._loads, (self._most, 1) if self._dry else (self._most, 16, 1))
        tickets = self._plan((StageBLoad(lines="given"),), (2,) if self._dry else (128, 64, 16))
        plan = {
            "warm": replace(base, clients=(min(64, self._most),), sides="raw", seconds=1.0),
            "pairs": base,
            "drafts-pairs": replace(base, clients=(2, 1) if self._dry else (self._most, 64, 16, 1), rounds=3),
            "more-pairs": replace(base, clients=(2,) if self._dry else (64,)),
            **dict.fromkeys(("stage-b", "drafts-stage-b"), tickets),
            "tickets": replace(tickets, clients=tickets.clients[:1]),
            "free": replace(base, loads=self._loads[:1], clients=(min(64, self._most),), sides="free"),
            "stock": replace(base, loads=self._loads[::-1], clients=(self._most,), sides="free"),
            **dict.fromkeys(("raw", "fp8"), replace(base, clients=(self._most, 1), sides="raw")),
        }.get(part, replace(base, clients=(self._most,), sides="raw"))
        rows = dict[tuple[str, int], PairRow]()

        def finished(row: PairRow) -> None:
            rows[row.label, row.clients] = row
            self.results.say(f"  {part}: {row_words(asdict(row))}")
            self.results.keep("parts", part, asdict(PairReport(rows=(*rows.values(),), problems=())))

        if part == "tickets":
            os.environ["VQC_STAGE_B_CONFIG"] = str(_first_wave(self._out))
        try:
            report = await compare(engine, "vqc", plan, self._supply, lambda _: None, finished)
        finally:
            os.environ.pop("VQC_STAGE_B_CONFIG", None)
        self.results.keep("parts", part, asdict(report))
        for problem in report.problems[:3]:
            self.results.say(f"  {part}: PROBLEM {problem}")

    async def _twins(self) -> None:
        """Two engines on one device, each asked by half of the clients: while one's host thinks, the other's kernels run."""
        cores = max(1, usable_cores() // 6)
        settings = replace(self._settings(VARIANTS["ours"]), gpu_memory_utilization=0.45, api_server_count=cores)
        async with self._engine("twin 1", settings) as first, self._engine("twin 2", settings) as second:
            plan = replace(self._plan(self._loads, (self._most // 2,)), sides="raw")
            both = (compare(engine, "vqc", plan, self._supply) for engine in (first, second))
            for number, report in enumerate(await asyncio.gather(*both), start=1):
                self.results.keep("parts", f"twin {number}", asdict(report))
                for row in report.rows:
                    self.results.say(f"  twin {number}: {row_words(asdict(row))}")

    async def _profile(self, engine: Served) -> None:
        """Stage-A, then captions, as ``profiling`` looks at them; the reports are in ``OUT/profile.txt``."""
        lines = list[str]()

        def finished(report: str) -> None:
            lines.extend(report.splitlines())
            (self._out / "profile.txt").write_text("\n".join(lines) + "\n", "utf-8")
            self.results.keep("parts", "profile", lines)
            self.results.say("\n".join(line for line in report.splitlines() if not line.startswith((" ", "--"))))

        seconds, loads = 2 if self._dry else 6, self._loads[::-1]
        await profile_service(engine, loads, self._photos, self._supply, self._most, seconds, self._out, finished)

    def _plan(self, loads: tuple[Load, ...], clients: tuple[int, ...]) -> PairPlan:
        return PairPlan(
            loads=loads, clients=clients, seconds=2.0 if self._dry else 9.0, rounds=1, photos=self._photos, timeout_s=120.0,
            malformed_too=self._dry, budget_s=self.left() - 12,
        )  # fmt: skip

    async def _transformers(self) -> None:
        sizes = ["--batch", "2", "--seconds", "2", "--new-tokens", "8", "--size", "256", "192"] if self._dry else []
        said = await self._python("tools.gpu_bench.predecessor", str(self._model), *sizes)
        self.results.keep("parts", "transformers", json.loads(said.splitlines()[-1]))
        self.results.say(f"  transformers: {said.splitlines()[-1]}")

    def _demo(self, quantization: Quantization | None = None, drafts: int = DRAFTS) -> EngineSettings:
        """The demo model's engine, which starts fast: no part measures its speed."""
        fast = () if self._dry else ("--enforce-eager", "--api-server-count", "2")
        return EngineSettings(
            model=_DEMO, max_model_len=8192, quantization=quantization, drafts=drafts, extra_args=fast
        )

    async def _same(self) -> None:
        photos = 2 if self._dry else 48
        for row in await compare_drafts(self._demo(), (512, 384), photos, (1,), 1, lambda _: None):
            self.results.say(
                f"  same: {row.task}: {row.same} of {row.answers} answers; {row.tokens_a_step} tokens a step"
            )
            self.results.keep("parts", f"same, {row.task}", asdict(row))

    async def _quality(self) -> None:
        """The demo model's scores on held-out scenes through our service."""
        count, workers = ("4", "2") if self._dry else ("200", "12")
        drawn = ("--seed", "2", "--count", count, "--workers", workers)
        data = Path((await self._python("trainer.cli", "scenes", str(self._out / "scenes"), *drawn)).splitlines()[-1])
        engines = {"bf16": self._demo(), "fp8": self._demo("fp8"), "bf16 without drafts": self._demo(drafts=0)}
        for name, settings in engines.items():
            await self._trying(f"quality {name}", self._score(name, settings, data))

    async def _score(self, name: str, settings: EngineSettings, data: Path) -> None:
        async with (
            self._engine(f"demo {name}", settings) as engine,
            our_service(in_front_of(engine, settings.served_name), tickets=False) as service,
        ):
            url = f"http://{service.target.host}:{service.target.port}"
            said = await self._python("trainer.cli", "evaluate", "--url", url, "--data", str(data), "--json")
        report = json.loads(said.splitlines()[-1])
        kept = self.results.document["parts"].get("quality", {})
        self.results.keep("parts", "quality", {**kept, name: report})
        self.results.say(f"  quality {name}: {json.dumps(report, ensure_ascii=False)[:1500]}")

    async def _python(self, module: str, *arguments: str) -> str:
        """The standard output of a module. Raises ``RuntimeError`` with the end of what it said, where it fails."""
        return await output_of(module, sys.executable, "-m", module, *arguments)


def _first_wave(folder: Path) -> Path:
    """A configuration of the loop in ``folder`` that samples one wave."""
    usual, path = yaml.safe_load(_CONFIG.read_text("utf-8")), folder / "first_wave.yaml"
    path.write_text(yaml.safe_dump(usual | {"sampler": usual["sampler"] | _FIRST_WAVE}), "utf-8")
    return path


def main() -> None:
    """Exit code 0 however the parts went: the results say it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--seconds", type=float, default=570.0)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--dry", action="store_true")
    asked = parser.parse_args()
    bench = Bench(asked)
    run(bench.perform(asked.parts))


if __name__ == "__main__":
    main()
