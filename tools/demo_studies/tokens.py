"""Tokens per caption of each spelling: ``python -m tools.demo_studies.tokens DATA.jsonl [--qwen VOCABULARY]``.

DATA holds photo records (``vqc-train scenes``). VOCABULARY is Qwen's ``qwen.tiktoken`` (151,643 pieces, which Qwen2 to
Qwen3-VL keep), as the package dashscope carries it; there every digit is a token, in the demo model a number is one.
"""

from __future__ import annotations

import argparse
import base64
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tools.demo_studies.runs import MODEL
from tools.demo_studies.spellings import SPELLINGS, Spelling
from trainer.evaluation.evaluate import labelled
from trainer.model.encode import Encoder
from vqc.caption import DenseCaption

if TYPE_CHECKING:
    import tiktoken

Count = Callable[[str], int]

QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""What Qwen's tokenizer cuts a text into before it merges bytes."""


def main(arguments: list[str]) -> None:
    """Prints the table."""
    command = argparse.ArgumentParser(prog="python -m tools.demo_studies.tokens", description=__doc__)
    command.add_argument("data", type=Path)
    command.add_argument("--qwen", type=Path, metavar="VOCABULARY")
    asked = command.parse_args(arguments)
    captions = [photo.caption for photo in labelled(asked.data)[0] if photo.caption is not None]
    counts = {"demo model": demo_count(), **({"Qwen": qwen_count(asked.qwen)} if asked.qwen else {})}
    print(f"{len(captions)} captions, {statistics.mean(len(c.objects) for c in captions):.2f} objects each\n")
    print("| spelling | " + " | ".join(f"{name}: all | without descriptions | of JSON's" for name in counts) + " |")
    print("|---" * (3 * len(counts) + 1) + "|")
    today = {name: mean_tokens(SPELLINGS["JSON"], captions, count)[0] for name, count in counts.items()}
    for spelling, how in SPELLINGS.items():
        cells = []
        for name, count in counts.items():
            whole, frame = mean_tokens(how, captions, count)
            cells += [f"{whole:.1f}", f"{frame:.1f}", f"{whole / today[name]:.2f}"]
        print(f"| {spelling} | {' | '.join(cells)} |")


def mean_tokens(spelling: Spelling, captions: list[DenseCaption], count: Count) -> tuple[float, float]:
    """Mean tokens of a caption, the end token left out: all, and without those of the descriptions by themselves."""
    whole = statistics.mean(count(spelling.written(caption)) for caption in captions)
    words = statistics.mean(sum(count(item.desc) for item in caption.objects) for caption in captions)
    return whole, whole - words


def demo_count() -> Count:
    """Counts the demo model's tokens."""
    encoder = Encoder.load(MODEL)
    return lambda text: len(encoder.answer_ids(text)) - 1


def qwen_count(vocabulary: Path) -> Count:
    """Counts Qwen's tokens."""
    encoding = qwen_encoding(vocabulary)
    return lambda text: len(encoding.encode_ordinary(text))


def qwen_encoding(vocabulary: Path) -> tiktoken.Encoding:
    """Qwen's pieces and word pattern; without its special tokens, whose numbers follow the pieces'."""
    import tiktoken

    pairs = (line.split() for line in vocabulary.read_bytes().splitlines())
    ranks = {base64.b64decode(piece): int(rank) for piece, rank in pairs}
    return tiktoken.Encoding("qwen", pat_str=QWEN_WORDS, mergeable_ranks=ranks, special_tokens={})


if __name__ == "__main__":
    main(sys.argv[1:])
