"""Probes, with every part there and with each of them away."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page

from apps.core import heartbeat
from workers.health import beat

pytestmark = pytest.mark.django_db


def test_livez_answers_whatever_the_host(client: Client) -> None:
    answer = client.get("/livez", headers={"host": "10.0.0.7"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_readyz_says_ok_for_each_part(client: Client) -> None:
    beat()
    answer = client.get("/readyz")
    checks = {"database": "ok", "migrations": "ok", "broker": "ok"}
    assert answer.json() == {"status": "ok", "checks": checks, "clock": "ok"}


def test_readyz_tells_of_a_worker_or_clock_that_stands_still(client: Client) -> None:
    assert client.get("/readyz").json()["clock"].startswith("no worker was heard of yet")
    heartbeat.beat(now=timezone.now() - timedelta(minutes=6))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["clock"].startswith("no worker was heard of since 20")
    heartbeat.beat(now=timezone.now() - timedelta(minutes=4))
    assert client.get("/readyz").json()["clock"] == "ok"


def test_livez_in_a_real_browser(page: Page) -> None:
    page.goto("/livez")
    assert "ok" in page.inner_text("body")
