"""Captions in compact spellings against JSON: quality and tokens after the same training on the same scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tools.demo_studies.runs import BEFORE, MODEL, MOST_TOKENS, Run, trained
from tools.demo_studies.spellings import SPELLINGS, Spelling
from trainer.config import load_config
from trainer.evaluation.answers import Photo
from trainer.evaluation.evaluate import labelled, scored
from trainer.evaluation.local import LocalModel
from trainer.model.encode import Encoder
from vqc import parser
from vqc.parser import CaptionOutcome

CONFIG = Path("configs/demo_codec.yaml")
ARMS = SPELLINGS


class SpellingModel(LocalModel):
    """A model that captions in a spelling. ``answers`` are its texts so far."""

    def __init__(self, directory: Path, spelling: Spelling, *, batch_size: int) -> None:
        super().__init__(directory, batch_size=batch_size, max_new_tokens=MOST_TOKENS)
        self._spelling = spelling
        self.answers: list[str] = []

    def captions(self, photos: Sequence[Photo]) -> Iterator[CaptionOutcome]:
        """Greedy captions, expanded and then read as any other."""
        asked = [(self._spelling.prompt, (photo.path,)) for photo in photos]
        for text in self._texts(asked, MOST_TOKENS):
            self.answers.append(text)
            yield parser.parse(self._spelling.expanded(text))


def scores(one: Run) -> dict[str, float]:
    """The run's scores on held-out scenes in colour; tokens are the demo model's, ``<|im_end|>`` included."""
    spelling = SPELLINGS["JSON" if one.arm == BEFORE else one.arm]
    directory = MODEL
    if one.arm != BEFORE:
        directory = trained(load_config(CONFIG), one, one.data.spelled(one.arm))
    photos = [replace(photo, summary=None) for photo in labelled(one.data.photos("colour", "val"))[0]]
    model = SpellingModel(directory, spelling, batch_size=one.sizes.held_out)
    report = scored(model, photos)
    encoder = Encoder.load(directory)
    labels = [spelling.written(photo.caption) for photo in photos if photo.caption is not None]
    return {
        "boxes": report.box.f1_50 or 0.0,
        "lines": report.line.f1_50 or 0.0,
        "boxes, all IoU": report.box.f1 or 0.0,
        "lines, all IoU": report.line.f1 or 0.0,
        "attributes": report.attributes.recall or 0.0,
        "malformed": report.malformed or 0.0,
        "repaired": report.repaired or 0.0,
        "tokens a caption": sum(len(encoder.answer_ids(text)) for text in model.answers) / len(photos),
        "tokens of the label": sum(len(encoder.answer_ids(text)) for text in labels) / len(photos),
    }
