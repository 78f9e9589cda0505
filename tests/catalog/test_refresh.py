"""A newer price list adds rows; what was priced stays as it was, except where the list itself dates the change."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseContains,
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
)

from apps.catalog import services as catalog
from apps.catalog.models import Offering, Rate, RateChange
from apps.core.actor import Actor
from tests.catalog.pricing import rate_of

pytestmark = pytest.mark.django_db
MACHINE = Actor.command("test")
NOW = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
NEXT_HOUR = datetime(2026, 11, 24, 11, tzinfo=UTC)
LAST_YEAR = datetime(2025, 11, 24, tzinfo=UTC)


@pytest.fixture
def install() -> Iterator[Callable[..., None]]:
    """Put a price list in the place of the installed one: model name -> prices."""

    def install(**models: ModelPrice | list[ConditionalPrice]) -> None:
        listed = [ModelInfo(id=name, match=ClauseEquals(name), prices=prices) for name, prices in models.items()]
        house = Provider(id="acme", name="Acme", api_pattern="acme", model_match=ClauseContains("m"), models=listed)
        set_custom_snapshot(DataSnapshot(providers=[house], from_auto_update=False))

    yield install
    set_custom_snapshot(None)


def flat(price: str) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(price), output_mtok=Decimal(price))


def from_day(day: date, price: str) -> ConditionalPrice:
    return ConditionalPrice(StartDateConstraint(day), prices=flat(price))


def refresh() -> list[RateChange]:
    return catalog.refresh_public_prices(actor=MACHINE, now=NOW)


def prices_at(offering: Offering, *instants: datetime) -> list[Decimal | None]:
    return [rate_of(offering, at).input for at in instants]


def test_the_same_list_changes_nothing(install: Callable[..., None]) -> None:
    install(m1=flat("1"))
    catalog.resolve("acme", "m1")
    assert refresh() == []
    assert Rate.objects.count() == 1


def test_a_price_without_a_date_holds_from_the_next_full_hour(install: Callable[..., None]) -> None:
    install(m1=flat("1"))
    offering = catalog.resolve("acme", "m1")
    install(m1=flat("2"))
    changes = refresh()
    assert [(change.offering, change.valid_from) for change in changes] == [(offering, NEXT_HOUR)]
    assert prices_at(offering, LAST_YEAR, NOW, NEXT_HOUR) == [1, 1, 2]
    assert refresh() == []


def test_a_dated_price_holds_from_its_date_though_it_has_passed(install: Callable[..., None]) -> None:
    install(m1=flat("1"))
    offering = catalog.resolve("acme", "m1")
    install(m1=[ConditionalPrice(prices=flat("1")), from_day(date(2026, 11, 9), "2")])
    start = datetime(2026, 11, 9, tzinfo=UTC)
    assert [change.valid_from for change in refresh()] == [start]
    assert prices_at(offering, start - timedelta(hours=1), start, NOW) == [1, 2, 2]
    assert refresh() == []


def test_old_rows_stay_and_say_what_took_their_place(install: Callable[..., None]) -> None:
    install(m1=flat("1"))
    offering = catalog.resolve("acme", "m1")
    old = Rate.objects.get()
    install(m1=flat("2"))
    refresh()
    old.refresh_from_db()
    assert old.input == 1
    assert old.valid_to is None
    assert old.superseded_by is not None
    assert old.superseded_by.input == 2
    assert offering.rates.filter(superseded_by=None).count() == 2


def test_a_cliff_that_is_gone_is_gone_from_then_on(install: Callable[..., None]) -> None:
    cliff = TieredPrices(base=Decimal(1), tiers=[Tier(start=200_000, price=Decimal(2))])
    install(m1=ModelPrice(input_mtok=cliff, output_mtok=Decimal(4)))
    offering = catalog.resolve("acme", "m1")
    install(m1=ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(4)))
    refresh()
    assert rate_of(offering, NOW, band=2).input == 2
    assert rate_of(offering, NEXT_HOUR, band=2).input == 1
    assert refresh() == []


def test_a_model_that_left_the_list_keeps_its_price(install: Callable[..., None]) -> None:
    install(m1=flat("1"), m2=flat("5"))
    offering = catalog.resolve("acme", "m1")
    install(m2=flat("5"))
    assert refresh() == []
    assert prices_at(offering, NEXT_HOUR) == [1]


def test_a_model_seen_before_the_list_knew_it_is_priced_since_ever(install: Callable[..., None]) -> None:
    install(m2=flat("5"))
    offering = catalog.resolve("acme", "m1")
    assert offering.state == "seen"
    install(m1=flat("1"), m2=flat("5"))
    assert [change.offering for change in refresh()] == [offering]
    offering.refresh_from_db()
    assert offering.state == "known"
    assert prices_at(offering, LAST_YEAR) == [1]
