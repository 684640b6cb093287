"""A container's liveness probe: ``python -m engine.probe`` checks whether an engine still works.

vLLM's ``/health`` reports errors, not progress. This probe also fails if requests are in flight and no token is produced
for ``--stall-s``; an idle engine is healthy. The last observation is stored in ``--state``. Standard library only, because
the probe starts every few seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

_IN_FLIGHT = ("vllm:num_requests_running", "vllm:num_requests_waiting")
_PROGRESS = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total", "vllm:request_success_total")
_TIMEOUT_S = 5.0
_open = build_opener(ProxyHandler({})).open


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The engine's counters when they last changed, and that time in seconds of a monotonic clock."""

    counted: float
    since_s: float


def check_progress(
    metrics: str, last: Progress | None, *, now_s: float, stall_s: float
) -> tuple[Progress | None, str | None]:
    """The observation to store for the next probe (None for an idle engine), and why the engine has stalled, if it has.

    >>> busy = "vllm:num_requests_running 1.0\\nvllm:generation_tokens_total{model_name=\\"m\\"} 7.0"
    >>> seen, reason = check_progress(busy, None, now_s=0, stall_s=60)
    >>> check_progress(busy, seen, now_s=61, stall_s=60)[1]
    '1 requests in flight and no token for 61 s'
    >>> check_progress(busy.replace("7.0", "8.0"), seen, now_s=61, stall_s=60)[1] is None
    True
    """
    counted, in_flight = _total(metrics, _PROGRESS), _total(metrics, _IN_FLIGHT)
    if not in_flight:
        return None, None
    if last is None or counted != last.counted or now_s < last.since_s:
        return Progress(counted=counted, since_s=now_s), None
    quiet_s = now_s - last.since_s
    reason = f"{in_flight:g} requests in flight and no token for {quiet_s:.0f} s"
    return last, reason if quiet_s >= stall_s else None


def _total(metrics: str, names: tuple[str, ...]) -> float:
    """The sum of these metrics over all their labels."""
    samples = (line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith(names))
    return sum(float(value) for name, value in samples if name.partition("{")[0] in names)


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit code 0 if the engine works; otherwise 1, with the reason on standard error."""
    parser = argparse.ArgumentParser(prog="python -m engine.probe", description="Check whether an engine works.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="URL of the engine [http://127.0.0.1:8000]")
    parser.add_argument("--stall-s", type=float, default=120.0, help="limit for no progress under load, seconds [120]")
    parser.add_argument(
        "--state", type=Path, default=Path("/tmp/engine-progress.json"), help="file for the last observation"
    )
    options = parser.parse_args(arguments)
    try:
        _get(f"{options.url}/health")
        metrics = _get(f"{options.url}/metrics")
    except (URLError, OSError) as error:
        sys.exit(f"the engine does not answer: {error}")
    seen, reason = check_progress(metrics, _last(options.state), now_s=time.monotonic(), stall_s=options.stall_s)
    options.state.write_text(json.dumps(seen and asdict(seen)))
    if reason is not None:
        sys.exit(f"the engine has stalled: {reason}")


def _last(state: Path) -> Progress | None:
    """The last probe's observation; None if the file cannot be read."""
    try:
        return Progress(**json.loads(state.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _get(url: str) -> str:
    """The response's body; a status other than 2xx raises ``URLError``."""
    with _open(url, timeout=_TIMEOUT_S) as response:
        return response.read().decode()


if __name__ == "__main__":
    main()
