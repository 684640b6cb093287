"""How the model is asked to improve a mission's rules, and what is read of its answer. Nothing is applied here.

The words are not part of the prompt contract: no checkpoint is trained on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.guidance.guidance import Add, Guidance, Merge, Operation, Remove, Update
from service.judging.judge import Judgement
from vqc.missions import Mission
from vqc.prompts import Prompt
from vqc.verdict import Verdict

MOST_REASONS = 2
"""Reasons shown of each verdict of a ticket."""
_SUMMARY_LENGTH = 200

_SYSTEM = """\
你维护通信安装质检的补充规则。下面每个工单有图片摘要、人工结论，以及模型多次判断的票数和理由。请找出判断与人工结论不一致的共同原因，修改补充规则，使模型今后判断正确。
只输出一行JSON：{"operations": [...]}，每项是下列之一：
{"op": "add", "text": "规则", "evidence": ["T1"]}
{"op": "update", "id": "G0", "text": "规则", "evidence": ["T1"]}
{"op": "merge", "ids": ["G0", "G1"], "text": "规则", "evidence": ["T1"]}
{"op": "remove", "id": "G0", "evidence": ["T1"]}
规则是一句不超过200字的话，只谈如何根据图片或摘要判断，不提工单号。evidence是依据的工单。没有可改的写{"operations": []}。"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A labelled ticket that reflection may learn from: its lines, its label and how its rollouts voted and why."""

    group_id: str
    summaries: tuple[str, ...]
    label: Verdict
    verdict: Verdict
    judgements: tuple[Judgement, ...]

    @property
    def instructive(self) -> bool:
        """Whether the majority is wrong or the votes are mixed."""
        return self.wrong or len({one.answer.verdict for one in self.judgements}) > 1

    @property
    def wrong(self) -> bool:
        """Whether the selected verdict is not the label."""
        return self.verdict is not self.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The operations that an answer holds, and what of it could not be read."""

    operations: tuple[Operation, ...]
    notes: tuple[str, ...] = ()


def reflection_prompt(mission: Mission, guidance: Guidance, cases: Sequence[Case]) -> Prompt:
    """The prompt that shows the rules in force and the cases, as T1, T2, …"""
    rules = [f"[{key}] {text}" for key, text in guidance.prompt_rules.items()] or ["（无）"]
    head = [
        f"任务：{mission.name}",
        f"任务重点：{guidance.focus}",
        f"通过条件：{mission.requirement}",
        "补充规则：",
        *rules,
    ]
    shown = [line for number, case in enumerate(cases, start=1) for line in _shown(number, case)]
    return Prompt(system=_SYSTEM, after="\n".join([*head, *shown, "请给出operations。"]))


def read_proposal(text: str, cases: Sequence[Case], *, most: int) -> Proposal:
    """The first ``most`` operations of an answer; total. Evidence must name cases that were shown.

    >>> case = Case(group_id="QC-1", summaries=(), label=Verdict.FAIL, verdict=Verdict.PASS, judgements=())
    >>> answer = '好的 {"operations": [{"op": "add", "text": "缺少螺丝则不通过", "evidence": ["T1"]}, {"op": "drop"}]}'
    >>> read_proposal(answer, [case], most=3)
    Proposal(operations=(Add(text='缺少螺丝则不通过', evidence=('QC-1',)),), notes=("not an operation: {'op': 'drop'}",))
    >>> read_proposal("没有", [case], most=3).notes
    ('no JSON object with operations in the answer',)
    """
    entries = next((listed for one in _objects(text) if isinstance(listed := one.get("operations"), list)), None)
    if entries is None:
        return Proposal(operations=(), notes=("no JSON object with operations in the answer",))
    ids = {f"T{number}": case.group_id for number, case in enumerate(cases, start=1)}
    operations: list[Operation] = []
    notes: list[str] = []
    for entry in entries:
        operation = _operation(entry, ids)
        if operation is None:
            notes.append(f"not an operation: {str(entry)[:80]}")
        elif len(operations) == most:
            notes.append(f"more than {most} operations; the rest was left out")
            break
        else:
            operations.append(operation)
    return Proposal(operations=tuple(operations), notes=tuple(notes))


def operation_record(operation: Operation) -> dict[str, object]:
    """An operation as ``reflections.jsonl`` carries it.

    >>> operation_record(Remove(id="G0", evidence=("QC-1",)))
    {'op': 'remove', 'ids': ['G0'], 'text': None, 'evidence': ['QC-1']}
    """
    match operation:
        case Add(text=text):
            op, ids, words = "add", [], text
        case Update(id=key, text=text):
            op, ids, words = "update", [key], text
        case Merge(ids=keys, text=text):
            op, ids, words = "merge", list(keys), text
        case Remove(id=key):
            op, ids, words = "remove", [key], None
    return {"op": op, "ids": ids, "text": words, "evidence": list(operation.evidence)}


def _shown(number: int, case: Case) -> Iterator[str]:
    votes = [one.answer.verdict for one in case.judgements]
    yield f"【T{number}】人工结论：{case.label}；模型：通过{votes.count(Verdict.PASS)}票，不通过{votes.count(Verdict.FAIL)}票"
    for place, line in enumerate(case.summaries, start=1):
        yield f"摘要{place}. {line[:_SUMMARY_LENGTH]}"
    for verdict in Verdict:
        given = (one.answer.reason for one in case.judgements if one.answer.verdict is verdict)
        for reason in list(dict.fromkeys(given))[:MOST_REASONS]:
            yield f"{verdict}的理由：{reason}"


def _objects(text: str) -> Iterator[dict[str, object]]:
    """Every JSON object that starts somewhere in a text."""
    decoder = json.JSONDecoder()
    for start, character in enumerate(text):
        if character == "{":
            try:
                value, _ = decoder.raw_decode(text, start)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield value


def _operation(entry: object, ids: Mapping[str, str]) -> Operation | None:
    match entry:
        case {"op": "add", "text": str(text), "evidence": list(named)} if evidence := _tickets(named, ids):
            return Add(text=text, evidence=evidence)
        case {"op": "update", "id": str(key), "text": str(text), "evidence": list(named)} if evidence := _tickets(
            named, ids
        ):
            return Update(id=key, text=text, evidence=evidence)
        case {"op": "merge", "ids": list(keys), "text": str(text), "evidence": list(named)} if (
            evidence := _tickets(named, ids)
        ) and all(isinstance(key, str) for key in keys):
            return Merge(ids=tuple(map(str, keys)), text=text, evidence=evidence)
        case {"op": "remove", "id": str(key), "evidence": list(named)} if evidence := _tickets(named, ids):
            return Remove(id=key, evidence=evidence)
    return None


def _tickets(named: Iterable[object], ids: Mapping[str, str]) -> tuple[str, ...]:
    """The group ids of the cases named, each once; what names none is left out."""
    return tuple(dict.fromkeys(ids[name] for name in named if isinstance(name, str) and name in ids))
