"""Publishing: what a pull read becomes the ledger's hours and charges, whole or not at all.

`publish` replaces the pull's window of its part, whole. It must run inside the caller's transaction, so that the
hours, the days to rate again and the pull's own row become visible together; it leaves the touched (identity, day)
pairs in the temporary table `usage_touched` for the caller. In signed months nothing is replaced: see corrections.py.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import duckdb
from django.db import connection, transaction

from apps.catalog import services as catalog
from apps.core import organisation, periods
from apps.core.errors import Conflict
from apps.sources.models import Pull
from apps.usage import charges, corrections, staging
from apps.usage.identities import pairs_of_key, record_identities
from apps.usage.staging import KeySeen, NumberedSeries, Published, SeriesKey

PART_LOCK = 7_302  # first key of a two-part advisory lock; the second is the part
TABLES = {"usage_hour": "timestamptz", "usage_charge": "timestamptz"}
VALUES = (
    "requests, input, cached, cache_write, cache_write_1h, output, reasoning, gpu_seconds, gpu_busy_seconds, "
    "reported_cost, currency, latency_counts, latency_sum_ms, ttft_counts, flags"
)


def make_room(*, first: datetime, last: datetime) -> None:
    """Make the months' partitions ahead of the publishing transaction, which then locks nothing that others need."""
    periods.ensure_months(first, last, TABLES)


def see_models(work_dir: Path) -> None:
    """Take in names of models never seen before, in a short transaction of its own ahead of the publishing one.

    Whoever takes some in keeps everybody else who has new ones waiting until its transaction ends.
    """
    for name in ("hours", "charges"):
        rows = work_dir / f"{name}.parquet"
        if rows.exists():
            catalog.resolve_many(staging.models_of(rows))


def publish(*, pull: Pull, work_dir: Path) -> Published:
    """Replace the pull's window of its part by what it read. Inside the caller's transaction; see the module."""
    _begin(pull)
    if pull.format == Pull.Format.FOCUS:
        return charges.publish(pull=pull, rows_file=work_dir / "charges.parquet", work_dir=work_dir)
    return _publish_hours(pull=pull, hours=work_dir / "hours.parquet", work_dir=work_dir)


def publish_nothing(*, pull: Pull, work_dir: Path) -> Published:
    """Empty the pull's window: its source says that nothing was used in it. Same contract as `publish`."""
    if pull.since is None or pull.until is None:
        raise RuntimeError("Only a window can be empty; a whole part without rows is a file without data.")
    _begin(pull)
    nothing = work_dir / "nothing.csv"
    nothing.touch()
    return charges.replace(pull, nothing) if pull.format == Pull.Format.FOCUS else _replace_part(pull, nothing)


@transaction.atomic
def undo(*, pull: Pull) -> None:
    """Put back what the part held before this pull; only the newest pull of a part can be undone.

    Leaves `usage_touched` like `publish`, for a caller that is inside a transaction of its own.
    """
    # First of all: a publication that is under way may be about to become the newest pull of the part.
    _begin(pull)
    _refuse_older(pull)
    with connection.cursor() as cursor:
        zone, number = organisation.get().zone, pull.pk
        cursor.execute(_UNDO_HOURS_TOUCHED, [zone, number, pull.part_id, zone, number])
        if periods.frozen_between(None, None):
            corrections.undo_hours(pull)
        cursor.execute(_UNDO_HOURS_OUT, [number, pull.part_id])
        cursor.execute(_UNDO_HOURS_IN, [number])
        cursor.execute("DELETE FROM usage_replaced WHERE replaced_by = %s", [number])
    charges.undo(pull=pull)


def _refuse_older(pull: Pull) -> None:
    newest = Pull.objects.filter(part_id=pull.part_id, state=Pull.State.DONE).order_by("-finished_at", "-id").first()
    if newest is None or newest.pk != pull.pk:
        raise Conflict(
            "Only the newest import of a part can be undone.",
            hint=f"Undo {newest.part.name} of {newest.finished_at:%-d %b %Y} first." if newest else "",
        )


