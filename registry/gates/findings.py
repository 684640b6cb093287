"""A gate's finding: a code, its values, and the English sentence that they make.

A translation, such as the console's, has its own sentence for each code with the same values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SENTENCES: Mapping[str, str] = {
    "corrupt": "{why}",
    "not_signed": "it is not signed: `vqc-registry sign VERSION --key FILE`",
    "no_signature_fits": "{why}",
    "no_contract": "it declares no contract, so vqc-train did not export it; `contract: when_named` accepts that",
    "other_contract": "it was made under another {part}: {named}, running: {running}",
    "other_version": "the report is about another version, {version}",
    "no_report": "no such report is attached: `vqc-registry attach VERSION --type {report} FILE`",
    "not_served": "it has not been served: `vqc-registry smoke-serve VERSION`",
    "no_report_in_force": "the active version has no such report to compare with; attach one to it",
    "not_comparable": "{key} is {value}, but {held} in the active version's report: they cannot be compared",
    "no_number": "{metric} must be a number, the report has {value}",
    "no_number_in_force": "{metric} must be a number in the active version's report too, which has {value}",
    "too_low": "{metric} is {value}; at least {limit} is needed",
    "too_high": "{metric} is {value}; at most {limit} is allowed",
    "dropped": "{metric} is {value}, {change} below the active version's {held}; at most {limit} below is allowed",
    "rose": "{metric} is {value}, {change} above the active version's {held}; at most {limit} above is allowed",
}
"""The sentence of each code; ``{name}`` is replaced by a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One failed check: the gate, a code and its values.

    >>> Finding(gate="evaluation", code="too_low", values={"metric": "f1", "value": "0.4", "limit": "0.5"}).message
    'f1 is 0.4; at least 0.5 is needed'
    """

    gate: str
    code: str
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """The English sentence."""
        return SENTENCES[self.code].format_map(self.values)
