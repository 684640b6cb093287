"""What a token's mask costs under each grammar: ``python -m tools.demo_studies.masks DATA.jsonl --qwen VOCABULARY``.

DATA holds photo records (``vqc-train scenes``), VOCABULARY is Qwen's, as ``tools.demo_studies.tokens`` tells. Uses the
xgrammar that is found first: a target directory with another version goes to the front of PYTHONPATH. The least of
seven fills counts as a token's cost, so that a busy machine adds little.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import tiktoken
import xgrammar

from tools.demo_studies.tokens import qwen_encoding
from trainer.evaluation.evaluate import labelled
from vqc import codec, grammar, summary, verdict

VOCABULARY_SIZE = 151_936
"""The width of the model's output: Qwen's pieces, special tokens and padding."""

END = 151_645
FILLS = 7
EVERY, COUNT = 8, 5
ANSWERS = [
    verdict.VerdictAnswer(verdict=verdict.Verdict.FAIL, reason="挡风板缺失,接地线 未按要求连接,光纤无保护措施"),
    verdict.VerdictAnswer(verdict=verdict.Verdict.PASS, reason="各项要点均满足,BBU设备显示完整,标签清晰"),
]
TEXTS = {
    "caption": r'"desc": "[^"]*$',
    "summary": r"备注: |(?:^|，)[^×]*$",
    "verdict": r"理由: ",
}
"""Where an answer so far is inside a free text, by grammar."""


def main(arguments: list[str]) -> None:
    """Prints the table."""
    command = argparse.ArgumentParser(prog="python -m tools.demo_studies.masks", description=__doc__)
    command.add_argument("data", type=Path)
    command.add_argument("--qwen", type=Path, required=True, metavar="VOCABULARY")
    asked = command.parse_args(arguments)
    encoding = qwen_encoding(asked.qwen)
    compiler = xgrammar.GrammarCompiler(tokens_of(encoding), max_threads=2)
    captions = [photo.caption for photo in labelled(asked.data)[0] if photo.caption and photo.caption.objects]
    captions = sorted(captions, key=lambda caption: len(caption.objects))[::EVERY][:COUNT]
    asked_for = {
        "caption": (grammar.CAPTION_GRAMMAR, [codec.render(caption) for caption in captions]),
        "summary": (grammar.SUMMARY_GRAMMAR, [summary.render(summary.summarise(caption)) for caption in captions]),
        "verdict": (grammar.VERDICT_GRAMMAR, [verdict.render(answer) for answer in ANSWERS]),
    }
    print(f"xgrammar {version('xgrammar')}\n")
    print("| grammar | compile, CPU s | tokens to try, mean of all states | most | state | masks | mean µs | max µs |")
    print("|---" * 8 + "|")
    for name, (gbnf, answers) in asked_for.items():
        began = time.process_time()
        compiled = compiler.compile_grammar(gbnf)
        seconds = time.process_time() - began
        unsure = to_try(compiled)
        for state, costs in mask_costs(compiled, answers, encoding, TEXTS[name]).items():
            left = f"{seconds:.1f} | {statistics.mean(unsure):.0f} | {max(unsure)}"
            print(f"| {name} | {left} | {state} | {len(costs)} | {statistics.mean(costs):.1f} | {max(costs):.0f} |")


def tokens_of(encoding: tiktoken.Encoding) -> xgrammar.TokenizerInfo:
    """Qwen's pieces and end token; the other special tokens and the padding have no text."""
    pieces = [encoding.decode_single_token_bytes(token) for token in range(encoding.n_vocab)]
    pieces += [b"<|endoftext|>", b"<|im_start|>", b"<|im_end|>"]
    return xgrammar.TokenizerInfo(
        pieces, vocab_type=xgrammar.VocabType.RAW, vocab_size=VOCABULARY_SIZE, stop_token_ids=[END]
    )


def to_try(compiled: xgrammar.CompiledGrammar) -> list[int]:
    """How many tokens each state leaves to be tried at every mask, one after the other."""
    return [
        len(mask["uncertain_indices"]) for _, mask in json.loads(compiled.serialize_json())["adaptive_token_mask_cache"]
    ]


def mask_costs(
    compiled: xgrammar.CompiledGrammar, answers: Iterable[str], encoding: tiktoken.Encoding, text: str
) -> dict[str, list[float]]:
    """Microseconds of each token's mask, of those inside a text (where ``text`` is found) and of the rest."""
    mask = xgrammar.allocate_token_bitmask(1, VOCABULARY_SIZE)
    costs: dict[str, list[float]] = defaultdict(list)
    for answer in answers:
        matcher = xgrammar.GrammarMatcher(compiled)
        so_far = b""
        for token in encoding.encode_ordinary(answer):
            fills = []
            for _ in range(FILLS):
                began = time.perf_counter()
                matcher.fill_next_token_bitmask(mask, 0)
                fills.append(time.perf_counter() - began)
            state = "in a text" if re.search(text, so_far.decode(errors="ignore")) else "elsewhere"
            costs[state].append(min(fills) * 1e6)
            if not matcher.accept_token(token):
                raise AssertionError(f"refused: {so_far.decode(errors='ignore')!r} + {encoding.decode([token])!r}")
            so_far += encoding.decode_single_token_bytes(token)
    return costs


if __name__ == "__main__":
    main(sys.argv[1:])
