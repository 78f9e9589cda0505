"""Hours and charges -> day lines: one SQL each over the dirty (identity, day) pairs.

The window's series are first cut into *segments* within which owner, price and role do not change. Hours are summed
per segment and day, and only these sums meet a price. That is exact, since a segment has one price, and it prices a
few thousand sums instead of millions of hours.

Lines that go and lines that come also move the roll-ups, as differences, in the same transaction.

A signed month keeps its lines. What is true now, less all that stands there, becomes lines of the next revision, with
the cause that made the day be worked out again, booked in the open month.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.catalog import fx
from apps.core import organisation, periods
from apps.costs import flags, rating_sql

RATING_LOCK = 7_303
TABLES = {"costs_line": "date"}
_NO_DAY = date(2000, 1, 1)  # stands for the window of a part without hours


@dataclass(frozen=True, slots=True)
class Rated:
    """One batch: the month it was of, (identity, day) pairs taken, lines that stand for them now."""

    month: date | None
    pairs: int
    lines: int


@dataclass(frozen=True, slots=True)
class Totals:
    """In-scope cost of one part in the organisation's currency; None where nothing of it has a price and a rate."""

    total: Decimal | None
    unallocated: Decimal | None
    rows: int
    unconverted: int
    unpriced_models: tuple[str, ...]


def rate_dirty(today: date | None = None) -> int:
    """Work out all dirty days, a month at a time; returns how many (identity, day) pairs that were.

    `today` decides in which month corrections of signed ones are booked; left out, it is now.
    """
    total = 0
    while (rated := rate_batch(today)).pairs:
        total += rated.pairs
    return total


@transaction.atomic
def rate_batch(today: date | None = None) -> Rated:
    """Take the dirty pairs of the oldest dirty month and write their lines anew. One rater at a time; others wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RATING_LOCK])
        periods.hold_still()
        cursor.execute("SELECT min(day) FROM costs_dirty_day")
        oldest = cursor.fetchone()[0]
        if oldest is None:
            return Rated(month=None, pairs=0, lines=0)
        month = oldest.replace(day=1)
        cursor.execute(rating_sql.CLAIM, [month, periods.next_month(month)])
        cursor.execute("ANALYZE costs_claimed")
        cursor.execute("SELECT min(day), max(day), count(*) FROM costs_claimed")
        first, last, pairs = cursor.fetchone()
        lines = _write_lines(cursor, _values(first, last, today))
        cursor.execute("DROP TABLE costs_claimed")
    return Rated(month=month, pairs=pairs, lines=lines)


@transaction.atomic
def totals_of_part(part_id: int) -> Totals:
    """What the hours of one part cost now, worked out by the same SQL as the lines; writes nothing."""
    with connection.cursor() as cursor:
        values = lines_of_part(cursor, part_id)
        cursor.execute(rating_sql.TOTALS_OF_HOURS, values)
        total, unallocated, lines, unconverted, unpriced = cursor.fetchone()
        cursor.execute("DROP TABLE costs_claimed, costs_segment, costs_new")
    return Totals(total, unallocated, lines, unconverted, tuple(unpriced))


def lines_of_part(cursor: CursorWrapper, part_id: int) -> dict[str, Any]:
    """Leave the day lines that one part alone would make in `costs_new`, as it stands now; returns the parameters."""
    values = {**_values(_NO_DAY, _NO_DAY), "part": part_id}
    cursor.execute(rating_sql.CLAIM_PART, values)
    cursor.execute("SELECT min(day), max(day) FROM costs_claimed")
    first, last = cursor.fetchone()
    if first is not None:
        values = {**_values(first, last), "part": part_id}
    cursor.execute(rating_sql.SEGMENTS, values)
    frozen = periods.frozen_between(values["starts_at"], values["ends_at"])
    cursor.execute(rating_sql.SIGNED_HOUR_LINES if frozen else rating_sql.HOUR_LINES, values)
    _know_rates(cursor, values)
    cursor.execute(rating_sql.CONVERT_AS_KEPT, values)
    return values


@transaction.atomic
def totals_of_bill(part_id: int) -> Totals:
    """What of one part's charges is in scope, by effective cost (billed where that cannot be used)."""
    company = organisation.get()
    values: dict[str, Any] = {"part": part_id, "zone": company.zone, "currency": company.currency}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT currency FROM usage_charge WHERE part_id = %(part)s AND currency <> %(currency)s", values
        )
        for (currency,) in cursor.fetchall():
            fx.ensure(currency, company.currency)
        cursor.execute(rating_sql.TOTALS_OF_CHARGES, values)
        total, unallocated, rows, unconverted = cursor.fetchone()
    return Totals(total, unallocated, rows, unconverted, ())


