"""The smallest directory that the service takes for a model."""

from __future__ import annotations

import json

from tests.support.registry_models import TOKENIZER
from vqc.contract import MANIFEST

SMALL = {"architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl"}


def checkpoint(directory, weights: bytes, contract: dict[str, str] | None = None):
    """A directory that looks like a model; its weights are a valid safetensors file with one empty tensor."""
    directory.mkdir(parents=True)
    header = json.dumps(
        {
            "__metadata__": {"note": weights.decode()},
            "w": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]},
        }
    ).encode()
    files = {
        "config.json": json.dumps(SMALL).encode(),
        "tokenizer.json": TOKENIZER.encode(),
        "chat_template.jinja": b"{{ messages }}",
        "model.safetensors": len(header).to_bytes(8, "little") + header,
        "preprocessor_config.json": b"{}",
    }
    if contract is not None:
        files[MANIFEST] = json.dumps({"schema": 1, "contract": contract}).encode()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory
