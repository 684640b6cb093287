"""GBNF grammars that constrain decoding to what the codecs write, built from the same definitions.

Everything is bounded (digits, texts, points, objects), so a constrained answer can neither run on nor be malformed. A
context-free grammar cannot compare numbers, so the parsers check that box corners are ordered, quads canonical and
objects in reading order. ADR 0003 explains the form of the text rules: the closing characters belong to a text's rules,
and character classes are positive.
"""

from __future__ import annotations

import re
from functools import cache

from vqc.answer_words import CHINESE, COUNT, AnswerWords
from vqc.caption import MAX_DESC_LENGTH, MAX_OBJECTS, SEPARATOR_CLASS, VALUE_CLASS
from vqc.geometry import MAX_LINE_POINTS, Kind
from vqc.summary import ITEM_LENGTH, MAX_COUNT_DIGITS, MAX_ITEMS, NOTE_CLASS, NOTE_LENGTH
from vqc.verdict import REASON_CLASS, REASON_LENGTH, Verdict, verdict_word


def _object_rule(n: int, *, last: bool) -> str:
    rest = "" if last else f' (", " o{n + 1})?'
    return f'o{n} ::= "\\"object_{n}\\": {{" shape ", \\"desc\\": \\"" desc{rest}'


def _line(points: int) -> str:
    return f'"\\"line_points\\": {points}, \\"{Kind.LINE}\\": [" n ", " n (", " n ", " n){{{points - 1}}} "]"'


def _positive_class(character: str) -> str:
    """The UTF-8 characters of a class, as explicit ranges."""
    # Of a negative class, xgrammar 0.2.3 (vLLM 0.24) checks only what is below U+0080 and accepts all characters above.
    runs = [run for half in _HALVES for run in re.findall(f"{character}+", half)]
    return "[" + "".join(f"{_escape(run[0])}-{_escape(run[-1])}" for run in runs) + "]"


_HALVES = ("".join(map(chr, range(0xD800))), "".join(map(chr, [*range(0xE000, 0x10000), 0x10FFFF])))
"""The characters below and above the surrogates; the last one represents all beyond U+FFFF, which no class excludes."""


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def text_rules(
    name: str, character: str, length: int, close: str, *, separator: str | None = None, spaced: bool = True
) -> list[str]:
    """Rules of a text of 1 to ``length`` characters, and of the characters that close it.

    ``spaced`` allows a single space between two of ``character``. ``separator`` is a second class, next to which no space
    is allowed. Rule ``{name}`` is the text; ``{name}_v{k}`` continues after a character and ``{name}_s{k}`` after a
    separator, with at most k more characters.
    """
    written = _positive_class(character)

    # One rule for each number of characters left, instead of one repeated group: a token mask of xgrammar takes 0.2 ms
    # instead of 40 (ADR 0003).
    def after(k: int, *, spaced: bool) -> list[str]:
        ways = []
        if k >= 1:
            ways.append(f"{written} {name}_v{k - 1}")
            ways += [f"{separator} {name}_s{k - 1}"] if separator else []
        if k >= 2 and spaced:
            ways.append(f'" " {written} {name}_v{k - 2}')
        return ways

    rules = [f"{name} ::= {' | '.join(after(length, spaced=False))}"]
    # Each rule also ends with ``close``: if it could end before, xgrammar would test what follows at every mask.
    for k in range(length):
        rules.append(f"{name}_v{k} ::= {' | '.join([*after(k, spaced=spaced), close])}")
        if separator:
            rules.append(f"{name}_s{k} ::= {' | '.join([*after(k, spaced=False), close])}")
    return rules


_END = r'"" (="\x01")'
"""Closes a text that ends the answer: empty, and nothing may follow. The lookahead rejects no text; it only spares the mask
from testing every token that continues.
"""

CAPTION_GRAMMAR = "\n".join(
    [
        'root ::= "{" o1? "}"',
        *(_object_rule(n, last=n == MAX_OBJECTS) for n in range(1, MAX_OBJECTS + 1)),
        f'shape ::= "\\"{Kind.BBOX}\\": [" n c3 "]" | "\\"{Kind.QUAD}\\": [" n c7 "]" | line',
        f"line ::= {' | '.join(_line(points) for points in range(2, MAX_LINE_POINTS + 1))}",
        'c3 ::= ", " n ", " n ", " n',
        'c7 ::= c3 ", " n c3',
        'n ::= "0" | [1-9] [0-9]? [0-9]? | "1000"',
        *text_rules("desc", VALUE_CLASS, MAX_DESC_LENGTH, '"\\"}"', separator=SEPARATOR_CLASS),
    ]
)
"""GBNF of ``vqc.codec.render``: ``object_1`` to at most ``object_64`` without gaps, and each line with its declared points."""


@cache
def summary_grammar(words: AnswerWords = CHINESE) -> str:
    """GBNF of ``vqc.summary.render``."""
    count = f'"{COUNT}" [1-9] [0-9]{{0,{MAX_COUNT_DIGITS - 1}}}'
    return "\n".join(
        [
            f'root ::= "{words.irrelevant}" | item ("{words.separator}" item){{0,{MAX_ITEMS - 1}}} note?',
            *text_rules("item", words.item_class, ITEM_LENGTH, count, spaced=words.items_have_spaces),
            f'note ::= "{words.note_prefix}" remark',
            *text_rules("remark", NOTE_CLASS, NOTE_LENGTH, _END),
        ]
    )


@cache
def verdict_grammar(words: AnswerWords = CHINESE) -> str:
    """GBNF of ``vqc.verdict.render``."""
    passed, failed = (verdict_word(verdict, words) for verdict in Verdict)
    return "\n".join(
        [
            f'root ::= ("{passed}" | "{failed}") "\\n{words.reason_prefix}" reason',
            *text_rules("reason", REASON_CLASS, REASON_LENGTH, _END),
        ]
    )


SUMMARY_GRAMMAR, VERDICT_GRAMMAR = summary_grammar(), verdict_grammar()
"""The grammars of the Chinese words."""
