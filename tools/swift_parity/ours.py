"""This trainer's side: its encoder, its collation, its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tools.swift_parity.compare import ModelInput
from tools.swift_parity.samples import Case
from trainer.model import network
from trainer.model.collate import pack_samples
from trainer.model.encode import Encoder


class Ours:
    """A checkpoint in float32 on the CPU, read by this trainer."""

    def __init__(self, checkpoint: Path) -> None:
        self.encoder = Encoder.load(checkpoint)
        self._net = network.load(
            checkpoint, dtype=torch.float32, attn_impl="sdpa", pixel_table=self.encoder.pixels.table_CV
        ).eval()
        self._facts = self._net.facts(self.encoder.pad_token)

    def model_input(self, case: Case) -> ModelInput:
        """The sample as the model receives it."""
        encoded = self.encoder.encode(case.example)
        pixels = self._net.pixel_values(torch.from_numpy(encoded.levels)).numpy() if encoded.grids else _NOTHING
        return ModelInput(ids=encoded.input_ids_T.tolist(), labels=encoded.labels_T.tolist(), pixels_NX=pixels)

    @torch.no_grad()
    def loss(self, cases: Sequence[Case]) -> float:
        """Mean loss per trained token of the samples packed into one row, before any step."""
        batch = pack_samples([self.encoder.encode(case.example) for case in cases], self._facts)
        return float(self._net(**batch).loss)


_NOTHING = np.empty((0, 0), np.float32)
