"""Checks a report against its rules: absolute limits, and limits relative to the active version's report. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from registry.gates.findings import Finding
from registry.gates.policy import MetricRule, ReportRule

Report = Mapping[str, object]
"""A report as JSON values."""


def check_report(
    name: str, rule: ReportRule, report: Report | None, active: Report | None, *, first: bool
) -> list[Finding]:
    """The findings against a version whose report of this name is ``report``.

    ``active`` is the same report of the version that the alias points to now. ``first`` means that there is no such
    version, and then nothing is compared.

    >>> from registry.gates.policy import MetricRule, ReportRule
    >>> rule = ReportRule(metrics={"f1_50_box": MetricRule(min=0.5, max_drop=0.01)})
    >>> [found.message for found in check_report("evaluation", rule, {"f1_50_box": 0.6}, {"f1_50_box": 0.65}, first=False)]
    ["f1_50_box is 0.6, 0.05 below the active version's 0.65; at most 0.01 below is allowed"]
    """
    if report is None:
        code = "not_served" if name == "smoke-serve" else "no_report"
        return [Finding(gate=name, code=code, values={"report": name})]
    return [Finding(gate=name, code=code, values=values) for code, values in _violations(rule, report, active, first)]


def value_at(report: Report, name: str) -> object:
    """The value under a name; dots descend into objects, numbers index lists. None if there is no such value.

    >>> value_at({"epochs": [{"accuracy": 0.5}, {"accuracy": 0.75}]}, "epochs.-1.accuracy")
    0.75
    """
    if name in report:
        return report[name]
    found: object = report
    for part in name.split("."):
        match found:
            case dict() if part in found:
                found = found[part]
            case list() if re.fullmatch(r"-?[0-9]{1,6}", part) and -len(found) <= int(part) < len(found):
                found = found[int(part)]
            case _:
                return None
    return found


_Violations = Iterator[tuple[str, dict[str, str]]]
"""Codes of findings with their values."""


def _violations(rule: ReportRule, report: Report, active: Report | None, first: bool) -> _Violations:
    for metric, one in rule.metrics.items():
        yield from _absolute(metric, one, value_at(report, metric))
    comparing = any(one.compares for one in rule.metrics.values()) or bool(rule.same)
    if first or not comparing:
        return
    if active is None:
        yield "no_report_in_force", {}
        return
    for key in rule.same:
        ours, held = value_at(report, key), value_at(active, key)
        if ours != held:
            yield "not_comparable", {"key": key, "value": repr(ours), "held": repr(held)}
    for metric, one in rule.metrics.items():
        yield from _relative(metric, one, value_at(report, metric), value_at(active, metric))


def _absolute(metric: str, rule: MetricRule, value: object) -> _Violations:
    number = _number(value)
    if number is None:
        yield "no_number", {"metric": metric, "value": repr(value)}
        return
    if rule.min is not None and not number >= rule.min:
        yield "too_low", {"metric": metric, "value": f"{number:g}", "limit": f"{rule.min:g}"}
    if rule.max is not None and not number <= rule.max:
        yield "too_high", {"metric": metric, "value": f"{number:g}", "limit": f"{rule.max:g}"}


def _relative(metric: str, rule: MetricRule, value: object, before: object) -> _Violations:
    number, held = _number(value), _number(before)
    if not rule.compares or number is None:
        return
    if held is None:
        yield "no_number_in_force", {"metric": metric, "value": repr(before)}
        return
    rise = round(number - held, 12)  # 0.66 - 0.65 is 0.010000000000000009
    values = {"metric": metric, "value": f"{number:g}", "held": f"{held:g}"}
    if rule.max_drop is not None and not -rise <= rule.max_drop:
        yield "dropped", {**values, "change": f"{-rise:g}", "limit": f"{rule.max_drop:g}"}
    if rule.max_rise is not None and not rise <= rule.max_rise:
        yield "rose", {**values, "change": f"{rise:g}", "limit": f"{rule.max_rise:g}"}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
