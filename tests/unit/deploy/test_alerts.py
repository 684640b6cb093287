"""Each alert fires on its trouble, is silent on a healthy day, and has a page that says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.prometheus import RULES, alerts, promtool, rules

RUNBOOKS = Path(__file__).parents[3] / "docs/runbooks"
MINUTES, LONG = 90, 24 * 60
"""What a promtool test lasts: longer than any alert waits; what compares windows lasts longer than the shorter one."""
POST = 'vqc_http_requests_total{job="api",instance="a",method="POST",route="/caption"'
IN_TIME = 'vqc_http_request_seconds_bucket{job="api",instance="a",route="/caption",le="10.0"}'
DONE = 'vqc_groups_finished_total{job="worker",instance="w"'

HEALTHY = {
    'up{job="api",instance="a"}': "1",
    'up{job="worker",instance="w"}': "1",
    'up{job="engine",instance="e"}': "1",
    'vqc_engine_ready{job="api",instance="a"}': "1",
    'vqc_engine_restarts{job="api",instance="a"}': "1",
    'vllm:num_requests_running{job="engine",instance="e"}': "4",
    'vllm:generation_tokens_total{job="engine",instance="e"}': "0+900",
    'vqc_http_refused_total{job="api",instance="a",reason="overloaded"}': "0+1",
    POST + ',status="200"}': "0+1000",
    POST + ',status="503"}': "0+1",
    IN_TIME: "0+990",
    'vqc_http_request_seconds_count{job="api",instance="a",route="/caption"}': "0+1000",
    'vqc_group_seconds_bucket{job="worker",instance="w",le="600.0"}': "0+99",
    'vqc_group_seconds_count{job="worker",instance="w"}': "0+100",
    'vqc_queue_up{job="api",instance="a"}': "1",
    'vqc_redis_unsafe{job="api",instance="a"}': "0",
    'vqc_unreadable{job="api",instance="a",kind="job"}': "0",
    'vqc_unreadable{job="api",instance="a",kind="record"}': "0",
    'vqc_queue_jobs{job="api",instance="a",kind="lag"}': "3",
    'vqc_group_attempts_total{job="worker",instance="w",end="finished"}': "0+100",
    'vqc_group_oldest_seconds{job="api",instance="a",state="queued"}': "12",
    'vqc_group_oldest_seconds{job="api",instance="a",state="needs_review"}': "3600",
    DONE + ',state="failed",verdict="none"}': "0",
    DONE + ',state="needs_review",verdict="none"}': "0+10",
    DONE + ',state="decided",verdict="pass"}': "0+90",
    'vqc_webhooks_total{job="worker",instance="w",outcome="failed"}': "0+1",
    'vqc_webhooks_total{job="worker",instance="w",outcome="delivered"}': "0+99",
    'vqc_answers_total{job="api",instance="a",task="caption",status="malformed"}': "0",
    'vqc_answers_total{job="api",instance="a",task="caption",status="parsed"}': "0+1000",
    'vqc_group_vote_share_sum{job="worker",instance="w"}': "0+90",
    'vqc_group_vote_share_count{job="worker",instance="w"}': "0+100",
    'vqc_summary_items_total{job="worker",instance="w",mission="m",known="true"}': "0+95",
    'vqc_summary_items_total{job="worker",instance="w",mission="m",known="false"}': "0+5",
    'vqc_reviews_total{job="api",instance="a",was="decided",machine="pass",person="fail"}': "0",
    'vqc_reviews_total{job="api",instance="a",was="decided",machine="pass",person="pass"}': "0+5",
    'vqc_model_swaps_total{job="api",instance="a",outcome="failed"}': "0",
    'vqc_model_info{job="api",instance="a",role="main",alias="champion",digest="1"}': "1",
    'vqc_model_info{job="worker",instance="w",role="main",alias="champion",digest="1"}': "1",
    'vqc_train_silence_seconds{job="training",instance="t",run="done"}': "90000",
    'vqc_train_silence_seconds{job="training",instance="t",run="ended"}': "3000",
    'vqc_train_silence_seconds{job="training",instance="t",run="now"}': "10",
    'vqc_train_finished{job="training",instance="t",run="done"}': "1",
    'vqc_train_finished{job="training",instance="t",run="ended"}': "1",
    'vqc_train_finished{job="training",instance="t",run="now"}': "0",
}
"""A day without alarm; values by the minute, in promtool's notation (``a+b`` grows by b, a plain number stays)."""

