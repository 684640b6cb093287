"""The teacher's likeliest tokens on disk, one file per sample, named by a digest of the sample.

A sample is identified by its tokens and pixels, not by its position. So an entry is valid in every batch, epoch and run.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from trainer.model.targets import LikeliestTargets
from trainer.objectives.divergence import JensenShannon
from trainer.training.provenance import file_digest

SampleKey = tuple[str, int]
"""A sample's digest (hex) and its number of supervised positions."""


class TeacherCache:
    """A cache in ``directory`` / ``fingerprint`` that stores ``top_k`` tokens per position."""

    def __init__(self, directory: Path, fingerprint: str, *, top_k: int) -> None:
        self._directory = directory / fingerprint
        self.top_k = top_k

    def read(self, keys: list[SampleKey], jsd: JensenShannon, device: torch.device) -> LikeliestTargets | None:
        """The teacher's targets for these samples, in order; None unless all of them are stored."""
        paths = [self._path(key) for key in keys]
        if not all(path.exists() for path in paths):
            return None
        found = [load_file(path, device="cpu") for path in paths]
        return LikeliestTargets(
            ids_SK=torch.cat([part["ids"] for part in found]).to(device).long(),
            log_p_SK1=torch.cat([part["log_p"] for part in found]).to(device),
            jsd=jsd,
        )

    def write(self, keys: list[SampleKey], targets: LikeliestTargets) -> None:
        """Stores the teacher's targets for these samples; ``targets`` holds those of all samples end to end."""
        sizes = [positions for _, positions in keys]
        ids, log_p = targets.ids_SK.int().cpu(), targets.log_p_SK1.float().cpu()
        for key, ids_SK, log_p_SK1 in zip(keys, ids.split(sizes), log_p.split(sizes), strict=True):
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")  # ranks and other runs may write the same sample
            save_file({"ids": ids_SK.contiguous(), "log_p": log_p_SK1.contiguous()}, part)
            part.replace(path)

    def _path(self, key: SampleKey) -> Path:
        digest, _ = key
        return self._directory / digest[:2] / f"{digest}.safetensors"


def fingerprint(teacher: Path, **conditions: object) -> str:
    """A digest of everything else that an entry depends on: the teacher's config and weights, and the conditions."""
    files = {path.name: file_digest(path) for path in sorted(teacher.glob("*.safetensors"))}
    files["config.json"] = file_digest(teacher / "config.json")
    return sha256(json.dumps([files, conditions], sort_keys=True).encode()).hexdigest()[:32]
