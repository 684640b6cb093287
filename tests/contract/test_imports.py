"""The import rules hold, are seen to fail on a planted violation, and nothing heavy loads before it is needed."""

import re
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


PLANTED = [
    ("vqc/geometry.py", "httpx", "The domain language needs no framework"),
    ("vqc/caption.py", "engine.protocol", "Packages import downwards only"),
    ("engine/protocol.py", "service.platform.settings", "Packages import downwards only"),
    ("loadtest/loop.py", "tools.trace_picture", "Packages import downwards only"),
    ("loadtest/http/requests.py", "loadtest.load.job", "The load generator's rooms import downwards only"),
    ("service/photos/results.py", "service.app.http", "The service's capabilities import downwards only"),
    ("service/photos/stage_a.py", "service.judging.judge", "The service's capabilities import downwards only"),
    ("service/app/http.py", "service.cli.up", "The service's capabilities import downwards only"),
    ("service/photos/routes.py", "service.platform.settings", "Only wiring and commands read settings"),
    ("service/console/queue.py", "service.platform.settings", "Only wiring and commands read settings"),
    ("service/tickets/routes.py", "redis", "Redis and the queue stay behind their stores"),
    ("service/tickets/ticket.py", "redis", "The rules of tickets know no store, route or worker"),
    ("service/judging/judge.py", "service.judging.thresholds", "The rules of judging know no store"),
    ("service/learning/order.py", "service.learning.report", "The rules of learning know no folder or report"),
    ("service/guidance/gate.py", "service.guidance.store", "The rules of guidance know no store or route"),
    ("service/models/router.py", "service.models.routes", "The rules of models know no registry, route or wiring"),
    ("service/photos/caption.py", "service.photos.fetch", "Captions and Stage-A know no route or metric"),
    ("service/photos/metrics.py", "torch", "Service, engine and scenes run without torch"),
    ("registry/gates/smoke.py", "torch", "Gates load torch in a process of its own"),
    ("registry/core.py", "registry.remote", "The registry's rules do not know where its bytes are, and need no torch"),
    ("service/console/models.py", "registry.gates", "The service knows the registry through its models"),
    ("registry/gates/promote.py", "registry.layout", "Gates see bytes through the registry only"),
]
"""Module, what it must not import, and the rule that says so."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter reports of a copy of the tree with every violation in it."""
    copy = tmp_path_factory.mktemp("planted")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__", "assets", *WEIGHTS_AND_PHOTOS)
        shutil.copytree(ROOT / package, copy / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    for module, imported, _ in PLANTED:
        with (copy / module).open("a", encoding="utf-8") as file:
            file.write(f"\nimport {imported}\n")
    result = lint(copy)
    assert result.returncode == 1, result.stdout
    return result.stdout


@pytest.mark.parametrize(("module", "imported", "rule"), PLANTED)
def test_a_planted_violation_is_found(planted: str, module: str, imported: str, rule: str):
    details = re.search(rf"\n{re.escape(rule)}\n-+\n(.*?)(?=\n[^\n]+\n-{{4,}}\n|\Z)", planted, re.DOTALL)
    assert details, f"{rule!r} is not broken"
    package = imported.partition(".")[0]
    target = imported if package in PACKAGES else package
    importer = module.removesuffix(".py").replace("/", ".")
    assert re.search(rf"\b{re.escape(importer)} -> {re.escape(target)} \(l", details[1]), details[1]


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
