"""Accounting months: where an hour belongs, and the partitions that hold it.

Months are half-open in the organisation's zone. Big tables are partitioned along the same edges, so that signing a
month can lock exactly its partitions. No default partition exists: an hour without a month would be lost to the books.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from apps.core import organisation
from apps.core.models import Period

PARTITION_LOCK = 7_301_002


def month_of(instant: datetime, zone: ZoneInfo) -> date:
    """The accounting month in which an instant lies, as its first day."""
    return instant.astimezone(zone).date().replace(day=1)


def next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def previous_month(month: date) -> date:
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)


def bounds(month: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Start and end of an accounting month in UTC, half-open."""
    return _midnight(month, zone), _midnight(next_month(month), zone)


def months_between(first: date, last: date) -> Iterator[date]:
    """Every month from `first` to `last`, both included, as first days."""
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = next_month(month)


def ensure_months(first: datetime, last: datetime, tables: dict[str, str]) -> list[Period]:
    """Make periods and partitions for all months from `first` to `last`, both included.

    `tables` maps a partitioned table to the type of its edges: 'timestamptz' or 'date'.
    """
    zone = organisation.zone()
    months = list(months_between(month_of(first, zone), month_of(last, zone)))
    return [_ensure_month(month, zone, tables) for month in months]


def _ensure_month(month: date, zone: ZoneInfo, tables: dict[str, str]) -> Period:
    starts_at, ends_at = bounds(month, zone)
    period, _ = Period.objects.get_or_create(month=month, defaults={"starts_at": starts_at, "ends_at": ends_at})
    for table, edge in tables.items():
        if edge == "date":
            _ensure_partition(table, month, month.isoformat(), next_month(month).isoformat())
        else:
            _ensure_partition(table, month, period.starts_at.isoformat(), period.ends_at.isoformat())
    return period


def _ensure_partition(table: str, month: date, lower: str, upper: str) -> None:
    """Made beside its parent and then attached: that lock lets readers of the parent go on."""
    name = f"{table}_{month:%Y_%m}"
    with transaction.atomic(), connection.cursor() as cursor:
        if _exists(name):
            return
        # Two imports may need the same month at once; the second waits and then finds it.
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PARTITION_LOCK])
        if _exists(name):
            return
        cursor.execute(f'CREATE TABLE "{name}" (LIKE "{table}" INCLUDING ALL)')
        cursor.execute(f'ALTER TABLE "{table}" ATTACH PARTITION "{name}" FOR VALUES FROM (%s) TO (%s)', [lower, upper])


def _exists(table: str) -> bool:
    """Asks the catalogue's rows: `to_regclass` may still answer from before the wait for another's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_class WHERE relname = %s AND relnamespace = current_schema()::regnamespace)",
            [table],
        )
        return bool(cursor.fetchone()[0])


@lru_cache(maxsize=4096)
def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
