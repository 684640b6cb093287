"""Which model answers, and how one takes another's place."""

from deploy.grafana.panels import Board, Chart, Query
from deploy.grafana.words import rate

BOARD = Board(
    uid="vqc-models",
    title="VQC models and swaps",
    rows=[
        (
            "In force",
            [
                Chart(
                    title="Models",
                    text="Role, alias and digest by process.",
                    unit="none",
                    kind="table",
                    width=16,
                    queries=[Query(expr="sum by (job, instance, role, alias, digest) (vqc_model_info)")],
                ),
                Chart(
                    title="Versions per alias",
                    text="More than 1 for long: processes disagree.",
                    unit="short",
                    kind="value",
                    good=2,
                    bad=3,
                    queries=[
                        Query(expr='max(count by (alias) (count by (alias, digest) (vqc_model_info{role="main"})))')
                    ],
                ),
                Chart(
                    title="Requests by role",
                    text="A canary answers its share; a shadow is asked too.",
                    unit="reqps",
                    queries=[Query(expr=rate("vqc_model_requests_total", "role"), legend="{{role}}")],
                ),
                Chart(
                    title="The shadow agrees",
                    text="Its answers beside those that were given.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_shadow_answers_total", "agreement"), legend="{{agreement}}")],
                ),
                Chart(
                    title="Engine restarts",
                    text="By process.",
                    unit="short",
                    queries=[Query(expr="vqc_engine_restarts", legend="{{job}} {{instance}}")],
                ),
            ],
        ),
        (
            "Swaps",
            [
                Chart(
                    title="Swaps, 24 hours",
                    text="By outcome; failed: the old model is still in force.",
                    unit="short",
                    queries=[
                        Query(expr="sum by (outcome) (increase(vqc_model_swaps_total[24h]))", legend="{{outcome}}")
                    ],
                ),
                Chart(
                    title="Time of a swap, 24 hours",
                    text="Mean, from the call to the old engine's end.",
                    unit="s",
                    queries=[
                        Query(
                            expr="sum(increase(vqc_model_swap_seconds_sum[24h])) "
                            "/ (sum(increase(vqc_model_swap_seconds_count[24h])) > 0)",
                            legend="mean",
                        )
                    ],
                ),
                Chart(
                    title="Two engines at once, 24 hours",
                    text="Time with double memory.",
                    unit="s",
                    queries=[Query(expr="sum(increase(vqc_model_double_memory_seconds_total[24h]))", legend="double")],
                ),
            ],
        ),
    ],
)
