"""The queue and its workers: what waits, for how long, what runs, what failed."""

from deploy.grafana.panels import Board, Chart, Query
from deploy.grafana.promql import quantiles, rate

BOARD = Board(
    uid="vqc-queue",
    title="VQC queue and workers",
    rows=[
        (
            "Now",
            [
                Chart(
                    title="Queue",
                    text="1 while Redis answers, else 0.",
                    unit="none",
                    kind="value",
                    width=4,
                    good=1,
                    bad=0.5,
                    queries=[Query(expr="max(vqc_queue_up)")],
                ),
                Chart(
                    title="Workers",
                    text="Processes that Prometheus reaches.",
                    unit="short",
                    kind="value",
                    width=4,
                    queries=[Query(expr='sum(up{job="worker"})')],
                ),
                Chart(
                    title="Jobs waiting",
                    text="Not yet delivered to a worker: the lag that KEDA scales on.",
                    unit="short",
                    kind="value",
                    width=4,
                    queries=[Query(expr='max(vqc_queue_jobs{kind="lag"})')],
                ),
                Chart(
                    title="Oldest in the queue",
                    text="Since it was accepted. Alert: half an hour.",
                    unit="s",
                    kind="value",
                    width=4,
                    good=300,
                    bad=1800,
                    queries=[Query(expr='max(vqc_group_oldest_seconds{state="queued"})')],
                ),
                Chart(
                    title="Oldest running",
                    text="Since it was accepted.",
                    unit="s",
                    kind="value",
                    width=4,
                    queries=[Query(expr='max(vqc_group_oldest_seconds{state="running"})')],
                ),
                Chart(
                    title="Dead letters",
                    text="Tickets that failed for good. A person can retry them.",
                    unit="short",
                    kind="value",
                    width=4,
                    good=1,
                    bad=2,
                    queries=[Query(expr='max(vqc_groups{state="failed"})')],
                ),
            ],
        ),
        (
            "Flow",
            [
                Chart(
                    title="Jobs",
                    text="Not yet delivered (lag), with a worker (pending), scheduled for later (delayed).",
                    unit="short",
                    queries=[Query(expr="max by (kind) (vqc_queue_jobs)", legend="{{kind}}")],
                ),
                Chart(
                    title="Tickets by state",
                    text="Stored records.",
                    unit="short",
                    queries=[Query(expr="max by (state) (vqc_groups)", legend="{{state}}")],
                ),
                Chart(
                    title="Accepted and finished",
                    text="Tickets a second.",
                    unit="ops",
                    queries=[
                        Query(expr=rate("vqc_groups_accepted_total"), legend="accepted"),
                        Query(expr=rate("vqc_groups_finished_total", "state"), legend="{{state}}"),
                    ],
                ),
                Chart(
                    title="Wait for a worker",
                    text="From acceptance to the first claim.",
                    unit="s",
                    queries=quantiles("vqc_group_wait_seconds"),
                ),
                Chart(
                    title="From acceptance to the final record",
                    text="Dots are traces.",
                    unit="s",
                    queries=quantiles("vqc_group_seconds"),
                ),
                Chart(
                    title="Duration of an attempt",
                    text="Time that a worker holds a ticket.",
                    unit="s",
                    queries=quantiles("vqc_group_attempt_seconds"),
                ),
                Chart(
                    title="Attempts",
                    text="By end. given_back: the worker shut down; superseded: another took over, or it was cancelled.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_group_attempts_total", "end"), legend="{{end}}")],
                ),
                Chart(
                    title="Tokens of verdicts",
                    text="Prompt tokens read and completion tokens written.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_group_tokens_total", "kind"), legend="{{kind}}")],
                ),
                Chart(
                    title="Webhooks",
                    text="Completion webhooks by outcome.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_webhooks_total", "outcome"), legend="{{outcome}}")],
                ),
            ],
        ),
    ],
)
