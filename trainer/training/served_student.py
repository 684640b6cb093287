"""The student's own answers by a vLLM server that follows its training: the adapter of the moment is saved and loaded there.

Every rank asks for its own batches; the first one keeps the server's adapter up to date while the others wait.
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
from trainer.training.errors import StudentServerLost
from trainer.training.generation import prompt_of, sampling_seed, with_answer
from trainer.training.logs import get_logger
from trainer.training.student_server import ServedAdapter, StudentAnswer, StudentRequest, StudentServer

LOG = get_logger("trainer.run")
PROBE_STD = 0.5
"""Standard deviation of an adapter that nobody can overlook."""


class ServedStudent:
    """Answers of the student that ``server`` holds, refreshed after ``every`` steps.

    Adapters lie under ``directory``, which the server reads. Answers have at most ``most_tokens`` tokens, and no sample
    gets longer than ``max_length``.
    """

    def __init__(
        self,
        server: StudentServer,
        pixels: PixelSource,
        *,
        directory: Path,
        every: int,
        most_tokens: int,
        max_length: int,
        temperature: float,
    ) -> None:
        self._server = server
        self._pixels = pixels
        self._directory = directory
        self._every = every
        self._most_tokens = most_tokens
        self._max_length = max_length
        self._temperature = temperature
        self._ranks = PartialState()
        (self._run,) = broadcast_object_list([uuid4().hex[:8]])  # several runs may share a server
        self._adapter: ServedAdapter | None = None
        self._window = -1
        self._towers_checked = False  # whether the server was seen to apply the adapter in the vision towers
        if (longest := server.longest()) < max_length:
            raise StudentServerLost(
                server.url, f"takes {longest} tokens, but global_max_length is {max_length}",
                f"{server.start} --max-model-len {max_length}",
            )  # fmt: skip

    def sample_answers(
        self, student: Any, batches: list[Sequence[Encoded]], step: int, seed: int
    ) -> list[list[Encoded]]:
        """The samples of a step's batches with answers drawn by the student in the server.

        Raises:
            StudentServerLost: on every rank, where one of them found the server away or not answering as the student.
        """
        lost: StudentServerLost | None = None
        said: list[StudentAnswer] = []
        try:
            adapter = self._refresh_adapter(student, batches, step)
            said = self._server.answers(adapter, list(self._questions(batches, step, seed)))
        except StudentServerLost as error:
            lost = error
        if found := [what for what in gather_object([lost.what if lost else None]) if what is not None]:
            raise lost or StudentServerLost(self._server.url, found[0], self._server.start)
        told = iter(said)
        return [[with_answer(sample, np.array(next(told).ids, np.int32)) for sample in batch] for batch in batches]

    def close(self) -> None:
        """Has the server forget the student; one that is away already has."""
        if self._ranks.is_main_process:
            if self._adapter is not None:
                with suppress(StudentServerLost):
                    self._server.unload(self._adapter)
            shutil.rmtree(self._directory, ignore_errors=True)
        self._server.close()

    def _refresh_adapter(self, student: Any, batches: list[Sequence[Encoded]], step: int) -> ServedAdapter:
        """The adapter that the server has: that of the moment where its own is of an earlier window of steps."""
        before, window = self._adapter, step // self._every
        if before is not None and window == self._window:
            return before
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
        finally:  # whatever happens, nobody waits for the first rank for ever
            self._ranks.wait_for_everyone()
        self._adapter, self._window = adapter, window
        if before is not None and self._ranks.is_main_process:
            self._server.unload(before)
            shutil.rmtree(before.directory)
        return adapter

    def _check_tower_adapters(self, adapter: ServedAdapter, student: Any, sample: Encoded | None) -> None:
        """Nothing, or that the server leaves the vision towers' part of an adapter out, as vLLM does unless told otherwise.

        Heard by giving it one that is loud there; only a sample with photos will do.
        """
        if sample is None:
            return
        loud = ServedAdapter(name=f"{adapter.name}-loud", directory=self._directory / "loud")
        with _probe_towers(student) as changed:
            if changed:
                student.save_pretrained(loud.directory, save_embedding_layers=False)
        if changed:
            self._server.load(loud)
            question = self._question(sample, 0, most_tokens=1, temperature=0.0)
            said = [self._server.answers(each, [question])[0] for each in (adapter, loud)]
            self._server.unload(loud)
            shutil.rmtree(loud.directory)
            if said[0].ids == said[1].ids and math.isclose(said[0].log_p[0], said[1].log_p[0], abs_tol=1e-4):
                what = "ignores what is trained in the vision encoder or aligner (--enable-tower-connector-lora is missing)"
                raise StudentServerLost(self._server.url, what, self._server.start)
        self._towers_checked = True

    def _questions(self, batches: list[Sequence[Encoded]], step: int, seed: int) -> Iterator[StudentRequest]:
        for place, batch in enumerate(batches):
            for number, sample in enumerate(batch):
                yield self._question(sample, sampling_seed(seed, step, place, self._ranks.process_index, number))

    def _question(
        self, sample: Encoded, seed: int, *, most_tokens: int | None = None, temperature: float | None = None
    ) -> StudentRequest:
        prompt_T = prompt_of(sample)
        room = max(1, min(self._most_tokens, self._max_length - len(prompt_T)))
        return StudentRequest(
            prompt_T=prompt_T,
            photos=tuple(self._photos(sample)),
            most_tokens=room if most_tokens is None else most_tokens,
            temperature=self._temperature if temperature is None else temperature,
            seed=seed,
        )

    def _photos(self, sample: Encoded) -> Iterator[bytes]:
        """The photos as the trainer's model sees them: of the size that the server would give them, so it changes no pixel."""
        begin = 0
        for grid in sample.grids:
            end = begin + math.prod(grid)
            file = io.BytesIO()
            self._pixels.picture(sample.levels[begin:end], grid).save(file, "PNG", compress_level=1)
            begin = end
            yield file.getvalue()


@contextmanager
def _probe_towers(student: Any) -> Iterator[bool]:
    """The student with an adapter in its vision towers that shows, for as long as it is open; whether it has one there."""
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
