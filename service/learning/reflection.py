"""The reflection prompt, which asks the model to improve a mission's rules, and the parser of its answer.

The prompt is not part of the contract: no checkpoint is trained on it.
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
"""The most reasons shown for each verdict of a ticket."""
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
class ReflectionCase:
    """A labelled ticket that reflection may learn from: its lines, label, and the votes of its rollouts with reasons."""

    group_id: str
    summaries: tuple[str, ...]
    label: Verdict
    verdict: Verdict
    judgements: tuple[Judgement, ...]

    @property
    def is_instructive(self) -> bool:
        """Whether the majority is wrong or the votes are mixed."""
        return self.is_wrong or len({one.answer.verdict for one in self.judgements}) > 1

    @property
    def is_wrong(self) -> bool:
        """Whether the selected verdict is not the label."""
        return self.verdict is not self.label


@dataclass(frozen=True, slots=True, kw_only=True)
class ReflectionAnswer:
    """The operations of an answer; ``notes`` describe the parts that did not parse."""

    operations: tuple[Operation, ...]
    notes: tuple[str, ...] = ()


def reflection_prompt(mission: Mission, guidance: Guidance, cases: Sequence[ReflectionCase]) -> Prompt:
    """The prompt with the active rules and the cases, named T1, T2, …"""
    rules = [f"[{key}] {text}" for key, text in guidance.prompt_rules.items()] or ["（无）"]
    head = [
        f"任务：{mission.name}",
        f"任务重点：{guidance.focus}",
        f"通过条件：{mission.requirement}",
        "补充规则：",
        *rules,
    ]
    shown = [line for number, case in enumerate(cases, start=1) for line in _case_lines(number, case)]
    return Prompt(system=_SYSTEM, after="\n".join([*head, *shown, "请给出operations。"]))


def parse_reflection(text: str, cases: Sequence[ReflectionCase], *, most: int) -> ReflectionAnswer:
    """The first ``most`` operations of an answer. It never raises; evidence must name cases of the prompt.

    >>> case = ReflectionCase(group_id="QC-1", summaries=(), label=Verdict.FAIL, verdict=Verdict.PASS, judgements=())
    >>> answer = '好的 {"operations": [{"op": "add", "text": "缺少螺丝则不通过", "evidence": ["T1"]}, {"op": "drop"}]}'
    >>> found = parse_reflection(answer, [case], most=3)
    >>> found.operations, found.notes
    ((Add(text='缺少螺丝则不通过', evidence=('QC-1',)),), ("not an operation: {'op': 'drop'}",))
    >>> parse_reflection("没有", [case], most=3).notes
    ('no JSON object with operations in the answer',)
    """
    entries = next((listed for one in _objects(text) if isinstance(listed := one.get("operations"), list)), None)
    if entries is None:
        return ReflectionAnswer(operations=(), notes=("no JSON object with operations in the answer",))
    ids = {f"T{number}": case.group_id for number, case in enumerate(cases, start=1)}
    operations: list[Operation] = []
    notes: list[str] = []
    for entry in entries:
        operation = _operation(entry, ids)
        if operation is None:
            notes.append(f"not an operation: {str(entry)[:80]}")
        elif len(operations) == most:
            notes.append(f"more than {most} operations; the rest was ignored")
            break
        else:
            operations.append(operation)
    return ReflectionAnswer(operations=tuple(operations), notes=tuple(notes))


def operation_record(operation: Operation) -> dict[str, object]:
    """An operation as a value of ``reflections.jsonl``.

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


def _case_lines(number: int, case: ReflectionCase) -> Iterator[str]:
    votes = [one.answer.verdict for one in case.judgements]
    yield f"【T{number}】人工结论：{case.label}；模型：通过{votes.count(Verdict.PASS)}票，不通过{votes.count(Verdict.FAIL)}票"
    for place, line in enumerate(case.summaries, start=1):
        yield f"摘要{place}. {line[:_SUMMARY_LENGTH]}"
    for verdict in Verdict:
        reasons = (one.answer.reason for one in case.judgements if one.answer.verdict is verdict)
        for reason in list(dict.fromkeys(reasons))[:MOST_REASONS]:
            yield f"{verdict}的理由：{reason}"


def _objects(text: str) -> Iterator[dict[str, object]]:
    """Every JSON object in a text, wherever it starts."""
    # Reflection is sampled without a grammar: models put prose or a code fence around the JSON.
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
    """The ids of the tickets that the evidence names, each once; other names are ignored."""
    return tuple(dict.fromkeys(ids[name] for name in named if isinstance(name, str) and name in ids))
