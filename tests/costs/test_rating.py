"""From hours to day lines, with figures worked by hand."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.core import organisation
from apps.costs import flags
from apps.costs.models import DirtyDay, Line
from apps.sources.models import SourceRole
from apps.workloads.models import BEGINNING, END
from tests.books import (
    add_hour,
    at,
    cost,
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
from tests.world import MACHINE, World

pytestmark = pytest.mark.django_db


def one_series(offering: Any = None, **series: Any) -> Any:
    source = make_source()
    pull = make_pull(source)
    return pull, make_series(pull, make_identity(source, "care-bot"), offering or make_offering(), **series)


def test_the_worked_example_of_disjoint_token_types() -> None:
    # 10,000 in, of which 6,000 cached and 1,000 written to the cache; 1,200 out, of which 800 reasoning.
    offering = make_offering("own", "example-a")
    prices(offering, input="3.00", cached="0.30", cache_write="3.75", output="15.00")
    pull, series = one_series(offering)
    add_hour(pull, series, at(1), requests=1, input=3000, cached=6000, cache_write=1000, output=400, reasoning=800)
    rate_all()
    line = Line.objects.get()
    assert line.amount == Decimal("0.03255")
    assert line.amount_org == Decimal("0.03255")
    assert line.quantity == 11200
    assert line.flags & flags.RATE_ASSUMED  # reasoning has no price of its own and takes the output's


def test_list_prices_fall_off_their_cliffs_per_call_and_not_per_sum() -> None:
    # 1,000 calls of 5,000 in and 500 out each stay in the lowest band, whatever their sum is.
    source = make_source()
    pull = make_pull(source)
    for provider, model in (("google", "gemini-2.5-pro"), ("anthropic", "claude-sonnet-4-5"), ("openai", "gpt-5.4")):
        series = make_series(pull, make_identity(source, model), make_offering(provider, model))
        add_hour(pull, series, at(1), requests=1000, input=5_000_000, cached=0, output=500_000, reasoning=0)
    rate_all()
    by_model = {line.identity.label: line.amount for line in Line.objects.select_related("identity")}
    assert by_model == {
        "gemini-2.5-pro": Decimal("11.25"),
        "claude-sonnet-4-5": Decimal("22.50"),
        "gpt-5.4": Decimal("20.00"),
    }


def test_a_price_change_inside_a_day_holds_from_its_hour() -> None:
    offering = make_offering("own", "changing")
    prices(offering, input="1.00", output="2.00")
    prices(offering, input="3.00", output="2.00", valid_from=at(5, 12))
    pull, series = one_series(offering)
    add_hour(pull, series, at(5, 11), requests=1, input=1_000_000, output=0)
    add_hour(pull, series, at(5, 12), requests=1, input=1_000_000, output=0)
    rate_all()
    assert cost(day=october(5)) == Decimal("4.00")


def test_a_key_that_changes_owner_inside_a_day_costs_each_owner_its_own_hours(world: World) -> None:
    summaries, triage = make_workload("Summaries", world), make_workload("Triage", world)
    offering = make_offering("own", "shared")
    prices(offering, input="2.00", output="2.00")
    source = make_source()
    pull = make_pull(source)
    key = make_identity(source, "shared-key", (BEGINNING, at(5, 12), summaries), (at(5, 12), END, triage))
    series = make_series(pull, key, offering)
    add_hour(pull, series, at(5, 11), requests=1, input=1_000_000, output=0)
    add_hour(pull, series, at(5, 12), requests=1, input=2_000_000, output=0)
    rate_all()
    assert cost(workload=summaries) == Decimal("2.00")
    assert cost(workload=triage) == Decimal("4.00")


def test_an_unknown_model_is_unpriced_and_not_free() -> None:
    pull, series = one_series(make_offering("nobody", "never-heard-of"))
    add_hour(pull, series, at(1), requests=3, input=900, output=100)
    rate_all()
    line = Line.objects.get()
    assert line.amount is None
    assert line.unpriced_tokens == 1000
    assert line.flags & flags.UNPRICED


def test_a_price_given_later_prices_the_open_month() -> None:
    offering = make_offering("nobody", "late-price")
    pull, series = one_series(offering)
    add_hour(pull, series, at(1), requests=1, input=1_000_000, output=0)
    rate_all()
    prices(offering, input="7.00", output="9.00")
    rate_all()
    line = Line.objects.get()
    assert (line.amount, line.unpriced_tokens) == (Decimal("7.00"), 0)


def test_the_source_s_own_figure_stands_in_where_no_price_is_known() -> None:
    pull, series = one_series(make_offering("nobody", "reported"))
    add_hour(pull, series, at(1), requests=1, input=10, output=10, reported_cost=Decimal("0.42"), currency="USD")
    rate_all()
    line = Line.objects.get()
    assert line.amount == Decimal("0.42")
    assert line.flags & flags.REPORTED_PRICE
    assert line.unpriced_tokens == 0


def test_idle_gpu_time_stays_with_its_holder_and_adds_up_to_what_was_allocated() -> None:
    offering = make_offering("cluster", "l40s")
    prices(offering, gpu_hour="1.00")
    pull, series = one_series(offering)
    # One hour allocated, a third of it busy: 1/3 and 2/3 of a dollar, which have no last digit.
    add_hour(pull, series, at(1), gpu_seconds=Decimal(3600), gpu_busy_seconds=Decimal(1200))
    rate_all()
    used = Line.objects.get(component="gpu_used").amount
    idle = Line.objects.get(component="gpu_idle").amount
    assert used == Decimal("0.333333333333333333")
    assert idle == Decimal("0.666666666666666667")


def test_rating_twice_changes_nothing_and_the_roll_ups_follow_the_lines() -> None:
    pull, series = one_series()
    add_hour(pull, series, at(1), requests=1, input=1_000_000, output=0)
    rate_all()
    before = roll_up()
    DirtyDay.objects.create(day=october(1), identity=series.identity, reason="again")
    rate_all()
    assert roll_up() == before == [(Decimal("2.500000000000000000"), 1, 1)]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE usage_hour SET input = 3000000, requests = 2")
    DirtyDay.objects.create(day=october(1), identity=series.identity, reason="restated")
    rate_all()
    assert roll_up() == [(Decimal("7.500000000000000000"), 2, 1)]


def test_a_day_whose_usage_vanished_leaves_no_line_and_no_roll_up() -> None:
    pull, series = one_series()
    add_hour(pull, series, at(1), requests=1, input=1_000_000, output=0)
    rate_all()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM usage_hour")
    DirtyDay.objects.create(day=october(1), identity=series.identity, reason="gone")
    rate_all()
    assert not Line.objects.exists()
    assert roll_up() == []


def test_a_day_begins_at_the_organisation_s_midnight() -> None:
    organisation.make(actor=MACHINE, name="Brisk Bakery", zone="Europe/Berlin")
    pull, series = one_series()
    add_hour(pull, series, at(30, 22, month=9), requests=1, input=1_000_000, output=0)
    rate_all()
    assert Line.objects.get().day == october(1)  # in Berlin it was midnight


def test_an_amount_in_another_currency_is_converted_at_the_day_s_rate_or_left_open() -> None:
    known, unknown = make_offering("own", "in-euro"), make_offering("own", "in-kina")
    prices(known, input="1.00", output="1.00", currency="EUR")
    prices(unknown, input="1.00", output="1.00", currency="PGK")
    source = make_source()
    pull = make_pull(source)
    for key, offering in (("euro", known), ("kina", unknown)):
        series = make_series(pull, make_identity(source, key), offering)
        # Wednesday 3 January 2024: the European Central Bank's rate was 1.0919 dollars for a euro.
        add_hour(pull, series, at(3).replace(year=2024, month=1), requests=1, input=1_000_000, output=0)
    rate_all()
    by_key = {line.identity.label: line for line in Line.objects.select_related("identity")}
    assert by_key["euro"].amount_org == Decimal("1.0919")
    assert by_key["kina"].amount == Decimal("1.00")
    assert by_key["kina"].amount_org is None


def test_a_source_that_only_checks_is_kept_beside_and_never_added() -> None:
    pull, series = one_series()
    SourceRole.objects.create(
        source=pull.part.source, measure="token_cost", role=SourceRole.Role.CHECKS, valid_from=at(2)
    )
    add_hour(pull, series, at(1), requests=1, input=1_000_000, output=0)
    add_hour(pull, series, at(2), requests=1, input=1_000_000, output=0)
    rate_all()
    assert cost() == Decimal("2.50")
    assert Line.objects.count() == 2


def roll_up() -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT amount_org, requests, lines FROM costs_month")
        month = cursor.fetchall()
        cursor.execute("SELECT amount_org, requests, lines FROM costs_day")
        assert cursor.fetchall() == month
    return month
