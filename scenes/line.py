"""The Stage-A line of a drawn photo.

Like ``vqc.summary.summarise``, except that labels are counted as legible or not and their texts are omitted, which
keeps the line short and relevant to the inspection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from scenes.vocabulary import LABEL, UNREADABLE, label
from vqc.caption import CaptionObject, DenseCaption
from vqc.geometry import SizeWH
from vqc.summary import Summary


def stage_a_summary(objects: Sequence[CaptionObject], size_wh: SizeWH) -> Summary:
    """The summary of pixel-space objects: equal items merged and counted, in reading order of their first occurrence."""
    caption = DenseCaption.from_pixels(objects, size_wh)
    return Summary(items=tuple(Counter(stage_a_item(item.desc) for item in caption.objects).items()))


def stage_a_item(desc: str) -> str:
    """The summary item of a description.

    >>> stage_a_item("标签/至ODF"), stage_a_item("标签/无法识别"), stage_a_item("电线/捆扎整齐")
    ('标签', '标签/无法识别', '电线/捆扎整齐')
    """
    return LABEL if desc.startswith(f"{LABEL}/") and desc != label(UNREADABLE) else desc
