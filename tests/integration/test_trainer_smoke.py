"""The smoke recipe from its YAML to an exported, served, evaluated model, by the commands that a user types."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.prometheus import Prometheus, alerts, empty, panels, values_of
from trainer import prometheus_exporter
from vqc.contract import contract_digests

ROOT = Path(__file__).parents[2]
PHOTOS = 2
"""Photos among the smoke run's validation records, before its tickets."""


@dataclass(frozen=True)
class Smoke:
    """What the smoke run left: its directory, what it said of itself, the exported model, and how long both took."""

    directory: Path
    result: dict[str, object]
    model: Path
    seconds: float

    @property
    def data(self) -> Path:
        return self.directory / "scenes/val/data.jsonl"


def vqc_train(*arguments: object, log: Path | None = None) -> str:
    """Standard output of ``vqc-train`` with these arguments; standard error goes to ``log``."""
    done = subprocess.run(
        [sys.executable, "-m", "trainer.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    if log is not None:
        log.write_text(done.stderr, encoding="utf-8")
    return done.stdout


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """``configs/smoke.yaml`` run and exported, with nothing changed but where it writes."""
    directory = tmp_path_factory.mktemp("smoke")
    recipe = directory / "smoke.yaml"
    recipe.write_text(
        f"extends: {ROOT / 'configs/smoke.yaml'}\ntraining: {{output_dir: {directory / 'run'}}}\n", encoding="utf-8"
    )
    started = time.monotonic()
    result = json.loads(vqc_train("run", recipe, "--debug", "--json", log=directory / "debug.log"))
    model = Path(vqc_train("export", result["checkpoint"], directory / "model").strip())
    return Smoke(directory / "run", result, model, time.monotonic() - started)


def test_the_run_learns_and_logs(smoke: Smoke):
    assert smoke.result["steps"] == 6
    lines = [json.loads(line) for line in (smoke.directory / "logging.jsonl").read_text("utf-8").splitlines()]
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert losses[-1] < losses[0]
    debug = [
        line for line in (smoke.directory.parent / "debug.log").read_text("utf-8").splitlines() if " DEBUG " in line
    ]
    for part in ("configuration", "training records", '"learning_rate"'):
        assert any(part in line for line in debug), part
    assert "<|image_pad|>*" in (smoke.directory / "conversation_text.txt").read_text("utf-8")


async def test_every_training_panel_has_a_value(smoke: Smoke, tmp_path: Path):
    running = tmp_path / "runs/running" / prometheus_exporter.LOG_NAME  # the same run, before its last line
    running.parent.mkdir(parents=True)
    lines = (smoke.directory / prometheus_exporter.LOG_NAME).read_text("utf-8").splitlines(keepends=True)
    running.write_text("".join(line for line in lines if "train/runtime_s" not in line), "utf-8")
    server, port = prometheus_exporter.serve(tmp_path / "runs", "127.0.0.1", 0)
    ended, ended_port = prometheus_exporter.serve(smoke.directory, "127.0.0.1", 0)
    targets = {"training": [f"127.0.0.1:{port}", f"127.0.0.1:{ended_port}"]}
    queries = [*panels("vqc-training"), *(("alert", value) for value in values_of(alerts()["VqcTrainingSilent"]))]
    try:
        with Prometheus(tmp_path, targets) as prometheus:
            await prometheus.up()
            assert empty(prometheus, queries) == []
            assert {labels["run"]: value for labels, value in prometheus.query("vqc_train_finished")} == {
                "running": 0.0,
                smoke.directory.name: 1.0,
            }
            assert {value for _, value in prometheus.query("vqc_train_step / vqc_train_steps")} == {1.0}
    finally:
        for one in (server, ended):
            one.shutdown()
            one.server_close()


def test_the_export_is_complete(smoke: Smoke):
    manifest = json.loads((smoke.model / "vqc_manifest.json").read_text("utf-8"))
    assert contract_digests().items() <= manifest["contract"].items()
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja", "preprocessor_config.json",
            "generation_config.json"} <= {path.name for path in smoke.model.iterdir()}  # fmt: skip


def test_the_model_is_evaluated(smoke: Smoke, tmp_path: Path):
    report = json.loads(
        vqc_train("evaluate", smoke.model, "--data", smoke.data, "--max-new-tokens", 16, "--report", tmp_path, "--json")
    )
    assert {"f1_50_box", "f1_50_line", "malformed", "stage_a_recall", "num_images", "verdict_accuracy"} <= set(report)
    assert report["num_images"] == PHOTOS
    assert (tmp_path / "report.html").stat().st_size > 1000


@pytest.mark.engine
def test_the_model_is_served_by_vllm_and_evaluated_through_the_service(
    smoke: Smoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    started = time.monotonic()
    with served(smoke.model, tmp_path) as client:
        up = time.monotonic()
        photo = next((smoke.data.parent / "images").iterdir())
        answer = client.post("/caption", files={"photo": (photo.name, photo.read_bytes())}).raise_for_status().json()
        command = ("evaluate", "--url", client.base_url, "--data", smoke.data, "--limit", PHOTOS, "--json")
        report = json.loads(vqc_train(*command))
        asked = [
            line for line in client.get("/metrics").text.splitlines() if line.startswith("vqc_http_requests_total{")
        ]
    ended = time.monotonic()
    assert answer["model"]["alias"] == "smoke"
    assert report["num_images"] == PHOTOS
    assert report["f1_50_box"] is not None
    assert report["stage_a_recall"] is not None
    captions = [line for line in asked if "/caption" in line]
    assert sum(float(line.split()[-1]) for line in captions) == PHOTOS + 1, asked
    with capsys.disabled():
        print(
            f"\nsmoke run: train and export {smoke.seconds:.0f} s, service and vLLM up {up - started:.0f} s, "
            f"evaluated and stopped {ended - up:.0f} s; {smoke.seconds + ended - started:.0f} s in all"
        )


@contextmanager
def served(model: Path, logs: Path) -> Iterator[httpx.Client]:
    """A client of ``vqc api --model MODEL``, up inside the block; afterwards SIGTERM must end it well."""
    port = free_port()
    settings = {
        "VQC_PORT": str(port),
        "VQC_MODEL_ALIAS": "smoke",
        "VQC_ENGINE_LOG": str(logs / "engine.log"),
        "VQC_CAPTION_MAX_NEW_TOKENS": "200",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VQC_")}
    with (
        (logs / "api.log").open("w") as log,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
    ):
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "api", "--model", str(model)],
            env=inherited | settings,
            stderr=log,
            cwd=ROOT,
        )
        try:
            wait_until_ready(client, process, logs)
            yield client
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(60)


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes], logs: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if client.get("/readyz").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("".join((logs / name).read_text("utf-8")[-3000:] for name in ("api.log", "engine.log")))
