"""The metrics of submitted tickets: counters of what this process does, and gauges of the queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import get_args

from prometheus_client import CollectorRegistry
from typing_extensions import override

from service.judging.decision import ReviewReason
from service.judging.judge_ticket import Wave
from service.platform.metrics import MetricFactory, exemplar
from service.tickets.outcome import MISSION_UNTRAINED, PHOTO_WITHOUT_LINE
from service.tickets.ports import AttemptEnd, QueueDepth, TicketObserver, TicketStage
from service.tickets.ticket import ACTIVE, Outcome, State
from vqc.missions import missions
from vqc.verdict import Verdict

_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_DAYS = (60, 600, 3600, 4 * 3600, 8 * 3600, 24 * 3600, 72 * 3600, 168 * 3600)
_VERDICTS = {Verdict.PASS: "pass", Verdict.FAIL: "fail", None: "none"}
_WAITING = (State.QUEUED, State.RUNNING, State.NEEDS_REVIEW)
"""The states in which a ticket waits for a worker or for a person."""

_GATES = (ReviewReason.EVIDENCE_MISSING, ReviewReason.NOT_CALIBRATED, ReviewReason.ABOVE_RISK)
"""The gates of a release, in their order."""


class TicketMetrics(TicketObserver):
    """Counters and histograms are of this process. Gauges are read from Redis and the same in every process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        factory = MetricFactory(registry, seconds=_SECONDS)
        counter, gauge, histogram = factory.counter, factory.gauge, factory.histogram
        verdicts, ended = [*_VERDICTS.values()], sorted(set(State) - ACTIVE - {State.REVIEWED})
        self._accepted = counter("vqc_groups_accepted", "Tickets accepted.")
        self._finished = counter(
            "vqc_groups_finished", "Runs that reached a final record.", state=ended, verdict=verdicts
        )
        self._seconds = histogram("vqc_group_seconds", "Time from acceptance to the final record.")
        self._waited = histogram("vqc_group_wait_seconds", "Time from acceptance to the first claim.")
        self._attempts = counter(
            "vqc_group_attempts", "Attempts of workers, by how they ended.", end=get_args(AttemptEnd)
        )
        self._attempt_seconds = histogram("vqc_group_attempt_seconds", "Duration of an attempt.")
        self._stage_seconds = histogram(
            "vqc_group_stage_seconds",
            "Duration of a ticket's Stage-A lines (stage_a) or of its verdicts (stage_b).",
            stage=get_args(TicketStage),
        )
        self._samples = counter(
            "vqc_group_samples",
            "Planned rollouts that were sampled (taken), or skipped once the majority was certain (left_out).",
            kind=("taken", "left_out"),
        )
        self._rollouts = counter(
            "vqc_group_rollouts", "Rollouts, by their verdict.", outcome=("pass", "fail", "malformed")
        )
        self._wave_seconds = histogram("vqc_group_wave_seconds", "Duration of one engine request for rollouts.")
        self._tokens = counter("vqc_group_tokens", "Tokens of rollouts.", kind=("prompt", "completion"))
        self._judged = counter(
            "vqc_group_verdicts",
            "Selected verdicts, released or not.",
            mission=[*missions()],
            verdict=verdicts,
        )
        self._reasons = counter(
            "vqc_group_review_reasons",
            "Reasons for a review; a ticket can have several.",
            reason=[*ReviewReason, PHOTO_WITHOUT_LINE, MISSION_UNTRAINED],
        )
        self._passes = counter(
            "vqc_group_passes",
            "Verdicts of 通过, released or held back; by the first gate that one did not pass.",
            mission=[*missions()],
            outcome=("released", *_GATES, "other"),
        )
        self._vote_share = histogram(
            "vqc_group_vote_share",
            "Share of a ticket's rollouts that agree with the selected verdict.",
            buckets=(0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.999, 1),
        )
        self._reviews = counter(
            "vqc_reviews",
            "Decisions of people, by the ticket's state before, the machine's verdict and the person's verdict.",
            was=(State.DECIDED, State.NEEDS_REVIEW, State.REVIEWED),
            machine=verdicts,
            person=("pass", "fail"),
        )
        self._review_seconds = histogram(
            "vqc_review_seconds", "Time from the end of judging to a review.", buckets=_DAYS
        )
        self._webhooks = counter("vqc_webhooks", "Attempts to deliver a webhook.", outcome=("delivered", "failed"))
        self._tickets = gauge("vqc_groups", "Tickets by state; failed ones are dead letters.", "state")
        self._oldest = gauge("vqc_group_oldest_seconds", "Age of the oldest ticket in a state.", "state")
        self._jobs = gauge(
            "vqc_queue_jobs",
            "Jobs that are not yet delivered (lag), with a worker (pending), or due later (delayed).",
            "kind",
        )
        self._unreadable = gauge(
            "vqc_unreadable",
            "Found in Redis and set aside because it cannot be read: records of tickets (record), jobs of the queue (job).",
            "kind",
        )
        self._unsafe = gauge("vqc_redis_unsafe", "1 while Redis is set up so that it can lose accepted tickets.")
        self._up = gauge("vqc_queue_up", "1 while the queue is reachable.")

    def set_queue(
        self,
        counts: Mapping[State, int],
        oldest: Mapping[State, datetime],
        depth: QueueDepth,
        *,
        unreadable: int,
        unsafe: bool,
    ) -> None:
        """Sets the gauges of a reachable queue."""
        self._up.set(1)
        now = datetime.now(UTC)
        for state, count in counts.items():
            self._tickets.labels(state.value).set(count)
        for state in _WAITING:
            self._oldest.labels(state.value).set(max(0.0, (now - oldest.get(state, now)).total_seconds()))
        for kind in ("lag", "pending", "delayed"):
            self._jobs.labels(kind).set(getattr(depth, kind))
        self._unsafe.set(unsafe)
        self._unreadable.labels("record").set(unreadable)
        self._unreadable.labels("job").set(depth.unreadable)

    def clear_queue(self) -> None:
        """Clears the gauges of an unreachable queue, so that no stale value is exported."""
        self._up.set(0)
        for gauge in (self._tickets, self._oldest, self._jobs, self._unreadable):
            gauge.clear()

    @override
    def record_accepted(self) -> None:
        self._accepted.inc()

    @override
    def record_attempt(self, end: AttemptEnd, seconds: float) -> None:
        self._attempts.labels(end).inc()
        self._attempt_seconds.observe(seconds, exemplar())

    @override
    def record_finished(self, state: State, verdict: Verdict | None, seconds: float) -> None:
        self._finished.labels(state.value, _VERDICTS[verdict]).inc()
        self._seconds.observe(seconds, exemplar())

    @override
    def record_wait(self, seconds: float) -> None:
        self._waited.observe(seconds)

    @override
    def record_samples(self, taken: int, planned: int) -> None:
        self._samples.labels("taken").inc(taken)
        self._samples.labels("left_out").inc(planned - taken)

    @override
    def record_stage(self, stage: TicketStage, seconds: float) -> None:
        self._stage_seconds.labels(stage).observe(seconds, exemplar())

    @override
    def record_wave(self, wave: Wave) -> None:
        self._wave_seconds.observe(wave.seconds, exemplar())
        self._tokens.labels("prompt").inc(wave.prompt_tokens)
        self._tokens.labels("completion").inc(wave.completion_tokens)
        for rollout in wave.rollouts:
            answer = rollout.outcome.answer
            self._rollouts.labels(_VERDICTS[answer.verdict] if answer else "malformed").inc()

    @override
    def record_verdict(self, mission: str, outcome: Outcome) -> None:
        self._judged.labels(mission, _VERDICTS[outcome.verdict]).inc()
        self._vote_share.observe(outcome.vote_share)
        for reason in outcome.review_reasons:
            self._reasons.labels(reason).inc()
        if outcome.verdict is Verdict.PASS:
            gate = next((gate for gate in _GATES if gate in outcome.review_reasons), "other")
            self._passes.labels(mission, gate if outcome.review_reasons else "released").inc()

    @override
    def record_review(self, before: State, machine: Verdict | None, person: Verdict, seconds: float) -> None:
        self._reviews.labels(before.value, _VERDICTS[machine], _VERDICTS[person]).inc()
        self._review_seconds.observe(seconds)

    @override
    def record_webhook(self, *, delivered: bool) -> None:
        self._webhooks.labels("delivered" if delivered else "failed").inc()
