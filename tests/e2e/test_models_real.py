"""Models on the real vLLM: one replaced under load and rolled back, and an adapter served unmerged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
import torch

from engine.adapter import read_adapter
from engine.client import VllmClient
from engine.managed import ManagedEngine
from engine.profile import EngineSettings
from engine.protocol import DecodingParams, GenerateRequest
from loadtest.load.photos import jpeg_photos
from loadtest.suites.swap import SwapPlan, _SwapLoad, measure
from tests.support import photos, tiny
from trainer.config import config_from
from trainer.model.collate import pad_samples
from trainer.model.encode import IGNORED, Encoded
from trainer.model.loss import at
from trainer.tiny_checkpoint import build_tiny_checkpoint
from trainer.training import distillation
from trainer.training.run import run
from trainer.training.served_student import ServedStudent
from trainer.training.student_server import ServedAdapter, StudentAnswer, StudentRequest, StudentServer
from vqc.image import EncodedPhoto

pytestmark = pytest.mark.engine


def test_a_swap_and_a_rollback_under_load_lose_no_request(tiny_checkpoint, tmp_path, monkeypatch):
    other = build_tiny_checkpoint(tmp_path / "other", seed=1)
    post = _SwapLoad._post

    async def unhurried(self, path: str, **body: Any) -> httpx.Response | str:
        await asyncio.sleep(0.3)  # beside an engine that is never idle the other one takes minutes to start
        return await post(self, path, **body)

    monkeypatch.setattr(_SwapLoad, "_post", unhurried)
    plan = SwapPlan(
        first=tiny_checkpoint, second=other, engine="managed", swap="blue_green", connections=4, rounds=1, steady_s=2,
        max_new_tokens=60,
    )  # fmt: skip
    report = asyncio.run(measure(plan, jpeg_photos(6, (512, 384))))
    assert report.problem is None
    assert [row.move for row in report.rows] == ["swap", "rollback"]
    for row in report.rows:
        assert (row.mode, row.errors, row.foreign) == ("blue_green", 0, 0)
        assert row.by_old > 0
        assert row.by_new > 0
        assert row.by_old + row.by_new == row.requests
        assert 0 < row.double_memory_s <= row.seconds


def tower_adapter(base: Path, out: Path) -> Path:
    """A LoRA adapter of the vision tower alone, with weights that show."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3VLForConditionalGeneration

    model = Qwen3VLForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(r=4, lora_alpha=16, target_modules=r"model\.visual\.blocks\.\d+\.attn\.(qkv|proj)")
    tuned = get_peft_model(model, config)
    torch.manual_seed(0)
    for name, parameter in tuned.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    tuned.save_pretrained(out)
    return out


def socket_of(engine: ManagedEngine) -> Path:
    words = Path(f"/proc/{engine.pid}/cmdline").read_bytes().decode().split("\0")
    return Path(words[words.index("--uds") + 1])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def development_engine(tiny_checkpoint, tmp_path_factory):
    """An engine with an adapter of the vision tower beside its base, started as a student's server is."""
    place = tmp_path_factory.mktemp("development")
    adapter = read_adapter(tower_adapter(tiny_checkpoint, place / "adapter"))
    settings = EngineSettings(
        model=tiny_checkpoint, adapter=adapter, served_name="dev", profile="cpu", max_model_len=2048,
        extra_args=("--enable-scale-out",),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "1")
        async with ManagedEngine(settings, log_path=place / "engine.log") as engine:
            yield engine


@pytest.mark.asyncio(loop_scope="session")
async def test_an_adapter_of_the_vision_tower_is_served_unmerged(development_engine):
    request = GenerateRequest(
        request_id="r",
        system="",
        user=(EncodedPhoto(data=photos.jpeg((320, 248)), media_type="image/jpeg", digest="0" * 64), "1"),
        decoding=DecodingParams(max_new_tokens=24),
    )
    base = VllmClient(socket_of(development_engine), "dev-base")
    adapted, plain = (await development_engine.generate(request)), (await base.generate(request))
    await base.aclose()
    assert adapted.completions[0].text != plain.completions[0].text


def log_p_of(student: Any, sample: Encoded) -> np.ndarray:
    """The student's log-probabilities of its answer's tokens, in the training process."""
    net = student.get_base_model()
    batch = pad_samples([sample], net.facts(0))
    with torch.no_grad():
        hidden_BTD = net._hidden_states(batch["input_ids"], net._features(batch, None), batch)
        log_p_SV = net.lm_head(at(batch["answer_places"], hidden_BTD)).log_softmax(-1)
    answer_S = torch.from_numpy(sample.labels_T[sample.labels_T != IGNORED]).long()
    return log_p_SV.gather(1, answer_S[:, None])[:, 0].numpy()


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning:torch.*")
@pytest.mark.asyncio(loop_scope="session")
async def test_a_student_in_the_engine_follows_its_training(development_engine, tiny_checkpoint, tmp_path, monkeypatch):
    """What the engine says of its answers is what the student in training says of them, step after step."""

    class RecordingServer(StudentServer):
        def answers(self, adapter: ServedAdapter, requests: Sequence[StudentRequest]) -> list[StudentAnswer]:
            self.last = super().answers(adapter, requests)
            return self.last

    gaps, drifts = [], []

    def sample_answers(self, student: Any, batches: Any, step: int, seed: int) -> Any:
        written = real(self, student, batches, step, seed)
        for sample, answer in zip(chain(*written), self._server.last, strict=True):
            gaps.append(np.abs(log_p_of(student, sample) - answer.log_p).mean())
            with student.disable_adapter():
                drifts.append(np.abs(log_p_of(student, sample) - answer.log_p).mean())
        return written

    real = ServedStudent.sample_answers
    monkeypatch.setattr(ServedStudent, "sample_answers", sample_answers)
    transport = httpx.HTTPTransport(uds=str(socket_of(development_engine)))
    monkeypatch.setattr(distillation, "StudentServer", partial(RecordingServer, transport=transport))
    records = tiny.data(tmp_path / "data", 8)
    tree = tiny.config(
        tiny_checkpoint, records, tmp_path / "run", tuner={"freeze_vit": False}, max_steps=6, learning_rate=1e-2
    ).model_dump(exclude_unset=True)
    tree["rlhf"] = {"rlhf_type": "gkd", "lmbda": 0.5, "max_completion_length": 8, "use_vllm": True}
    result = await asyncio.to_thread(run, config_from(tree))
    assert result.steps == 6
    assert len(gaps) >= 4
    assert max(gaps) < 0.02  # bfloat16 against float32
    assert min(drifts) > 0.05  # the base would have said something else
    assert not (tmp_path / "run/served_student").exists()
