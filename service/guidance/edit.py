"""The port to the guidance versions of every mission, and the one use case that edits rules by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from service.guidance.guidance import Guidance, Rule
from vqc.errors import InvalidValue
from vqc.missions import Mission


class GuidanceEvent(Protocol):
    """One line of a mission's history. ``at`` is ISO 8601 in UTC; ``run`` is the one that learned the version, if any."""

    @property
    def at(self) -> str: ...  # noqa: D102
    @property
    def action(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def step(self) -> int: ...  # noqa: D102
    @property
    def by(self) -> str: ...  # noqa: D102
    @property
    def note(self) -> str: ...  # noqa: D102
    @property
    def run(self) -> str: ...  # noqa: D102


class GuidanceBook(Protocol):
    """Immutable versions, one of them in force per mission. ``service.guidance.store`` keeps them in files."""

    def in_force(self, mission: Mission) -> Guidance:
        """The version that new tickets are judged under."""
        ...

    def versions(self, mission: Mission) -> tuple[Guidance, ...]:
        """Every version that is kept, oldest step first."""
        ...

    def version(self, mission: Mission, digest: str) -> Guidance:
        """One version by its digest or the start of it. Raises ``InvalidValue``."""
        ...

    def history(self, mission: Mission) -> Sequence[GuidanceEvent]:
        """Who did what, when; oldest first."""
        ...

    def approve(self, mission: Mission, guidance: Guidance, *, expected: str, by: str, note: str = "") -> None:
        """Puts a version in force. Raises ``GuidanceConflict``."""
        ...

    def rollback(self, mission: Mission, *, expected: str, by: str, to: str | None = None, note: str = "") -> Guidance:
        """Puts an earlier version back in force. Raises ``GuidanceConflict`` or ``InvalidValue``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRule:
    """A rule as a person wrote it; without an id it is new."""

    text: str
    id: str | None = None
    evidence: tuple[str, ...] = ()


def edited(current: Guidance, rules: Sequence[WrittenRule], focus: str | None = None) -> Guidance:
    """The next version with exactly these rules, in this order; a focus of None stays.

    >>> from service.guidance.guidance import seeded
    >>> from vqc.missions import mission_named
    >>> before = seeded(mission_named("挡风板安装检查"), ["甲"])
    >>> after = edited(before, [WrittenRule(text="乙"), WrittenRule(id="G0", text="甲")])
    >>> after.prompt_rules, after.step
    ({'G1': '乙', 'G0': '甲'}, 1)

    Raises:
        InvalidValue: an id that the version in force does not have, a text that no rule can have, or nothing changed.
    """
    known = {rule.id: rule for rule in current.rules}
    written: list[Rule] = []
    issued = current.issued
    for rule in rules:
        if rule.id is not None and rule.id not in known:
            raise InvalidValue("rules.id", rule.id, f"rules in force: {', '.join(known)}; a new rule has no id")
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
