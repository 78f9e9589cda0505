"""Contract rates: before the list price, dated, immutable, and asked about when they look like another unit."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.models import Role
from apps.catalog import proof
from apps.catalog import services as catalog
from apps.catalog.bands import ALL_PROMPT_BANDS, ServiceTier
from apps.catalog.effective import FOREVER, effective_rates
from apps.catalog.models import EffectiveRate, LatencyBand, Offering, OfferingClass, Rate, RateChange
from apps.catalog.services import LooksLikeAnotherUnit, Prices
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import AuditEvent
from tests.catalog.pricing import cost, rate_of
from tests.world import World, give

pytestmark = pytest.mark.django_db
MACHINE = Actor.command("test")
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
EXAMPLE_A = Prices(input=Decimal("3.00"), cached=Decimal("0.30"), cache_write=Decimal("3.75"), output=Decimal("15.00"))


@pytest.fixture
def offering() -> Offering:
    return catalog.resolve("openai", "gpt-4o")


def contract(offering: Offering, prices: Prices = EXAMPLE_A, **more: Any) -> Rate:
    values = {"actor": MACHINE, "currency": "USD", "valid_from": NOVEMBER, **more}
    return catalog.add_contract_rate(offering=offering, prices=prices, **values)


def test_example_a_costs_0_03255(offering: Offering) -> None:
    contract(offering)
    rate = rate_of(offering, NOON)
    tokens = {"input": 3_000, "cached": 6_000, "cache_write": 1_000, "output": 400, "reasoning": 800}
    assert cost(rate, **tokens) == Decimal("0.03255")
    assert rate.reasoning_assumed
    assert not rate.cached_assumed


def test_a_contract_comes_before_the_list_price_while_it_holds(offering: Offering) -> None:
    contract(offering, valid_to=DECEMBER)
    hours = [NOVEMBER - timedelta(hours=1), NOVEMBER, DECEMBER - timedelta(hours=1), DECEMBER]
    assert [rate_of(offering, hour).scope for hour in hours] == ["public", "contract", "contract", "public"]


def test_one_contract_rate_holds_for_all_tiers_and_bands_and_marks_the_tiers(offering: Offering) -> None:
    contract(offering)
    assert rate_of(offering, NOON, band=4).input == Decimal(3)
    batch = rate_of(offering, NOON, tier="batch")
    assert (batch.input, batch.tier_assumed) == (Decimal(3), True)


def test_a_contract_may_state_its_own_cliff(offering: Offering) -> None:
    contract(offering)
    contract(offering, Prices(input=Decimal(6), output=Decimal(22)), prompt_band=2)
    assert [rate_of(offering, NOON, band=band).input for band in (0, 1, 2, 4)] == [3, 3, 6, 6]


def test_a_later_rate_takes_over_from_its_day_and_the_earlier_one_stays_before(offering: Offering) -> None:
    first = contract(offering)
    second = contract(offering, Prices(input=Decimal(2), output=Decimal(9)), valid_from=DECEMBER)
    first.refresh_from_db()
    assert first.superseded_by == second
    assert rate_of(offering, NOON).input == 3
    assert rate_of(offering, DECEMBER).input == 2


def test_a_rate_in_the_middle_leaves_what_sticks_out_on_both_sides(offering: Offering) -> None:
    contract(offering)
    contract(offering, Prices(input=Decimal(2), output=Decimal(9)), valid_from=NOON, valid_to=DECEMBER)
    assert [rate_of(offering, at).input for at in (NOVEMBER, NOON, DECEMBER)] == [3, 2, 3]


def test_a_correction_adds_a_row_and_keeps_the_wrong_one(offering: Offering) -> None:
    wrong = contract(offering)
    right = catalog.correct_rate(
        actor=MACHINE, rate=wrong, prices=Prices(input=Decimal("3.5"), output=Decimal(15)), reason="read the annex"
    )
    wrong.refresh_from_db()
    assert (wrong.input, wrong.superseded_by) == (Decimal(3), right)
    assert rate_of(offering, NOON).input == Decimal("3.5")
    with pytest.raises(Conflict, match="replaced in the meantime"):
        catalog.correct_rate(actor=MACHINE, rate=wrong, prices=EXAMPLE_A, reason="again")


def test_an_ended_contract_gives_way_to_the_list_price(offering: Offering) -> None:
    rate = contract(offering)
    catalog.end_contract_rate(actor=MACHINE, rate=rate, valid_to=DECEMBER, reason="terminated")
    assert [rate_of(offering, at).scope for at in (NOON, DECEMBER)] == ["contract", "public"]
    change = RateChange.objects.latest("id")
    assert (change.offering, change.valid_from, change.handled_at) == (offering, DECEMBER, None)


def test_every_change_leaves_word_for_rating_and_an_event(offering: Offering) -> None:
    contract(offering, contract="Enterprise 2026")
    change = RateChange.objects.get()
    assert (change.offering, change.valid_from, change.valid_to) == (offering, NOVEMBER, None)
    event = AuditEvent.objects.get(verb="added contract rate")
    assert (event.data["input"], event.data["offering"]) == ("3", "openai/gpt-4o")


@pytest.mark.parametrize("price", ["0.0000025", "0.0024", "26"])
def test_a_price_far_from_the_list_is_asked_about(offering: Offering, price: str) -> None:
    far = Prices(input=Decimal(price), output=Decimal(10))
    with pytest.raises(LooksLikeAnotherUnit, match="Per 1M tokens"):
        contract(offering, far)
    assert contract(offering, far, confirmed=True).input == Decimal(price)


@pytest.mark.parametrize("price", ["0.25", "25"])
def test_ten_times_exactly_is_not_far(offering: Offering, price: str) -> None:
    assert contract(offering, Prices(input=Decimal(price), output=Decimal(10))).pk


def test_the_comparison_is_made_in_one_currency(offering: Offering) -> None:
    october = datetime(2026, 10, 30, tzinfo=UTC)
    # 400 JPY are 2.54 USD on that day: near the list price of 2.50
    assert contract(offering, Prices(input=Decimal(400), output=Decimal(1600)), currency="JPY", valid_from=october).pk


@pytest.mark.parametrize(
    "prices",
    [
        Prices(),
        Prices(cached=Decimal(1)),
        Prices(input=Decimal(-1), output=Decimal(1)),
        Prices(input=Decimal("NaN"), output=Decimal(1)),
        Prices(input=Decimal("Infinity"), output=Decimal(1)),
        Prices(input=Decimal("1E-19"), output=Decimal(1)),
        Prices(input=Decimal(10) ** 18, output=Decimal(1)),
    ],
)
def test_what_is_no_price_is_refused(offering: Offering, prices: Prices) -> None:
    with pytest.raises(BadInput):
        contract(offering, prices, confirmed=True)
    assert not Rate.objects.filter(scope="contract").exists()


@pytest.mark.parametrize(
    "period",
    [
        {"valid_from": NOVEMBER + timedelta(minutes=30)},
        {"valid_from": datetime(2026, 11, 1)},
        {"valid_to": NOVEMBER},
    ],
)
def test_rates_begin_and_end_at_full_hours_and_in_order(offering: Offering, period: dict[str, datetime]) -> None:
    with pytest.raises(BadInput):
        contract(offering, **period)


def test_only_those_who_edit_rates_may(offering: Offering, world: Any) -> None:
    eve = Actor(person_id=world.eve.pk, label="Eve", channel="web")
    cleo = Actor(person_id=world.cleo.pk, label="Cleo", channel="web")
    with pytest.raises(NotAllowed):
        contract(offering, actor=eve)
    with pytest.raises(NotAllowed):  # a person's change takes the decision of somebody else
        contract(offering, actor=cleo)
    assert contract(offering, actor=cleo, decision_id=1).recorded_by == world.cleo.pk


def test_a_command_states_prices_only_while_nobody_could_confirm_them(offering: Offering, world: World) -> None:
    give(world.eve, Role.ADMINISTRATOR, by=world.ada)
    with pytest.raises(NotAllowed, match="confirmed by somebody else"):
        contract(offering, actor=MACHINE)


def test_the_database_refuses_to_change_or_delete_a_rate(offering: Offering) -> None:
    rate, other = contract(offering), contract(offering, prompt_band=2)
    for change in ({"input": Decimal(1)}, {"valid_to": DECEMBER}, {"list_version": "x"}):
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            Rate.objects.filter(pk=rate.pk).update(**change)
    with pytest.raises(DatabaseError, match="Cannot delete"), transaction.atomic():
        Rate.objects.filter(pk=rate.pk)._raw_delete("default")
    Rate.objects.filter(pk=rate.pk).update(superseded_by=other)
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        Rate.objects.filter(pk=rate.pk).update(superseded_by=None)


def test_the_database_refuses_two_rates_at_once(offering: Offering) -> None:
    contract(offering)
    twin = Rate(scope="contract", offering=offering, valid_from=NOON, input=1, currency="USD")
    with pytest.raises(IntegrityError, match="catalog_rate_one_at_a_time"):
        save_and_check(twin)


@transaction.atomic
def save_and_check(rate: Rate) -> None:
    rate.save()
    connection.check_constraints()


def test_a_new_price_proposes_no_class_by_itself(offering: Offering) -> None:
    contract(offering, Prices(input=Decimal(20), output=Decimal(80)))
    assert [row.model_class for row in OfferingClass.objects.filter(offering=offering)] == ["standard"]
    catalog.set_offering_class(
        actor=MACHINE, offering=offering, model_class="frontier", valid_from=NOVEMBER, reason="new contract"
    )
    assert OfferingClass.objects.filter(offering=offering).count() == 2


def test_a_person_names_the_model_behind_an_unknown_name() -> None:
    offering = catalog.resolve("our-proxy", "fast-chat")
    catalog.take_list_price(
        actor=MACHINE, offering=offering, provider="openai", model="gpt-4o", reason="the proxy's alias"
    )
    offering.refresh_from_db()
    assert (offering.state, offering.listed_by, offering.listed_name) == ("known", "openai", "gpt-4o")
    assert rate_of(offering, NOON).input == Decimal("2.5")
    assert RateChange.objects.get().offering == offering


def test_an_own_gpu_is_priced_by_the_hour() -> None:
    offering = catalog.resolve("own", "H100")
    catalog.set_hosting(actor=MACHINE, offering=offering, hosted="own", accelerator="H100")
    contract(offering, Prices(gpu_hour=Decimal("2.50")))
    rate = rate_of(offering, NOON)
    assert (rate.gpu_hour, rate.input, rate.cached) == (Decimal("2.5"), None, None)


def test_a_bands_limit_lies_on_an_edge() -> None:
    band = LatencyBand.objects.get(pk="interactive")
    with pytest.raises(BadInput, match="between two edges"):
        catalog.set_latency_band(actor=MACHINE, band=band, limit_ms=900, name="interactive", sentence="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        LatencyBand.objects.filter(pk=band.pk).update(limit_ms=900)
    changed = catalog.set_latency_band(actor=MACHINE, band=band, limit_ms=1_000, name="interactive", sentence="x")
    assert changed.limit_ms == 1_000


def test_the_seeded_bands_are_those_of_the_design() -> None:
    assert list(LatencyBand.objects.values_list("code", "limit_ms")) == [
        ("interactive", 800),
        ("conversational", 2_000),
        ("near-line", 20_000),
        ("batch", 600_000),
        ("scheduled", None),
    ]


# --- The pure part, by property ---------------------------------------------------------------------------------------

HOURS = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 12)]


@st.composite
def standing_rates(draw: st.DrawFn) -> list[Rate]:
    """Rates as the table may hold them: none of a key overlaps another of the same key."""
    rates = []
    for scope in ("public", "contract"):
        for tier in ("standard", "batch"):
            for band in (0, 2):
                edges = sorted(draw(st.sets(st.sampled_from(HOURS), max_size=4)))
                for start, end in zip(edges[::2], [*edges[1::2], None], strict=False):
                    rates.append(
                        Rate(
                            pk=len(rates) + 1, scope=scope, offering_id=1, service_tier=tier, prompt_band=band,
                            valid_from=start, valid_to=end, input=Decimal(len(rates)), currency="USD",
                        )
                    )  # fmt: skip
    return rates


def candidates(rates: list[Rate], scope: str, tier: str, band: int, at: datetime) -> Iterator[Rate]:
    for rate in rates:
        of_key = rate.scope == scope and rate.service_tier == tier and rate.prompt_band <= max(band, 0)
        if of_key and rate.valid_from <= at and (rate.valid_to is None or at < rate.valid_to):
            yield rate


@given(standing_rates())
def test_at_any_instant_the_effective_rate_is_the_one_the_rules_name(rates: list[Rate]) -> None:
    rows = effective_rates(rates)
    for at in [*HOURS, FOREVER - timedelta(hours=1)]:
        for tier in ServiceTier:
            for band in ALL_PROMPT_BANDS:
                found = [
                    row
                    for row in rows
                    if (row.service_tier, row.prompt_band) == (tier, band) and row.valid_from <= at < row.valid_to
                ]
                asked = [(scope, asked_tier) for scope in ("contract", "public") for asked_tier in (tier, "standard")]
                choices = (list(candidates(rates, scope, asked_tier, band, at)) for scope, asked_tier in asked)
                best = next((choice for choice in choices if choice), [])
                expected = [max(best, key=lambda rate: rate.prompt_band).pk] if best else []
                assert [row.rate_id for row in found] == expected


def test_the_stored_effective_rates_are_those_worked_out_anew(offering: Offering) -> None:
    contract(offering)
    contract(offering, Prices(input=Decimal(2), output=Decimal(9)), valid_from=NOON, valid_to=DECEMBER)
    names = [field.attname for field in EffectiveRate._meta.concrete_fields if field.name != "id"]
    stored = {tuple(row) for row in EffectiveRate.objects.filter(offering=offering).values_list(*names)}
    anew = {
        tuple(getattr(row, name) for name in names) for row in effective_rates(Rate.objects.filter(offering=offering))
    }
    assert stored == anew
    # The night's proof agrees, also of models whose list prices have tiers, cliffs and dates.
    for provider, model in (("google", "gemini-2.5-pro"), ("anthropic", "claude-sonnet-4-5"), ("openai", "gpt-5.4")):
        contract(catalog.resolve(provider, model), valid_from=NOON, valid_to=DECEMBER)
    catalog.refresh_public_prices(actor=MACHINE)
    assert proof.wrong_offerings() == []
