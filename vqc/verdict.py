"""The verdict of a ticket as one rollout writes it: two lines, the verdict and its reason.

    不通过
    理由: 挡风板缺失

Owns the value, its text form and the total parser that reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from vqc.caption import is_utf8
from vqc.errors import InvalidValue
from vqc.parser import Status

REASON_PREFIX = "理由: "
REASON_LENGTH = 200
REASON_CLASS = r"[^\x00-\x20\x7f-\x9f]"
"""A character of a reason; a single space is allowed between two."""
_REASON = re.compile(f"{REASON_CLASS}(?: ?{REASON_CLASS})*")


class Verdict(StrEnum):
    """Whether a ticket passes its mission."""

    PASS = "通过"
    FAIL = "不通过"


_SPELLINGS = {
    "通过": Verdict.PASS,
    "pass": Verdict.PASS,
    "不通过": Verdict.FAIL,
    "未通过": Verdict.FAIL,
    "fail": Verdict.FAIL,
}


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


def render(answer: VerdictAnswer) -> str:
    """The two lines as the model writes them.

    >>> render(VerdictAnswer(verdict=Verdict.FAIL, reason="挡风板缺失"))
    '不通过\\n理由: 挡风板缺失'
    """
    return f"{answer.verdict}\n{REASON_PREFIX}{answer.reason}"


def parse(text: str) -> VerdictOutcome:
    """The outcome of one rollout; total. Only the two-line form is accepted; a third verdict is malformed.

    >>> parse("不通过。\\n理由：挡风板缺失").answer
    VerdictAnswer(verdict=<Verdict.FAIL: '不通过'>, reason='挡风板缺失')
    >>> parse("建议复核\\n理由: 看不清").note
    "the first line '建议复核' is neither 通过 nor 不通过"
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return VerdictOutcome(status=Status.MALFORMED, answer=None, note="a verdict has two lines")
    verdict = _SPELLINGS.get("".join(lines[0].split()).rstrip("。.").lower())
    if verdict is None:
        note = f"the first line {lines[0][:40]!r} is neither {Verdict.PASS} nor {Verdict.FAIL}"
        return VerdictOutcome(status=Status.MALFORMED, answer=None, note=note)
    reason = re.sub(r"^(?:理由|reason)\s*[:：]\s*", "", lines[1], count=1, flags=re.IGNORECASE)
    try:
        answer = VerdictAnswer(verdict=verdict, reason=" ".join(reason.split())[:REASON_LENGTH].rstrip())
    except InvalidValue as error:
        return VerdictOutcome(status=Status.MALFORMED, answer=None, note=str(error))
    if render(answer) == text:
        return VerdictOutcome(status=Status.PARSED, answer=answer)
    return VerdictOutcome(status=Status.REPAIRED, answer=answer, note="spelling differs from the canonical form")
