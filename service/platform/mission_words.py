"""Finds a mission's words in texts: which key items a text names, and whether it says that they are met or violated.

At each position the longest word is matched and consumed, so 不符合要求 never counts as 符合要求 as well. A negation
right before a word reverses it: 无安装方向错误 is not a violation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Set
from functools import cache

from service.platform.judging_words import JUDGING_WORDS
from vqc.answer_words import Language
from vqc.missions import KeyItem, Mission

_CLAUSE = re.compile(r"[，,。；;！!\n]|\.(?=\s|$)")


def cited_items(mission: Mission, text: str) -> frozenset[str]:
    """The names of the key items that a text names by any of their words.

    >>> from vqc.missions import mission_named
    >>> sorted(cited_items(mission_named("BBU线缆布放要求"), "图1中ODF端光纤插头未拧紧"))
    ['ODF端光纤插头']
    """
    fold = _fold(mission.language)
    owner = {fold(word): item.name for item in mission.key_items for word in item.words}
    return frozenset(owner[match] for match in _words_pattern(tuple(owner), mission.language).findall(fold(text)))


def polarities(item: KeyItem, text: str, *, language: Language = "zh", free: bool = False) -> tuple[bool, ...]:
    """The polarity of the item's words in a text, in order: True met, False violated. ``free`` text may also say absent.

    >>> screw = KeyItem(name="螺丝", positive=("符合要求",), negative=("不符合要求", "生锈"))
    >>> polarities(screw, "不符合要求/生锈"), polarities(screw, "未见生锈，符合要求")
    ((False, False), (True, True))
    >>> seal = KeyItem(name="seal", positive=("present", "intact"), negative=("broken",))
    >>> polarities(seal, "Present, not broken", language="en"), polarities(seal, "not intact", language="en")
    ((True, True), (False,))
    """
    fold = _fold(language)
    positive, negative = (frozenset(map(fold, words)) for words in (item.positive, item.negative))
    found = _token_pattern(positive | negative, free, language).finditer(fold(text))
    return tuple(_polarity(positive, negative, match) for match in found)


def complaints(mission: Mission, text: str) -> frozenset[str]:
    """The names of the key items that a free text calls violated or absent, clause by clause.

    >>> from vqc.missions import mission_named
    >>> sorted(complaints(mission_named("挡风板安装检查"), "BBU设备显示完整，挡风板缺失"))
    ['挡风板']
    """
    items = {item.name: item for item in mission.key_items}
    return frozenset(
        name
        for clause in _CLAUSE.split(text)
        for name in cited_items(mission, clause)
        if False in polarities(items[name], clause, language=mission.language, free=True)
    )


def subject(mission: Mission, desc: str) -> str | None:
    """The subject of a description: its type, if that is a word of a key item or of an object that the item is seen on.

    For a type that joins several kinds (螺丝、光纤插头) the part after it names the kind.

    >>> from vqc.missions import mission_named
    >>> mission = mission_named("BBU线缆布放要求")
    >>> subject(mission, "螺丝、光纤插头/BBU端光纤插头,显示完整,符合要求"), subject(mission, "标签/光纤A")
    ('BBU端光纤插头', None)
    """
    parts = re.split(r"[/,]", desc)
    kind = parts[1] if "、" in parts[0] and len(parts) > 1 else parts[0]
    fold = _fold(mission.language)
    words = {fold(word): word for item in mission.key_items for word in (*item.words, *item.seen_on)}
    return words.get(fold(kind))


def _longest_first(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word))))


@cache
def _words_pattern(words: tuple[str, ...], language: Language) -> re.Pattern[str]:
    return re.compile(_whole_words(_longest_first(words), language))


@cache
def _token_pattern(listed_tokens: frozenset[str], free: bool, language: Language) -> re.Pattern[str]:
    """Matches a listed word, or a negated one, or a word of absence."""
    tokens, words = _longest_first(listed_tokens), JUDGING_WORDS[language]
    listed = [f"(?P<token>{tokens})", f"(?:{words.negation})(?P<negated>{tokens})"] if tokens else []
    absent = [f"(?P<absent>{_longest_first(words.absent)})"] if free else []
    return re.compile("|".join(_whole_words(one, language) for one in (*listed, *absent)) or r"(?!)")


def _whole_words(pattern: str, language: Language) -> str:
    return rf"\b(?:{pattern})\b" if JUDGING_WORDS[language].whole_words else pattern


def _fold(language: Language) -> Callable[[str], str]:
    """Makes words comparable: without capitals, in a language that writes them."""
    return str.lower if JUDGING_WORDS[language].whole_words else str


def _polarity(positive: Set[str], negative: Set[str], match: re.Match[str]) -> bool:
    groups = match.groupdict()
    if groups.get("absent"):
        return False
    if groups.get("negated"):
        return groups["negated"] in negative
    return groups["token"] in positive
