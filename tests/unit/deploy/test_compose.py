"""The compose file: its parts find each other, nothing is reachable or allowed that need not be, its times add up."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.platform.settings import Settings, read_settings

ROOT = Path(__file__).parents[3]
CONTAINER_PATHS = {"VQC_SECRETS_DIR"}
"""Settings that name what exists in the container only."""


class Compose(yaml.SafeLoader):
    """Reads ``!override``, which compose files may say of a value."""


def _as_it_is(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


Compose.add_constructor("!override", _as_it_is)


def read(name: str) -> dict[str, Any]:
    """The file with the defaults of its variables."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / name).read_text())
    assert "${" not in text, "a variable without a default"
    return yaml.load(text, Compose)


BASE, GPU = read("docker-compose.yml"), read("deploy/compose/gpu.yml")
SERVICES: dict[str, dict[str, Any]] = BASE["services"]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_api_and_worker_get_settings_that_the_service_takes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(name, monkeypatch)
    assert settings.engine_url == "http://engine:8000"
    [alias] = [
        SERVICES["engine"]["command"][i + 1] for i, w in enumerate(SERVICES["engine"]["command"]) if w == "--name"
    ]
    assert settings.model_alias == alias


def test_a_container_is_killed_only_after_its_requests_had_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("api", "worker"):
        settings = settings_of(name, monkeypatch)
        assert seconds(name) >= settings.drain_delay_s + settings.drain_timeout_s + 10
    assert "--shutdown-s" not in SERVICES["engine"]["command"]  # so it is engine.serve's own, 60
    assert seconds("engine") >= 60 + 10


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) >= 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("services", [SERVICES, {"model": GPU["services"]["model"]}], ids=["base", "gpu"])
def test_every_container_has_a_read_only_root_and_no_capability(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_valkey_and_the_engine_are_on_a_network_without_a_way_out_that_grafana_is_not_on() -> None:
    assert BASE["networks"]["inside"] == {"internal": True}
    on = {name: set(service.get("networks", [])) for name, service in SERVICES.items()}
    assert on["valkey"] == on["engine"] == {"inside"}
    assert on["grafana"] == on["registry"] == {"outside"}
    assert all({"inside"} <= on[name] for name in ("api", "worker", "prometheus"))
    assert SERVICES["secrets"]["network_mode"] == "none"
    assert GPU["services"]["model"]["networks"] == ["outside"]  # it fetches from a registry
    assert all("outside" in on[name] for name, service in SERVICES.items() if "ports" in service)


def test_grafana_gets_its_own_password_and_not_that_of_valkey() -> None:
    grafana = SERVICES["grafana"]
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana/admin_password"
    assert "secrets" in grafana["depends_on"]
    mounted = {mount.split(":")[0] for mount in grafana["volumes"]}
    assert "grafana_secrets" in mounted
    assert "secrets" not in mounted


def test_secrets_are_made_once_each_readable_by_its_container(tmp_path: Path) -> None:
    valkey, grafana = tmp_path / "vqc", tmp_path / "grafana"
    made = []
    for _ in range(2):
        for folder in (valkey, grafana):
            folder.mkdir(exist_ok=True)
        subprocess.run(
            ["sh", ROOT / "deploy/compose/make_secrets.sh", valkey, grafana], check=True, capture_output=True
        )
        made.append({path.name: path.read_text() for path in (*valkey.iterdir(), *grafana.iterdir())})
    assert made[0] == made[1]
    assert made[0].keys() == {"vqc_redis_url", "valkey.conf", "admin_password"}
    password = made[0]["vqc_redis_url"].removeprefix("redis://:").partition("@")[0]
    assert f"requirepass {password}\n" in made[0]["valkey.conf"]
    assert len({password, made[0]["admin_password"]}) == 2
    assert all(len(one) == 48 for one in (password, made[0]["admin_password"]))
    assert all(path.stat().st_mode & 0o777 == 0o444 for path in (valkey / "vqc_redis_url", grafana / "admin_password"))


def test_whatever_is_waited_for_and_mounted_is_there() -> None:
    for name, service in (*SERVICES.items(), *GPU["services"].items()):
        for other, how in service.get("depends_on", {}).items():
            waited = {**GPU["services"], **SERVICES}[other]
            checked_by_its_image = waited.get("build", {}).get("target") == "service"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in waited or checked_by_its_image, (name, other)
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists() or source == "./models", (name, source)  # ./models: the user's registry
            else:
                assert source in {**BASE["volumes"], **GPU["volumes"]}, (name, source)


def test_prometheus_scrapes_services_that_are_there() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = [
        target
        for job in config["scrape_configs"]
        for static in job.get("static_configs", [])
        for target in static["targets"]
    ]
    ports = {"api": 8080, "worker": 8081, "engine": 8000, "prometheus": 9090, "grafana": 3000}
    asked = {target.split(":")[0]: int(target.split(":")[1]) for target in targets}
    assert {"api", "worker", "engine"} <= asked.keys()
    for host, port in asked.items():
        assert ports.get(host, port) == port, host
        assert host in SERVICES or host == "localhost", host


def test_grafana_finds_its_dashboards_and_prometheus() -> None:
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"])
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "vqc.yaml").read_text())["providers"]
    assert provider["options"]["path"] == mounts["./deploy/grafana/dashboards"]
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for variable, value in SERVICES[name]["environment"].items():
        if variable not in CONTAINER_PATHS:
            monkeypatch.setenv(variable, str(value))
    return read_settings()


def seconds(name: str) -> int:
    return int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
