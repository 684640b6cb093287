"""The words of a language that judge free text, whatever the mission: absence, negation, doubt, what is only partly seen."""

from __future__ import annotations

from dataclasses import dataclass

from vqc.answer_words import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingWords:
    """``absent``: what the clause names is not there. ``negation``: regular expression of what reverses the word right after
    it. ``partial``: a description's object cannot be fully seen. ``doubt``: a reason hedges instead of supporting its verdict.
    ``whole_words``: a word only matches between word boundaries, in capitals or not.
    """

    absent: tuple[str, ...]
    negation: str
    partial: tuple[str, ...]
    doubt: tuple[str, ...]
    whole_words: bool


JUDGING_WORDS: dict[Language, JudgingWords] = {
    "zh": JudgingWords(
        absent=("缺失", "缺少", "未见", "未看到", "没有", "未安装"),
        negation="未见|没有|不|未|没|无|非",
        partial=("只显示部分", "无法判断", "无法识别", "看不清", "模糊"),
        doubt=("可能", "疑似", "复核", "不确定", "无法判断", "无法确认", "待确认", "人工"),
        whole_words=False,
    ),
    "en": JudgingWords(
        absent=("missing", "absent", "not seen", "not visible", "not found", "not installed", "no sign of", "lacks"),
        negation=r"(?:not|no|never|without|isn't|aren't)\s+",
        partial=("partly visible", "partially visible", "cannot tell", "blurred", "out of focus"),
        doubt=("maybe", "may be", "possibly", "probably", "uncertain", "unclear", "cannot tell", "needs review"),
        whole_words=True,
    ),
}
