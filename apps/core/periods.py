"""Accounting months: where an hour belongs, and the partitions that hold it.

Months are half-open in the organisation's zone. Big tables are partitioned along the same edges, so that signing a
month can lock exactly its partitions. No default partition exists: an hour without a month would be lost to the books.

The application's role makes no table and only reads `core_period`: both are written by functions of the database that
run as its owner (migration 0003).
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from functools import lru_cache
from time import monotonic, sleep
from zoneinfo import ZoneInfo

import psycopg
from django.db import OperationalError, connection, transaction

from apps.core import organisation
from apps.core.errors import Conflict
from apps.core.models import Period

SIGNING_LOCK = 7_301_004  # held shared by writers of months, alone by whoever signs; core_sign_month has it too
SIGNING_SECONDS = 30
TRY_AGAIN = "Sign it again when the import is through."


def month_of(instant: datetime, zone: ZoneInfo) -> date:
    """The accounting month in which an instant lies, as its first day."""
    return instant.astimezone(zone).date().replace(day=1)


def next_month(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)


def previous_month(month: date) -> date:
    return date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)


def shifted(month: date, by: int) -> date:
    """The month so many months after `month`, or before it where `by` is negative."""
    years, number = divmod(month.month - 1 + by, 12)
    return date(month.year + years, number + 1, 1)


def bounds(month: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Start and end of an accounting month in UTC, half-open."""
    return _midnight(month, zone), _midnight(next_month(month), zone)


def months_between(first: date, last: date) -> Iterator[date]:
    """Every month from `first` to `last`, both included, as first days."""
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = next_month(month)


def ensure_months(first: datetime, last: datetime, tables: Iterable[str]) -> list[Period]:
    """Make periods and partitions of these tables for all months from `first` to `last`, both included.

    Only tables named in `core_monthly_table` get partitions; the function that makes them runs as the owner.
    """
    zone = organisation.zone()
    months = list(months_between(month_of(first, zone), month_of(last, zone)))
    return [_ensure_month(month, zone, tables) for month in months]


def _ensure_month(month: date, zone: ZoneInfo, tables: Iterable[str]) -> Period:
    with connection.cursor() as cursor:
        cursor.execute("SELECT core_ensure_month(%s, %s, %s, %s)", [month, *bounds(month, zone), list(tables)])
    return Period.objects.get(month=month)


# --- Signing ----------------------------------------------------------------------------------------------------------


def hold_still() -> None:
    """Until the transaction ends no month is signed: for whoever writes rows of months, before they look which are."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [SIGNING_LOCK])


def is_signed(month: date) -> bool:
    return Period.objects.filter(month=month, state=Period.State.SIGNED).exists()


def is_frozen(month: date) -> bool:
    """Whether the month was ever signed: then it takes corrections only, also while it is open again."""
    return Period.objects.filter(month=month, revision__gt=0).exists()


def frozen_between(first: datetime | None, last: datetime | None) -> list[Period]:
    """Frozen months that an hour from `first` to `last`, both included, may lie in; None is without bound."""
    found = Period.objects.filter(revision__gt=0).order_by("month")
    if first is not None:
        found = found.filter(ends_at__gt=first)
    return list(found if last is None else found.filter(starts_at__lte=last))


def open_month(today: date | None = None, *, after: date | None = None) -> date:
    """The month in which late things are booked: that of `today` or, where it is signed, the first one after it.

    A reopened month is no open one. `after` names a month that the answer must come after.
    """
    zone = organisation.zone()
    month = (today or datetime.now(zone).date()).replace(day=1)
    if after is not None and month <= after:
        month = next_month(after)
    frozen = set(Period.objects.filter(revision__gt=0, month__gte=month).values_list("month", flat=True))
    while month in frozen:
        month = next_month(month)
    return month


def sign(month: date, pack_sha256: str) -> Period:
    """Freeze the month: from here on it takes corrections only. A reopened month is signed again, with its new pack.

    Rows of revision 0 never change after the first signing, not even while the month is open again: a second signing
    seals the restated figures, corrections included, in a pack of its own, and `revision` counts the packs. Belongs
    at the end of the caller's transaction, since writers wait from here to its end. `Conflict` where it is signed
    already, or where an import does not come to its end.
    """
    _ensure_month(month, organisation.zone(), _monthly_tables())
    deadline = monotonic() + SIGNING_SECONDS
    while not _tried_to_sign(month, pack_sha256):
        if monotonic() > deadline:
            raise Conflict(f"{month:%B %Y} cannot be signed now: an import is being written.", hint=TRY_AGAIN)
        sleep(0.25)
    return Period.objects.get(month=month)


def reopen(month: date) -> Period:
    """Say that a signed month is talked about again; what it takes and where it is booked stays as it is."""
    return _moved(month, Period.State.REOPENED, "it is not signed")


def start_closing(month: date) -> Period:
    """Say that the month's review is on. Imports go on until it is signed."""
    _ensure_month(month, organisation.zone(), ())
    return _moved(month, Period.State.CLOSING, "it is not open")


def stop_closing(month: date) -> Period:
    return _moved(month, Period.State.OPEN, "no review of it is on")


def _tried_to_sign(month: date, pack_sha256: str) -> bool:
    """False where somebody held a lock for too long; nothing is kept waiting by us meanwhile."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT core_sign_month(%s, %s)", [month, pack_sha256])
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.ObjectInUse):
            raise Conflict(f"{month:%B %Y} is signed already.") from None
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            return False
        raise
    return True


def _moved(month: date, state: Period.State, why_not: str) -> Period:
    with connection.cursor() as cursor:
        cursor.execute("SELECT core_move_month(%s, %s)", [month, state.value])
        if not cursor.fetchone()[0]:
            raise Conflict(f"{month:%B %Y} cannot become {state.label}: {why_not}.")
    return Period.objects.get(month=month)


def _monthly_tables() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM core_monthly_table")
        return [name for (name,) in cursor.fetchall()]


@lru_cache(maxsize=4096)
def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
