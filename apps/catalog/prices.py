"""Unit prices out of the public list (genai-prices), read from its packaged data and never from the network.

The list prices one call at a time. Here each model is taken apart once into unit prices per service tier, prompt
band and price period, so that sums of calls can be multiplied in Decimal without stepping over a cliff.
All unit prices are USD per 1,000,000 tokens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from typing import Final

from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from apps.catalog.bands import PROMPT_BAND_EDGES, PROMPT_BANDS, ServiceTier

LIST_CURRENCY: Final = "USD"
# The list knows no first day of a price without a start date: it holds since ever.
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
# How the list names what we call a service tier. The list's "fast" is a speed, no tier of ours.
_CONTEXTS: Final[Mapping[ServiceTier, Mapping[str, str]]] = {
    ServiceTier.STANDARD: {},
    ServiceTier.BATCH: {"processing": "batch"},
    ServiceTier.FLEX: {"service_tier": "flex"},
    ServiceTier.PRIORITY: {"service_tier": "priority"},
}
TIME_OF_DAY: Final = "time_of_day"
PROMPT_SIZE: Final = "prompt_size"


@cache
def list_version() -> str:
    return f"genai-prices {version('genai-prices')}"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Unit prices per 1,000,000 tokens; None where the list states none."""

    input: Decimal | None = None
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None

    @property
    def are_stated(self) -> bool:
        return self.input is not None or self.output is not None


TOKEN_FIELDS: Final = tuple(field.name for field in fields(Tokens))
_PRICE_KEYS: Final[Mapping[str, str]] = {
    "input": "input_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "output": "output_mtok",
    "reasoning": "output_reasoning_mtok",
}


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One row of the public list: it holds from its prompt band up to the next stated one.

    `doubts` says where the list is finer than a row can be: a price that depends on the time of day stands here at
    the day's dearest, a cliff inside a band at the band's lower end.
    """

    service_tier: ServiceTier
    prompt_band: int
    valid_from: datetime
    valid_to: datetime | None
    tokens: Tokens
    doubts: tuple[str, ...] = ()


def listed_prices(model: ModelInfo, *, with_variants: bool = True) -> list[ListedPrice]:
    """Every unit price of a model, gapless for the standard tier; other tiers only while the list states them.

    `with_variants` is off for a model that its seller takes from another house's list: tiers are the house's own.
    """
    rows: list[ListedPrice] = []
    for starts_on, ends_on in _periods(model):
        for tier, context in _CONTEXTS.items():
            if context and not (with_variants and _has_variant(model, context, starts_on)):
                continue
            rows += _rows_of_period(model, tier, context, starts_on, ends_on)
    return _merge_periods(rows)


def price_starts(model: ModelInfo) -> list[date]:
    """The days on which the list dates a change of this model's price."""
    constraints = [entry.constraint for entry in (*_conditionals(model), *(model.price_variants or ()))]
    return sorted({found.start_date for found in constraints if isinstance(found, StartDateConstraint)})


def _periods(model: ModelInfo) -> list[tuple[date | None, date | None]]:
    edges: list[date | None] = [None, *price_starts(model), None]
    return list(pairwise(edges))


def _conditionals(model: ModelInfo) -> list[ConditionalPrice]:
    return [ConditionalPrice(prices=model.prices)] if isinstance(model.prices, ModelPrice) else model.prices


def _started(entry: ConditionalPrice | PriceVariant, day: date | None) -> bool:
    """Whether an entry holds on a day; None is the time before the list's first date."""
    if entry.constraint is None:
        return True
    if isinstance(entry.constraint, StartDateConstraint):
        return day is not None and day >= entry.constraint.start_date
    return False


def _matching_variants(model: ModelInfo, context: Mapping[str, str], day: date | None) -> list[PriceVariant]:
    variants = [entry for entry in model.price_variants or () if _started(entry, day)]
    return [entry for entry in variants if all(context.get(key) == value for key, value in entry.when.items())]


def _has_variant(model: ModelInfo, context: Mapping[str, str], day: date | None) -> bool:
    return any(_prices_of(entry.prices) for entry in _matching_variants(model, context, day))


