"""vLLM by its own metrics. They omit what it prepares before scheduling: compare the service's latencies."""

from deploy.grafana.panels import Board, Chart, Choice, Query, Unit
from deploy.grafana.promql import quantiles, rate, share

ONE = '{instance=~"$engine"}'


def _spread(title: str, text: str, metric: str) -> Chart:
    return Chart(title=title, text=text, unit="s", queries=quantiles(f"vllm:{metric}", ONE))


def _now(title: str, text: str, metric: str, unit: Unit = "short") -> Chart:
    queries = [Query(expr=f"sum by (instance) (vllm:{metric}{ONE})", legend="{{instance}}")]
    return Chart(title=title, text=text, unit=unit, queries=queries)


BOARD = Board(
    uid="vqc-engine",
    title="VQC engine (vLLM)",
    choices=[Choice(name="engine", metric="vllm:num_requests_running", label="instance")],
    rows=[
        (
            "Load",
            [
                _now("Requests running", "In the current batch.", "num_requests_running"),
                _now(
                    "Requests waiting",
                    "If this stays above 0, the load exceeds the engine.",
                    "num_requests_waiting",
                ),
                _now(
                    "Cache in use",
                    "Of the key-value cache; near 1 requests are preempted.",
                    "kv_cache_usage_perc",
                    "percentunit",
                ),
                Chart(
                    title="Tokens",
                    text="Prompt tokens read and tokens generated per second.",
                    unit="ops",
                    queries=[
                        Query(expr=rate(f"vllm:prompt_tokens_total{ONE}"), legend="prompt"),
                        Query(expr=rate(f"vllm:generation_tokens_total{ONE}"), legend="generation"),
                    ],
                ),
                Chart(
                    title="Finished",
                    text="By reason. Length: truncated at the token limit.",
                    unit="ops",
                    queries=[
                        Query(
                            expr=rate(f"vllm:request_success_total{ONE}", "finished_reason"),
                            legend="{{finished_reason}}",
                        )
                    ],
                ),
                Chart(
                    title="Preemptions",
                    text="The cache was too small for the batch.",
                    unit="ops",
                    queries=[Query(expr=rate(f"vllm:num_preemptions_total{ONE}"), legend="preemptions")],
                ),
            ],
        ),
        (
            "Latency",
            [
                _spread(
                    "Time to the first token",
                    "Includes waiting and reading the prompt.",
                    "time_to_first_token_seconds",
                ),
                _spread("Between tokens", "Time from one token to the next.", "inter_token_latency_seconds"),
                _spread("Whole request", "From arrival to the last token.", "e2e_request_latency_seconds"),
                _spread("Wait for the scheduler", "From arrival to the first step.", "request_queue_time_seconds"),
                _spread("Reading the prompt", "Prefill, photos included.", "request_prefill_time_seconds"),
                _spread(
                    "Writing the answer", "Decoding, from the first token to the last.", "request_decode_time_seconds"
                ),
            ],
        ),
        (
            "Saved work",
            [
                Chart(
                    title="Prefix cache",
                    text="Share of the prompt tokens found in it.",
                    unit="percentunit",
                    width=8,
                    queries=[
                        Query(
                            expr=share(f"vllm:prefix_cache_hits_total{ONE}", f"vllm:prefix_cache_queries_total{ONE}"),
                            legend="hits",
                        )
                    ],
                ),
                Chart(
                    title="Photo cache",
                    text="Share of the photos that were already prepared.",
                    unit="percentunit",
                    width=8,
                    queries=[
                        Query(
                            expr=share(f"vllm:mm_cache_hits_total{ONE}", f"vllm:mm_cache_queries_total{ONE}"),
                            legend="hits",
                        )
                    ],
                ),
                Chart(
                    title="Accepted drafts",
                    text="Share of the drafted tokens that were accepted; empty where the engine does not draft.",
                    unit="percentunit",
                    width=8,
                    queries=[
                        Query(
                            expr=share(
                                f"vllm:spec_decode_num_accepted_tokens_total{ONE}",
                                f"vllm:spec_decode_num_draft_tokens_total{ONE}",
                            ),
                            legend="accepted",
                        )
                    ],
                ),
            ],
        ),
    ],
)
