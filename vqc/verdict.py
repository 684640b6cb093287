"""The verdict of a ticket as one rollout writes it: two lines, the verdict and its reason, in an inspection's words.

    不通过                 FAIL
    理由: 挡风板缺失        Reason: the cover is missing

Owns the value, its text form and the total parser that reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from vqc.answer_words import CHINESE, AnswerWords, spelling
from vqc.caption import is_utf8
from vqc.errors import InvalidValue
from vqc.parser import Status

REASON_LENGTH = 200
REASON_CLASS = r"[^\x00-\x20\x7f-\x9f]"
"""A character of a reason; a single space is allowed between two."""
_REASON = re.compile(f"{REASON_CLASS}(?: ?{REASON_CLASS})*")


class Verdict(StrEnum):
    """Whether a ticket passes its mission. The values are those of records and of the API, whatever the inspection's words."""

    PASS = "通过"
    FAIL = "不通过"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictAnswer:
    """A verdict and its reason, one line of at most ``REASON_LENGTH`` characters."""

    verdict: Verdict
    reason: str

    def __post_init__(self) -> None:
        if len(self.reason) > REASON_LENGTH or not _REASON.fullmatch(self.reason) or not is_utf8(self.reason):
            raise InvalidValue("reason", self.reason, f"must be one line of 1 to {REASON_LENGTH} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictOutcome:
    """The parsed answer, None exactly if the status is ``MALFORMED``; ``note`` says why, or what was repaired."""

    status: Status
    answer: VerdictAnswer | None
    note: str = ""


def render(answer: VerdictAnswer, words: AnswerWords = CHINESE) -> str:
    """The two lines as the model writes them.

    >>> render(VerdictAnswer(verdict=Verdict.FAIL, reason="挡风板缺失"))
    '不通过\\n理由: 挡风板缺失'
    """
    return f"{verdict_word(answer.verdict, words)}\n{words.reason_prefix}{answer.reason}"


def verdict_word(verdict: Verdict, words: AnswerWords = CHINESE) -> str:
    """The word that the model writes for a verdict.

    >>> from vqc.answer_words import WORDS
    >>> verdict_word(Verdict.FAIL), verdict_word(Verdict.FAIL, WORDS["en"])
    ('不通过', 'FAIL')
    """
    return (words.passed if verdict is Verdict.PASS else words.failed)[0]


def parse(text: str, words: AnswerWords = CHINESE) -> VerdictOutcome:
    """The outcome of one rollout; total. Only the two-line form is accepted; a third verdict is malformed.

    >>> parse("不通过。\\n理由：挡风板缺失").answer
    VerdictAnswer(verdict=<Verdict.FAIL: '不通过'>, reason='挡风板缺失')
    >>> parse("建议复核\\n理由: 看不清").note
    "the first line '建议复核' is neither 通过 nor 不通过"
    >>> from vqc.answer_words import WORDS
    >>> parse("pass\\nReason: all sealed", WORDS["en"]).answer
    VerdictAnswer(verdict=<Verdict.PASS: '通过'>, reason='all sealed')
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return VerdictOutcome(status=Status.MALFORMED, answer=None, note="a verdict has two lines")
    verdict = _verdict(lines[0], words)
    if verdict is None:
        note = f"the first line {lines[0][:40]!r} is neither {words.passed[0]} nor {words.failed[0]}"
        return VerdictOutcome(status=Status.MALFORMED, answer=None, note=note)
    prefix = rf"^(?:{re.escape(words.reason)}|reason)\s*[:：]\s*"
    reason = re.sub(prefix, "", lines[1], count=1, flags=re.IGNORECASE)
    try:
        answer = VerdictAnswer(verdict=verdict, reason=" ".join(reason.split())[:REASON_LENGTH].rstrip())
    except InvalidValue as error:
        return VerdictOutcome(status=Status.MALFORMED, answer=None, note=str(error))
    if render(answer, words) == text:
        return VerdictOutcome(status=Status.PARSED, answer=answer)
    return VerdictOutcome(status=Status.REPAIRED, answer=answer, note="spelling differs from the canonical form")


def _verdict(line: str, words: AnswerWords) -> Verdict | None:
    given = spelling(line)
    if given in map(spelling, words.passed):
        return Verdict.PASS
    return Verdict.FAIL if given in map(spelling, words.failed) else None
