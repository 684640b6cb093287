"""The committed document is the code's, and the running service keeps to it."""

import json
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.scripted import ScriptedEngine
from service.app.http import create_app, create_routes
from tests.support.service_context import context_with

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"

api = schemathesis.openapi.from_asgi("/openapi.json", create_app(context_with(ScriptedEngine())))


def test_the_committed_document_is_fresh():
    assert json.loads(COMMITTED.read_text("utf-8")) == create_routes().openapi(), "run `make docs`"


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning")
@api.parametrize()
@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_input_finds_a_server_error_or_an_undocumented_answer(case):
    response = case.call()
    checks = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
    case.validate_response(response, checks=checks)
