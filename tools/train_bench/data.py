"""Writes records for both trainers: photos of 1024 × 768 and answers of about 300 tokens.

    python -m tools.train_bench.data CHECKPOINT OUT [--records 192] [--size 1024x768]

Writes OUT/ours.jsonl (objects) and OUT/swift.jsonl (messages): the same photos, prompts and answers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scenes.write import write_dataset
from trainer.data.dataset import SampleDataset
from trainer.model.encode import IGNORED, Encoder
from vqc.cores import usable_cores

ANSWER = 300
DRAWN, UNIQUE = 96, 32


def write_records(
    checkpoint: Path, out: Path, *, records: int, size_wh: tuple[int, int], answer: int = ANSWER
) -> float:
    """Writes the scenes whose answers are nearest to ``answer`` tokens, repeatedly; the mean number of trained tokens."""
    path = write_dataset(out, seed=1, count=DRAWN, size_wh=size_wh, workers=usable_cores())
    lines = path.read_text("utf-8").splitlines()
    encoder, dataset = Encoder.load(checkpoint), SampleDataset(path, shuffle=False)
    examples = [dataset[n] for n in range(len(lines))]
    trained = [int((encoder.encode(example).labels_T != IGNORED).sum()) for example in examples]
    chosen = sorted(range(len(lines)), key=lambda n: abs(trained[n] - answer))[:UNIQUE]
    order = [chosen[n % len(chosen)] for n in range(records)]
    (out / "ours.jsonl").write_text("".join(lines[n] + "\n" for n in order), "utf-8")
    swift = []
    for n in order:
        prompt = examples[n].prompt
        turns = (("system", prompt.system), ("user", prompt.before + "<image>" + prompt.after))
        messages = [{"role": role, "content": text} for role, text in (*turns, ("assistant", examples[n].answer))]
        images = [str((out / json.loads(lines[n])["images"][0]).resolve())]
        swift.append(json.dumps({"messages": messages, "images": images}, ensure_ascii=False) + "\n")
    (out / "swift.jsonl").write_text("".join(swift), "utf-8")
    return sum(trained[n] for n in order) / len(order)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_bench.data")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=192)
    parser.add_argument("--size", default="1024x768")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    mean = write_records(arguments.checkpoint, arguments.out, records=arguments.records, size_wh=(width, height))
    print(f"{arguments.records} records, {mean:.0f} trained tokens each on average")


if __name__ == "__main__":
    main()
