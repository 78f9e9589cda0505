"""Public prices at first sight. Expected figures are worked by hand from the price pages, per 1M tokens."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.catalog import services as catalog
from apps.catalog.bands import ALL_PROMPT_BANDS, ServiceTier, prompt_band, service_tier
from apps.catalog.effective import FOREVER
from apps.catalog.models import EffectiveRate, Offering, OfferingClass, Rate
from apps.catalog.prices import BEGINNING
from tests.catalog.pricing import cost, rate_of

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("google", "gemini-2.5-pro", "11.25"),  # 5M in at 1.25 + 0.5M out at 10; in one sum it would be 20.00
        ("anthropic", "claude-sonnet-4-5", "22.50"),  # 5M at 3 + 0.5M at 15
        ("openai", "gpt-5.4", "20.00"),  # 5M at 2.50 + 0.5M at 15
    ],
)
def test_a_thousand_short_calls_stay_below_the_cliff(provider: str, model: str, expected: str) -> None:
    rate = rate_of(catalog.resolve(provider, model), NOON, band=prompt_band(5_000))
    assert cost(rate, input=1_000 * 5_000, output=1_000 * 500) == Decimal(expected)


@pytest.mark.parametrize(
    ("provider", "model", "last_cheap", "cheap", "dear"),
    [
        ("google", "gemini-2.5-pro", 200_000, "1.25", "2.5"),
        ("anthropic", "claude-sonnet-4-5", 200_000, "3", "6"),
        ("openai", "gpt-5.4", 272_000, "2.5", "5"),
    ],
)
def test_one_token_over_the_cliff_prices_the_whole_call_anew(
    provider: str, model: str, last_cheap: int, cheap: str, dear: str
) -> None:
    offering = catalog.resolve(provider, model)
    assert rate_of(offering, NOON, band=prompt_band(last_cheap)).input == Decimal(cheap)
    assert rate_of(offering, NOON, band=prompt_band(last_cheap + 1)).input == Decimal(dear)


def test_the_azure_trace_costs_what_it_costs() -> None:
    rate = rate_of(catalog.resolve("openai", "gpt-4o-2024-08-06"), datetime(2023, 11, 16, 18, tzinfo=UTC))
    assert cost(rate, input=18_059_974, output=245_896) == Decimal("47.608895")


def test_o3_became_cheaper_on_10_june_2025() -> None:
    offering = catalog.resolve("openai", "o3")
    before = rate_of(offering, datetime(2025, 6, 9, 23, tzinfo=UTC))
    after = rate_of(offering, datetime(2025, 6, 10, 0, tzinfo=UTC))
    # 0.1M in and 0.0005M out: 1.00 + 0.02, then 0.20 + 0.004
    assert cost(before, input=100_000, output=500) == Decimal("1.02")
    assert cost(after, input=100_000, output=500) == Decimal("0.204")
    assert before.valid_to == after.valid_from


def test_batch_is_half_price_once_the_list_states_it_and_the_standard_price_before() -> None:
    offering = catalog.resolve("openai", "gpt-4o")
    earlier = rate_of(offering, datetime(2026, 10, 13, 23, tzinfo=UTC), tier="batch")
    later = rate_of(offering, datetime(2026, 10, 14, 0, tzinfo=UTC), tier="batch")
    assert (earlier.input, earlier.tier_assumed) == (Decimal("2.5"), True)
    assert (later.input, later.tier_assumed) == (Decimal("1.25"), False)


def test_an_unknown_tier_and_prompt_size_take_the_base_rate_and_say_so() -> None:
    rate = rate_of(catalog.resolve("google", "gemini-2.5-pro"), NOON, tier="unknown", band=-1)
    assert rate.input == Decimal("1.25")
    assert rate.tier_assumed
    assert rate.band_assumed


def test_missing_prices_are_filled_in_and_marked() -> None:
    rate = rate_of(catalog.resolve("openai", "gpt-4o"), NOON)
    assert (rate.cached, rate.cached_assumed) == (Decimal("1.25"), False)
    assert (rate.cache_write, rate.cache_write_assumed) == (Decimal("2.5"), True)
    assert (rate.reasoning, rate.reasoning_assumed) == (Decimal(10), True)
    stated = Rate.objects.get(offering=rate.offering, service_tier="standard", prompt_band=0)
    assert stated.cache_write is None
    assert stated.reasoning is None


def test_a_price_that_depends_on_the_hour_stands_at_the_days_dearest_and_says_so() -> None:
    rate = rate_of(catalog.resolve("deepseek", "deepseek-v4-flash"), NOON)
    assert (rate.input, rate.output, rate.doubts) == (Decimal("0.3"), Decimal("1.2"), "time_of_day")


def test_every_tier_and_band_is_covered_once_at_every_instant() -> None:
    offering = catalog.resolve("openai", "gpt-5.4")
    for tier in ServiceTier:
        for band in ALL_PROMPT_BANDS:
            rows = list(
                EffectiveRate.objects.filter(offering=offering, service_tier=tier, prompt_band=band).order_by(
                    "valid_from"
                )
            )
            assert rows[0].valid_from == BEGINNING
            assert rows[-1].valid_to == FOREVER
            assert all(one.valid_to == following.valid_from for one, following in pairwise(rows))


def test_the_class_follows_from_the_price_at_first_sight() -> None:
    expected = {
        ("openai", "gpt-4o-mini"): "economy",  # 0.26
        ("openai", "gpt-4o"): "standard",  # 4.38
        ("anthropic", "claude-3-5-sonnet"): "premium",  # 6.00
        ("openai", "o1-pro"): "frontier",  # 262.50
    }
    offerings = catalog.resolve_many(expected)
    classes = {row.offering_id: row.model_class for row in OfferingClass.objects.all()}
    assert {pair: classes[offerings[pair].pk] for pair in expected} == expected


def test_an_unknown_model_is_seen_without_a_price() -> None:
    offering = catalog.resolve("openai", "gpt-x-2026-05-01")
    assert offering.state == Offering.State.SEEN
    assert not EffectiveRate.objects.filter(offering=offering).exists()


def test_names_seen_before_cost_one_query_however_many() -> None:
    pairs = [("openai", f"nobody-{number}") for number in range(2_000)] + [("openai", "gpt-4o"), (None, None)]
    first = catalog.resolve_many(pairs)
    with CaptureQueriesContext(connection) as queries:
        again = catalog.resolve_many(pairs)
    assert len(queries) == 1
    assert again == first
    assert len(first) == 2_002


@pytest.mark.parametrize(
    ("tokens", "band"),
    [(None, -1), (0, 0), (128_000, 0), (128_001, 1), (200_001, 2), (272_001, 3), (512_000, 3), (512_001, 4)],
)
def test_prompt_bands(tokens: int | None, band: int) -> None:
    assert prompt_band(tokens) == band


@pytest.mark.parametrize(
    ("reported", "tier"),
    [("default", "standard"), ("Batch", "batch"), ("auto", "unknown"), ("", "unknown"), (None, "unknown")],
)
def test_service_tiers_as_reported(reported: str | None, tier: str) -> None:
    assert service_tier(reported) == tier
