"""A workload's tokens of a month in lots of one price, with the dated rates at which they could have been had."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final, NamedTuple

from django.db import connection

from apps.catalog.models import ModelClass
from apps.catalog.worth import CLASS_OF_UNKNOWN
from apps.core import organisation, periods
from apps.costs.repricing import BATCH, KINDS, Lot, Rates, Tokens, cost_at
from apps.costs.selectors.scope import Figures
from apps.sources.roles_sql import role_at

CLASSES: Final = [each.value for each in ModelClass]  # the cheapest first
# Day lines are rounded to 18 decimals each; a price that moved is another thing.
ROUNDING: Final = Decimal("0.000001")
PRECISION: Final = 76


@dataclass(frozen=True, slots=True)
class Lots:
    """Models in `apart` are in no lot: what was booked for them is not what their tokens come to at their rates.

    They have no price, a bill counts instead of the log, or the source told an amount of its own.
    """

    lots: tuple[Lot, ...]
    apart: tuple[str, ...]


class _Row(NamedTuple):
    """Tokens of one span of time within which no rate changes."""

    at: datetime
    day: date
    offering: int
    tier: str
    band: int
    tokens: Tokens


class _Rate(NamedTuple):
    valid_from: datetime
    valid_to: datetime
    rates: Rates
    currency: str
    is_assumed: bool
    takes_hours: bool  # of an accelerator: what tokens cost there is not told by their number


class _Model(NamedTuple):
    name: str
    provider: str
    is_own: bool
    rank: int


class _Prices(NamedTuple):
    """Dated rates by (offering, tier, prompt band), and what a foreign currency was worth on each day."""

    rates: Mapping[tuple[int, str, int], list[_Rate]]
    fx: Mapping[tuple[date, str], Decimal]
    currency: str

    def at(self, row: _Row, offering: int, tier: str, *, only_stated: bool = False) -> Rates | None:
        """In the organisation's currency; None where none is stated or its currency has no exchange rate that day.

        None for the tokens of another model, too, where the offering is paid by the GPU hour.
        """
        found = self.rates.get((offering, tier, row.band), ())
        rate = next((each for each in found if each.valid_from <= row.at < each.valid_to), None)
        if rate is None or (only_stated and rate.is_assumed) or (rate.takes_hours and offering != row.offering):
            return None
        if rate.currency == self.currency:
            return rate.rates
        worth = self.fx.get((row.day, rate.currency))
        return _times(rate.rates, worth) if worth is not None else None


def token_lots(*, workload_id: int, month: date, figures: Figures = Figures.RESTATED) -> Lots:
    """What the workload's counting sources told of the month: as it is known now, or as it was signed.

    A fixed number of statements, whatever the number of keys and models.
    """
    values = _values(workload_id, month)
    is_signed = figures is Figures.SIGNED
    with connection.cursor() as cursor, localcontext(prec=PRECISION):
        cursor.execute(_USED.replace("{revision}", "h.revision = 0" if is_signed else "true"), values)
        rows = [
            _Row(at, day, offering, tier, band, Tokens(*map(int, counts)))
            for at, day, offering, tier, band, counts in cursor.fetchall()
        ]
        if not rows:
            return Lots((), ())
        values |= {"tiers": sorted({row.tier for row in rows} | {BATCH}), "bands": sorted({row.band for row in rows})}
        values |= {"used": sorted({row.offering for row in rows})}
        cursor.execute(_MODELS, values)
        models = {pk: _Model(*model) for pk, *model in cursor.fetchall()}
        cursor.execute(_RATES, values)
        prices = _prices(cursor.fetchall(), values["currency"])
        if any(each.currency != prices.currency for found in prices.rates.values() for each in found):
            cursor.execute(_FX, values)
            prices = prices._replace(fx={(day, currency): rate for day, currency, rate in cursor.fetchall()})
        cursor.execute(_BOOKED.replace("{booked}", "booked_month = charge_month" if is_signed else "true"), values)
        booked = dict(cursor.fetchall())
        lots = {offering: _lots(rows, offering, models, prices) for offering in values["used"]}
        as_booked = {offering for offering in lots if _is_as_booked(lots[offering], booked.get(offering))}
    return Lots(
        tuple(lot for offering in lots if offering in as_booked for lot in _joined(lots[offering] or [])),
        tuple(sorted(models[offering].name for offering in lots if offering not in as_booked)),
    )


def _values(workload_id: int, month: date) -> dict[str, Any]:
    company, end = organisation.get(), periods.next_month(month)
    starts_at, ends_at = periods.bounds(month, organisation.zone())
    return {
        "workload": workload_id,
        "month": month,
        "last": end - timedelta(days=1),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "zone": company.zone,
        "currency": company.currency,
    }


def _prices(rows: Iterable[tuple[Any, ...]], currency: str) -> _Prices:
    found: dict[tuple[int, str, int], list[_Rate]] = defaultdict(list)
    for offering, tier, band, valid_from, valid_to, quoted, is_assumed, takes_hours, *rates in rows:
        rate = _Rate(valid_from, valid_to, Rates(*rates), quoted, is_assumed, takes_hours)
        found[offering, tier, band].append(rate)
    return _Prices(found, {}, currency)


def _lots(rows: Iterable[_Row], offering: int, models: Mapping[int, _Model], prices: _Prices) -> list[Lot] | None:
    """Of one model; None where some of its tokens have no price."""
    priced = [(row, prices.at(row, offering, row.tier)) for row in rows if row.offering == offering]
    lots = [_lot(row, now, models, prices) for row, now in priced if now is not None]
    return lots if len(lots) == len(priced) else None


def _lot(row: _Row, now: Rates, models: Mapping[int, _Model], prices: _Prices) -> Lot:
    model = models[row.offering]
    lower = {
        other.name: rates
        for offering, other in models.items()
        if other.rank < model.rank
        and (other.is_own or other.provider == model.provider)
        and (rates := prices.at(row, offering, row.tier)) is not None
    }
    batch = None if row.tier == BATCH else prices.at(row, row.offering, BATCH, only_stated=True)
    return Lot(model.name, row.tier, row.band, row.tokens, now, batch, lower)


def _is_as_booked(lots: Iterable[Lot] | None, booked: Decimal | None) -> bool:
    costs = [cost_at(lot.tokens, lot.now) for lot in lots] if lots is not None else [None]
    known = [cost for cost in costs if cost is not None]
    return len(known) == len(costs) and abs(sum(known, Decimal(0)) - (booked or Decimal(0))) < ROUNDING


def _joined(lots: Iterable[Lot]) -> list[Lot]:
    """Spans between which no price moved become one."""
    found: list[Lot] = []
    for lot in sorted(lots, key=lambda lot: (lot.model, lot.tier, lot.prompt_band)):
        last = found[-1] if found else None
        if last is not None and replace(last, tokens=lot.tokens) == lot:
            found[-1] = replace(last, tokens=last.tokens + lot.tokens)
        else:
            found.append(lot)
    return found


def _times(rates: Rates, worth: Decimal) -> Rates:
    prices = (getattr(rates, kind) for kind in KINDS)
    return Rates(*(None if price is None else price * worth for price in prices))


# --- SQL --------------------------------------------------------------------------------------------------------------

_COUNTS = role_at(source="u.source_id", measure="'token_cost'", workload="%(workload)s", at="u.at")
_SUMS = ", ".join(f"coalesce(sum(h.{kind}), 0) AS {kind}" for kind in KINDS)

# Cut where any rate that could be asked for changes, where a source begins to count or to check, and at each midnight
# where a rate is in a currency of its own.
_USED: Final = f"""
WITH held AS (
    SELECT identity_id, valid_from, valid_to FROM workloads_attribution
    WHERE workload_id = %(workload)s AND valid_from < %(ends_at)s AND valid_to > %(starts_at)s
), series AS (
    SELECT s.id, s.identity_id, s.offering_id, s.service_tier, s.prompt_band, p.source_id
    FROM usage_series s JOIN sources_part p ON p.id = s.part_id
    WHERE s.identity_id IN (SELECT identity_id FROM held)
), rate AS (
    SELECT r.valid_from, r.valid_to, r.currency
    FROM catalog_effective_rate r JOIN catalog_offering o ON o.id = r.offering_id
    WHERE r.valid_from < %(ends_at)s AND r.valid_to > %(starts_at)s AND (o.hosted = 'own' OR o.provider IN (
        SELECT provider FROM catalog_offering WHERE id IN (SELECT offering_id FROM series)))
), cut AS (
    SELECT %(starts_at)s::timestamptz AS at
    UNION
    SELECT edge FROM rate CROSS JOIN LATERAL (VALUES (valid_from), (valid_to)) edges (edge)
    WHERE edge > %(starts_at)s AND edge < %(ends_at)s
    UNION
    SELECT valid_from FROM sources_role WHERE source_id IN (SELECT source_id FROM series)
        AND valid_from > %(starts_at)s AND valid_from < %(ends_at)s
    UNION
    SELECT day::timestamp AT TIME ZONE %(zone)s
    FROM generate_series(%(month)s::date + 1, %(last)s::date, interval '1 day') day
    WHERE EXISTS (SELECT FROM rate WHERE currency <> %(currency)s)
), span AS (
    SELECT at, lead(at, 1, %(ends_at)s) OVER (ORDER BY at) AS until FROM cut
), used AS (
    SELECT span.at, s.source_id, s.offering_id, s.service_tier, s.prompt_band, {_SUMS}
    FROM series s JOIN held a USING (identity_id)
    JOIN usage_hour h ON h.series_id = s.id AND h.hour >= a.valid_from AND h.hour < a.valid_to
    JOIN span ON h.hour >= span.at AND h.hour < span.until
    WHERE h.hour >= %(starts_at)s AND h.hour < %(ends_at)s AND {{revision}}
    GROUP BY 1, 2, 3, 4, 5
)
SELECT u.at, (u.at AT TIME ZONE %(zone)s)::date, u.offering_id, u.service_tier, u.prompt_band,
    ARRAY[{", ".join(f"sum(u.{kind})" for kind in KINDS)}]
