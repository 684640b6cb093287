"""The import rules hold, are seen to fail on a planted violation, and nothing heavy loads before it is needed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("vqc", "engine", "scenes", "registry", "service", "trainer", "loadtest", "tools", "deploy")
WEIGHTS_AND_PHOTOS = ("*.safetensors", "*.jpg", "tokenizer.json")
HEAVY = {"torch", "transformers", "vllm", "xgrammar"}
SERVER = {"fastapi", "starlette", "uvicorn", "httpx", "aiohttp"}
QUEUE = {"redis", "docket", "fsspec"}


def lint(folder: Path) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-c",
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()",
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_import_rules_hold():
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "statement", "rule"),
    [
        ("vqc/geometry.py", "import httpx", "The domain language needs no framework"),
        ("vqc/caption.py", "import engine.protocol", "Packages import downwards only"),
        ("engine/protocol.py", "import service.platform.settings", "Packages import downwards only"),
        ("loadtest/loop.py", "import tools.trace_picture", "Packages import downwards only"),
        ("loadtest/http/requests.py", "import loadtest.load.job", "The load generator's rooms import downwards only"),
        ("service/photos/results.py", "import service.app.http", "The service's capabilities import downwards only"),
        (
            "service/photos/stage_a.py",
            "import service.judging.judge",
            "The service's capabilities import downwards only",
        ),
        ("service/app/http.py", "import service.cli.up", "The service's capabilities import downwards only"),
        ("service/photos/routes.py", "import service.platform.settings", "Only wiring and commands read settings"),
        ("service/console/queue.py", "import service.platform.settings", "Only wiring and commands read settings"),
        ("service/tickets/routes.py", "import redis", "Redis and the queue stay behind their stores"),
        ("service/tickets/ticket.py", "import redis", "The rules of tickets know no store, route or worker"),
        ("service/judging/judge.py", "import service.judging.thresholds", "The rules of judging know no store"),
        (
            "service/learning/order.py",
            "import service.learning.report",
            "The rules of learning know no folder or report",
        ),
        ("service/guidance/gate.py", "import service.guidance.store", "The rules of guidance know no store or route"),
        (
            "service/models/router.py",
            "import service.models.routes",
            "The rules of models know no registry, route or wiring",
        ),
        ("service/photos/caption.py", "import service.photos.fetch", "Captions and Stage-A know no route or metric"),
        ("service/photos/metrics.py", "import torch", "Service, engine and scenes run without torch"),
        ("registry/gates/smoke.py", "import torch", "Gates load torch in a process of its own"),
        (
            "registry/core.py",
            "import registry.remote",
            "The registry's rules do not know where its bytes are, and need no torch",
        ),
        ("service/console/models.py", "import registry.gates", "The service knows the registry through its models"),
        ("registry/gates/promote.py", "import registry.layout", "Gates see bytes through the registry only"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, module, statement, rule):
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__", "assets", *WEIGHTS_AND_PHOTOS),
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / module
    planted.write_text(f"{planted.read_text('utf-8')}\n{statement}\n", "utf-8")
    result = lint(tmp_path)
    assert result.returncode == 1
    assert f"{rule} BROKEN" in result.stdout


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import vqc, vqc.contract", HEAVY | SERVER),
        ("import engine, engine.protocol, engine.scripted", HEAVY | SERVER),
        ("from service.cli import main; main(['--help'])", HEAVY | SERVER),
        ("from service.cli import main; main(['api', '--help'])", HEAVY | SERVER),
        ("from service.cli import main; main(['up', '--help'])", HEAVY | SERVER | QUEUE),
        ("from service.cli import main; main(['worker', '--help'])", HEAVY | SERVER | QUEUE),
        ("from service.cli import main; main(['stage-b', 'submit', '--help'])", HEAVY | SERVER | QUEUE),
        ("from service.cli import main; main(['caption', '--help'])", HEAVY | SERVER | QUEUE),
        ("from service.cli import main; main(['stage-a', '--help'])", HEAVY | SERVER),
        ("from service.cli import main; main(['stage-b', 'run', '--help'])", HEAVY | SERVER),
        ("from loadtest.cli import main; main(['--help'])", HEAVY | SERVER),
        ("from trainer.cli import main; main(['--help'])", HEAVY | SERVER),
        ("import registry", HEAVY | SERVER | {"pydantic"}),
        ("from registry.cli import main; main(['--help'])", HEAVY | SERVER | {"pydantic"}),
        ("from registry.cli import main; main(['promote', '--help'])", HEAVY | SERVER),
        ("from registry.cli import main; main(['smoke-serve', '--help'])", HEAVY | SERVER),
        ("from service.app.wiring import serve", HEAVY | QUEUE),
    ],
)
def test_nothing_heavy_loads_before_it_is_needed(statement, unwanted):
    code = f"""
import sys
try:
    {statement}
except SystemExit:
    pass
print("loaded:", *sorted({unwanted!r} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "loaded:"