def _begin(pull: Pull) -> None:
    """One publication of a part at a time, and no signing meanwhile; the touched days are gathered till the end.

    `restates` says that something known of the day was changed or taken back, and not only added to.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("publish() belongs into the transaction that marks the days and finishes the pull.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [PART_LOCK, pull.part_id])
        cursor.execute(
            "CREATE TEMP TABLE IF NOT EXISTS usage_touched "
            "(identity_id bigint, day date, restates boolean NOT NULL DEFAULT false) ON COMMIT DROP"
        )
    periods.hold_still()


def _publish_hours(*, pull: Pull, hours: Path, work_dir: Path) -> Published:
    with staging.staged(work_dir) as db:
        first_time = not _window_has_hours(pull)
        series = _number(pull, staging.series_keys(db, hours))
        staging.refuse_what_no_ledger_holds(db, "hours", staging.SUMMED)
        staging.number_series(db, series)
        staging.write_hours(db, work_dir / "hours.csv", pull_id=pull.pk)
        if first_time and not periods.frozen_between(*staging.span(db)):
            return _fill_empty_part(db, work_dir)
    return _replace_part(pull, work_dir / "hours.csv")


def _fill_empty_part(db: duckdb.DuckDBPyConnection, work_dir: Path) -> Published:
    """A part without hours takes the rows as they come: nothing to compare with, nothing to remove."""
    staging.write_touched(db, work_dir / "touched.csv", zone=organisation.get().zone)
    staging.copy_in("usage_touched", "identity_id, day", work_dir / "touched.csv")
    written = staging.copy_in("usage_hour", staging.HOUR_COLUMNS, work_dir / "hours.csv")
    return Published(written=written, unchanged=0, removed=0)


def _replace_part(pull: Pull, rows: Path) -> Published:
    """Remove what the source no longer says, add what is new, leave alone what is the same."""
    zone = organisation.get().zone
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.usage_staged")
        cursor.execute("CREATE TEMP TABLE usage_staged (LIKE usage_hour) ON COMMIT DROP")
        staged = staging.copy_in("usage_staged", staging.HOUR_COLUMNS, rows)
        cursor.execute("ANALYZE usage_staged")
        frozen = bool(periods.frozen_between(pull.since, pull.until))
        window = [pull.part_id, pull.since, pull.until, pull.pk]
        opened = corrections.OPEN_HOUR if frozen else "true"
        cursor.execute(_REMOVE_HOURS.format(open=opened.format(hour="h.hour")), window)
        removed = cursor.rowcount
        cursor.execute(_ADD_HOURS.format(open=opened.format(hour="t.hour")), [zone])
        written = int(cursor.fetchone()[0])
        cursor.execute(_TOUCH_REMOVED, [zone, pull.pk])
    if frozen:
        corrected = corrections.correct_hours(pull)
        written, removed = written + corrected.written, removed + corrected.removed
    return Published(written=written, unchanged=staged - written, removed=removed)


def _number(pull: Pull, seen: list[KeySeen]) -> dict[SeriesKey, NumberedSeries]:
    """Give each key of the source its series, making identities, offerings and series that are new."""
    first_seen: dict[str, datetime] = {}
    for key, first_hour in seen:
        pairs = pairs_of_key(key.usage_key)
        first_seen[pairs] = min(first_hour, first_seen.get(pairs, first_hour))
    identities = record_identities(pull.part.source_id, first_seen)
    offerings = catalog.resolve_many({(key.provider, key.model) for key, _ in seen})
    ledger_key = {
        key: (
            identities[pairs_of_key(key.usage_key)],
            offerings[key.provider, key.model].pk,
            key.call_kind,
            key.service_tier,
            key.prompt_band,
        )
        for key, _ in seen
    }
    numbers = _upsert_series(pull.part_id, set(ledger_key.values()))
    return {key: NumberedSeries(numbers[ledger], ledger[0]) for key, ledger in ledger_key.items()}


LedgerKey = tuple[int, int, str, str, int]  # identity, offering, call kind, service tier, prompt band


def _upsert_series(part_id: int, keys: Iterable[LedgerKey]) -> dict[LedgerKey, int]:
    columns = list(zip(*sorted(keys), strict=True))
    if not columns:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_UPSERT_SERIES, [part_id, *(list(column) for column in columns)])
        cursor.execute(_FIND_SERIES, [part_id])
        return {tuple(row[1:]): row[0] for row in cursor.fetchall()}


def _window_has_hours(pull: Pull) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_WINDOW_HAS_HOURS, [pull.part_id, pull.since, pull.until])
        return bool(cursor.fetchone()[0])


# A pull without bounds is of the whole part.
_IN_WINDOW = "h.hour >= coalesce(%s, '-infinity'::timestamptz) AND h.hour < coalesce(%s, 'infinity'::timestamptz)"
_WINDOW_HAS_HOURS = f"""
SELECT EXISTS (
    SELECT 1 FROM usage_series s JOIN usage_hour h ON h.series_id = s.id WHERE s.part_id = %s AND {_IN_WINDOW})
