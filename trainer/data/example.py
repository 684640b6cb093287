"""One training sample: prompt, images and the answer to learn."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from trainer.augmentation.plan import Telemetry
from trainer.data.messages import single_turn
from trainer.data.records import Task
from vqc.caption import CaptionObject
from vqc.geometry import SizeWH
from vqc.prompts import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A sample without its pixels: enough to count its tokens.

    ``sizes_wh`` are the image sizes and ``objects`` a photo's objects (in reading order), both in px after augmentation.
    ``record`` is the record's position in its file and ``source`` its ``file:line``.
    """

    task: Task
    prompt: Prompt
    answer: str
    sizes_wh: tuple[SizeWH, ...]
    record: int
    source: str
    objects: tuple[CaptionObject, ...] = ()
    telemetry: Telemetry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example(Outline):
    """A sample: canonical RGB images after augmentation, with prompt and answer."""

    images: tuple[Image.Image, ...]

    def messages(self) -> list[dict[str, object]]:
        """The system, user and assistant messages; images are under the key ``image``."""
        return single_turn(self.prompt, self.images, self.answer)


def conversation_text(example: Outline) -> str:
    """A sample as readable text: the record, then the messages by role.

    Images are written as ``<image 1: 640 × 480 px>``.
    """
    images = "".join(f"<image {n}: {w} × {h} px>" for n, (w, h) in enumerate(example.sizes_wh, start=1))
    return "\n".join(
        [
            f"# {example.task} from {example.source}",
            f"[system]\n{example.prompt.system}",
            f"[user]\n{example.prompt.before}{images}{example.prompt.after}",
            f"[assistant]\n{example.answer}",
            "",
        ]
    )
