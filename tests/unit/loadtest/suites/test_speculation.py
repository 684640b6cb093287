"""Pairs with and without drafts, and the comparison of their answers."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner

from engine.profile import EngineSettings
from engine.protocol import Completion, GenerateRequest, Generation
from loadtest.cli import bench
from loadtest.http.requests import Target
from loadtest.suites import speculation as drafts
from loadtest.targets.service import RunningServer
from vqc.grammar import CAPTION_GRAMMAR


class Guessing:
    """An engine that says ten tokens an answer, and guesses four of five drafts where it drafts."""

    started: ClassVar[list[int | None]] = []

    def __init__(self, uds: Path, served_name: str) -> None:
        self._drafts = bool(self.started[-1])
        self._answers = 0

    async def generate(self, request: GenerateRequest) -> Generation:
        self._answers += 1
        caption = request.grammar == CAPTION_GRAMMAR
        text = f"{self._drafts}" if caption else request.user[0].digest  # type: ignore[union-attr]
        completion = Completion(index=0, text=text, finish_reason="stop")
        return Generation(model="m", completions=(completion,), prompt_tokens=1, completion_tokens=10)

    async def metrics(self) -> str:
        counted = {"generation_tokens": 10, "spec_decode_num_draft_tokens": 5, "spec_decode_num_accepted_tokens": 4}
        used = counted if self._drafts else {"generation_tokens": 10}
        return "".join(f'vllm:{name}_total{{engine="0"}} {value * self._answers}\n' for name, value in used.items())

    async def aclose(self) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Guessing]:
    @asynccontextmanager
    async def raw(settings: EngineSettings) -> AsyncGenerator[RunningServer, None]:
        Guessing.started.append(settings.drafts)
        yield RunningServer(target=Target(host="localhost", port=80, uds="/tmp/engine.sock"))

    Guessing.started = []
    monkeypatch.setattr(drafts, "raw_engine", raw)
    monkeypatch.setattr(drafts, "VllmClient", Guessing)
    return Guessing


def test_turns_alternate_and_answers_that_drafts_changed_are_counted(engine: type[Guessing], tmp_path: Path) -> None:
    arguments = ["drafts", "--model", str(tmp_path), "--clients", "2", "--photos", "2", "--rounds", "2", "--json"]
    done = CliRunner().invoke(bench, arguments)
    assert done.exit_code == 0, done.output
    captions, lines = json.loads(done.stdout)
    assert engine.started == [8, 0, 0, 8]
    assert (captions["task"], captions["clients"], captions["answers"], captions["same"]) == ("caption", 2, 8, 0)
    assert (lines["task"], lines["answers"], lines["same"]) == ("stage-a", 8, 8)
    assert (lines["tokens_a_step"], lines["accepted"]) == (1.67, 0.8)
