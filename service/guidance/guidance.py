"""The guidance of a mission: the focus and rules of its prompts, in immutable versions that name their parent by digest.

Owns the version, the operations that lead to the next one, and the difference between two. Proposals, the gate, approval
and storage are elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from vqc.contract import digest
from vqc.errors import InvalidValue
from vqc.missions import Mission

RULE_LENGTH = 200
_RULE_ID = re.compile(r"G(0|[1-9][0-9]{0,5})")
_TEXT = re.compile(
    r"[^\x00-\x20\x7f-\x9f\u2028\u2029](?:[^\x00-\x1f\x7f-\x9f\u2028\u2029]*[^\x00-\x20\x7f-\x9f\u2028\u2029])?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. ``evidence`` lists the ids of the tickets that it was learned from; a rule of a first version has none."""

    id: str
    text: str
    evidence: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _RULE_ID.fullmatch(self.id):
            raise InvalidValue("rule.id", self.id, "must be G and a number, as G0")
        if len(self.text) > RULE_LENGTH or not _TEXT.fullmatch(self.text):
            raise InvalidValue("rule.text", self.text, f"must be one line of 1 to {RULE_LENGTH} characters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """One version of a mission's guidance: its focus and its rules, in prompt order.

    ``issued`` counts the rule ids ever used, so that no id is used twice.
    """

    mission: str
    focus: str
    rules: tuple[Rule, ...] = ()
    issued: int = 0
    step: int = 0
    parent: str | None = None

    def __post_init__(self) -> None:
        ids = [rule.id for rule in self.rules]
        texts = [rule.text for rule in self.rules]
        if not _TEXT.fullmatch(self.focus) or len(self.focus) > RULE_LENGTH:
            raise InvalidValue("guidance.focus", self.focus, f"must be one line of 1 to {RULE_LENGTH} characters")
        if len(set(ids)) < len(ids) or len(set(texts)) < len(texts):
            raise InvalidValue("guidance.rules", ids, "must have each id and each text once")
        if any(int(one[1:]) >= self.issued for one in ids):
            raise InvalidValue("guidance.issued", self.issued, "must be above the number of every rule id")
        if (self.parent is None) is not (self.step == 0):
            raise InvalidValue("guidance.parent", self.parent, "only step 0 has no parent")

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over mission, focus, rules with evidence, step and parent, and so over the history."""
        return digest(asdict(self))

    @property
    def prompt_rules(self) -> dict[str, str]:
        """Rule texts by id, the argument of ``vqc.prompts.stage_b_prompt``."""
        return {rule.id: rule.text for rule in self.rules}


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """Appends a rule under the next id."""

    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Replaces the text of a rule."""

    id: str
    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Replaces several rules by one, which keeps the first id."""

    ids: tuple[str, ...]
    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Removes a rule."""

    id: str
    evidence: tuple[str, ...]


Operation = Add | Update | Merge | Remove


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A rule that differs between two versions; None where a version does not have it."""

    id: str
    before: str | None
    after: str | None


def first_version(mission: Mission, texts: Sequence[str] = ()) -> Guidance:
    """The first version of a mission's guidance: the focus of its definition, and the rules ``texts``.

    >>> from vqc.missions import mission_named
    >>> first_version(mission_named("挡风板安装检查"), ["无需安装时不看挡风板"]).prompt_rules
    {'G0': '无需安装时不看挡风板'}
    """
    rules = tuple(Rule(id=f"G{n}", text=text) for n, text in enumerate(texts))
    return Guidance(mission=mission.name, focus=mission.focus, rules=rules, issued=len(rules))


def apply_operations(guidance: Guidance, operations: Sequence[Operation]) -> Guidance:
    """The next version. Operations apply in order; one that is invalid rejects all of them.

    >>> from vqc.missions import mission_named
    >>> first = first_version(mission_named("挡风板安装检查"), ["甲", "乙"])
    >>> merge = Merge(ids=("G0", "G1"), text="甲与乙", evidence=("QC-0001",))
    >>> second = apply_operations(first, [merge, Add(text="丙", evidence=("QC-0002",))])
    >>> second.prompt_rules, second.parent == first.digest
    ({'G0': '甲与乙', 'G2': '丙'}, True)

    Raises:
        InvalidValue: an unknown rule id, missing or repeated evidence, an invalid text, or no change.
    """
    rules = {rule.id: rule for rule in guidance.rules}
    issued = guidance.issued
    for operation in operations:
        _check_evidence(operation.evidence)
        match operation:
            case Add(text=text, evidence=evidence):
                rules[f"G{issued}"] = Rule(id=f"G{issued}", text=text, evidence=evidence)
                issued += 1
            case Update(id=key, text=text, evidence=evidence):
                rules[key] = _merge_rules([_rule(rules, key)], text, evidence)
            case Merge(ids=ids, text=text, evidence=evidence):
                if len(ids) < 2 or len(set(ids)) < len(ids):
                    raise InvalidValue("operation.ids", ids, "must be two or more rule ids, each once")
                merged = _merge_rules([_rule(rules, key) for key in ids], text, evidence)
                rules = {key: rule for key, rule in rules.items() if key not in ids[1:]} | {ids[0]: merged}
            case Remove(id=key):
                _rule(rules, key)
                del rules[key]
    after = Guidance(
        mission=guidance.mission,
        focus=guidance.focus,
        rules=tuple(rules.values()),
        issued=issued,
        step=guidance.step + 1,
        parent=guidance.digest,
    )
    if not diff(guidance, after):
        raise InvalidValue("operations", list(operations), "must change at least one rule's text")
    return after


def diff(before: Guidance, after: Guidance) -> tuple[Change, ...]:
    """The rules whose text differs, in the order of their ids.

    >>> from vqc.missions import mission_named
    >>> first = first_version(mission_named("挡风板安装检查"), ["甲", "乙"])
    >>> diff(first, apply_operations(first, [Remove(id="G1", evidence=("QC-0001",))]))
    (Change(id='G1', before='乙', after=None),)
    """
    old, new = before.prompt_rules, after.prompt_rules
    ids = sorted(old.keys() | new.keys(), key=lambda key: int(key[1:]))
    changes = (Change(id=key, before=old.get(key), after=new.get(key)) for key in ids)
    return tuple(change for change in changes if change.before != change.after)


def _rule(rules: dict[str, Rule], key: str) -> Rule:
    if key not in rules:
        raise InvalidValue("operation.id", key, f"active rules: {', '.join(rules)}")
    return rules[key]


def _merge_rules(rules: Sequence[Rule], text: str, evidence: tuple[str, ...]) -> Rule:
    """The first rule with a new text and the evidence of all, each ticket once."""
    tickets = dict.fromkeys(ticket for one in (*(rule.evidence for rule in rules), evidence) for ticket in one)
    return Rule(id=rules[0].id, text=text, evidence=tuple(tickets))


def _check_evidence(evidence: tuple[str, ...]) -> None:
    if not evidence or not all(evidence) or len(set(evidence)) < len(evidence):
        raise InvalidValue("operation.evidence", evidence, "must be ticket ids, at least one, each once")
