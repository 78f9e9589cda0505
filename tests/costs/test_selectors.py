"""The figures of the cost pages, with literals, and who sees which of them."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Role
from apps.costs import selectors
from apps.costs.selectors import BasisChoice, CostScope, Grouping, cost_over_time, cost_table, cost_totals
from apps.costs.selectors.scope import split
from apps.workloads.models import BEGINNING, END, Workload
from tests.books import (
    add_hour,
    at,
    make_identity,
    make_offering,
    make_pull,
    make_series,
    make_source,
    make_workload,
    october,
    prices,
    rate_all,
)
from tests.world import MACHINE, World, actor, give

pytestmark = pytest.mark.django_db

OCTOBER = CostScope(date(2026, 10, 1), date(2026, 11, 1))
SEPTEMBER = (date(2026, 9, 1), date(2026, 10, 1))


class Books:
    """A model at 1.00 per million tokens, so that a million tokens on a key cost a dollar."""

    def __init__(self) -> None:
        self.offering = make_offering("own", "dollar")
        prices(self.offering, input="1.00", output="1.00")
        self.pull = make_pull(make_source())
        self.series: dict[Any, Any] = {}

    def spend(
        self, workload: Workload | None, dollars: int, when: Any, *, kind: str = "token", offering: Any = None
    ) -> None:
        key = (workload, kind, offering)
        if key not in self.series:
            identity = make_identity(self.pull.part.source, f"key-{len(self.series)}", (BEGINNING, END, workload))
            self.series[key] = make_series(self.pull, identity, offering or self.offering, call_kind=kind)
        add_hour(self.pull, self.series[key], when, requests=10, input=dollars * 1_000_000, cached=0, output=0)


@pytest.fixture
def books(world: World) -> Books:
    return Books()


@pytest.fixture
def company(world: World, books: Books) -> dict[str, Workload]:
    """October: Summaries (Care) 30, Triage (Legal) 50 of which 20 failed, unallocated 7. September: Summaries 20."""
    found = {
        "summaries": make_workload("Summaries", world),
        "triage": make_workload(
            "Triage", world, cost_centre=world.legal, business_owner=world.eve, budget_owner=world.eve
        ),
    }
    books.spend(found["summaries"], 10, at(1))
    books.spend(found["summaries"], 20, at(20))
    books.spend(found["summaries"], 20, at(20, month=9))
    books.spend(found["triage"], 30, at(5))
    books.spend(found["triage"], 20, at(5), kind="retry_failed")
    books.spend(None, 7, at(7))
    rate_all()
    return found


def names(table: selectors.CostTable) -> list[tuple[str, Decimal | None]]:
    return [(row.name, row.now.cost) for row in table.rows]


def test_a_period_is_whole_months_and_the_days_around_them() -> None:
    assert split(date(2026, 9, 15), date(2026, 12, 3)) == (
        [date(2026, 10, 1), date(2026, 11, 1)],
        [(date(2026, 9, 15), date(2026, 10, 1)), (date(2026, 12, 1), date(2026, 12, 3))],
    )
    assert split(date(2026, 10, 3), date(2026, 10, 9)) == ([], [(date(2026, 10, 3), date(2026, 10, 9))])


def test_workloads_and_unallocated_add_up_to_the_total(company: Any) -> None:
    totals = cost_totals(actor=MACHINE, scope=OCTOBER, before=SEPTEMBER)
    assert (totals.workloads.cost, totals.unallocated.cost, totals.now.cost) == (80, 7, 87)
    assert totals.before == 20
    assert (totals.now.requests, totals.now.failed) == (50, 10)
    assert totals.now.tokens == 87_000_000


def test_workloads_stand_by_cost_with_what_is_unallocated_among_them(company: Any) -> None:
    table = cost_table(actor=MACHINE, scope=OCTOBER, grouping=Grouping.WORKLOAD, before=SEPTEMBER, limit=10)
    assert names(table) == [("Triage", 50), ("Summaries", 30), ("Unallocated", 7)]
    assert [row.before for row in table.rows] == [None, 20, None]
    assert [row.ref for row in table.rows] == ["triage", "summaries", ""]


def test_the_second_page_goes_on_where_the_first_ended_and_counts_all(company: Any) -> None:
    table = cost_table(actor=MACHINE, scope=OCTOBER, grouping=Grouping.WORKLOAD, limit=2, offset=2)
    assert (names(table), table.count) == ([("Unallocated", 7)], 3)


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("name", "Summaries"),
        ("-name", "Unallocated"),
        ("cost", "Unallocated"),
        ("-change", "Triage"),
        ("-requests", "Summaries"),
    ],
)
def test_a_table_can_be_sorted_by_any_column(company: Any, sort: str, first: str) -> None:
    table = cost_table(actor=MACHINE, scope=OCTOBER, grouping=Grouping.WORKLOAD, before=SEPTEMBER, sort=sort, limit=1)
    assert table.rows[0].name == first


@pytest.mark.parametrize("grouping", list(Grouping))
def test_every_grouping_adds_up_to_the_same_total_on_whole_months_and_on_days(company: Any, grouping: Grouping) -> None:
    for scope, total in ((OCTOBER, 87), (CostScope(date(2026, 9, 20), date(2026, 10, 6)), 80)):
        paged = cost_table(actor=MACHINE, scope=scope, grouping=grouping, limit=100)
        whole = cost_table(actor=MACHINE, scope=scope, grouping=grouping)
        assert sum(row.now.cost or 0 for row in paged.rows) == total
        assert {(row.key, row.now.cost) for row in paged.rows} == {(row.key, row.now.cost) for row in whole.rows}


def test_days_and_months_stand_in_their_order_when_asked(company: Any) -> None:
    days = cost_table(actor=MACHINE, scope=OCTOBER, grouping=Grouping.DAY, sort="name", limit=10)
    assert [row.key for row in days.rows] == ["2026-10-01", "2026-10-05", "2026-10-07", "2026-10-20"]


def test_filters_narrow_every_figure_alike(company: Any, world: World) -> None:
    offering = make_offering("own", "dollar")
    filters: list[tuple[dict[str, Any], int]] = [
        ({"workload_id": company["triage"].pk}, 50),
        ({"component": "retry_failed"}, 20),
        ({"cost_centre_path": world.operations.path}, 30),
        ({"allocated": False}, 7),
        ({"allocated": True}, 80),
        ({"offering_id": offering.pk}, 87),
        ({"provider": "own"}, 87),
        ({"provider": "nobody"}, 0),
        ({"basis": BasisChoice.COMPUTED}, 87),
        ({"basis": BasisChoice.BILLED}, 0),
    ]
    for values, expected in filters:
        scope = CostScope(OCTOBER.first, OCTOBER.end, **values)
        assert cost_totals(actor=MACHINE, scope=scope).now.cost == expected, values
        assert sum(cost_over_time(actor=MACHINE, scope=scope).amounts.values()) == expected, values


def test_cost_over_time_is_by_day_and_by_month_for_a_long_period(company: Any) -> None:
    by_day = cost_over_time(actor=MACHINE, scope=OCTOBER)
    assert by_day.amounts[october(5), "retry_failed"] == 20
    by_month = cost_over_time(actor=MACHINE, scope=CostScope(date(2026, 1, 1), date(2027, 1, 1)))
    assert by_month.by_month
    assert by_month.amounts == {
        (date(2026, 9, 1), "token"): 20,
        (date(2026, 10, 1), "token"): 67,
        (date(2026, 10, 1), "retry_failed"): 20,
    }


def test_an_unpriced_model_has_tokens_and_no_cost(books: Books) -> None:
    books.spend(None, 1, at(1), offering=make_offering("nobody", "unheard-of"))
    rate_all()
    totals = cost_totals(actor=MACHINE, scope=OCTOBER)
    assert totals.now.cost is None
    assert totals.now.unpriced_tokens == 1_000_000


# --- Who sees it ------------------------------------------------------------------------------------------------------


def seen(person: Any) -> tuple[list[tuple[str, Decimal | None]], Decimal | None]:
    table = cost_table(actor=actor(person), scope=OCTOBER, grouping=Grouping.WORKLOAD, limit=10)
    return names(table), cost_totals(actor=actor(person), scope=OCTOBER).now.cost


def test_everybody_sees_the_money_of_their_cost_centres_and_of_what_they_own(company: Any, world: World) -> None:
    assert seen(world.finn) == ([("Triage", 50), ("Summaries", 30), ("Unallocated", 7)], 87)  # the auditor: all
    assert seen(world.cleo) == (
        [("Summaries", 30), ("Unallocated", 7)],
        37,
    )  # the analyst of Operations
    assert seen(world.gus) == ([("Triage", 50)], 50)  # an approver for Legal
    assert seen(world.ben) == ([("Summaries", 30)], 30)  # an owner
    assert seen(world.hana) == ([("Summaries", 30)], 30)


def test_a_filter_for_a_foreign_workload_finds_nothing(company: Any, world: World) -> None:
    scope = CostScope(OCTOBER.first, OCTOBER.end, workload_id=company["triage"].pk)
    assert cost_totals(actor=actor(world.ben), scope=scope).now.lines == 0
    assert (
        cost_totals(actor=actor(world.ben), scope=CostScope(OCTOBER.first, OCTOBER.end, allocated=False)).now.lines == 0
    )


def test_the_number_of_queries_does_not_grow_with_the_workloads(world: World, books: Books) -> None:
    counts = []
    for number in (3, 30):
        for at_number in range(number):
            workload, _ = Workload.objects.get_or_create(
                slug=f"w{number}-{at_number}", defaults={"name": f"W {number} {at_number}"}
            )
            books.spend(workload, 1, at(1))
        rate_all()
        with CaptureQueriesContext(
            connection,
        ) as queries:
            cost_table(actor=actor(world.cleo), scope=OCTOBER, grouping=Grouping.WORKLOAD, before=SEPTEMBER, limit=25)
            cost_totals(actor=actor(world.cleo), scope=OCTOBER, before=SEPTEMBER)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_role_given_in_a_parent_reaches_its_children(company: Any, world: World) -> None:
    give(world.eve, Role.REVIEWER, world.operations, by=world.ada)
    assert ("Summaries", Decimal(30)) in seen(world.eve)[0]
