"""The chart: valid for Kubernetes and KEDA, its parts find each other, its times add up, its settings exist."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import helm_python
import pytest

from service.app.http import create_routes
from service.platform.settings import Settings, read_settings
from service.tickets import queue
from tests.unit.deploy.charts import CHART, VALUES, Manifest, check, one, pod, rendered, values_of, variables

GPU = CHART / "ci" / "gpu-values.yaml"
each = pytest.mark.parametrize("path", VALUES, ids=lambda path: path.stem)


@each
def test_every_object_is_what_kubernetes_and_keda_take(path: Path) -> None:
    manifests = rendered(values_of(path))
    assert {"Deployment", "Service"} <= {manifest["kind"] for manifest in manifests}
    for manifest in manifests:
        check(manifest)


def test_the_check_finds_an_unknown_field() -> None:
    manifests = rendered(values_of(GPU))
    for kind, name in (("Deployment", "api"), ("ScaledObject", "worker"), ("HorizontalPodAutoscaler", "api")):
        wrong = copy.deepcopy(one(manifests, kind, name))
        wrong["spec"]["replicaz"] = 3
        with pytest.raises(AssertionError, match="replicaz"):
            check(wrong)


def test_helm_finds_nothing_to_complain_of() -> None:
    messages = helm_python.lint(CHART)["messages"]
    assert [message for message in messages if "icon" not in message["error"]] == []


@each
def test_selectors_and_references_lead_somewhere(path: Path) -> None:
    manifests = rendered(values_of(path))
    deployments = {m["metadata"]["name"]: m["spec"]["template"] for m in manifests if m["kind"] == "Deployment"}
    labels = [template["metadata"]["labels"] for template in deployments.values()]
    for manifest in manifests:
        spec = manifest.get("spec", {})
        if manifest["kind"] in ("HorizontalPodAutoscaler", "ScaledObject"):
            assert spec["scaleTargetRef"]["name"] in deployments
        selector = {
            "Service": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
            "Deployment": lambda spec: spec["selector"]["matchLabels"],
        }.get(manifest["kind"])
        if selector:
            assert any(selector(spec).items() <= found.items() for found in labels), manifest["metadata"]["name"]
    for template in deployments.values():
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        containers = [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]
        assert {mount["name"] for c in containers for mount in c["volumeMounts"]} == volumes


@each
def test_the_times_to_drain_add_up(path: Path) -> None:
    values = values_of(path)
    manifests = rendered(values)
    for name in ("api", "worker", "engine", *(["router"] if "router" in values else [])):
        spec = pod(manifests, name)
        [container] = spec["containers"]
        pause_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        grace_s = spec["terminationGracePeriodSeconds"]
        notice_s = _settings(spec).drain_delay_s if name == "api" else 0
        if name == "engine":
            [drain] = [word for word in container["args"] if word.startswith("--shutdown-s=")]
            drain_s = float(drain.partition("=")[2])
        elif name == "router":
            drain_s = _settings(pod(manifests, "api")).timeout_s
        else:
            drain_s = _settings(spec).drain_timeout_s
        assert pause_s + notice_s + drain_s + 10 <= grace_s, name  # ten seconds to leave after the last request
        if name != "worker":  # nobody sends it requests
            probe = container["readinessProbe"]
            assert pause_s + notice_s >= probe["periodSeconds"] * probe.get("failureThreshold", 3), name
        # A request may take its whole deadline; who drains must let it.
        assert drain_s >= _settings(pod(manifests, "api")).timeout_s, name


def test_a_longer_deadline_lengthens_every_grace_period() -> None:
    graces = []
    for seconds in (60, 600):
        manifests = rendered({**values_of(GPU), "drain": {"requestSeconds": seconds}})
        graces.append([pod(manifests, name)["terminationGracePeriodSeconds"] for name in ("api", "worker", "engine")])
    assert [late - early for early, late in zip(*graces, strict=True)] == [540] * 3


@each
def test_api_and_worker_get_settings_that_the_service_takes(path: Path) -> None:
    manifests = rendered(values_of(path))
    for name in ("api", "worker"):
        settings = _settings(pod(manifests, name))
        assert settings.engine == "external"
        assert settings.state_dir.is_relative_to("/var/lib/vqc")


@each
def test_engines_serve_the_name_that_the_service_asks_for(path: Path) -> None:
    manifests = rendered(values_of(path))
    [engine] = pod(manifests, "engine")["containers"]
    settings = _settings(pod(manifests, "api"))
    assert f"--name={settings.model_alias}" in engine["args"]
    told = [word for word in engine["args"] if word.startswith("--digest=")]
    assert told == ([] if settings.model_digest == "unknown" else [f"--digest={settings.model_digest}"])
    service = settings.engine_url.removeprefix("http://site-").removesuffix(":8000") if settings.engine_url else ""
    assert one(manifests, "Service", service)["spec"]["ports"][0]["port"] == 8000


def test_workers_scale_on_the_queue_that_they_read() -> None:
    scaled = one(rendered(values_of(GPU)), "ScaledObject", "worker")["spec"]
    assert [(t["name"], t["metadata"]["stream"], t["metadata"]["consumerGroup"]) for t in scaled["triggers"]] == [
        (name, f"{queue.NAME}:stream", "docket-workers") for name in ("lag", "pending")
    ]
    assert ["lagCount" in t["metadata"] for t in scaled["triggers"]] == [True, False]
    assert ["pendingEntriesCount" in t["metadata"] for t in scaled["triggers"]] == [False, True]
    assert scaled["advanced"]["scalingModifiers"]["formula"] == "lag + pending"
    assert scaled["cooldownPeriod"] > 60  # a retry that waits for its time is in neither number


def test_a_series_job_is_its_component() -> None:
    manifests = rendered(values_of(GPU))
    [monitor] = [m["spec"] for m in manifests if m["kind"] == "PodMonitor"]
    assert monitor["jobLabel"] == "app.kubernetes.io/component"
    asked = {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]}
    for name, port in (("api", 8080), ("worker", 8081), ("engine", 8000)):
        [container] = pod(manifests, name)["containers"]
        assert [p["containerPort"] for p in container["ports"] if p["name"] in asked] == [port]


def test_only_api_workers_and_router_reach_an_engine() -> None:
    for path in (GPU, CHART / "ci" / "router-values.yaml"):
        policies = [m["spec"] for m in rendered(values_of(path)) if m["kind"] == "NetworkPolicy"]
        engine = {"app.kubernetes.io/component": "engine"}
        [rule] = [p["ingress"] for p in policies if engine.items() <= p["podSelector"]["matchLabels"].items()]
        [allowed] = [peer["podSelector"] for part in rule for peer in part["from"]]
        assert allowed["matchExpressions"][0]["values"] == ["api", "worker", "router"]
        assert any(p["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in p for p in policies)  # the rest: no


@each
def test_nothing_runs_as_root_or_writes_to_its_image(path: Path) -> None:
    for manifest in rendered(values_of(path)):
        if manifest["kind"] == "Deployment":
            spec = manifest["spec"]["template"]["spec"]
            assert spec["securityContext"]["runAsNonRoot"]
            for container in [*spec.get("initContainers", []), *spec["containers"]]:
                security = container["securityContext"]
                assert security["readOnlyRootFilesystem"]
                assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"worker": {"keda": {"cooldownSeconds": 30}}}, "cooldownSeconds"),
        ({"model": {"digest": "latest"}}, "digest"),
        ({"settings": {"LOG_LEVEL": "info"}}, "LOG_LEVEL"),
        ({"engines": {}}, "engines"),
    ],
    ids=["cooldown below a retry's pause", "a digest that is none", "no setting of ours", "unknown key"],
)
def test_values_that_cannot_work_are_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(helm_python.HelmError, match=named):
        rendered({**values_of(CHART / "ci" / "cpu-values.yaml"), **wrong})


def test_a_rollout_without_a_spare_gpu_takes_one_engine_away_at_a_time() -> None:
    manifests = rendered(values_of(CHART / "ci" / "router-values.yaml"))
    assert one(manifests, "Deployment", "engine")["spec"]["strategy"]["rollingUpdate"] == {
        "maxSurge": 0,
        "maxUnavailable": 1,
    }


def test_the_ingress_forwards_every_route_of_the_api_but_metrics_and_readiness() -> None:
    [rule] = one(rendered(values_of(GPU)), "Ingress", "api")["spec"]["rules"]
    paths = {path["path"] for path in rule["http"]["paths"]}
    routes = {"/" + path.split("/")[1] for path in create_routes().openapi()["paths"]} | {"/console", "/openapi.json"}
    assert paths == routes - {"/metrics", "/readyz"}


@pytest.mark.parametrize(
    ("enabled", "named", "trusted"),
    [
        (False, [], {"127.0.0.1", "::1"}),
        (True, [], {"10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}),
        (True, ["10.9.0.0/16"], {"10.9.0.0/16"}),
    ],
)
def test_the_api_knows_the_proxies_before_it(enabled: bool, named: list[str], trusted: set[str]) -> None:
    values = values_of(GPU)
    values["api"]["ingress"]["enabled"] = enabled
    values["api"]["trustedProxies"] = named
    assert set(_settings(pod(rendered(values), "api")).trusted_proxies) == trusted


def test_the_private_networks_may_not_name_the_person_who_signs_in() -> None:
    values = values_of(GPU)
    values["settings"]["VQC_SIGN_IN_HEADER"] = "X-Forwarded-User"
    with pytest.raises(Exception, match="api.trustedProxies"):
        rendered(values)
    values["api"]["trustedProxies"] = ["10.9.0.0/16"]
    assert pod(rendered(values), "api")


@pytest.fixture(autouse=True)
def _no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VQC_SECRETS_DIR", raising=False)


def _settings(spec: Manifest) -> Settings:
    """What the service makes of a container's variables; one that is no setting is refused."""
    [container] = spec["containers"]
    given = variables(container)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            if name != "VQC_SECRETS_DIR":  # exists in the container only
                patch.setenv(name, value)
        return read_settings()
