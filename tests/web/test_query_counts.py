"""Pages ask as many queries for sixty workloads as for three, and as many as are on record."""

from datetime import date

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.economics import services as economics
from apps.workloads.models import Workload, WorkloadRevision
from tests import query_counts
from tests.approvals.deciding import ask_tier
from tests.books import at, make_workload, rate_all
from tests.economics.ledger import OCTOBER, TODAY
from tests.web.company import Company, make_company
from tests.world import World, actor, log_in

pytestmark = pytest.mark.django_db
PAGES = {
    "home": "/?month=2026-10",
    "costs": "/costs/?month=2026-10",
    "costs by model": "/costs/?month=2026-10&group=model",
    "costs by cost centre": "/costs/?month=2026-10&group=cost_centre",
    "costs by day": "/costs/?from=2026-10-03&to=2026-10-20&group=day",
    "costs of a year": "/costs/?from=2026-01-01&to=2026-12-31",
    "costs as a file": "/costs/?month=2026-10&format=csv",
    "budgets": "/budgets/?month=2026-10",
    "budgets of cost centres": "/budgets/?month=2026-10&view=centres",
    "budgets as a file": "/budgets/?month=2026-10&format=csv",
    "budget": "/budgets/workload/summaries/?month=2026-10",
    "portfolio": "/workloads/?month=2026-10",
    "workload": "/workloads/summaries/?month=2026-10",
    "why": "/why/cost/?month=2026-10",
    "search": "/search/?q=sumaries",
    "inbox": "/inbox/?tab=waiting",
}
PEOPLE = ("ada", "cleo")


def count(client: Client, address: str) -> int:
    client.get(address)  # what is made once (caches, content types) is not of this page
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(address)
        if answer.streaming:
            b"".join(answer.streaming_content)  # type: ignore[arg-type]
    assert answer.status_code == 200
    return len(queries)


def grow(company: Company, number: int) -> None:
    for at_number in range(number):
        workload = make_workload(f"Grown {at_number}", company.world)
        WorkloadRevision.objects.create(workload=workload, version=1)
        ask_tier(workload, company.world.ben)
        company.spend(workload, 1, at(1 + at_number % 28))
    rate_all()
    economics.recompute_dirty(today=TODAY)


def make_worth(world: World) -> None:
    """Outcomes of one workload, so that what rests on them is asked for too."""
    summaries = Workload.objects.get(slug="summaries")
    entry = economics.OutcomeEntry(summaries, OCTOBER, date(2026, 11, 1), 20, 18, 0)
    economics.record_outcomes(actor=actor(world.ben), entries=[entry], today=TODAY)
    economics.recompute_dirty(today=TODAY)
    ask_tier(summaries, world.ben)


def test_no_page_asks_more_for_more_workloads_or_than_is_on_record(world: World) -> None:
    company = make_company(world)
    make_worth(world)
    clients = {name: log_in(world.people[name]) for name in PEOPLE}
    cache.clear()
    few = {(page, name): count(clients[name], address) for page, address in PAGES.items() for name in PEOPLE}
    grow(company, 60)
    many = {(page, name): count(clients[name], address) for page, address in PAGES.items() for name in PEOPLE}
    assert many == few
    for page in PAGES:
        query_counts.check(page, many[page, "ada"])
