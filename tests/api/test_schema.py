"""The schema describes the API, and the API keeps to it."""

from typing import Any

import pytest
import schemathesis
from django.core.management import call_command
from django.test import Client
from hypothesis import HealthCheck, given, settings
from playwright.sync_api import Page
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from apps.sources import services as sources
from tests.api.test_usage import make_token
from tests.web.company import make_company
from tests.world import MACHINE, World

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def test_the_schema_names_usage() -> None:
    answer = Client().get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert "/api/v1/usage/" in answer.json()["paths"]


def test_the_docs_page_draws_the_schema(page: Page, world: World) -> None:
    page.goto("/api/v1/docs/")
    page.get_by_text("Send usage events").wait_for()


def test_the_schema_is_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn")

    assert "/api/v1/costs/" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/api/v1/costs/", "/api/v1/workloads/"])
def test_made_up_questions_get_the_answers_of_the_schema(live_server: Any, world: World, path: str) -> None:
    """The whole schema, each endpoint with what fits it and what does not: never a server error."""
    make_company(world)
    headers = {"Authorization": f"Bearer {make_token(world, scopes=('read',))}"}
    schema = schemathesis.openapi.from_url(f"{live_server.url}/api/v1/schema/?format=json")

    @given(case=schema[path]["GET"].as_strategy())
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def send(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    send()


def test_made_up_requests_get_the_answers_of_the_schema(live_server: Any, world: World) -> None:
    """Whatever is made up from the schema is answered as the schema says, and never by a server error."""
    sources.create_source(actor=MACHINE, name="Bot", slug="bot", kind="push")
    headers = {"Authorization": f"Bearer {make_token(world)}"}
    schema = schemathesis.openapi.from_url(f"{live_server.url}/api/v1/schema/?format=json")
    operation = schema["/api/v1/usage/"]["POST"]

    @given(case=operation.as_strategy())
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def send(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    send()
