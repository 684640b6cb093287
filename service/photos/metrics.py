"""Metrics of photos, captions and Stage-A lines."""

from __future__ import annotations

from typing import get_args

from typing_extensions import override

from service.photos.observe import PhotoObserver, TaskName
from service.platform.metrics import SECONDS, MetricFactory, exemplar
from vqc.errors import PhotoReason
from vqc.missions import missions
from vqc.parser import Status


class PhotoMetrics(PhotoObserver):
    """Counts photos, answers and what they contain."""

    def __init__(self, factory: MetricFactory) -> None:
        tasks = get_args(TaskName)
        self._photo_seconds = factory.histogram(
            "vqc_photo_read_seconds",
            "Time to check a photo and, if needed, to convert it.",
            buckets=(0.0005, 0.001, 0.0025, *SECONDS[:8]),
            passed_through=("true", "false"),
        )
        self._rejected = factory.counter("vqc_photos_rejected", "Photos rejected, by reason.", reason=[*PhotoReason])
        self._answers = factory.counter(
            "vqc_answers", "Answers of the engine, by how they were parsed.", task=tasks, status=[*Status]
        )
        self._engine_seconds = factory.histogram(
            "vqc_engine_seconds", "Time the engine took for one photo.", task=tasks
        )
        self._first_token = factory.histogram(
            "vqc_first_token_seconds", "Time from the engine call to the first piece of a streamed caption."
        )
        self._first_object = factory.histogram(
            "vqc_first_object_seconds",
            "Time from the engine call to the first complete object of a streamed caption.",
        )
        self._tokens = factory.counter(
            "vqc_tokens", "Tokens read (prompt) and written (completion).", task=tasks, kind=("prompt", "completion")
        )
        self._objects = factory.histogram(
            "vqc_caption_objects", "Objects in a caption.", buckets=(0, 1, 2, 5, 10, 20, 40, 80)
        )
        self._truncated = factory.counter("vqc_captions_truncated", "Captions that were cut before their end.")
        self._items = factory.counter(
            "vqc_summary_items",
            "Items of Stage-A lines, by whether the mission has words for them.",
            mission=[*missions()],
            known=("true", "false"),
        )

    @override
    def record_photo(self, seconds: float, *, passed_through: bool) -> None:
        self._photo_seconds.labels(str(passed_through).lower()).observe(seconds, exemplar())

    @override
    def record_rejected_photo(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    @override
    def record_answer(
        self, task: TaskName, seconds: float, *, status: Status, prompt_tokens: int, completion_tokens: int
    ) -> None:
        self._answers.labels(task, status.value).inc()
        self._engine_seconds.labels(task).observe(seconds, exemplar())
        self._tokens.labels(task, "prompt").inc(prompt_tokens)
        self._tokens.labels(task, "completion").inc(completion_tokens)

    @override
    def record_caption(self, objects: int, *, truncated: bool) -> None:
        self._objects.observe(objects)
        self._truncated.inc(truncated)

    @override
    def record_line(self, mission: str, known: int, unknown: int) -> None:
        self._items.labels(mission, "true").inc(known)
        self._items.labels(mission, "false").inc(unknown)

    @override
    def record_first_token(self, seconds: float) -> None:
        self._first_token.observe(seconds, exemplar())

    @override
    def record_first_object(self, seconds: float) -> None:
        self._first_object.observe(seconds, exemplar())
