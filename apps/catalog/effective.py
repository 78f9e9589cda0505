"""From the rates that were stated to the one that holds: contract before public, gaps filled, every key at most once.

Pure functions on plain rows. For each key and instant the contract's rows are asked first and the public list only
where the contract says nothing at all. Inside one scope a tier without rows takes the standard ones, and a band
takes the highest stated band that is not above it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Final

from apps.catalog.bands import ALL_PROMPT_BANDS, UNKNOWN_BAND, ServiceTier
from apps.catalog.models import PRICE_FIELDS, EffectiveRate, Rate

FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
_SCOPES: Final = (Rate.Scope.CONTRACT, Rate.Scope.PUBLIC)


@dataclass(frozen=True, slots=True)
class _Choice:
    rate: Rate
    tier_assumed: bool


def effective_rates(rates: Iterable[Rate]) -> list[EffectiveRate]:
    """The rows of `catalog_effective_rate` for rates of any number of offerings; superseded ones are left out."""
    standing = sorted((rate for rate in rates if rate.superseded_by_id is None), key=_offering_id)
    return [row for _, of_one in groupby(standing, key=_offering_id) for row in _of_offering(list(of_one))]


def _offering_id(rate: Rate) -> int:
    return rate.offering_id


def _of_offering(rates: Sequence[Rate]) -> Iterator[EffectiveRate]:
    edges = sorted({rate.valid_from for rate in rates} | {rate.valid_to or FOREVER for rate in rates})
    spans = [(start, end, [rate for rate in rates if _covers(rate, start)]) for start, end in pairwise(edges)]
    for tier in ServiceTier:
        for band in ALL_PROMPT_BANDS:
            found = [(start, end, _choose(standing, tier, band)) for start, end, standing in spans]
            yield from (_row(tier, band, start, end, choice) for start, end, choice in _joined(found))


def _covers(rate: Rate, instant: datetime) -> bool:
    return rate.valid_from <= instant and (rate.valid_to is None or instant < rate.valid_to)


def _choose(standing: Sequence[Rate], tier: ServiceTier, band: int) -> _Choice | None:
    for scope in _SCOPES:
        in_scope = [rate for rate in standing if rate.scope == scope]
        if own := _of_band([rate for rate in in_scope if rate.service_tier == tier], band):
            return _Choice(own, tier_assumed=False)
        if base := _of_band([rate for rate in in_scope if rate.service_tier == ServiceTier.STANDARD], band):
            return _Choice(base, tier_assumed=True)
    return None


def _of_band(rates: Sequence[Rate], band: int) -> Rate | None:
    """Calls of unknown size take the price of short ones: long prompts are the exception, and the row is marked."""
    reached = [rate for rate in rates if rate.prompt_band <= max(band, 0)]
    return max(reached, key=lambda rate: rate.prompt_band, default=None)


def _joined(
    spans: Iterable[tuple[datetime, datetime, _Choice | None]],
) -> Iterator[tuple[datetime, datetime, _Choice]]:
    """Spans that touch and take the same rate become one, so that a date of one tier does not cut all others."""
    for choice, run in groupby(spans, key=lambda span: span[2]):
        pieces = list(run)
        if choice is not None:
            yield pieces[0][0], pieces[-1][1], choice


def _row(tier: ServiceTier, band: int, start: datetime, end: datetime, choice: _Choice) -> EffectiveRate:
    rate = choice.rate
    prices = {name: getattr(rate, name) for name in PRICE_FIELDS}
    assumed = {"cached": rate.input, "cache_write": rate.input, "reasoning": rate.output}
    assumed["cache_write_1h"] = rate.input if rate.cache_write is None else rate.cache_write
    filled = {name: price if prices[name] is None else prices[name] for name, price in assumed.items()}
    marks = {f"{name}_assumed": prices[name] is None for name in assumed}
    return EffectiveRate(
        offering_id=rate.offering_id,
        service_tier=tier,
        prompt_band=band,
        valid_from=start,
        valid_to=end,
        **{**prices, **filled},
        **marks,
        currency=rate.currency,
        rate_id=rate.pk,
        scope=rate.scope,
        list_version=rate.list_version,
        tier_assumed=choice.tier_assumed,
        band_assumed=band == UNKNOWN_BAND,
        doubts=rate.doubts,
    )
