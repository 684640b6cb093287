"""What is not written down does not exist: metrics, settings and endpoints each stand in the docs."""

import re
from pathlib import Path

import pytest

from deploy.pages import SCHEMAS, inspection_schemas, metric_families, metrics_page, settings_page
from service.app.http import create_routes

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(("name", "written"), [("metrics", metrics_page), ("settings", settings_page)])
def test_the_committed_page_is_what_the_code_writes(name, written):
    assert (DOCS / f"{name}.md").read_text("utf-8") == written(), (
        f"run `python -m deploy.pages {name} > docs/{name}.md`"
    )


def test_the_committed_schemas_are_what_the_code_writes():
    assert {path.name: path.read_text("utf-8") for path in SCHEMAS.iterdir()} == inspection_schemas(), "run `make docs`"


def test_every_metric_is_ours_and_says_its_unit():
    families = [family for _, part in metric_families() for family in part]
    units = re.compile(
        r"_(seconds|ratio|info|up|limit|ready|bytes|objects|share|restarts|norm|rate|loss|finished|steps?|jobs)$"
    )
    plain = {
        "vqc_groups",
        "vqc_redis_unsafe",
        "vqc_unreadable",
        "vqc_connections",
        "vqc_requests_in_flight",
        "vqc_train_samples_per_second",
        "vqc_train_tokens_per_second",
    }
    for family in families:
        assert family.name.startswith(("vqc_", "process_")), family.name
        assert family.documentation.endswith((".", "1.")), family.name
        if family.name.startswith("vqc_") and family.type != "counter" and family.name not in plain:
            assert units.search(family.name), f"{family.name} says no unit"


def test_every_endpoint_is_in_the_guide():
    def without_names(text: str) -> str:
        return re.sub(r"\{\w+\}", "{}", text)

    pages = without_names("".join(page.read_text("utf-8") for page in DOCS.glob("*.md")))
    for path, methods in create_routes().openapi()["paths"].items():
        for method in methods:
            assert re.search(rf"`{method.upper()} {re.escape(without_names(path))}[`?]", pages), (method, path)
