"""Hours and charges -> day lines: one SQL each over the dirty (identity, day) pairs.

The window's series are first cut into *segments* within which owner, price and role do not change. Hours are summed
per segment and day, and only these sums meet a price. That is exact, since a segment has one price, and it prices a
few thousand sums instead of millions of hours.

Lines that go and lines that come also move the roll-ups, as differences, in the same transaction.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.catalog import fx
from apps.core import organisation, periods
from apps.costs import flags, rating_sql

RATING_LOCK = 7_303
TABLES = {"costs_line": "date"}


@dataclass(frozen=True, slots=True)
class Rated:
    """One batch: the month it was of, (identity, day) pairs taken, lines that stand for them now."""

    month: date | None
    pairs: int
    lines: int


def rate_dirty() -> int:
    """Work out all dirty days, a month at a time; returns how many (identity, day) pairs that were."""
    total = 0
    while (rated := rate_batch()).pairs:
        total += rated.pairs
    return total


@transaction.atomic
def rate_batch() -> Rated:
    """Take the dirty pairs of the oldest dirty month and write their lines anew. One rater at a time; others wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RATING_LOCK])
        cursor.execute("SELECT min(day) FROM costs_dirty_day")
        oldest = cursor.fetchone()[0]
        if oldest is None:
            return Rated(month=None, pairs=0, lines=0)
        month = oldest.replace(day=1)
        cursor.execute(rating_sql.CLAIM, [month, periods.next_month(month)])
        cursor.execute("ANALYZE costs_claimed")
        cursor.execute("SELECT min(day), max(day), count(*) FROM costs_claimed")
        first, last, pairs = cursor.fetchone()
        lines = _write_lines(cursor, first, last)
        cursor.execute("DROP TABLE costs_claimed")
    return Rated(month=month, pairs=pairs, lines=lines)


def _write_lines(cursor: CursorWrapper, first: date, last: date) -> int:
    """Hours first: whether a bill counts or only checks depends on what else counts that month."""
    values = _values(first, last)
    periods.ensure_months(values["starts_at"], values["ends_at"] - timedelta(microseconds=1), TABLES)
    covered = _covered_providers(cursor, values)
    cursor.execute(rating_sql.SEGMENTS, values)
    cursor.execute("ANALYZE costs_segment")
    lines = _replace(cursor, rating_sql.HOUR_LINES, values, bases=("computed",))
    cursor.execute("DROP TABLE costs_segment")
    changed = covered ^ _covered_providers(cursor, values)
    if changed:
        cursor.execute(rating_sql.MARK_CHARGES, {**values, "providers": sorted(changed)})
    return lines + _replace(cursor, rating_sql.CHARGE_LINES, values, bases=("billed", "effective"))


def _replace(cursor: CursorWrapper, new_lines: str, values: dict[str, Any], *, bases: tuple[str, ...]) -> int:
    """Put new lines in the place of the claimed pairs' old ones, and move the roll-ups by the difference."""
    cursor.execute(new_lines, values)
    cursor.execute("SELECT DISTINCT currency FROM costs_new")
    currencies = {row[0] for row in cursor.fetchall()} - {values["currency"]}
    for currency in sorted(currencies):
        fx.ensure(currency, values["currency"])
    cursor.execute(rating_sql.CONVERT, values)
    cursor.execute(rating_sql.REMOVE_OLD, {**values, "bases": list(bases)})
    cursor.execute(rating_sql.ADD_NEW)
    lines = int(cursor.rowcount)
    for statement in rating_sql.ROLL_UP:
        cursor.execute(statement, values)
    cursor.execute("DROP TABLE costs_new, costs_delta")
    return lines


def _covered_providers(cursor: CursorWrapper, values: dict[str, Any]) -> set[str]:
    """Providers whose calls something counts that month, so that their bills only check."""
    cursor.execute(rating_sql.COVERED, values)
    return {row[0] for row in cursor.fetchall()}


def _values(first: date, last: date) -> dict[str, Any]:
    company = organisation.get()
    zone = ZoneInfo(company.zone)
    return {
        "first": first,
        "last": last,
        "month": first.replace(day=1),
        "starts_at": _midnight(first, zone),
        "ends_at": _midnight(last + timedelta(days=1), zone),
        "zone": company.zone,
        "currency": company.currency,
        **{name.lower(): getattr(flags, name) for name in rating_sql.FLAGS},
    }


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