def _prices_of(prices: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    return {key: value for key, value in vars(prices).items() if value is not None and not key.startswith("_")}


def _rows_of_period(
    model: ModelInfo, tier: ServiceTier, context: Mapping[str, str], starts_on: date | None, ends_on: date | None
) -> Iterator[ListedPrice]:
    alternatives = _alternatives(model, context, starts_on, is_current=ends_on is None)
    doubts = (TIME_OF_DAY,) if len(alternatives) > 1 else ()
    previous: tuple[Tokens, tuple[str, ...]] | None = None
    for band in PROMPT_BANDS:
        tokens = _dearest([_tokens(prices, band) for prices in alternatives])
        marks = doubts + ((PROMPT_SIZE,) if any(_has_cliff_inside(prices, band) for prices in alternatives) else ())
        if not tokens.are_stated or (tokens, marks) == previous:
            continue
        previous = (tokens, marks)
        yield ListedPrice(tier, band, _midnight(starts_on) or BEGINNING, _midnight(ends_on), tokens, marks)


def _alternatives(
    model: ModelInfo, context: Mapping[str, str], day: date | None, *, is_current: bool
) -> list[dict[str, Decimal | TieredPrices]]:
    """The prices that hold on a day: one, or several where the time of day decides.

    The list cannot date a time of day; its windows describe the current price, so earlier periods go without.
    """
    entries = _conditionals(model)
    base = next((entry for entry in reversed(entries) if _started(entry, day)), entries[0])
    windows = [entry for entry in entries if isinstance(entry.constraint, TimeOfDateConstraint)] if is_current else []
    overrides: dict[str, Decimal | TieredPrices] = {}
    for variant in _matching_variants(model, context, day):
        overrides = {**_prices_of(variant.prices), **overrides}
    return [{**_prices_of(entry.prices), **overrides} for entry in (base, *windows)]


def _tokens(prices: Mapping[str, Decimal | TieredPrices], band: int) -> Tokens:
    return Tokens(**{field: _unit_price(prices.get(key), band) for field, key in _PRICE_KEYS.items()})


def _unit_price(price: Decimal | TieredPrices | None, band: int) -> Decimal | None:
    """The price of the smallest prompt of a band; a tier holds for prompts *over* its start."""
    if not isinstance(price, TieredPrices):
        return price
    smallest = PROMPT_BAND_EDGES[band - 1] + 1 if band else 0
    reached = [tier.price for tier in price.tiers if smallest > _on_edge(tier.start)]
    return reached[-1] if reached else price.base


def _has_cliff_inside(prices: Mapping[str, Decimal | TieredPrices], band: int) -> bool:
    low = PROMPT_BAND_EDGES[band - 1] if band else 0
    high = PROMPT_BAND_EDGES[band] if band < len(PROMPT_BAND_EDGES) else None
    starts = [
        _on_edge(tier.start)
        for key, price in prices.items()
        if key in _PRICE_KEYS.values() and isinstance(price, TieredPrices)
        for tier in price.tiers
    ]
    return any(low < start and (high is None or start < high) for start in starts)


def _on_edge(start: int) -> int:
    """Some houses write 'from 200,000', the list then says over 199,999: one token beside our edge is the edge."""
    return start + 1 if start + 1 in PROMPT_BAND_EDGES else start


def _dearest(alternatives: list[Tokens]) -> Tokens:
    """The day's highest price of each kind: an upper bound, like every figure the source is too coarse for."""
    dearest = alternatives[0]
    for other in alternatives[1:]:
        dearest = replace(
            dearest, **{name: _higher(getattr(dearest, name), getattr(other, name)) for name in TOKEN_FIELDS}
        )
    return dearest


def _higher(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    stated = [price for price in (one, other) if price is not None]
    return max(stated) if stated else None


def _midnight(day: date | None) -> datetime | None:
    """The list dates by UTC days, so every change falls on a full hour."""
    return datetime.combine(day, time(), tzinfo=UTC) if day else None


def _merge_periods(rows: list[ListedPrice]) -> list[ListedPrice]:
    """Join periods that touch and say the same; a date of one tier cuts all of them otherwise."""
    merged: dict[tuple[ServiceTier, int], list[ListedPrice]] = {}
    for row in rows:
        of_key = merged.setdefault((row.service_tier, row.prompt_band), [])
        last = of_key[-1] if of_key else None
        if last and last.valid_to == row.valid_from and (last.tokens, last.doubts) == (row.tokens, row.doubts):
            of_key[-1] = replace(last, valid_to=row.valid_to)
        else:
            of_key.append(row)
    return [row for of_key in merged.values() for row in of_key]
