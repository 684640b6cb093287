"""The service as its callers see it: objectives, requests and their duration, photos and answers."""

from deploy.grafana.panels import Board, Chart, Query
from deploy.grafana.promql import mean, quantiles, rate, share, share_by

WORK = 'route=~"/caption|/stage-a|/stage-b/groups"'

BOARD = Board(
    uid="vqc-service",
    title="VQC service",
    rows=[
        (
            "Objectives (30 days: 99.5 % answered, 95 % in time)",
            [
                Chart(
                    title="Answered, last hour",
                    text="Requests that did not end with 5xx. Objective: 99.5 %.",
                    unit="percentunit",
                    kind="value",
                    width=4,
                    good=0.995,
                    bad=0.928,
                    queries=[Query(expr="1 - vqc:request_errors:ratio_rate1h")],
                ),
                Chart(
                    title="Captions in 10 s, last hour",
                    text="Objective: 95 %.",
                    unit="percentunit",
                    kind="value",
                    width=4,
                    good=0.95,
                    bad=0.28,
                    queries=[Query(expr="1 - vqc:captions_slow:ratio_rate1h")],
                ),
                Chart(
                    title="Tickets in 10 min, last 6 hours",
                    text="From acceptance to the final record. Objective: 95 %.",
                    unit="percentunit",
                    kind="value",
                    width=4,
                    good=0.95,
                    bad=0.7,
                    queries=[Query(expr="1 - vqc:tickets_slow:ratio_rate6h")],
                ),
                Chart(
                    title="Burn rate of the error budget",
                    text="1: the budget lasts 30 days. Over the last hour.",
                    unit="none",
                    kind="value",
                    width=4,
                    good=1,
                    bad=14.4,
                    queries=[Query(expr="vqc:request_errors:ratio_rate1h / 0.005")],
                ),
                Chart(
                    title="Engines that answer",
                    text="Share of the processes that have an engine.",
                    unit="percentunit",
                    kind="value",
                    width=4,
                    good=1,
                    bad=0.5,
                    queries=[Query(expr="avg(vqc_engine_ready)")],
                ),
                Chart(
                    title="Alerts firing",
                    text="Each has a page in docs/runbooks.",
                    unit="none",
                    kind="value",
                    width=4,
                    good=1,
                    bad=2,
                    queries=[Query(expr='count(ALERTS{alertname=~"Vqc.+",alertstate="firing"}) or vector(0)')],
                ),
                Chart(
                    title="Failed requests",
                    text="Share of requests that ended with 5xx, over the windows of the burn alerts.",
                    unit="percentunit",
                    width=12,
                    queries=[
                        Query(expr=f"vqc:request_errors:ratio_rate{w}", legend=w) for w in ("5m", "30m", "1h", "6h")
                    ],
                ),
                Chart(
                    title="Captions over 10 s",
                    text="Share of the captions, over the same windows.",
                    unit="percentunit",
                    width=12,
                    queries=[
                        Query(expr=f"vqc:captions_slow:ratio_rate{w}", legend=w) for w in ("5m", "30m", "1h", "6h")
                    ],
                ),
            ],
        ),
        (
            "Requests",
            [
                Chart(
                    title="Requests",
                    text="Answered, by route.",
                    unit="reqps",
                    queries=[Query(expr=rate(f"vqc_http_requests_total{{{WORK}}}", "route"), legend="{{route}}")],
                ),
                Chart(
                    title="By status",
                    text="0: the client disconnected before the answer.",
                    unit="reqps",
                    queries=[Query(expr=rate("vqc_http_requests_total", "status"), legend="{{status}}")],
                ),
                Chart(
                    title="Time to the last byte",
                    text="By route; dots are traces.",
                    unit="s",
                    queries=quantiles("vqc_http_request_seconds", f"{{{WORK}}}", "route"),
                ),
                Chart(
                    title="In flight",
                    text="Admitted requests by process, and their limit.",
                    unit="short",
                    queries=[
                        Query(expr='vqc_requests_in_flight{job="api"}', legend="{{instance}}"),
                        Query(expr='max(vqc_requests_in_flight_limit{job="api"})', legend="limit"),
                    ],
                ),
                Chart(
                    title="Rejected before any work",
                    text="By reason; the answer has a Retry-After header.",
                    unit="reqps",
                    queries=[Query(expr=rate("vqc_http_refused_total", "reason"), legend="{{reason}}")],
                ),
                Chart(
                    title="Audit entries that could not be written",
                    text="The process log has each of them, as audit_log_unwritable.",
                    unit="short",
                    queries=[Query(expr="sum(increase(vqc_audit_failures_total[$__rate_interval]))", legend="entries")],
                ),
                Chart(
                    title="Connections",
                    text="Open connections of callers, by process.",
                    unit="short",
                    queries=[Query(expr='vqc_connections{job="api"}', legend="{{instance}}")],
                ),
                Chart(
                    title="Bodies in flight",
                    text="Bytes of the bodies of all requests, by process.",
                    unit="bytes",
                    queries=[Query(expr='vqc_bodies_in_flight_bytes{job="api"}', legend="{{instance}}")],
                ),
                Chart(
                    title="CPU",
                    text="Cores used, by process.",
                    unit="short",
                    queries=[
                        Query(
                            expr='rate(process_cpu_seconds_total{job=~"api|worker"}[$__rate_interval])',
                            legend="{{job}} {{instance}}",
                        )
                    ],
                ),
                Chart(
                    title="Resident memory",
                    text="By process.",
                    unit="bytes",
                    queries=[
                        Query(expr='process_resident_memory_bytes{job=~"api|worker"}', legend="{{job}} {{instance}}")
                    ],
                ),
            ],
        ),
        (
            "Photos and answers",
            [
                Chart(
                    title="Reading a photo",
                    text="Checks only (passed through), or with conversion.",
                    unit="s",
                    queries=quantiles("vqc_photo_read_seconds", by="passed_through"),
                ),
                Chart(
                    title="Photos rejected",
                    text="By reason.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_photos_rejected_total", "reason"), legend="{{reason}}")],
                ),
                Chart(
                    title="Engine time",
                    text="For the answer about one photo.",
                    unit="s",
                    queries=quantiles("vqc_engine_seconds", by="task"),
                ),
                Chart(
                    title="Response cache",
                    text="Lookups by outcome (VQC_ANSWER_CACHE_H). Hit and joined need no engine.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_answer_cache_lookups_total", "outcome"), legend="{{outcome}}")],
                ),
                Chart(
                    title="Streamed captions",
                    text="From the engine call to the first piece and to the first object.",
                    unit="s",
                    queries=[
                        *(
                            Query(expr=q.expr, legend=f"first piece {q.legend}")
                            for q in quantiles("vqc_first_token_seconds")
                        ),
                        *(
                            Query(expr=q.expr, legend=f"first object {q.legend}")
                            for q in quantiles("vqc_first_object_seconds")
                        ),
                    ],
                ),
                Chart(
                    title="Tokens",
                    text="Prompt tokens read and completion tokens written, by task.",
                    unit="ops",
                    queries=[Query(expr=rate("vqc_tokens_total", "task, kind"), legend="{{task}} {{kind}}")],
                ),
                Chart(
                    title="Answers by parse status",
                    text="Repaired: the parser corrected the answer and noted it.",
                    unit="percentunit",
                    queries=[
                        Query(
                            expr=share_by("vqc_answers_total", "status"),
                            legend="{{status}}",
                        )
                    ],
                ),
                Chart(
                    title="Objects in a caption",
                    text="Mean per caption.",
                    unit="short",
                    queries=[Query(expr=mean("vqc_caption_objects"), legend="objects")],
                ),
                Chart(
                    title="Truncated captions",
                    text="Share that reached the token limit.",
                    unit="percentunit",
                    queries=[
                        Query(
                            expr=share("vqc_captions_truncated_total", "vqc_caption_objects_count"), legend="truncated"
                        )
                    ],
                ),
            ],
        ),
    ],
)