def _write_lines(cursor: CursorWrapper, values: dict[str, Any]) -> int:
    """Hours first: whether a bill counts or only checks depends on what else counts that month."""
    periods.ensure_months(values["starts_at"], values["ends_at"] - timedelta(microseconds=1), TABLES)
    covered = _covered(cursor, values)
    cursor.execute(rating_sql.SEGMENTS, values)
    cursor.execute("ANALYZE costs_segment")
    of_hours = rating_sql.SIGNED_HOUR_LINES if values["booked"] else rating_sql.HOUR_LINES
    lines = _replace(cursor, of_hours, values, bases=("computed",))
    cursor.execute("DROP TABLE costs_segment")
    changed = {provider for _, provider, _ in covered ^ _covered(cursor, values)}
    if changed:
        cursor.execute(rating_sql.MARK_CHARGES, {**values, "providers": sorted(changed)})
    return lines + _replace(cursor, rating_sql.CHARGE_LINES, values, bases=("billed", "effective"))


def _replace(cursor: CursorWrapper, new_lines: str, values: dict[str, Any], *, bases: tuple[str, ...]) -> int:
    """Put new lines in the place of the claimed pairs' old ones, and move the roll-ups by the difference.

    In a signed month the difference itself becomes lines, and the old ones stay.
    """
    cursor.execute(new_lines, values)
    _know_rates(cursor, values)
    cursor.execute(rating_sql.KEEP_SIGNED_RATES if values["booked"] else rating_sql.KEEP_RATES, values)
    cursor.execute(rating_sql.CONVERT, values)
    if values["booked"]:
        cursor.execute(rating_sql.CORRECT, {**values, "bases": list(bases)})
        cursor.execute(rating_sql.ADD_CORRECTIONS)
    else:
        cursor.execute(rating_sql.REMOVE_OLD, {**values, "bases": list(bases)})
        cursor.execute(rating_sql.ADD_NEW)
    lines = int(cursor.rowcount)
    for statement in rating_sql.ROLL_UP:
        cursor.execute(statement, values)
    cursor.execute("DROP TABLE costs_new, costs_delta")
    return lines


def _know_rates(cursor: CursorWrapper, values: dict[str, Any]) -> None:
    """Have the history of every exchange rate that the new lines need."""
    cursor.execute("SELECT DISTINCT currency FROM costs_new")
    currencies = {row[0] for row in cursor.fetchall()} - {values["currency"]}
    for currency in sorted(currencies):
        fx.ensure(currency, values["currency"])


def _covered(cursor: CursorWrapper, values: dict[str, Any]) -> set[tuple[date, str, str]]:
    """The month, and of which provider what is counted in it (token cost, GPU), so that its bill only checks that."""
    cursor.execute(rating_sql.COVERED, values)
    return set(cursor.fetchall())


def _values(first: date, last: date, today: date | None = None) -> dict[str, Any]:
    """Parameters of the statements; `booked` is the month that takes corrections, None where the month is open."""
    company = organisation.get()
    zone, month = ZoneInfo(company.zone), first.replace(day=1)
    return {
        "booked": periods.open_month(today, after=month) if periods.is_frozen(month) else None,
        "first": first,
        "last": last,
        "month": month,
        "months": [month],
        "starts_at": _midnight(first, zone),
        "ends_at": _midnight(last + timedelta(days=1), zone),
        "zone": company.zone,
        "currency": company.currency,
        "part": None,
        **{name.lower(): getattr(flags, name) for name in rating_sql.FLAGS},
    }


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