FIRING: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "VqcTargetDown": ({'up{job="worker",instance="w"}': "0"}, {"job": "worker", "instance": "w"}),
    "VqcEngineDown": (
        {'vqc_engine_ready{job="api",instance="a"}': "0"},
        {"job": "api", "instance": "a"},
    ),
    "VqcEngineRestarting": (
        {'vqc_engine_restarts{job="api",instance="a"}': "0+0.2"},
        {"job": "api", "instance": "a"},
    ),
    "VqcEngineStuck": ({'vllm:generation_tokens_total{job="engine",instance="e"}': "77"}, {"instance": "e"}),
    "VqcOverloaded": ({'vqc_http_refused_total{job="api",instance="a",reason="overloaded"}': "0+80"}, {}),
    "VqcErrorBudgetFast": ({POST + ',status="503"}': "0+100"}, {}),
    "VqcErrorBudgetSlow": ({POST + ',status="503"}': "0+40"}, {}),
    "VqcCaptionsSlowFast": ({IN_TIME: "0+100"}, {}),
    "VqcCaptionsSlowSlow": ({IN_TIME: "0+600"}, {}),
    "VqcTicketsSlow": ({'vqc_group_seconds_bucket{job="worker",instance="w",le="600.0"}': "0+60"}, {}),
    "VqcQueueDown": ({'vqc_queue_up{job="api",instance="a"}': "0"}, {}),
    "VqcRedisUnsafe": ({'vqc_redis_unsafe{job="api",instance="a"}': "1"}, {}),
    "VqcUnreadable": ({'vqc_unreadable{job="api",instance="a",kind="job"}': "2"}, {"kind": "job"}),
    "VqcQueueStuck": ({'vqc_group_attempts_total{job="worker",instance="w",end="finished"}': "50"}, {}),
    "VqcQueueOld": ({'vqc_group_oldest_seconds{job="api",instance="a",state="queued"}': "1801"}, {}),
    "VqcDeadLetters": ({DONE + ',state="failed",verdict="none"}': "0+0.1"}, {}),
    "VqcReviewBacklog": ({'vqc_group_oldest_seconds{job="api",instance="a",state="needs_review"}': "15000"}, {}),
    "VqcWebhooksFailing": ({'vqc_webhooks_total{job="worker",instance="w",outcome="failed"}': "0+200"}, {}),
    "VqcAnswersMalformed": (
        {'vqc_answers_total{job="api",instance="a",task="caption",status="malformed"}': "0+30"},
        {},
    ),
    "VqcAbstention": ({DONE + ',state="needs_review",verdict="none"}': "0+100"}, {}),
    "VqcReleaseStopped": (
        {
            'vqc_group_passes_total{job="worker",instance="w",mission="m",outcome="released"}': "0+5x60 300x40",
            'vqc_group_passes_total{job="worker",instance="w",mission="m",outcome="not_calibrated"}': "0x60 0+5x40",
        },
        {"mission": "m"},
    ),
    "VqcVoteShareDrift": ({'vqc_group_vote_share_sum{job="worker",instance="w"}': "0+95x1080 102600+55x400"}, {}),
    "VqcVocabularyDrift": (
        {'vqc_summary_items_total{job="worker",instance="w",mission="m",known="false"}': "0+5x1080 5400+95x400"},
        {},
    ),
    "VqcFalseReleases": (
        {'vqc_reviews_total{job="api",instance="a",was="decided",machine="pass",person="fail"}': "0+1"},
        {},
    ),
    "VqcSwapFailed": (
        {'vqc_model_swaps_total{job="api",instance="a",outcome="failed"}': f"0x{MINUTES - 5} 1x5"},
        {"instance": "a"},
    ),
    "VqcModelsDisagree": (
        {'vqc_model_info{job="worker",instance="v",role="main",alias="champion",digest="2"}': "1"},
        {"alias": "champion"},
    ),
    "VqcTrainingSilent": (
        {'vqc_train_silence_seconds{job="training",instance="t",run="now"}': "2000"},
        {"job": "training", "instance": "t", "run": "now"},
    ),
}
"""What has to change on a healthy day for each alert, and the labels that it then has beside its own."""


def series(changes: dict[str, str], minutes: int) -> list[dict[str, str]]:
    def spelled(values: str) -> str:
        return values if "x" in values else f"{values}x{minutes}" if "+" in values else f"{values}+0x{minutes}"

    return [{"series": name, "values": spelled(values)} for name, values in (HEALTHY | changes).items()]


def firing(name: str) -> dict[str, object]:
    """A promtool test: at its end the alert fires once, with the labels that it should have."""
    changes, labels = FIRING[name]
    minutes = LONG if name.endswith("Drift") else MINUTES
    picked = "".join(f',{key}="{value}"' for key, value in labels.items())
    once = {"eval_time": f"{minutes}m", "exp_samples": [{"value": 1, "labels": "{}"}]}
    alert = f'ALERTS{{alertname="{name}",alertstate="firing"'
    return {
        "interval": "1m",
        "input_series": series(changes, minutes),
        "promql_expr_test": [{"expr": f"count({alert}{more}}})", **once} for more in ("", picked)],
    }


def test_every_alert_fires_on_its_trouble_and_on_a_healthy_day_none_does(tmp_path):
    assert set(FIRING) == set(alerts())
    silent = [{"eval_time": f"{MINUTES}m", "alertname": name, "exp_alerts": []} for name in FIRING]
    healthy = {"interval": "1m", "input_series": series({}, MINUTES), "alert_rule_test": silent}
    tests = [healthy, *map(firing, FIRING)]
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [*map(str, RULES)], "evaluation_interval": "5m", "tests": tests}))
    promtool("test", "rules", file)


def test_rules_and_configuration_are_valid():
    promtool("check", "config", RULES[0].parents[1] / "prometheus.yml")


@pytest.mark.parametrize("name", sorted(alerts()))
def test_every_alert_says_how_urgent_it_is_and_has_a_page(name):
    alert, page = alerts()[name], (RUNBOOKS / f"{name}.md").read_text("utf-8")
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert alert["annotations"]["summary"]
    items = r"(- .+\n(  .+\n)*)+"
    assert re.fullmatch(rf"# {name}\n\n(.+\n)+\n## Look\n\n{items}\n## Do\n\n{items}", page)
    index = (RUNBOOKS / "README.md").read_text("utf-8")
    assert f"| [{name}]({name}.md) | {alert['labels']['severity']} |" in index


def test_no_page_is_without_its_alert_and_no_link_leads_nowhere():
    assert {page.stem for page in RUNBOOKS.glob("Vqc*.md")} == set(alerts())
    for page in RUNBOOKS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page.name, target)


def test_recordings_are_used():
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = " ".join(alert["expr"] for alert in alerts().values())
    dashboards = "".join(path.read_text("utf-8") for path in (RUNBOOKS.parents[1] / "deploy/grafana").rglob("*.json"))
    assert [name for name in recorded if name not in used + dashboards] == []
