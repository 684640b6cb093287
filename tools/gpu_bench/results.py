"""The results so far, saved after every step, and the conclusions from them in a few lines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from time import perf_counter
from typing import Any

from tools.gpu_bench.engines import LEVERS, RECITED

_FACTS = re.compile(
    r"non-default args|Available KV cache|KV cache size|Maximum concurrency|Model loading took|torch.compile t|Graph capturing|"
    r"init engine|attention backend|FlashAttention|Kernel for|Selected \w+ for|EncoderCudaGraph|quantization",
    re.IGNORECASE,
)


class Results:
    """A JSON document that starts with the one of an earlier call, so that one file has everything at the end."""

    def __init__(self, path: Path, earlier: Path, began: float) -> None:
        self._paths = (path, earlier)
        self._began = began
        self.document: dict[str, Any] = {"engines": {}, "parts": {}, "failed": {}}
        if earlier.is_file():
            self.document |= json.loads(earlier.read_text("utf-8"))

    def log(self, text: str) -> None:
        """Prints a line with the seconds since the start."""
        print(f"[{perf_counter() - self._began:6.1f} s] {text}", flush=True)

    def save(self, kind: str, name: str, value: object) -> None:
        """Sets a value and writes the document."""
        self.document[kind][name] = value
        for path in self._paths:
            path.write_text(json.dumps(self.document, indent=1, ensure_ascii=False), "utf-8")

    def rate(self, part: str, label: str, clients: int, side: str, unit: str = "per_s") -> float | None:
        """Answers (or ``tokens_per_s``) a second of a row; None if they were not measured."""
        for row in self.document["parts"].get(part, {}).get("rows", []):
            if row["label"].startswith(label) and row["clients"] == clients and row[side]:
                return row[side][unit]
        return None


def describe_row(row: dict[str, Any]) -> str:
    """A level in one line.

    >>> raw = {"per_s": 4, "tokens_per_s": 8, "p50_ms": 2, "p99_ms": 3}
    >>> describe_row({"label": "stage-a", "clients": 2, "ours": None, "raw": raw, "errors": 0, "malformed": 0, "answers": 9})
    'stage-a, 2 clients: 4/s, 8 tokens/s, p50 2 ms; 9 answers, 0 errors, 0 unreadable'
    """
    ours, raw, text = row["ours"], row["raw"], f"{row['label']}, {row['clients']} clients: "
    if ours is None:
        text += f"{raw['per_s']}/s, {raw['tokens_per_s']} tokens/s, p50 {raw['p50_ms']} ms"
    else:
        text += f"{ours['per_s']} and {raw['per_s']}/s = {row['ratio']}, tokens {row['token_ratio']}, "
        text += f"p50 {ours['p50_ms']} and {raw['p50_ms']} ms ({row['overhead_ms']:+})"
    return text + f"; {row['answers']} answers, {row['errors']} errors, {row['malformed']} unreadable"


def engine_facts(log: str) -> list[str]:
    """The lines of an engine's log about its configuration and memory, each once."""
    found = dict.fromkeys(line.strip()[:600] for line in log.splitlines() if _FACTS.search(line))
    return [*found][:60]


def conclusions(results: Results, clients: int) -> dict[str, Any]:
    """The ratios between the measured parts, and the number of captions under the grammar."""
    parts, found = results.document["parts"], dict[str, Any]()
    for label in ("caption", "stage-a"):
        for unit, by in (("per_s", ""), ("tokens_per_s", ", by tokens")):
            ours, raw = (results.rate("pairs", label, clients, side, unit) for side in ("ours", "raw"))
            alone = results.rate("raw", label, clients, "raw", unit)
            before = (
                parts.get("transformers", {}).get("photos_per_s") if (label, unit) == ("stage-a", "per_s") else None
            )
            # In the part "stock", "ours" is the side with our grammar.
            with_grammar, free = (results.rate("stock", label, clients, side, unit) for side in ("ours", "raw"))
            ratios = [
                ("ours ÷ vLLM as it comes", ours, with_grammar),
                ("ours ÷ vLLM as it comes without a grammar", ours, free),
                ("ours ÷ transformers batch 8", ours, before),
                ("our flags ÷ transformers batch 8", alone, before),
            ]
            ratios += [
                (f"{lever} ÷ our flags", results.rate(lever, label, clients, "raw", unit), raw or alone)
                for lever in LEVERS
            ]
            recited = {name: results.rate(name, label, clients, "raw", unit) for name in RECITED}
            recited["drafts, our service"] = results.rate("drafts-pairs", label, clients, "ours", unit)
            ratios += [
                (f"{name} ÷ {base}", recited[name], recited[base])
                for base in ("recited", "recited-stock")
                for name in recited
                if name not in {base, "recited-stock"}
            ]
            for name, one, other in ratios:
                if one and other:
                    found[f"{label}, {clients} clients: {name}{by}"] = round(one / other, 3)
    captions = [
        row
        for part in ("pairs", "more-pairs", "raw", "drafts-pairs", *LEVERS, *RECITED)
        for row in parts.get(part, {}).get("rows", [])
        if "caption" in row["label"]
    ]
    found["captions under the grammar"] = sum(row["answers"] for row in captions)
    found["of them unreadable"] = sum(row["malformed"] for row in captions)
    return found
