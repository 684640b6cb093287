"""What a user reads, as (where, text) pairs: pages, help, descriptions, messages, alerts, dashboards, the console."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import yaml

from deploy.grafana.boards import BOARDS
from deploy.pages import metric_families
from service.platform.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGES = ("vqc", "engine", "scenes", "registry", "service", "trainer", "loadtest", "deploy")
Text = tuple[str, str]

_AVOID = "## Words to avoid"
_ROW = re.compile(r"^\| (.+?) \| (.+?) \|$", re.MULTILINE)


def banned_words() -> dict[str, re.Pattern[str]]:
    """Each entry of the glossary's table of words to avoid, with the pattern that finds it."""
    _, table = (ROOT / "docs/glossary.md").read_text("utf-8").split(_AVOID)
    entries = [entry.strip() for row in _ROW.findall(table)[1:] for entry in row[0].split(",")]
    return {entry: re.compile(rf"\b{re.escape(entry)}s?\b".replace(r"\ ", r"\s+"), re.IGNORECASE) for entry in entries}


def glossary_terms() -> list[str]:
    """The terms that the glossary defines."""
    terms, _ = (ROOT / "docs/glossary.md").read_text("utf-8").split(_AVOID)
    return [row.split(" | ")[0].strip("| ") for row in terms.splitlines() if row.startswith("| ")][1:]


def pages() -> list[Path]:
    """Every page of documentation."""
    tops = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*tops, *sorted((ROOT / "docs").rglob("*.md"))]


def without_code(markdown: str) -> str:
    """The page without quoted identifiers, link targets and the glossary's own table of words to avoid."""
    markdown = markdown.split(_AVOID)[0]
    markdown = re.sub(r"(?<!`)`[^`\n]+`(?!`)", "`…`", markdown)
    return re.sub(r"\]\([^)]*\)|^\[[^]]+\]: .*$", "]", markdown, flags=re.MULTILINE)


def page_texts() -> Iterator[Text]:
    """The pages."""
    for page in pages():
        yield str(page.relative_to(ROOT)), without_code(page.read_text("utf-8"))


def setting_texts() -> Iterator[Text]:
    """The description of each setting."""
    for name, field in Settings.model_fields.items():
        yield f"setting {name}", field.description or ""


def help_texts() -> Iterator[Text]:
    """The ``--help`` of every command."""
    from loadtest.cli import bench
    from registry.cli import registry
    from service.cli import vqc
    from trainer.cli import main as train

    for name, group in (("vqc", vqc), ("vqc-train", train), ("vqc-bench", bench), ("vqc-registry", registry)):
        yield from _help_of(group, click.Context(group, info_name=name))


def _help_of(command: click.Command, context: click.Context) -> Iterator[Text]:
    yield f"{context.command_path} --help", command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _help_of(child, click.Context(child, info_name=name, parent=context))


def openapi_texts() -> Iterator[Text]:
    """Summaries and descriptions of the OpenAPI document; titles are made from wire names."""
    yield from _described(json.loads((ROOT / "docs/openapi.json").read_text("utf-8")), "openapi")


def _described(node: object, where: str) -> Iterator[Text]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("summary", "description") and isinstance(value, str):
                yield f"{where}.{key}", value
            else:
                yield from _described(value, f"{where}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _described(value, f"{where}[{index}]")


def metric_texts() -> Iterator[Text]:
    """The help of each metric."""
    for _, families in metric_families():
        for family in families:
            yield f"metric {family.name}", family.documentation


def message_texts() -> Iterator[Text]:
    """String literals that are sentences: errors, problem details, progress, notes. Docstrings are not among them."""
    for path, tree in source_trees():
        silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in silent or not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            if " " in node.value.strip():
                yield f"{path}:{node.lineno}", re.sub(r"`[^`]+`", "`…`", node.value)


def alert_texts() -> Iterator[Text]:
    """The annotations of each alert."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/rules/alerts.yml").read_text("utf-8"))["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        for text in rule["annotations"].values():
            yield f"alert {rule['alert']}", text


def dashboard_texts() -> Iterator[Text]:
    """Titles and descriptions of the dashboards' rows and panels."""
    for board in BOARDS:
        for title, charts in board.rows:
            yield f"dashboard {board.uid}", f"{board.title}. {title}"
            for chart in charts:
                yield f"dashboard {board.uid}, {title}", f"{chart.title}. {chart.text}"


def console_texts() -> Iterator[Text]:
    """The console's English."""
    for path in sorted((ROOT / "service/console/words").glob("*.yaml")):
        for key, words in yaml.safe_load(path.read_text("utf-8")).items():
            yield f"{path.name} {key}", words["en"]


def deployment_texts() -> Iterator[Text]:
    """Comments of compose files, images and chart, and what ``make help`` prints."""
    files = [
        *(ROOT / name for name in ("Makefile", "docker-compose.yml")),
        *sorted((ROOT / "deploy/compose").iterdir()),
        *sorted((ROOT / "deploy/images").glob("*Dockerfile")),
        *sorted((ROOT / "deploy/prometheus").rglob("*.yml")),
        *sorted(path for path in (ROOT / "deploy/helm").rglob("*") if path.is_file()),
        *sorted((ROOT / "configs").glob("*.yaml")),
    ]
    for path in files:
        yield str(path.relative_to(ROOT)), path.read_text("utf-8")


def source_trees() -> Iterator[tuple[str, ast.Module]]:
    """Each module of ours that git knows, with its syntax tree; tests are not among them."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if not name.startswith("tests/"):
            yield name, ast.parse((ROOT / name).read_text("utf-8"))
