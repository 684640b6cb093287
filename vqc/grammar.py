"""GBNF that constrains decoding to what the codecs write, built from the same definitions.

Everything is bounded (digits, values, points, objects), so a constrained answer can neither run away nor come out
malformed. A context-free grammar cannot compare numbers: that box corners are ordered, quads canonical and objects in
reading order is checked by the parsers (ADR 0003).
"""

from __future__ import annotations

from vqc.caption import MAX_OBJECTS, MAX_SEPARATORS, MAX_VALUE_LENGTH, SEPARATOR_CLASS, VALUE_CLASS
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


def _spaced(character_class: str, length: int) -> str:
    """1 to ``length`` characters with single spaces between some."""
    return f'{character_class} (" "? {character_class}){{0,{length - 1}}}'


CAPTION_GRAMMAR = "\n".join(
    [
        'root ::= "{" o1? "}"',
        *(_numbered(n, last=n == MAX_OBJECTS) for n in range(1, MAX_OBJECTS + 1)),
        f'shape ::= "\\"{Kind.BBOX}\\": [" n c3 "]" | "\\"{Kind.QUAD}\\": [" n c7 "]" | line',
        f"line ::= {' | '.join(_line(points) for points in range(2, MAX_LINE_POINTS + 1))}",
        'c3 ::= ", " n ", " n ", " n',
        'c7 ::= c3 ", " n c3',
        'n ::= "0" | [1-9] [0-9]? [0-9]? | "1000"',
        f"desc ::= value tail{{0,{MAX_SEPARATORS}}} | tail{{1,{MAX_SEPARATORS}}}",
        "tail ::= separator value?",
        f"value ::= {_spaced(VALUE_CLASS, MAX_VALUE_LENGTH)}",
        f"separator ::= {SEPARATOR_CLASS}",
    ]
)
"""GBNF of ``vqc.codec.render``: ``object_1`` to at most ``object_64``, numbered without gaps, each line as long as it says."""

SUMMARY_GRAMMAR = "\n".join(
    [
        f'root ::= "{IRRELEVANT}" | item ("，" item){{0,{MAX_ITEMS - 1}}} note?',
        f'item ::= {ITEM_CLASS}{{1,{ITEM_LENGTH}}} "×" [1-9] [0-9]{{0,{MAX_COUNT_DIGITS - 1}}}',
        f'note ::= "{NOTE_PREFIX}" {_spaced(NOTE_CLASS, NOTE_LENGTH)}',
    ]
)
"""GBNF of ``vqc.summary.render``."""

VERDICT_GRAMMAR = (
    f'root ::= ("{Verdict.PASS}" | "{Verdict.FAIL}") "\\n{REASON_PREFIX}" {_spaced(REASON_CLASS, REASON_LENGTH)}'
)
"""GBNF of ``vqc.verdict.render``."""
