"""Rewrites a Stage-A line after augmentation: a line that only counts the objects can follow objects that move or drop out.

An item of a line counts the objects whose description is the item's text, or starts with it and a ``/``: ``标签`` counts
``标签/5G`` and ``标签/无法识别``, unless the line has a separate item for the latter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from trainer.augmentation.labels import incomplete
from vqc import summary as stage_a
from vqc.answer_words import CHINESE, AnswerWords
from vqc.caption import CaptionObject, in_reading_order
from vqc.geometry import SizeWH


def item_names(
    line: str | None, objects: Sequence[CaptionObject] | None, words: AnswerWords = CHINESE
) -> Mapping[str, str] | None:
    """The item of the line that counts each description, including the descriptions of objects that get cut.

    None when the line is not a pure count of these objects (a remark, a person's own words): such a line cannot be
    rewritten, so the photo must keep its layout.
    """
    summary = stage_a.parse(line, words).summary if line else None
    if summary is None or objects is None or summary.note is not None:
        return None
    names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    texts = sorted(
        (text for text, _ in summary.items), key=len, reverse=True
    )  # the most specific item counts an object
    for item in objects:
        desc = _item_spelling(item.desc, words)
        text = next((text for text in texts if desc == text or desc.startswith(f"{text}/")), None)
        if text is None:
            return None
        counts[text] += 1
        names[desc] = text
        names[incomplete(desc)] = incomplete(text) if text == desc else text
    return names if counts == Counter(dict(summary.items)) else None


def line_of(
    objects: Sequence[CaptionObject], names: Mapping[str, str], size_wh: SizeWH, words: AnswerWords = CHINESE
) -> str:
    """The line of these objects (px in a photo of ``size_wh``): counted items, in reading order of each one's first object."""
    ordered = in_reading_order(item.to_norm1000(size_wh) for item in objects)
    counts = Counter(names[_item_spelling(item.desc, words)] for item in ordered)
    return stage_a.render(stage_a.Summary(items=tuple(counts.items())), words)


def _item_spelling(desc: str, words: AnswerWords) -> str:
    """A description as an item of a line spells it: without spaces, unless the inspection's lines have them."""
    return desc if words.items_have_spaces else desc.replace(" ", "")
