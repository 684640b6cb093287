"""The smallest Qwen3-VL and the smallest data set that the trainer's tests share."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from trainer.config import TrainConfig, config_from
from trainer.tiny_checkpoint import Architecture, build_tiny_checkpoint
from vqc.missions import active
from vqc.prompts import Prompt

SMALLEST = Architecture(
    text_layers=2, text_width=64, text_heads=4, text_kv_heads=2, head_dim=16, text_mlp=96,
    vision_layers=3, vision_width=64, vision_heads=4, vision_mlp=96, deepstack=(0, 1),
    min_pixels=64 * 64, max_pixels=160 * 160,
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    prompt: Prompt
    images: Sequence[Image.Image]
    answer: str


def checkpoint(directory: Path) -> Path:
    words = active().inspections[0].prompts.texts
    return build_tiny_checkpoint(directory, architecture=SMALLEST, corpus=[*words, '{"object_1": {"bbox_2d": []}}'] * 3)


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Rectangles on noise, the same for the same seed in every process.

    ``Image.effect_noise`` would take the noise from C's ``rand()``, so a test's data would depend on what ran before it.
    """
    rng = random.Random(seed)
    noise = np.random.default_rng(seed).normal(128, 60, (height, width))
    image = Image.fromarray(noise.clip(0, 255).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        x, y = rng.randrange(width), rng.randrange(height)
        draw.rectangle((x, y, x + width // 3, y + height // 3), fill=tuple(rng.randrange(256) for _ in range(3)))
    return image


def data(directory: Path, count: int, seed: int = 0) -> Path:
    (directory / "images").mkdir(parents=True)
    rng = random.Random(seed)
    lines = []
    for number in range(count):
        width, height = rng.choice([(96, 64), (64, 96), (128, 96)])
        photo(width, height, seed * 1000 + number).save(directory / f"images/{number}.png")
        objects = [
            {"bbox_2d": [x := rng.randrange(width - 20), y := rng.randrange(height - 20), x + 16, y + 16], "desc": desc}
            for desc in ["标签", "BBU设备/华为"][: rng.randint(1, 2)]
        ]
        summary = "，".join(f"{item['desc']}×1" for item in objects)
        lines.append(
            json.dumps(
                {
                    "images": [f"images/{number}.png"],
                    "width": width,
                    "height": height,
                    "objects": objects,
                    "summary": summary,
                }
            )
        )
    path = directory / "data.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def config(
    model: Path, jsonl: Path, out: Path, *, tuner: dict[str, Any] | None = None, longest: int = 1024, **training: Any
) -> TrainConfig:
    tuner = {"freeze_aligner": False, **(tuner or {})}
    if tuner.get("tuner_type", "lora") == "lora" and tuner.get("target_regex") != "^$":
        tuner = {"lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.0, **tuner}
    return config_from(
        {
            "model": {"model": str(model), "torch_dtype": "float32", "attn_impl": "sdpa"},
            "global_max_length": longest,
            "tuner": tuner,
            "training": {
                "output_dir": str(out),
                "max_steps": 4,
                "per_device_train_batch_size": 2,
                "learning_rate": 1e-2,
                "lr_scheduler_type": "constant",
                "logging_steps": 1,
                "save_strategy": "no",
                "dataloader_num_workers": 0,
                "report_to": ["none"],
                **training,
            },
            "custom": {"train_jsonl": str(jsonl), "val_jsonl": str(jsonl)},
        }
    )


def log(out: Path, key: str = "train/loss") -> list[float]:
    lines = [json.loads(line) for line in (out / "logging.jsonl").read_text("utf-8").splitlines()]
    return [line[key] for line in lines if key in line]
