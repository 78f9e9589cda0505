"""What a newer price list changes, worked out before anything is written.

A difference that the list dates holds from that date, also where the date has passed. One without a date may be a
correction or a new price, and nobody says since when: it holds from the next full hour, the past stays as it was.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise

from apps.catalog import names
from apps.catalog.effective import FOREVER, effective_rates
from apps.catalog.models import PRICE_FIELDS, EffectiveRate, Offering, Rate
from apps.catalog.prices import BEGINNING, ListedPrice, listed_prices
from apps.catalog.rates import public_rate


@dataclass(frozen=True, slots=True)
class Plan:
    """From `change_at` on, `new` rows stand in the place of `covered` ones."""

    offering: Offering
    change_at: datetime
    new: list[Rate]
    covered: list[Rate]


def plan_refresh(now: datetime) -> list[Plan]:
    """What the installed list changes for every offering that takes its price; dropped models keep theirs."""
    standing = Rate.objects.filter(scope=Rate.Scope.PUBLIC, superseded_by__isnull=True).select_related("offering")
    by_offering = groupby(standing.order_by("offering_id"), key=lambda rate: rate.offering)
    plans = (plan_for(offering, list(rows), _listed(offering), now) for offering, rows in by_offering)
    return [plan for plan in plans if plan is not None]


def plan_for(offering: Offering, standing: Sequence[Rate], listed: Sequence[ListedPrice], now: datetime) -> Plan | None:
    """What a list's rows change about one offering's standing public rates; None when nothing."""
    wanted = [public_rate(offering.pk, row) for row in listed]
    change_at = _first_change(standing, wanted, _next_full_hour(now)) if wanted else None
    if change_at is None:
        return None
    new = [_from(rate, change_at) for rate in wanted if rate.valid_to is None or rate.valid_to > change_at]
    covered = [rate for rate in standing if rate.valid_to is None or rate.valid_to > change_at]
    return Plan(offering, change_at, new, covered)


def _listed(offering: Offering) -> list[ListedPrice]:
    listed = names.find_listed(offering.listed_by, offering.listed_name)
    return listed_prices(listed, with_variants=offering.provider == offering.listed_by) if listed else []


def _next_full_hour(now: datetime) -> datetime:
    hour = now.replace(minute=0, second=0, microsecond=0)
    return hour if hour == now else hour + timedelta(hours=1)


def _from(rate: Rate, start: datetime) -> Rate:
    rate.valid_from = max(rate.valid_from, start)
    return rate


def _first_change(standing: Sequence[Rate], wanted: Sequence[Rate], next_hour: datetime) -> datetime | None:
    before, after = effective_rates(standing), effective_rates(wanted)
    starts = {row.valid_from for row in (*before, *after)} | {row.valid_to for row in (*before, *after)}
    edges = sorted({*starts, next_hour, FOREVER})
    dated = sorted({rate.valid_from for rate in wanted if rate.valid_from > BEGINNING})
    for start, _ in pairwise(edges):
        is_dated = bool(dated) and dated[0] <= start
        if (is_dated or start >= next_hour) and _at(before, start) != _at(after, start):
            return start
    return None


def _at(rows: Iterable[EffectiveRate], instant: datetime) -> set[tuple[object, ...]]:
    """All prices that hold at an instant, by key."""
    return {
        (row.service_tier, row.prompt_band, *(getattr(row, name) for name in PRICE_FIELDS), row.doubts)
        for row in rows
        if row.valid_from <= instant < row.valid_to
    }
