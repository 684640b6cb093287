"""Edits rules by hand: the next version of a guidance from the complete list of its rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.guidance.guidance import Guidance, Rule
from vqc.errors import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRule:
    """A rule that a person wrote. A rule without an id is new."""

    text: str
    id: str | None = None
    evidence: tuple[str, ...] = ()


def edit_rules(current: Guidance, rules: Sequence[WrittenRule], focus: str | None = None) -> Guidance:
    """The next version with exactly these rules, in this order. ``focus`` None keeps the focus.

    >>> from service.guidance.guidance import first_version
    >>> from vqc.missions import mission_named
    >>> before = first_version(mission_named("挡风板安装检查"), ["甲"])
    >>> after = edit_rules(before, [WrittenRule(text="乙"), WrittenRule(id="G0", text="甲")])
    >>> after.prompt_rules, after.step
    ({'G1': '乙', 'G0': '甲'}, 1)

    Raises:
        InvalidValue: the active version has no rule of that id, a text is not valid, or nothing changes.
    """
    known = {rule.id: rule for rule in current.rules}
    written: list[Rule] = []
    issued = current.issued
    for rule in rules:
        if rule.id is not None and rule.id not in known:
            raise InvalidValue("rules.id", rule.id, f"active rules: {', '.join(known)}; a new rule has no id")
        written.append(Rule(id=rule.id or f"G{issued}", text=rule.text, evidence=rule.evidence))
        issued += rule.id is None
    if tuple(written) == current.rules and focus in (None, current.focus):
        raise InvalidValue("rules", [rule.text for rule in written], "must change something")
    return replace(
        current,
        focus=current.focus if focus is None else focus,
        rules=tuple(written),
        issued=issued,
        step=current.step + 1,
        parent=current.digest,
    )
