"""The teacher's likeliest tokens on disk, one file for each sample, named by the sample's own content.

A sample is known by its tokens and pixels, not by its place: whatever batch, epoch or run it comes back in, what is read
was said of exactly these.
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
"""A sample's digest (hex) and how many of its positions are supervised."""


class TeacherCache:
    """Files under ``directory`` / ``fingerprint``."""

    def __init__(self, directory: Path, fingerprint: str, *, top_k: int) -> None:
        self._directory = directory / fingerprint
        self.top_k = top_k

    def read(self, keys: list[SampleKey], jsd: JensenShannon, device: torch.device) -> LikeliestTargets | None:
        """What the teacher said of these samples, in order; None unless it is known of all of them."""
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
        """Keeps what the teacher said of these samples; ``targets`` are theirs end to end."""
        sizes = [positions for _, positions in keys]
        ids, log_p = targets.ids_SK.int().cpu(), targets.log_p_SK1.float().cpu()
        for key, ids_SK, log_p_SK1 in zip(keys, ids.split(sizes), log_p.split(sizes), strict=True):
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            save_file({"ids": ids_SK.contiguous(), "log_p": log_p_SK1.contiguous()}, part)
            part.replace(path)

    def _path(self, key: SampleKey) -> Path:
        digest, _ = key
        return self._directory / digest[:2] / f"{digest}.safetensors"


def fingerprint(teacher: Path, **conditions: object) -> str:
    """What a kept answer depends on beside its sample: the teacher's config and weights, byte by byte, and conditions."""
    files = {path.name: file_digest(path) for path in sorted(teacher.glob("*.safetensors"))}
    files["config.json"] = file_digest(teacher / "config.json")
    return sha256(json.dumps([files, conditions], sort_keys=True).encode()).hexdigest()[:32]
