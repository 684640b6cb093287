"""Our rules as data, and the real Prometheus (Debian's package, with promtool) to try them on."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from time import time
from typing import Any, Self

import httpx
import pytest
import yaml

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))
_COMPARED = re.compile(r"(?: (?:>|<|>=|<=|==|!=) [-+.\d]+)+$")


def need(program: str) -> str:
    """The program's path; in CI, which promises it, its absence is a failure."""
    if (path := shutil.which(program)) is not None:
        return path
    if os.environ.get("CI"):
        pytest.fail(f"{program} is not installed: make test-servers")
    pytest.skip(f"{program} is not installed: make test-servers")


def promtool(*words: object) -> str:
    """What promtool says; fails with it where promtool does."""
    done = subprocess.run([need("promtool"), *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    """Every rule, recordings and alerts, in the order of the files."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text("utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def values_of(alert: dict[str, Any]) -> list[str]:
    """The values that an alert compares with its limits: what there is to see while it does not fire.

    >>> values_of({"expr": "a / b > 0.1 and c == 0"})
    ['a / b', 'c']
    """
    return [_COMPARED.sub("", part) for part in alert["expr"].split(" and ")]


class Prometheus:
    """A running server that looks every second. ``overrides`` are applied to each alert, ``for`` above all."""

    def __init__(self, folder: Path, targets: dict[str, list[str]], *, overrides: dict[str, Any] | None = None) -> None:
        self._url = f"http://127.0.0.1:{free_port()}"
        self._targets = sum(map(len, targets.values()))
        config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"] = [
            {"job_name": job, "static_configs": [{"targets": addresses}]} for job, addresses in targets.items()
        ]
        for job in config["scrape_configs"]:
            if job["job_name"] == "engine":  # a busy vLLM on a busy machine takes its time
                job |= {"scrape_interval": "10s", "scrape_timeout": "10s"}
        for path in RULES:
            document = yaml.safe_load(path.read_text("utf-8"))
            for rule in (rule for group in document["groups"] for rule in group["rules"]):
                rule |= overrides or {} if "alert" in rule else {}
            (folder / "rules").mkdir(exist_ok=True)
            (folder / "rules" / path.name).write_text(yaml.safe_dump(document), "utf-8")
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        with (folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    need("prometheus"),
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address={self._url.removeprefix('http://')}",
                    "--enable-feature=exemplar-storage",
                ],
                stderr=log,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """The series of an instant query: labels and value."""
        result = self._get("query", query=expr)["result"]
        series = result if isinstance(result, list) and result and isinstance(result[0], dict) else []
        return [(one["metric"], float(one["value"][1])) for one in series]

    def exemplars(self, metric: str) -> list[dict[str, str]]:
        """The labels of a metric's exemplars of the last hour."""
        found = self._get("query_exemplars", query=metric, start=time() - 3600, end=time() + 60)
        return [exemplar["labels"] for series in found for exemplar in series["exemplars"]]

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        return {one["labels"]["alertname"] for one in self._get("alerts")["alerts"] if one["state"] == "firing"}

    def _get(self, what: str, **parameters: object) -> Any:
        answer = httpx.get(f"{self._url}/api/v1/{what}", params=parameters, trust_env=False).json()  # type: ignore[arg-type]
        assert answer["status"] == "success", answer
        return answer["data"]

    def answers(self) -> bool:
        """Whether it can be asked."""
        try:
            return httpx.get(f"{self._url}/-/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            assert self._process.poll() is None, "Prometheus did not start"
            return False

    async def ready(self, seconds: float = 120) -> None:
        """Returns when it can be asked."""
        async with asyncio.timeout(seconds):
            while not self.answers():
                await asyncio.sleep(0.1)

    async def up(self, seconds: float = 120) -> None:
        """Returns when it has reached every target."""
        await self.ready(seconds)
        async with asyncio.timeout(seconds):
            while not self.query(f"count(up == 1) == {self._targets}"):
                await asyncio.sleep(0.2)


def panels(name: str) -> list[tuple[str, str]]:
    """Title and expression of every query of a committed dashboard, variables replaced as Grafana would for All."""
    board = json.loads((ROOT / f"deploy/grafana/dashboards/{name}.json").read_text("utf-8"))
    queries = [(p["title"], target["expr"]) for p in board["panels"] for target in p.get("targets", ())]
    every = {f"${variable['name']}": ".*" for variable in board["templating"]["list"]} | {"$__rate_interval": "1m"}
    for variable, value in every.items():
        queries = [(title, expr.replace(variable, value)) for title, expr in queries]
    assert not [expr for _, expr in queries if "$" in expr]
    return queries


def empty(prometheus: Prometheus, queries: Iterable[tuple[str, str]]) -> list[tuple[str, str, object]]:
    """The queries that bring no series, or one that is no finite number."""
    found = [(title, expr, prometheus.query(expr)) for title, expr in queries]
    return [one for one in found if not one[2] or not all(math.isfinite(value) for _, value in one[2])]
