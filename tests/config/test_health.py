"""Probes, with every part there and with each of them away."""

import pytest
from django.test import Client
from playwright.sync_api import Page

pytestmark = pytest.mark.django_db


def test_livez_answers_whatever_the_host(client: Client) -> None:
    answer = client.get("/livez", headers={"host": "10.0.0.7"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readyz_says_ok_for_each_part(client: Client) -> None:
    answer = client.get("/readyz")
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "migrations": "ok", "broker": "ok"}}


def test_livez_in_a_real_browser(page: Page) -> None:
    page.goto("/livez")
    assert "ok" in page.inner_text("body")
