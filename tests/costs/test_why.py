"""The proof of a figure adds up to the figure, to the last digit."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.costs import why
from apps.costs.models import DirtyDay
from apps.costs.selectors import CostScope, cost_totals
from apps.workloads.models import BEGINNING, END
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
from tests.world import MACHINE, World, actor

pytestmark = pytest.mark.django_db

OCTOBER = CostScope(date(2026, 10, 1), date(2026, 11, 1))
AMOUNT, AMOUNT_ORG = (
    why.EXPORT_COLUMNS.index("Amount"),
    why.EXPORT_COLUMNS.index("Amount in the organisation's currency"),
)


def one_series(offering: Any, **series: Any) -> Any:
    pull = make_pull(make_source(), digest="9f3c" * 16, rows=3)
    return pull, make_series(pull, make_identity(pull.part.source, "care-bot"), offering, **series)


def exported(scope: CostScope = OCTOBER) -> Decimal:
    return sum(
        (row[AMOUNT_ORG] for row in why.proof_rows(actor=MACHINE, scope=scope) if row[AMOUNT_ORG] is not None),
        Decimal(0),
    )


def proven(scope: CostScope = OCTOBER) -> why.Why:
    """The proof, after checking that its prices and its export both come to the figure."""
    found = why.why_cost(actor=MACHINE, scope=scope)
    assert found.is_exact
    assert sum(part.amount_org or 0 for part in found.prices) == found.amount
    assert exported(scope) == found.amount
    return found


def test_the_worked_example_is_taken_apart_by_token_type() -> None:
    offering = make_offering("own", "example-a")
    prices(offering, input="3.00", cached="0.30", cache_write="3.75", output="15.00")
    pull, series = one_series(offering)
    add_hour(pull, series, at(1), requests=1, input=3000, cached=6000, cache_write=1000, output=400, reasoning=800)
    rate_all()
    found = proven()
    assert found.amount == Decimal("0.03255")
    assert {part.kind: (part.quantity, part.price, part.amount) for part in found.prices} == {
        "input": (3000, Decimal("3.00"), Decimal("0.009")),
        "cached": (6000, Decimal("0.30"), Decimal("0.0018")),
        "cache_write": (1000, Decimal("3.75"), Decimal("0.00375")),
        "output": (400, Decimal("15.00"), Decimal("0.006")),
        "reasoning": (800, Decimal("15.00"), Decimal("0.012")),
    }
    assert found.notes == ["A token type without a price of its own takes the next wider one."]
    assert [(part.part, part.hours, part.digest, part.rows) for part in found.pulls] == [("log.csv", 1, "9f3c" * 16, 3)]


def test_a_price_change_inside_a_day_shows_both_prices() -> None:
    offering = make_offering("own", "changing")
    prices(offering, input="1.00", output="2.00")
    prices(offering, input="3.00", output="2.00", valid_from=at(5, 12))
    pull, series = one_series(offering)
    add_hour(pull, series, at(5, 11), requests=1, input=1_000_000, output=0)
    add_hour(pull, series, at(5, 12), requests=1, input=1_000_000, output=0)
    rate_all()
    found = proven()
    assert found.amount == 4
    assert sorted((part.price, part.amount) for part in found.prices) == [(1, 1), (3, 3)]
    assert found.price_count == 2


def test_a_key_that_changes_owner_inside_a_day_is_proven_for_each_owner(world: World) -> None:
    summaries, triage = make_workload("Summaries", world), make_workload("Triage", world)
    offering = make_offering("own", "shared")
    prices(offering, input="2.00", output="2.00")
    pull = make_pull(make_source())
    key = make_identity(pull.part.source, "shared-key", (BEGINNING, at(5, 12), summaries), (at(5, 12), END, triage))
    series = make_series(pull, key, offering)
    add_hour(pull, series, at(5, 11), requests=1, input=1_000_000, output=0)
    add_hour(pull, series, at(5, 12), requests=1, input=2_000_000, output=0)
    rate_all()
    for workload, amount in ((summaries, 2), (triage, 4)):
        found = proven(CostScope(OCTOBER.first, OCTOBER.end, workload_id=workload.pk))
        assert found.amount == amount
        assert [(binding.label, binding.workload) for binding in found.bindings] == [("shared-key", workload.name)]
        assert found.hours == 1
    assert proven().amount == 6


def test_thirds_of_a_gpu_hour_add_up() -> None:
    offering = make_offering("cluster", "l40s")
    prices(offering, gpu_hour="1.00")
    pull, series = one_series(offering)
    for day in (1, 2, 3):
        add_hour(pull, series, at(day), gpu_seconds=Decimal(3600), gpu_busy_seconds=Decimal(1200))
    rate_all()
    found = proven()
    assert found.amount == 3
    assert {part.component: part.amount for part in found.components} == {
        "gpu_idle": Decimal("2.000000000000000001"),
        "gpu_used": Decimal("0.999999999999999999"),
    }


def test_a_price_with_more_digits_than_money_has_still_adds_up() -> None:
    offering = make_offering("own", "fine")
    prices(offering, input="0.123456789012345678", output="0.333333333333333333")
    pull, series = one_series(offering)
    for hour in range(3):
        add_hour(pull, series, at(1, hour), requests=1, input=7, output=11, reasoning=5)
    rate_all()
    proven()


def test_an_amount_in_euro_is_proven_in_both_currencies() -> None:
    offering = make_offering("own", "in-euro")
    prices(offering, input="1.00", output="3.00", currency="EUR")
    pull, series = one_series(offering)
    add_hour(pull, series, datetime(2024, 1, 3, tzinfo=UTC), requests=1, input=333_333, output=77_777)
    rate_all()
    found = proven(CostScope(date(2024, 1, 1), date(2024, 2, 1)))
    assert found.amount == (Decimal("0.333333") + Decimal("0.233331")) * Decimal("1.0919")
    assert [(part.currency, part.amount) for part in found.currencies] == [("EUR", Decimal("0.566664"))]


def test_what_has_no_price_is_named_and_adds_nothing() -> None:
    offering = make_offering("own", "half")
    pull, series = one_series(make_offering("nobody", "unheard-of"))
    prices(offering, input="1.00", output="1.00")
    add_hour(pull, series, at(1), requests=1, input=900, output=100)
    add_hour(pull, make_series(pull, series.identity, offering), at(1), requests=1, input=1_000_000, output=0)
    rate_all()
    found = proven()
    assert found.amount == 1
    assert [(part.kind, part.quantity, part.amount) for part in found.prices if part.amount is None] == [
        ("unpriced", 1000, None)
    ]
    assert found.notes == ["Some tokens have no price; their cost is unknown and not zero."]


def test_a_source_s_own_figure_is_named_as_such() -> None:
    pull, series = one_series(make_offering("nobody", "reported"))
    add_hour(pull, series, at(1), requests=1, input=10, output=10, reported_cost=Decimal("0.42"), currency="USD")
    rate_all()
    assert [(part.kind, part.amount) for part in proven().prices] == [("reported", Decimal("0.42"))]


def test_a_component_of_a_day_is_proven_alone() -> None:
    offering = make_offering("own", "dollar")
    prices(offering, input="1.00", output="1.00")
    pull, series = one_series(offering)
    failed = make_series(pull, series.identity, offering, call_kind="retry_failed")
    for day in (1, 2):
        add_hour(pull, series, at(day), requests=1, input=1_000_000, output=0)
        add_hour(pull, failed, at(day), requests=1, input=2_000_000, output=0)
    rate_all()
    found = proven(CostScope(october(2), october(3), component="retry_failed"))
    assert (found.amount, found.lines, [part.component for part in found.prices]) == (2, 1, ["retry_failed"])


def test_a_day_that_waits_to_be_rated_again_is_said_to_differ() -> None:
    offering = make_offering("own", "dollar")
    prices(offering, input="1.00", output="1.00")
    pull, series = one_series(offering)
    add_hour(pull, series, at(1), requests=1, input=1_000_000, output=0)
    rate_all()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE usage_hour SET input = 5000000")
    assert not why.why_cost(actor=MACHINE, scope=OCTOBER).is_exact
    DirtyDay.objects.create(day=october(1), identity=series.identity, reason="restated")
    rate_all()
    assert proven().amount == 5


def test_a_figure_with_too_many_lines_is_not_taken_apart_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    offering = make_offering("own", "dollar")
    prices(offering, input="1.00", output="1.00")
    pull, series = one_series(offering)
    add_hour(pull, series, at(1), requests=1, input=1_000_000, output=0)
    add_hour(pull, series, at(2), requests=1, input=1_000_000, output=0)
    rate_all()
    monkeypatch.setattr(why, "MOST_LINES", 1)
    found = why.why_cost(actor=MACHINE, scope=OCTOBER)
    assert (found.amount, found.is_apart, found.prices) == (2, False, [])


def test_nobody_sees_the_proof_of_foreign_money(world: World) -> None:
    triage = make_workload("Triage", world, cost_centre=world.legal, business_owner=world.eve, budget_owner=world.eve)
    offering = make_offering("own", "dollar")
    prices(offering, input="1.00", output="1.00")
    pull = make_pull(make_source())
    series = make_series(pull, make_identity(pull.part.source, "key", (BEGINNING, END, triage)), offering)
    add_hour(pull, series, at(1), requests=1, input=1_000_000, output=0)
    rate_all()
    assert why.why_cost(actor=actor(world.gus), scope=OCTOBER).amount == 1
    found = why.why_cost(actor=actor(world.ben), scope=OCTOBER)
    assert (found.lines, found.prices, found.pulls, found.bindings) == (0, [], [], [])
    assert list(why.proof_rows(actor=actor(world.ben), scope=OCTOBER)) == []
    assert cost_totals(actor=actor(world.ben), scope=OCTOBER).now.lines == 0
