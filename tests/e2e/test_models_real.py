"""Models on the real vLLM: one replaced under load and rolled back, and an adapter served unmerged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.adapter import read_adapter
from engine.client import VllmClient
from engine.managed import ManagedEngine
from engine.profile import EngineSettings
from engine.protocol import GenerateRequest, Image, Sampling
from tests import photos
from trainer.tiny_checkpoint import build_tiny_checkpoint

pytestmark = pytest.mark.engine


def test_a_swap_and_a_rollback_under_load_lose_no_request(tiny_checkpoint, tmp_path):
    other = build_tiny_checkpoint(tmp_path / "other", seed=1)
    bench = [sys.executable, "-m", "loadtest", "swap", str(tiny_checkpoint), str(other), "--swap", "blue_green"]
    result = subprocess.run(
        [*bench, "--rounds", "1", "--steady", "4", "--max-new-tokens", "60", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert [row["move"] for row in rows] == ["swap", "rollback"]
    for row in rows:
        assert (row["mode"], row["errors"], row["foreign"]) == ("blue_green", 0, 0)
        assert row["by_old"] > 0
        assert row["by_new"] > 0
        assert row["by_old"] + row["by_new"] == row["requests"]
        assert 0 < row["double_memory_s"] <= row["seconds"]


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


@pytest.mark.asyncio(loop_scope="session")
async def test_an_adapter_of_the_vision_tower_is_served_unmerged(tiny_checkpoint, tmp_path):
    adapter = read_adapter(tower_adapter(tiny_checkpoint, tmp_path / "adapter"))
    settings = EngineSettings(
        model=tiny_checkpoint, adapter=adapter, served_name="dev", profile="cpu", max_model_len=2048
    )
    request = GenerateRequest(
        request_id="r",
        system="",
        user=(Image(data=photos.jpeg((320, 248)), media_type="image/jpeg", digest="0" * 64), "1"),
        sampling=Sampling(max_tokens=24),
    )
    async with ManagedEngine(settings, log_path=tmp_path / "engine.log") as engine:
        base = VllmClient(socket_of(engine), "dev-base")
        adapted, plain = (await engine.generate(request)), (await base.generate(request))
        await base.aclose()
    assert adapted.completions[0].text != plain.completions[0].text
