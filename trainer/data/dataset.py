"""The data set as a map from position to sample, reproducible by (seed, epoch, index).

The order of calls, the worker and earlier samples have no influence: every sample has its own random source
(``trainer.data.sampling``). This module imports no torch. Instances can be pickled, so they work in any worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from trainer.augmentation.pipeline import Pipeline
from trainer.augmentation.plan import AugmentationPlan
from trainer.config import TrainConfig
from trainer.data.example import Example, Outline
from trainer.data.images import canonical_pixels, header_size_wh, image_root
from trainer.data.jsonl import JsonlIndex
from trainer.data.parse import parse_record
from trainer.data.problems import DataError, RecordProblem, RecordRule
from trainer.data.records import ChatRecord, PhotoRecord, Record, Task, VerdictRecord
from trainer.data.sampling import photo_task, sample_mission, sample_random
from trainer.data.summary_update import item_names, line_of
from trainer.data.validate import images_of
from trainer.order import epoch_order
from vqc import codec, verdict
from vqc.caption import DenseCaption
from vqc.errors import InvalidValue
from vqc.image import PhotoLimits
from vqc.missions import Mission, active, mission_named, missions
from vqc.prompts import dense_prompt, stage_a_prompt, stage_b_prompt

Split = Literal["train", "val"]


class SampleDataset:
    """The samples of one JSONL file.

    ``dataset[i]`` is sample i of the current epoch (``set_epoch``); ``shuffle`` gives each epoch its own order.
    ``dataset.example(record, epoch)`` names a record instead.
    """

    def __init__(
        self,
        path: Path,
        *,
        seed: int = 42,
        root: Path | None = None,
        summary_share: float = 0.0,
        augmentation: Pipeline | None = None,
        shuffle: bool = True,
        limit: int | None = None,
        limits: PhotoLimits | None = None,
        mission_names: Sequence[str] = (),
    ) -> None:
        self._index = JsonlIndex(path, limit)
        self._root = root if root is not None else image_root(path)
        self._seed = seed
        self._summary_share = summary_share
        self._augmentation = augmentation
        self._shuffle = shuffle
        self._limits = limits or PhotoLimits()
        default = active().inspections[0]
        # A line without a mission is written in the first inspection's words, so only missions with these words may ask for it.
        every = [mission for mission in missions().values() if mission.words == default.words]
        self._missions: tuple[Mission, ...] = tuple(map(mission_named, mission_names)) or tuple(every)
        self._default_words = default.words
        self.set_epoch(0)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int) -> Example:
        return self.example(self.order[index], self.epoch)

    def set_epoch(self, epoch: int) -> None:
        """Switches to the samples of this epoch (the first is 0)."""
        self.epoch = epoch
        self.order = epoch_order(self._seed, epoch, len(self), "order") if self._shuffle else list(range(len(self)))

    def outline(self, index: int) -> Outline:
        """Sample ``index`` of the current epoch without its pixels: exact sizes, prompt and answer."""
        return self._plan_sample(self.order[index], self.epoch)[0]

    def sizes_wh(self, index: int) -> tuple[tuple[int, int], ...]:
        """Image sizes in px of sample ``index`` of the current epoch, after augmentation; no pixels are decoded."""
        return self.outline(index).sizes_wh

    def example(self, record: int, epoch: int) -> Example:
        """The sample of a record (by its position in the file) in an epoch.

        Raises:
            DataError: the record or one of its images cannot be used; ``validate`` finds these before training.
        """
        outline, value, plan = self._plan_sample(record, epoch)
        images = []
        for ref in images_of(value):
            try:
                pixels = canonical_pixels(ref, self._limits)
            except (OSError, InvalidValue) as error:
                raise _unreadable(outline.source, str(error)) from error
            images.append(plan.apply(pixels) if plan else pixels)
        found = tuple(image.size for image in images)
        if found != outline.sizes_wh:
            raise _unreadable(
                outline.source, f"image sizes {found!r} differ from {outline.sizes_wh!r} px of the record"
            )
        fields = {name: getattr(outline, name) for name in Outline.__dataclass_fields__}
        return Example(**fields, images=tuple(images))

    def _plan_sample(self, index: int, epoch: int) -> tuple[Outline, Record, AugmentationPlan | None]:
        source, line = self._index[index]
        record, problems = parse_record(line, source, self._root)
        if record is None:
            raise DataError(problems)
        match record:
            case PhotoRecord():
                outline, plan = self._photo(record, index, epoch, source)
                return outline, record, plan
            case VerdictRecord():
                return self._ticket(record, index, source), record, None
            case ChatRecord():
                return self._chat(record, index, source), record, None

    def _photo(
        self, photo: PhotoRecord, index: int, epoch: int, source: str
    ) -> tuple[Outline, AugmentationPlan | None]:
        size_wh = photo.size_wh or self._header_sizes(photo, source)[0]
        task = photo.task or self._task(photo, index, epoch)
        plan = None
        objects, summary = photo.objects, photo.summary
        if self._augmentation is not None:
            rng = sample_random(self._seed, epoch, index, "augmentation")
            words = photo.mission.words if photo.mission else self._default_words
            names = None if task is Task.DENSE else item_names(summary, objects, words)
            keeps = task is Task.STAGE_A and names is None
            plan = self._augmentation.plan(objects or (), size_wh, rng, keep_layout=keeps)
            size_wh = plan.size_wh
            objects = plan.objects if objects is not None else None
            if names is not None:
                summary = line_of(plan.objects, names, size_wh, words)
        if task is Task.DENSE:
            if objects is None:
                raise _unreadable(source, "a dense sample needs objects", RecordRule.OBJECTS)
            prompt, answer = dense_prompt(), codec.render(DenseCaption.from_pixels(objects, size_wh))
        else:
            if not summary:
                raise _unreadable(source, "the summary is empty", RecordRule.SUMMARY)
            mission = photo.mission or sample_mission(self._seed, epoch, index, self._missions)
            prompt, answer = stage_a_prompt(mission), summary
        outline = Outline(
            task=task,
            prompt=prompt,
            answer=answer,
            sizes_wh=(size_wh,),
            record=index,
            source=source,
            objects=objects or (),
            telemetry=plan.telemetry if plan else None,
        )
        return outline, plan

    def _task(self, photo: PhotoRecord, index: int, epoch: int) -> Task:
        if photo.objects is None:
            return Task.STAGE_A
        return photo_task(self._seed, epoch, index, self._summary_share)

    def _ticket(self, ticket: VerdictRecord, index: int, source: str) -> Outline:
        return Outline(
            task=Task.VERDICT,
            prompt=stage_b_prompt(ticket.mission, ticket.summaries, ticket.guidance),
            answer=verdict.render(ticket.answer, ticket.mission.words),
            sizes_wh=self._header_sizes(ticket, source),
            record=index,
            source=source,
        )

    def _chat(self, chat: ChatRecord, index: int, source: str) -> Outline:
        return Outline(
            task=Task.CHAT,
            prompt=chat.turn.prompt,
            answer=chat.turn.answer,
            sizes_wh=self._header_sizes(chat, source),
            record=index,
            source=source,
        )

    def _header_sizes(self, record: Record, source: str) -> tuple[tuple[int, int], ...]:
        try:
            return tuple(header_size_wh(ref, self._limits) for ref in images_of(record))
        except (OSError, InvalidValue) as error:
            raise _unreadable(source, str(error)) from error


def dataset_from_config(config: TrainConfig, split: Split, jsonl: Path | None = None) -> SampleDataset:
    """The training or evaluation data of a configuration. ``jsonl`` is a file of synthetic data that replaces its file.

    Training data is shuffled and augmented in each epoch; evaluation data is not.

    Raises:
        DataError: the file cannot be read.
        ValueError: the configuration names no file for this split.
    """
    custom, training = config.custom, split == "train"
    named = custom.train_jsonl if training else custom.val_jsonl
    if jsonl is None and named is None:
        raise ValueError(f"the configuration names no {split} data: custom.{split}_jsonl is not set")
    path = jsonl or Path(str(named)).expanduser()
    augmentation = custom.augmentation
    try:
        return SampleDataset(
            path,
            seed=config.training.seed,
            root=jsonl.parent if jsonl else image_root(path, custom.root_image_dir),
            summary_share=custom.summary_share,
            augmentation=Pipeline(augmentation.ops, custom.bypass_share) if training and augmentation.enabled else None,
            shuffle=training,
            limit=custom.train_limit if training else custom.val_limit,
            limits=PhotoLimits(max_bytes=custom.max_image_bytes),
            mission_names=config.prompts.missions,
        )
    except OSError as error:
        raise _unreadable(str(path), f"cannot be read: {error}", RecordRule.JSON) from error


def _unreadable(source: str, message: str, rule: RecordRule = RecordRule.IMAGE_UNREADABLE) -> DataError:
    return DataError([RecordProblem(source=source, rule=rule, message=message)])
