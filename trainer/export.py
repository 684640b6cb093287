"""Exports a checkpoint to the model directory that the service serves.

The directory holds merged bfloat16 weights, tokenizer, processors, chat template and generation config (byte for byte
the base's) and ``vqc_manifest.json``, which names the digests of the contract that the model was trained under.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from trainer.training.logs import without_loading_bars
from trainer.training.provenance import (
    Provenance,
    copy_processor,
    file_digest,
    git_revision,
    local_directory,
    require_qwen3_vl,
)
from vqc.contract import MANIFEST, contract_digests, current_form, differing_parts
from vqc.errors import InvalidValue, VqcError

ADAPTER = "adapter_config.json"


class ContractChanged(VqcError):
    """The checkpoint was trained under another contract (prompts, codec, …) than the running code's; see ``parts``."""

    def __init__(self, parts: list[str]) -> None:
        self.parts = parts
        super().__init__(
            f"the checkpoint was trained under another {', '.join(parts)}; export it with the code that trained it"
        )


def export(checkpoint: Path, out: Path, *, dtype: str = "bfloat16") -> Path:
    """Writes a complete model directory to ``out`` and returns it. A failed export leaves nothing behind.

    Raises:
        InvalidValue: ``checkpoint`` is not a checkpoint, or ``out`` exists and is not empty.
        ContractChanged: the checkpoint was trained under another contract.
    """
    _check(checkpoint, out)
    without_loading_bars()
    provenance = Provenance.read(checkpoint)
    if provenance is not None and (changed := differing_parts(provenance.contract)):
        raise ContractChanged(changed)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        base = _base_directory(checkpoint, provenance)
        _write_weights(checkpoint, base, partial, dtype)
        copy_processor(base, partial)
        copy_processor(checkpoint, partial)  # second: the checkpoint's own files replace the base's
        manifest = _manifest(checkpoint, base, partial, provenance)
        text = json.dumps(manifest, ensure_ascii=False, indent=2)
        (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")
        for path in partial.iterdir():
            path.chmod(0o644)
        partial.chmod(0o755)
        if out.exists():
            out.rmdir()
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return out


def _check(checkpoint: Path, out: Path) -> None:
    if not (checkpoint / ADAPTER).exists() and not (checkpoint / "config.json").exists():
        raise InvalidValue(
            "checkpoint", str(checkpoint), "name a checkpoint directory, such as output/x/checkpoint-100"
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidValue("out", str(out), "name a directory that does not exist")


def _base_directory(checkpoint: Path, provenance: Provenance | None) -> Path:
    """The directory of the base weights of a checkpoint's adapter; a full checkpoint is its own base."""
    adapter = checkpoint / ADAPTER
    if not adapter.exists():
        return checkpoint
    name = str(json.loads(adapter.read_text("utf-8"))["base_model_name_or_path"])
    for place in (name, provenance.base if provenance else name):
        if Path(place).is_dir():
            return Path(place)
    if Path(name).is_absolute():
        raise InvalidValue(
            "base_model_name_or_path", name, f"the adapter's base does not exist; correct its path in {str(adapter)!r}"
        )
    return local_directory(name)


def _write_weights(checkpoint: Path, base: Path, out: Path, dtype: str) -> None:
    """Merges the adapter in float32 and rounds the result once to ``dtype``."""
    import torch
    from transformers import Qwen3VLForConditionalGeneration

    model: Any = Qwen3VLForConditionalGeneration.from_pretrained(require_qwen3_vl(base), dtype=torch.float32)
    if (checkpoint / ADAPTER).exists():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(checkpoint)).merge_and_unload(safe_merge=True)
    model.to(getattr(torch, dtype)).save_pretrained(out)


def _manifest(checkpoint: Path, base: Path, out: Path, provenance: Provenance | None) -> dict[str, object]:
    weights = sorted(out.glob("*.safetensors"))
    template = out / "chat_template.jinja"
    adapter = checkpoint / "adapter_model.safetensors"
    return {
        "schema": 1,
        "contract": {
            **(current_form(provenance.contract) if provenance else contract_digests()),
            "chat_template": file_digest(template) if template.exists() else None,
        },
        "weights": {path.name: file_digest(path) for path in weights},
        "base": {
            "name": provenance.base if provenance else str(base),
            "weights": {path.name: file_digest(path) for path in sorted(base.glob("*.safetensors"))},
        },
        "adapter": file_digest(adapter) if adapter.exists() else None,
        "dataset": provenance.dataset_digest if provenance else None,
        "config": provenance.config_digest if provenance else None,
        "git_revision": provenance.git_revision if provenance else git_revision(),
        "checkpoint": checkpoint.name,
    }
