"""The values of vLLM's ``/metrics``."""

from __future__ import annotations

import re

TOKENS = "vllm:generation_tokens_total"
"""Tokens generated since the start."""

_LINE = re.compile(r"^(vllm:\w+)(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


def metric_totals(text: str) -> dict[str, float]:
    """The value of each of vLLM's own metrics, summed over its labels (engines, API processes, buckets).

    >>> metric_totals('# HELP vllm:x y\\nvllm:x{engine="0"} 1.5\\nvllm:x{engine="1"} 2\\nprocess_y 7\\n')
    {'vllm:x': 3.5}
    """
    totals = dict[str, float]()
    for name, value in _LINE.findall(text):
        totals[name] = totals.get(name, 0.0) + float(value)
    return totals
