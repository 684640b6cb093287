"""Reports and records as referrers of a version: their media types, and reading and writing them.

The newest report of a kind counts; older ones stay attached.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from vqc.errors import InvalidValue

if TYPE_CHECKING:
    from registry.core import Registry
    from registry.values import Referrer

PROMOTION_TYPE = "application/vnd.vqc.promotion.v1+json"
SIGNATURE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SMOKE_SERVE = "smoke-serve"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def report_type(name: str) -> str:
    """The artifact type of a kind of report.

    >>> report_type("evaluation")
    'application/vnd.vqc.report.evaluation.v1+json'

    Raises:
        InvalidValue: the name cannot be part of a media type.
    """
    if len(name) > 64 or not _NAME.fullmatch(name):
        raise InvalidValue(
            "type", name, "use up to 64 lower-case letters and digits, words joined by '-', e.g. evaluation"
        )
    return f"application/vnd.vqc.report.{name}.v1+json"


def attach_report(registry: Registry, ref: str, name: str, report: dict[str, object]) -> str:
    """Attaches a report to the version that ``ref`` names; returns the report's digest."""
    return registry.attach(ref, report_type(name), report)


def newest_report(registry: Registry, ref: str, name: str) -> Referrer | None:
    """The newest report of this kind; None if there is none."""
    found = registry.referrers(ref, report_type(name))
    return found[-1] if found else None


def report_of(referrer: Referrer | None) -> dict[str, object] | None:
    """The report inside an attachment. Raises ``InvalidValue`` if its content is not a report."""
    return None if referrer is None else parsed_report(referrer.content, f"report {referrer.digest}")


def read_report(path: Path) -> dict[str, object]:
    """Reads a report file: one JSON object of finite numbers. Raises ``InvalidValue``."""
    try:
        return parsed_report(path.read_bytes(), str(path))
    except OSError as error:
        raise InvalidValue("report", str(path), f"must be a readable file: {error.strerror}") from error


def parsed_report(content: bytes, source: str) -> dict[str, object]:
    """The report in these bytes.

    >>> parsed_report(b'{"f1_50_box": 0.5}', "r.json")
    {'f1_50_box': 0.5}

    Raises:
        InvalidValue: not a JSON object, or it contains a non-finite number, which no limit could judge.
    """

    def reject_constant(constant: str) -> float:
        raise ValueError(f"it contains {constant}")

    try:
        report = json.loads(content, parse_constant=reject_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidValue("report", source, f"must be one JSON object: {error}") from error
    if not isinstance(report, dict):
        raise InvalidValue("report", source, "must be one JSON object, like the output of `vqc-train evaluate`")
    return report
