"""Tickets on their way: what waits, how long, who works on it, what came to nothing."""

from deploy.grafana.panels import Board, Chart, Query
from deploy.grafana.words import quantiles, rate

BOARD = Board(
    uid="vqc-queue",
    title="VQC queue and workers",
    rows=[
        (
            "Now",
            [
                Chart(
                    title="Queue",
                    text="1 while Redis answers.",
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
                    title="Not yet with a worker",
                    text="The lag that KEDA scales on.",
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
                    title="Oldest in work",
                    text="Since it was accepted.",
                    unit="s",
                    kind="value",
                    width=4,
                    queries=[Query(expr='max(vqc_group_oldest_seconds{state="running"})')],
                ),
                Chart(
                    title="Dead letters",
                    text="Tickets that came to nothing and wait for somebody.",
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
                    text="Not yet given to a worker (lag), with one (pending), for later (delayed).",
                    unit="short",
                    queries=[Query(expr="max by (kind) (vqc_queue_jobs)", legend="{{kind}}")],
                ),
                Chart(
                    title="Tickets by state",
                    text="Kept records.",
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
                    text="The dots are traces.",
                    unit="s",
                    queries=quantiles("vqc_group_seconds"),
                ),
                Chart(
                    title="A worker has a ticket",
                    text="Time of one attempt.",
                    unit="s",
                    queries=quantiles("vqc_group_attempt_seconds"),
                ),
                Chart(
                    title="Attempts",
                    text="Given back: a worker left; superseded: another took over, or it was cancelled.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_group_attempts_total", "end"), legend="{{end}}")],
                ),
                Chart(
                    title="Tokens of verdicts",
                    text="Read and written.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_group_tokens_total", "kind"), legend="{{kind}}")],
                ),
                Chart(
                    title="Webhooks",
                    text="Calls to the callers' systems.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_webhooks_total", "outcome"), legend="{{outcome}}")],
                ),
            ],
        ),
    ],
)
