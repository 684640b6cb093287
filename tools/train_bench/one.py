"""One GPU: the trainer's variants and ms-swift alternately, the most informative first, within a time limit.

    python -m tools.train_bench.one --model DIR --tiny DIR --work DIR --out DIR --limit SECONDS [--small] [PHASE…]

The phases are those of ``PHASES``, in the given order. Writes OUT/one.json after every process (``rows``: medians by variant;
``runs``: every run; ``swift``; ``equal``; ``log``: times and failures), OUT/one.profiles.txt and OUT/logs.txt (the
output of the processes).
"""

from __future__ import annotations

from collections.abc import Callable

from tools.train_bench.session import TrainSession, parse_session

LONG_ROW, LONGEST_ROW = 12_288, 16_384
"""Tokens of longer packed rows; they take about 60 and 75 GiB."""

_COMPILED = ("sft+packing+compiled", "gkd+packing+compiled")
_BEST = {"kd": False, "recompute": False, "liger": True}
_PLAIN = {"kd": False, "recompute": True, "liger": False}
PHASES: dict[str, Callable[[TrainSession], None]] = {
    "compiled": lambda session: session.run_variants(_COMPILED, profile=True),
    "liger": lambda session: session.run_variants(("sft+packing+liger", "gkd+packing+liger"), profile=True),
    "long": lambda session: session.run_variants(_COMPILED, row_tokens=LONG_ROW, profile=True),
    "longest": lambda session: session.run_variants(_COMPILED, row_tokens=LONGEST_ROW),
    "swift": lambda session: session.run_swift({"name": "sft best", **_BEST}),
    "swift-equal": lambda session: session.run_swift({"name": "sft equal", **_PLAIN}),
    "swift-large": lambda session: session.run_swift({"name": "sft best, batch 9", **_BEST, "batch": 9}),
    "swift-gkd": lambda session: session.run_swift(
        {"name": "gkd best", **_BEST, "kd": True, "batch": 4}, {"name": "gkd equal", **_PLAIN, "kd": True, "batch": 4}
    ),
    "recompute": lambda session: session.run_variants(
        ("sft+recompute", "gkd+recompute", "sft+packing+recompute+compiled", "gkd+packing+recompute+compiled")
    ),
    "plain": lambda session: session.run_variants(("sft+packing", "gkd+packing", "sft+liger")),
    "equal": lambda session: session.compare_liger(session.tiny, session.model),
}


def main() -> None:
    """The command."""
    session, phases = parse_session("one", "phase", tuple(PHASES), limit_s=330)
    for name in phases:
        PHASES[name](session)
    session.log("done")
    session.save()


if __name__ == "__main__":
    main()
