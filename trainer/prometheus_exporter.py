"""Exports the progress of training runs to Prometheus, from the ``logging.jsonl`` that every run writes anyway.

The exporter (``vqc-train exporter output/``) is a separate process next to the output directory: a run never waits for a
scraper, and after a run has died its metrics still show when it logged last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import time
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from trainer.scrape_server import start_scrape_server

LOG_NAME = "logging.jsonl"
LATEST_RUNS = 20
"""Number of exported runs, those that logged last: the number of series must not grow without bound."""
_TAIL_BYTES = 65_536
_KNOWN = {
    "step": ("vqc_train_step", "Optimizer steps done."),
    "steps": ("vqc_train_steps", "Optimizer steps planned."),
    "train/loss": ("vqc_train_loss", "Training loss."),
    "train/token_acc": ("vqc_train_token_accuracy_ratio", "Share of the target tokens that were predicted correctly."),
    "train/grad_norm": ("vqc_train_gradient_norm", "Norm of the gradient before clipping."),
    "train/lr": ("vqc_train_learning_rate", "Highest learning rate of any tower."),
    "train/samples_per_s": ("vqc_train_samples_per_second", "Training samples per second, over all ranks."),
    "train/tokens_per_s": ("vqc_train_tokens_per_second", "Training tokens per second, over all ranks."),
    "eval/loss": ("vqc_train_eval_loss", "Loss on the evaluation records."),
}
"""Name in the log → (metric, help text)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """The latest value of every name that a run has logged, the time of its last log line (Unix seconds), its state."""

    run: str
    values: dict[str, float]
    logged_at: float
    finished: bool


def progress_of(log: Path, root: Path) -> RunProgress:
    """The progress of a run from the end of its log. An incomplete last line is ignored."""
    values: dict[str, float] = {}
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        for line in file.read().split(b"\n"):
            try:
                values |= json.loads(line)
            except (ValueError, TypeError):
                continue
    run = log.parent.relative_to(root).as_posix()
    return RunProgress(
        run=root.name if run == "." else run,
        values=values,
        logged_at=log.stat().st_mtime,
        finished="train/runtime_s" in values,
    )


class TrainingProgress(Collector):
    """The metrics of the runs below a directory, read at every scrape."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The metrics, without samples."""
        yield from self._families([])

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics of the runs that logged last."""
        logs = sorted(self._root.rglob(LOG_NAME), key=lambda log: log.stat().st_mtime)
        yield from self._families([progress_of(log, self._root) for log in logs[-LATEST_RUNS:]])

    def _families(self, runs: list[RunProgress]) -> Iterator[GaugeMetricFamily]:
        for name, (metric, text) in _KNOWN.items():
            values = [(run.run, run.values[name]) for run in runs if name in run.values]
            yield _family(metric, text, values)
        silence = [(run.run, max(0.0, time() - run.logged_at)) for run in runs]
        yield _family("vqc_train_silence_seconds", "Time since the last log line of the run.", silence)
        yield _family("vqc_train_finished", "1 once the run has finished.", [(r.run, r.finished) for r in runs])


def serve(root: Path, host: str, port: int) -> tuple[WSGIServer, int]:
    """Starts a server for the metrics of the runs below ``root``; returns it and the port it listens on."""
    registry = CollectorRegistry()
    registry.register(TrainingProgress(root))
    server = start_scrape_server(port, host, registry)
    return server, server.server_port


def _family(name: str, text: str, values: list[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=["run"])
    for run, value in values:
        family.add_metric([run], value)
    return family
