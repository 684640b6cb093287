"""PromQL expressions that several panels use."""

from __future__ import annotations

from deploy.grafana.panels import Query

EVERY = "$__rate_interval"


def rate(counter: str, by: str = "", every: str = EVERY) -> str:
    """A counter's increase per second, summed by the labels ``by``.

    >>> rate('vqc_tokens_total{kind="prompt"}', "task")
    'sum by (task) (rate(vqc_tokens_total{kind="prompt"}[$__rate_interval]))'
    """
    summed = f"sum by ({by})" if by else "sum"
    return f"{summed} (rate({counter}[{every}]))"


def share(part: str, whole: str, by: str = "", every: str = EVERY) -> str:
    """One counter's share of another, 0 to 1; no value while the whole does not grow."""
    return f"{rate(part, by, every)} / ({rate(whole, by, every)} > 0)"


def share_by(counter: str, by: str) -> str:
    """The share of each value of the label ``by`` in a counter; no value while it does not grow."""
    return f"{rate(counter, by)} / on () group_left () ({rate(counter)} > 0)"


def mean(histogram: str, every: str = EVERY) -> str:
    """The mean of a histogram's observations; no value without observations."""
    return share(f"{histogram}_sum", f"{histogram}_count", every=every)


def quantiles(histogram: str, selector: str = "", by: str = "", of: tuple[float, ...] = (0.5, 0.95)) -> list[Query]:
    """Quantiles of a histogram, one query each; series without observations are left out."""
    name, grouped = (f"{{{{{by}}}}} ", f"le, {by}") if by else ("", "le")
    seen = f"{rate(f'{histogram}_count{selector}', by)} > 0"
    buckets = f"{rate(f'{histogram}_bucket{selector}', grouped)} and on ({by}) ({seen})"
    return [
        Query(
            expr=f"histogram_quantile({q}, {buckets})",
            legend=f"{name}p{q * 100:g}",
            exemplars=histogram.startswith("vqc_"),
        )
        for q in of
    ]
