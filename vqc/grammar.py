"""GBNF that constrains decoding to what the codecs write, built from the same definitions.

Everything is bounded (digits, texts, points, objects), so a constrained answer can neither run away nor come out
malformed. Texts are spelled as one rule per character left, which xgrammar masks far faster than ``(x){m,n}`` over a
rule. A context-free grammar cannot compare numbers: that box corners are ordered, quads canonical and objects in
reading order is checked by the parsers (ADR 0003).
"""

from __future__ import annotations

from vqc.caption import MAX_DESC_LENGTH, MAX_OBJECTS, SEPARATOR_CLASS, VALUE_CLASS
from vqc.geometry import MAX_LINE_POINTS, Kind
from vqc.summary import (
    IRRELEVANT,
    ITEM_CLASS,
    ITEM_LENGTH,
    MAX_COUNT_DIGITS,
    MAX_ITEMS,
    NOTE_CLASS,
    NOTE_LENGTH,
    NOTE_PREFIX,
)
from vqc.verdict import REASON_CLASS, REASON_LENGTH, REASON_PREFIX, Verdict


def _numbered(n: int, *, last: bool) -> str:
    rest = "" if last else f' (", " o{n + 1})?'
    return f'o{n} ::= "\\"object_{n}\\": {{" shape ", \\"desc\\": \\"" desc "\\"}}"{rest}'


def _line(points: int) -> str:
    return f'"\\"line_points\\": {points}, \\"{Kind.LINE}\\": [" n ", " n (", " n ", " n){{{points - 1}}} "]"'


def _text(name: str, character: str, length: int, separator: str | None = None) -> list[str]:
    """Rules of a text of 1 to ``length`` characters: single spaces stand between two of ``character`` only.

    ``separator`` is a second class, beside which no space may stand. Rule ``{name}`` is the text; ``{name}_v{k}`` goes
    on after a character and ``{name}_s{k}`` after a separator, with at most k characters to come.
    """

    def after(k: int, *, spaced: bool) -> str:
        ways = []
        if k >= 1:
            ways.append(f"{character} {name}_v{k - 1}")
            ways += [f"{separator} {name}_s{k - 1}"] if separator else []
        if k >= 2 and spaced:
            ways.append(f'" " {character} {name}_v{k - 2}')
        return " | ".join(ways)

    rules = [f"{name} ::= {after(length, spaced=False)}"]
    for k in range(length):
        rules.append(f"{name}_v{k} ::= {' | '.join(filter(None, [after(k, spaced=True), _EMPTY]))}")
        if separator:
            rules.append(f"{name}_s{k} ::= {' | '.join(filter(None, [after(k, spaced=False), _EMPTY]))}")
    return rules


_EMPTY = '""'

CAPTION_GRAMMAR = "\n".join(
    [
        'root ::= "{" o1? "}"',
        *(_numbered(n, last=n == MAX_OBJECTS) for n in range(1, MAX_OBJECTS + 1)),
        f'shape ::= "\\"{Kind.BBOX}\\": [" n c3 "]" | "\\"{Kind.QUAD}\\": [" n c7 "]" | line',
        f"line ::= {' | '.join(_line(points) for points in range(2, MAX_LINE_POINTS + 1))}",
        'c3 ::= ", " n ", " n ", " n',
        'c7 ::= c3 ", " n c3',
        'n ::= "0" | [1-9] [0-9]? [0-9]? | "1000"',
        *_text("desc", VALUE_CLASS, MAX_DESC_LENGTH, SEPARATOR_CLASS),
    ]
)
"""GBNF of ``vqc.codec.render``: ``object_1`` to at most ``object_64``, numbered without gaps, each line as long as it says."""

SUMMARY_GRAMMAR = "\n".join(
    [
        f'root ::= "{IRRELEVANT}" | item ("，" item){{0,{MAX_ITEMS - 1}}} note?',
        f'item ::= {ITEM_CLASS}{{1,{ITEM_LENGTH}}} "×" [1-9] [0-9]{{0,{MAX_COUNT_DIGITS - 1}}}',
        f'note ::= "{NOTE_PREFIX}" remark',
        *_text("remark", NOTE_CLASS, NOTE_LENGTH),
    ]
)
"""GBNF of ``vqc.summary.render``."""

VERDICT_GRAMMAR = "\n".join(
    [
        f'root ::= ("{Verdict.PASS}" | "{Verdict.FAIL}") "\\n{REASON_PREFIX}" reason',
        *_text("reason", REASON_CLASS, REASON_LENGTH),
    ]
)
"""GBNF of ``vqc.verdict.render``."""
