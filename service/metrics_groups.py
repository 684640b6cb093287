"""The metrics of submitted tickets: what this process does with them, and how the queue is when looked at."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from service.application.groups.ports import AttemptEnd, GroupObserver, QueueDepth
from service.domain.groups import State
from vqc.verdict import Verdict

_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_VERDICTS = {Verdict.PASS: "pass", Verdict.FAIL: "fail", None: "none"}


class GroupMetrics(GroupObserver):
    """Counts what this process does; the gauges are what Redis says, the same from every process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._accepted = Counter("vqc_groups_accepted", "Tickets accepted.", registry=registry)
        self._finished = Counter(
            "vqc_groups_finished", "Runs with a final record.", ["state", "verdict"], registry=registry
        )
        self._seconds = Histogram(
            "vqc_group_seconds", "Time from acceptance to the final record.", buckets=_SECONDS, registry=registry
        )
        self._waited = Histogram(
            "vqc_group_wait_seconds", "Time from acceptance to the first claim.", buckets=_SECONDS, registry=registry
        )
        self._attempts = Counter("vqc_group_attempts", "Attempts, by how they ended.", ["end"], registry=registry)
        self._attempt_seconds = Histogram(
            "vqc_group_attempt_seconds", "Time a worker had a ticket.", buckets=_SECONDS, registry=registry
        )
        self._samples = Counter("vqc_group_samples", "Verdicts sampled and left out.", ["kind"], registry=registry)
        self._webhooks = Counter("vqc_webhooks", "Attempts to tell a caller's system.", ["outcome"], registry=registry)
        self._groups = Gauge(
            "vqc_groups", "Tickets by state; failed ones are dead letters.", ["state"], registry=registry
        )
        self._jobs = Gauge(
            "vqc_queue_jobs",
            "Jobs not yet given to a worker (lag), with one (pending), to be given later (delayed).",
            ["kind"],
            registry=registry,
        )
        self._up = Gauge("vqc_queue_up", "1 while the queue answers.", registry=registry)

    def queue(self, counts: Mapping[State, int], depth: QueueDepth) -> None:
        """What the queue says now."""
        self._up.set(1)
        for state, count in counts.items():
            self._groups.labels(state.value).set(count)
        for kind in ("lag", "pending", "delayed"):
            self._jobs.labels(kind).set(getattr(depth, kind))

    def queue_away(self) -> None:
        """The queue says nothing: no figure is better than an old one."""
        self._up.set(0)
        self._groups.clear()
        self._jobs.clear()

    def accepted(self) -> None:
        """See ``GroupObserver``."""
        self._accepted.inc()

    def attempt(self, end: AttemptEnd, seconds: float) -> None:
        """See ``GroupObserver``."""
        self._attempts.labels(end).inc()
        self._attempt_seconds.observe(seconds)

    def finished(self, state: State, verdict: Verdict | None, seconds: float) -> None:
        """See ``GroupObserver``."""
        self._finished.labels(state.value, _VERDICTS[verdict]).inc()
        self._seconds.observe(seconds)

    def waited(self, seconds: float) -> None:
        """See ``GroupObserver``."""
        self._waited.observe(seconds)

    def samples(self, taken: int, planned: int) -> None:
        """See ``GroupObserver``."""
        self._samples.labels("taken").inc(taken)
        self._samples.labels("left_out").inc(planned - taken)

    def notified(self, *, delivered: bool) -> None:
        """See ``GroupObserver``."""
        self._webhooks.labels("delivered" if delivered else "failed").inc()
