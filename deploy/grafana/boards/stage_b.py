"""Whether verdicts can be trusted: their mix, abstention, drift against the week, and what reviewers decide."""

from deploy.grafana.panels import Board, Chart, Choice, Query
from deploy.grafana.promql import mean, quantiles, rate, share, share_by

MISSION = 'mission=~"$mission"'
AUDITED = 'was="decided",machine="pass"'

BOARD = Board(
    uid="vqc-stage-b",
    title="VQC verdicts",
    choices=[Choice(name="mission", metric="vqc_group_verdicts_total", label="mission")],
    rows=[
        (
            "Releases",
            [
                Chart(
                    title="False releases, 7 days",
                    text="Share of the audited releases of 通过 that were wrong. "
                    "Few audits say little: see their number beside it.",
                    unit="percentunit",
                    kind="value",
                    width=6,
                    good=0.01,
                    bad=0.02,
                    queries=[
                        Query(
                            expr=f'sum(increase(vqc_reviews_total{{{AUDITED},person="fail"}}[7d])) '
                            f"/ (sum(increase(vqc_reviews_total{{{AUDITED}}}[7d])) > 0)"
                        )
                    ],
                ),
                Chart(
                    title="Audits of releases, 7 days",
                    text="Reviews of tickets that had been released as 通过.",
                    unit="short",
                    kind="value",
                    width=6,
                    queries=[Query(expr=f"sum(increase(vqc_reviews_total{{{AUDITED}}}[7d]))")],
                ),
                Chart(
                    title="Waiting for review",
                    text="Tickets in the review queue.",
                    unit="short",
                    kind="value",
                    width=6,
                    queries=[Query(expr='max(vqc_groups{state="needs_review"})')],
                ),
                Chart(
                    title="Oldest in review",
                    text="Since it was accepted. Alert: four hours.",
                    unit="s",
                    kind="value",
                    width=6,
                    good=7200,
                    bad=14400,
                    queries=[Query(expr='max(vqc_group_oldest_seconds{state="needs_review"})')],
                ),
            ],
        ),
        (
            "Verdicts",
            [
                Chart(
                    title="Verdict mix",
                    text="Selected verdicts, released or not. None: no rollout could be parsed.",
                    unit="percentunit",
                    queries=[
                        Query(
                            expr=share_by(f"vqc_group_verdicts_total{{{MISSION}}}", "verdict"),
                            legend="{{verdict}}",
                        )
                    ],
                ),
                Chart(
                    title="Abstention",
                    text="Share of the judged tickets that go to review.",
                    unit="percentunit",
                    queries=[
                        Query(
                            expr=share(
                                'vqc_groups_finished_total{state="needs_review"}',
                                'vqc_groups_finished_total{state=~"needs_review|decided"}',
                            ),
                            legend="to review",
                        )
                    ],
                ),
                Chart(
                    title="Reasons for review",
                    text="A ticket can have several reasons.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_group_review_reasons_total", "reason"), legend="{{reason}}")],
                ),
                Chart(
                    title="Verdicts by mission",
                    text="Tickets judged.",
                    unit="ops",
                    queries=[
                        Query(expr=rate(f"vqc_group_verdicts_total{{{MISSION}}}", "mission"), legend="{{mission}}")
                    ],
                ),
                Chart(
                    title="Rollouts",
                    text="By outcome.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_group_rollouts_total", "outcome"), legend="{{outcome}}")],
                ),
                Chart(
                    title="Rollouts saved",
                    text="Share of the planned rollouts that a clear majority made unnecessary.",
                    unit="percentunit",
                    queries=[
                        Query(
                            expr=share('vqc_group_samples_total{kind="left_out"}', "vqc_group_samples_total"),
                            legend="saved",
                        )
                    ],
                ),
            ],
        ),
        (
            "Drift",
            [
                Chart(
                    title="Vote share",
                    text="Share of a ticket's rollouts that agree: now, over 6 hours, over the week.",
                    unit="percentunit",
                    queries=[
                        Query(expr=mean("vqc_group_vote_share"), legend="now"),
                        Query(expr=mean("vqc_group_vote_share", "6h"), legend="6 h"),
                        Query(expr=mean("vqc_group_vote_share", "7d"), legend="7 d"),
                    ],
                ),
                Chart(
                    title="Unknown words in Stage-A lines",
                    text="Share of the items that their mission does not know: now, over 6 hours, over the week.",
                    unit="percentunit",
                    queries=[
                        Query(
                            expr=share(
                                f'vqc_summary_items_total{{known="false",{MISSION}}}',
                                f"vqc_summary_items_total{{{MISSION}}}",
                                every=every,
                            ),
                            legend=legend,
                        )
                        for legend, every in (("now", "$__rate_interval"), ("6 h", "6h"), ("7 d", "7d"))
                    ],
                ),
                Chart(
                    title="Unknown words by mission",
                    text="Over 6 hours.",
                    unit="percentunit",
                    queries=[
                        Query(
                            expr=share(
                                f'vqc_summary_items_total{{known="false",{MISSION}}}',
                                f"vqc_summary_items_total{{{MISSION}}}",
                                "mission",
                                "6h",
                            ),
                            legend="{{mission}}",
                        )
                    ],
                ),
            ],
        ),
        (
            "Reviewers",
            [
                Chart(
                    title="Reviews",
                    text="The ticket's state before, and the reviewer's decision.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_reviews_total", "was, person"), legend="{{was}} → {{person}}")],
                ),
                Chart(
                    title="Overruled verdicts",
                    text="Share of the reviews that changed the machine's verdict.",
                    unit="percentunit",
                    queries=[
                        Query(
                            expr='(sum(increase(vqc_reviews_total{machine="pass",person="fail"}[6h])) '
                            '+ sum(increase(vqc_reviews_total{machine="fail",person="pass"}[6h]))) '
                            '/ (sum(increase(vqc_reviews_total{machine=~"pass|fail"}[6h])) > 0)',
                            legend="overruled",
                        )
                    ],
                ),
                Chart(
                    title="Time to review",
                    text="From the machine's verdict to the reviewer's; median and 95th percentile over 6 hours.",
                    unit="s",
                    queries=[
                        Query(
                            expr=f"histogram_quantile({q}, sum by (le) (increase(vqc_review_seconds_bucket[6h])) "
                            "and on () (sum (increase(vqc_review_seconds_count[6h])) > 0))",
                            legend=f"p{q * 100:g}",
                        )
                        for q in (0.5, 0.95)
                    ],
                ),
            ],
        ),
        (
            "Time",
            [
                Chart(
                    title="Stages of a ticket",
                    text="Time spent on lines and on verdicts.",
                    unit="s",
                    width=12,
                    queries=quantiles("vqc_group_stage_seconds", by="stage"),
                ),
                Chart(
                    title="One wave of verdicts",
                    text="One engine request with several rollouts.",
                    unit="s",
                    width=12,
                    queries=quantiles("vqc_group_wave_seconds"),
                ),
            ],
        ),
    ],
)
