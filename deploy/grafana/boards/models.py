"""Which models are active, and how they are swapped."""

from deploy.grafana.panels import Board, Chart, Query
from deploy.grafana.promql import rate

BOARD = Board(
    uid="vqc-models",
    title="VQC models and swaps",
    rows=[
        (
            "Active",
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
                    text="More than 1 for a long time: processes disagree.",
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
                    text="The canary answers its share; the shadow gets copies of requests.",
                    unit="reqps",
                    queries=[Query(expr=rate("vqc_model_requests_total", "role"), legend="{{role}}")],
                ),
                Chart(
                    title="Shadow agreement",
                    text="The shadow's answers compared with the main model's.",
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
                    text="By outcome. Failed: the old model stays active.",
                    unit="short",
                    queries=[
                        Query(expr="sum by (outcome) (increase(vqc_model_swaps_total[24h]))", legend="{{outcome}}")
                    ],
                ),
                Chart(
                    title="Time of a swap, 24 hours",
                    text="Mean, from the request to the old engine's exit.",
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
                    text="Time with the memory of two engines.",
                    unit="s",
                    queries=[Query(expr="sum(increase(vqc_model_double_memory_seconds_total[24h]))", legend="double")],
                ),
            ],
        ),
    ],
)
