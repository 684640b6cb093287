"""Generates the student's answers on a vLLM server that follows the training: it loads the student's current adapter.

Every rank requests the answers of its own batches. The first rank updates the server's adapter while the others wait.
"""

from __future__ import annotations

import io
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from trainer.model.encode import Encoded
from trainer.model.pixels import PixelSource
from trainer.model.towers import Tower, tower_of
from trainer.training.answers import StudentGenerator
from trainer.training.errors import StudentServerLost
from trainer.training.generation import prompt_of, sampling_seed, with_answer
from trainer.training.logs import get_logger
from trainer.training.student_server import ServedAdapter, StudentAnswer, StudentRequest, StudentServer

LOG = get_logger("trainer.run")
PROBE_STD = 0.5
"""Standard deviation of the probe adapter: large enough to change every answer, if the server applies it."""


class ServedStudent(StudentGenerator):
    """Generates on ``server``, whose adapter is updated every ``every`` steps.

    Adapters are written under ``directory``, which the server reads. Answers have at most ``max_tokens`` tokens, and no
    sample gets longer than ``max_length``.
    """

    def __init__(
        self,
        server: StudentServer,
        pixels: PixelSource,
        *,
        directory: Path,
        every: int,
        max_tokens: int,
        max_length: int,
        temperature: float,
    ) -> None:
        self._server = server
        self._pixels = pixels
        self._directory = directory
        self._every = every
        self._max_tokens = max_tokens
        self._max_length = max_length
        self._temperature = temperature
        self._ranks = PartialState()
        (self._run,) = broadcast_object_list([uuid4().hex[:8]])  # several runs may share a server
        self._adapter: ServedAdapter | None = None
        self._window = -1
        self._towers_checked = False  # whether the server is known to apply the adapter in the vision towers
        if (longest := server.longest()) < max_length:
            raise StudentServerLost(
                server.url, f"accepts {longest} tokens, but global_max_length is {max_length}",
                f"{server.start} --max-model-len {max_length}",
            )  # fmt: skip

    def sample_answers(
        self, student: Any, batches: list[Sequence[Encoded]], step: int, seed: int
    ) -> list[list[Encoded]]:
        """The samples of a step's batches with answers sampled from the student on the server.

        Raises:
            StudentServerLost: on every rank, if for one of them the server is unavailable or answers as another model.
        """
        lost: StudentServerLost | None = None
        answers: list[StudentAnswer] = []
        try:
            adapter = self._refresh_adapter(student, batches, step)
            answers = self._server.answers(adapter, list(self._requests(batches, step, seed)))
        except StudentServerLost as error:
            lost = error
        # A rank must not raise alone: the others would wait for it in the next collective. All learn of it, all raise.
        if found := [what for what in gather_object([lost.what if lost else None]) if what is not None]:
            raise lost or StudentServerLost(self._server.url, found[0], self._server.start)
        following = iter(answers)
        return [[with_answer(sample, np.array(next(following).ids, np.int32)) for sample in batch] for batch in batches]

    def close(self) -> None:
        """Unloads the student's adapter from the server and deletes its files."""
        if self._ranks.is_main_process:
            if self._adapter is not None:
                with suppress(StudentServerLost):  # a server that is gone has no adapter to unload
                    self._server.unload(self._adapter)
            shutil.rmtree(self._directory, ignore_errors=True)
        self._server.close()

    def _refresh_adapter(self, student: Any, batches: list[Sequence[Encoded]], step: int) -> ServedAdapter:
        """The server's adapter, updated if it is of an earlier window of ``every`` steps."""
        before, window = self._adapter, step // self._every
        if before is not None and window == self._window:
            return before
        # A new name for every update: under the same name the server might answer from caches of the old adapter.
        name = f"student-{self._run}-{step}"
        adapter = ServedAdapter(name=name, directory=self._directory / name)
        try:
            if self._ranks.is_main_process:
                student.save_pretrained(adapter.directory, save_embedding_layers=False)
                self._server.load(adapter)
                if not self._towers_checked:
                    self._check_tower_adapters(
                        adapter, student, next((s for batch in batches for s in batch if s.grids), None)
                    )
        finally:  # after an error too, else the other ranks would wait for the first one forever
            self._ranks.wait_for_everyone()
        self._adapter, self._window = adapter, window
        if before is not None and self._ranks.is_main_process:
            self._server.unload(before)
            shutil.rmtree(before.directory)
        return adapter

    def _check_tower_adapters(self, adapter: ServedAdapter, student: Any, sample: Encoded | None) -> None:
        """Checks that the server applies an adapter in the vision towers, which vLLM does only with an option.

        It compares an answer with that under a probe adapter, whose part in the towers is large. Only a sample with photos
        can show the difference.

        Raises:
            StudentServerLost: both answers are the same.
        """
        if sample is None:
            return
        probe = ServedAdapter(name=f"{adapter.name}-probe", directory=self._directory / "probe")
        with _probe_towers(student) as changed:
            if changed:
                student.save_pretrained(probe.directory, save_embedding_layers=False)
        if changed:
            self._server.load(probe)
            request = self._request(sample, 0, max_tokens=1, temperature=0.0)
            own, other = (self._server.answers(each, [request])[0] for each in (adapter, probe))
            self._server.unload(probe)
            shutil.rmtree(probe.directory)
            if own.ids == other.ids and math.isclose(own.log_p[0], other.log_p[0], abs_tol=1e-4):
                what = "ignores what is trained in the vision encoder or aligner (--enable-tower-connector-lora is missing)"
                raise StudentServerLost(self._server.url, what, self._server.start)
        self._towers_checked = True

    def _requests(self, batches: list[Sequence[Encoded]], step: int, seed: int) -> Iterator[StudentRequest]:
        for place, batch in enumerate(batches):
            for number, sample in enumerate(batch):
                yield self._request(sample, sampling_seed(seed, step, place, self._ranks.process_index, number))

    def _request(
        self, sample: Encoded, seed: int, *, max_tokens: int | None = None, temperature: float | None = None
    ) -> StudentRequest:
        prompt_T = prompt_of(sample)
        room = max(1, min(self._max_tokens, self._max_length - len(prompt_T)))
        return StudentRequest(
            prompt_T=prompt_T,
            photos=tuple(self._photos(sample)),
            max_tokens=room if max_tokens is None else max_tokens,
            temperature=self._temperature if temperature is None else temperature,
            seed=seed,
        )

    def _photos(self, sample: Encoded) -> Iterator[bytes]:
        """The photos as PNG files, already resized as the model sees them, so that the server changes no pixel."""
        begin = 0
        for grid in sample.grids:
            end = begin + math.prod(grid)
            file = io.BytesIO()
            self._pixels.picture(sample.levels[begin:end], grid).save(file, "PNG", compress_level=1)
            begin = end
            yield file.getvalue()


@contextmanager
def _probe_towers(student: Any) -> Iterator[bool]:
    """Gives the student's adapter large random weights in the vision towers inside the block; yields whether it has any."""
    parts = [p for name, p in student.named_parameters() if "lora_B" in name and tower_of(name) is not Tower.LLM]
    kept = [part.detach().clone() for part in parts]
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for part in parts:
            part.copy_(torch.randn(part.shape, generator=chance) * PROBE_STD)
    try:
        yield bool(parts)
    finally:
        with torch.no_grad():
            for part, before in zip(parts, kept, strict=True):
                part.copy_(before)
