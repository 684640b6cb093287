"""Stage-A as the predecessor ran it: transformers' ``generate`` over batches of photos, on a checkpoint without weights.

    python -m tools.gpu_bench.predecessor MODEL --batch 8 --seconds 20

Prints JSON: photos a second over whole batches after a first one; reading and preparing the photos is included.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from PIL import Image
from transformers import AutoConfig, AutoProcessor, Qwen3VLForConditionalGeneration

from loadtest.load.photos import jpeg_photos
from loadtest.load.scenario import DEFAULT_MISSION
from vqc.missions import mission_named
from vqc.prompts import stage_a_prompt


def main() -> None:
    """Measures at least one batch, however long it takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--new-tokens", type=int, default=48)
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 768))
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, processor = _random_model(arguments.model, device), AutoProcessor.from_pretrained(arguments.model)
    processor.tokenizer.padding_side = "left"
    photos = jpeg_photos(arguments.batch, tuple(arguments.size))

    prompt_tokens, _ = _generate(model, processor, photos, arguments.new_tokens)
    began, batches, tokens = perf_counter(), 0, 0
    while not batches or perf_counter() - began < arguments.seconds:
        _, new = _generate(model, processor, photos, arguments.new_tokens)
        batches, tokens = batches + 1, tokens + new
    seconds = perf_counter() - began
    print(
        json.dumps(
            {
                "batch": arguments.batch,
                "batches": batches,
                "prompt_tokens": prompt_tokens,
                "new_tokens": arguments.new_tokens,
                "photos_per_s": round(batches * arguments.batch / seconds, 3),
                "tokens_per_s": round(tokens / seconds, 1),
                "attention": model.config._attn_implementation,
            }
        )
    )


def _random_model(directory: Path, device: str) -> Any:
    """The architecture in bfloat16 with the weights of its initialisation."""
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = Qwen3VLForConditionalGeneration(AutoConfig.from_pretrained(directory))
    torch.set_default_dtype(torch.float32)
    return model.eval()


def _generate(model: Any, processor: Any, photos: list[bytes], new_tokens: int) -> tuple[int, int]:
    """Generates one batch; the tokens of the padded prompt, and the number of new tokens."""
    prompt = stage_a_prompt(mission_named(DEFAULT_MISSION))
    images = [Image.open(io.BytesIO(photo)).convert("RGB") for photo in photos]
    content = [*([{"type": "text", "text": prompt.before}] if prompt.before else []), {"type": "image"}]
    messages = [
        {"role": "system", "content": [{"type": "text", "text": prompt.system}]},
        {"role": "user", "content": [*content, {"type": "text", "text": prompt.after}]},
    ]
    text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    inputs = processor(text=[text] * len(images), images=images, padding=True, return_tensors="pt").to(model.device)
    longest = inputs["input_ids"].shape[1]
    with torch.inference_mode():
        output = model.generate(
            **inputs, min_new_tokens=new_tokens, max_new_tokens=new_tokens, do_sample=False, use_cache=True
        )
    processor.batch_decode(output[:, longest:], skip_special_tokens=True)
    return longest, (output.shape[1] - longest) * len(images)


if __name__ == "__main__":
    main()
