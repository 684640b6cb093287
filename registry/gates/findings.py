"""What can stand against a promotion: a code with its values, and the sentence that they make.

Whoever shows findings in another language has a sentence of its own for each code, with the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SENTENCES: Mapping[str, str] = {
    "corrupt": "{why}",
    "not_signed": "it is not signed: `vqc-registry sign VERSION --key FILE`",
    "no_signature_fits": "{why}",
    "no_contract": "it names no contract: vqc-train did not export it; `contract: when_named` lets that pass",
    "other_contract": "made under another {part}: {named}, running {running}",
    "other_version": "the report is about another version, {version}",
    "no_report": "no such report is attached: `vqc-registry attach VERSION --type {report} FILE`",
    "not_served": "it has not been served: `vqc-registry smoke-serve VERSION`",
    "no_report_in_force": "the version in force has no such report to compare with; attach one to it",
    "not_comparable": "{key} is {value}, but {held} in force: the two cannot be compared",
    "no_number": "{metric} must be a number, the report has {value}",
    "no_number_in_force": "{metric} must be a number in the report in force too, which has {value}",
    "too_low": "{metric} is {value}; at least {limit} is needed",
    "too_high": "{metric} is {value}; at most {limit} is allowed",
    "dropped": "{metric} is {value}, {change} below the {held} in force; at most {limit} below is allowed",
    "rose": "{metric} is {value}, {change} above the {held} in force; at most {limit} above is allowed",
}
"""The sentence of each code; ``{name}`` stands for a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that stands against a promotion: the gate that found it and what it is.

    >>> Finding(gate="evaluation", code="too_low", values={"metric": "f1", "value": "0.4", "limit": "0.5"}).message
    'f1 is 0.4; at least 0.5 is needed'
    """

    gate: str
    code: str
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The sentence."""
        return SENTENCES[self.code].format_map(self.values)