FROM used u WHERE coalesce({_COUNTS}, 'counts') = 'counts'
GROUP BY 1, 2, 3, 4, 5 HAVING {" + ".join(f"sum(u.{kind})" for kind in KINDS)} > 0
ORDER BY 3, 4, 5, 1
"""
_REACHED: Final = "o.hosted = 'own' OR o.provider IN (SELECT provider FROM catalog_offering WHERE id = ANY(%(used)s))"
_MODELS: Final = f"""
SELECT o.id, concat_ws('/', nullif(o.provider, ''), nullif(o.name, '')), o.provider, o.hosted = 'own',
    array_position(ARRAY{CLASSES}, coalesce(c.class, '{CLASS_OF_UNKNOWN.value}')::text)
FROM catalog_offering o LEFT JOIN LATERAL (
    SELECT class FROM catalog_offering_class k WHERE k.offering_id = o.id AND k.valid_from < %(ends_at)s
    ORDER BY k.valid_from DESC LIMIT 1
) c ON true
WHERE o.id = ANY(%(used)s) OR {_REACHED}
"""


def _price(kind: str) -> str:
    """The tokens of an accelerator that is paid by the hour cost nothing more, as the rating has it."""
    by_hour = "r.gpu_hour IS NOT NULL AND r.input IS NULL AND r.output IS NULL AND r.offering_id = ANY(%(used)s)"
    return f"CASE WHEN {by_hour} THEN 0 ELSE r.{kind} END"


_RATES: Final = f"""
SELECT r.offering_id, r.service_tier, r.prompt_band, r.valid_from, r.valid_to, r.currency, r.tier_assumed,
    r.gpu_hour IS NOT NULL, {", ".join(_price(kind) for kind in KINDS)}
FROM catalog_effective_rate r JOIN catalog_offering o ON o.id = r.offering_id
WHERE r.valid_from < %(ends_at)s AND r.valid_to > %(starts_at)s AND r.service_tier = ANY(%(tiers)s)
    AND r.prompt_band = ANY(%(bands)s) AND (o.id = ANY(%(used)s) OR {_REACHED})
"""
# The rate that was kept with the lines of a day goes before the list's.
_FX: Final = """
SELECT f.day, f.currency, coalesce(kept.rate, f.rate) FROM catalog_fx f
LEFT JOIN costs_fx kept ON kept.day = f.day AND kept.currency = f.currency AND kept.quote = f.quote
WHERE f.quote = %(currency)s AND f.day BETWEEN %(month)s AND %(last)s
"""
_BOOKED: Final = """
SELECT offering_id, sum(amount_org) FROM costs_month
WHERE workload_id = %(workload)s AND charge_month = %(month)s AND role = 'counts' AND basis = 'computed'
    AND component IN ('token', 'retry_failed', 'fallback') AND {booked}
GROUP BY 1
"""