"""
_UPSERT_SERIES = """
INSERT INTO usage_series (part_id, identity_id, offering_id, call_kind, service_tier, prompt_band)
SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::smallint[])
ON CONFLICT DO NOTHING
"""
_FIND_SERIES = """
SELECT id, identity_id, offering_id, call_kind, service_tier, prompt_band FROM usage_series WHERE part_id = %s
"""
_SAME = " AND ".join(f"t.{column} IS NOT DISTINCT FROM h.{column}" for column in VALUES.split(", "))
_REMOVE_HOURS = f"""
WITH gone AS (
    DELETE FROM usage_hour h USING usage_series s
    WHERE s.id = h.series_id AND s.part_id = %s AND h.revision = 0 AND {_IN_WINDOW} AND {{open}}
      AND NOT EXISTS (SELECT 1 FROM usage_staged t WHERE t.series_id = h.series_id AND t.hour = h.hour AND {_SAME})
    RETURNING h.*
)
INSERT INTO usage_replaced ({staging.HOUR_COLUMNS}, replaced_by) SELECT {staging.HOUR_COLUMNS}, %s FROM gone
"""
_ADD_HOURS = f"""
WITH added AS (
    INSERT INTO usage_hour ({staging.HOUR_COLUMNS})
    SELECT {staging.HOUR_COLUMNS} FROM usage_staged t
    WHERE {{open}} AND NOT EXISTS (
        SELECT 1 FROM usage_hour h WHERE h.series_id = t.series_id AND h.hour = t.hour AND h.revision = 0)
    RETURNING series_id, hour
), touched AS (
    INSERT INTO usage_touched (identity_id, day)
    SELECT DISTINCT s.identity_id, (a.hour AT TIME ZONE %s)::date FROM added a JOIN usage_series s ON s.id = a.series_id
)
SELECT count(*) FROM added
"""
_TOUCH_REMOVED = """
INSERT INTO usage_touched (identity_id, day)
SELECT DISTINCT s.identity_id, (r.hour AT TIME ZONE %s)::date
FROM usage_replaced r JOIN usage_series s ON s.id = r.series_id WHERE r.replaced_by = %s
"""
_UNDO_HOURS_TOUCHED = """
INSERT INTO usage_touched (identity_id, day)
SELECT s.identity_id, (h.hour AT TIME ZONE %s)::date
FROM usage_hour h JOIN usage_series s ON s.id = h.series_id WHERE h.pull_id = %s AND s.part_id = %s
UNION
SELECT s.identity_id, (r.hour AT TIME ZONE %s)::date
FROM usage_replaced r JOIN usage_series s ON s.id = r.series_id WHERE r.replaced_by = %s
"""
_UNDO_HOURS_OUT = f"""
DELETE FROM usage_hour h USING usage_series s WHERE s.id = h.series_id AND h.pull_id = %s AND s.part_id = %s
    AND {corrections.OPEN_HOUR.format(hour="h.hour")}
"""
_UNDO_HOURS_IN = f"""
INSERT INTO usage_hour ({staging.HOUR_COLUMNS}) SELECT {staging.HOUR_COLUMNS} FROM usage_replaced r
WHERE replaced_by = %s AND {corrections.OPEN_HOUR.format(hour="r.hour")}
"""
