"""The meeting asks as many queries for thirty items as for two, and as many as are on record."""

from decimal import Decimal

from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.budgets import services as budgets
from apps.workloads.models import BEGINNING, END
from tests import query_counts
from tests.books import add_hour, at, make_identity, make_series, make_workload, rate_all
from tests.reviews.meeting import OCTOBER, Meeting
from tests.world import MACHINE, log_in

PAGES = {
    "review": "/reviews/2026-10/",
    "reviews": "/reviews/",
    "review figures": "/reviews/2026-10/figures/",
    "review minutes": "/reviews/2026-10/minutes/",
}


def count(client: Client, address: str) -> int:
    client.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


def grow(meeting: Meeting, number: int) -> None:
    """So many more workloads, each over its budget."""
    pull = meeting.labels.series.part.pulls.earliest("pk")
    for at_number in range(number):
        workload = make_workload(f"Grown {at_number}", meeting.world)
        identity = make_identity(pull.part.source, workload.slug, (BEGINNING, END, workload))
        series = make_series(pull, identity, meeting.labels.series.offering)
        add_hour(pull, series, at(9), requests=1, input=5_000_000, cached=0, output=0)
        budgets.set_budget(actor=MACHINE, owner=workload, month=OCTOBER, amount=Decimal(1))
    rate_all()


def test_the_review_asks_no_more_for_more_items_or_than_is_on_record(meeting: Meeting) -> None:
    cycle, client = meeting.open(), log_in(meeting.nora)
    cache.clear()
    few = {page: count(client, address) for page, address in PAGES.items()}
    grow(meeting, 30)
    meeting.open()
    assert cycle.items.count() == 32

    many = {page: count(client, address) for page, address in PAGES.items()}

    assert many == few
    for page, number in many.items():
        query_counts.check(page, number)
