"""Marking days to be rated again, and rating them."""

from datetime import date
from typing import Any

from django.db import connection, transaction

from apps.core import organisation, periods
from apps.core.errors import Conflict
from apps.core.models import Period
from apps.core.money import plain
from apps.costs.models import Cause
from apps.costs.rating import RATING_LOCK, Totals, rate_dirty, totals_of_bill, totals_of_part
from apps.sources.models import Pull

__all__ = ("mark_dirty_touched", "rate_dirty", "sign_month", "sweep_rate_changes", "totals_of_pull")


def mark_dirty_touched(reason: str) -> int:
    """Queue what `usage.services.publish` or `undo` touched, in the same transaction; returns the number of pairs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at) "
            "SELECT day, identity_id, CASE WHEN bool_or(restates) THEN %s ELSE %s END, now() FROM usage_touched "
            "GROUP BY day, identity_id",
            [Cause.RESTATEMENT, reason],
        )
        return int(cursor.rowcount)


@transaction.atomic
def sign_month(*, month: date, pack_sha256: str) -> Period:
    """Sign a month whose costs are worked out; `Conflict` while some of its days wait for that.

    The last step of whoever signs: writers of months wait from here to the end of the caller's transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RATING_LOCK])
    _refuse_waiting(month)
    signed = periods.sign(month, pack_sha256)
    # Signing waits for imports that are being written, and each of them leaves days to be worked out.
    _refuse_waiting(month)
    return signed


def _refuse_waiting(month: date) -> None:
    """`Conflict` where days of the month, or prices that concern it, are not worked out yet."""
    starts_at, ends_at = periods.bounds(month, organisation.zone())
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [month, periods.next_month(month), ends_at, starts_at])
        days, changes = cursor.fetchone()
    if days or changes:
        raise Conflict(
            f"Costs of {month:%B %Y} are still being worked out ({days} days, {changes} changed prices).",
            hint="Sign it again in a minute.",
        )


@transaction.atomic
def sweep_rate_changes() -> int:
    """Queue the days that a changed price or exchange rate concerns; returns how many changes were handled.

    Waits for whoever is rating: the lines being written may have met the old exchange rate and cannot be seen yet.
    """
    zone = organisation.get().zone
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [RATING_LOCK])
        cursor.execute(_TAKE_CHANGES)
        changes = cursor.fetchall()
        for offering_id, currency, valid_from, valid_to in changes:
            if offering_id:
                cursor.execute(_MARK_OFFERING, [zone, offering_id, valid_from, valid_to])
            else:
                cursor.execute(_MARK_CURRENCY, [currency, valid_from, zone, valid_to, zone])
    return len(changes)


def totals_of_pull(pull: Pull) -> dict[str, Any]:
    """What an import came to, for its result: money as text in the organisation's currency, None where unknown.

    `unallocated_share` is of the in-scope cost that could be priced and converted; None where that is nothing.
    `unconverted` counts what has no exchange rate: where it is not 0, the costs beside it are incomplete.
    """
    is_bill = pull.format == Pull.Format.FOCUS
    totals = totals_of_bill(pull.part_id) if is_bill else totals_of_part(pull.part_id)
    return {
        "in_scope_cost": plain(totals.total),
        "computed_cost": None if is_bill else plain(totals.total),
        "unallocated_cost": plain(totals.unallocated),
        "unallocated_share": _share(totals),
        "unpriced_models": list(totals.unpriced_models),
        "unconverted": totals.unconverted,
        "currency": organisation.get().currency,
    }


def _share(totals: Totals) -> float | None:
    if not totals.total or totals.unallocated is None:
        return None
    return float(totals.unallocated / totals.total)


_WAITING = """
SELECT (SELECT count(DISTINCT day) FROM costs_dirty_day WHERE day >= %s AND day < %s),
    (SELECT count(*) FROM catalog_rate_change WHERE handled_at IS NULL AND valid_from < %s
        AND coalesce(valid_to, 'infinity'::timestamptz) > %s)
"""
_TAKE_CHANGES = """
UPDATE catalog_rate_change SET handled_at = now()
WHERE id IN (SELECT id FROM catalog_rate_change WHERE handled_at IS NULL ORDER BY id FOR UPDATE SKIP LOCKED)
RETURNING offering_id, currency, valid_from, valid_to
"""
_MARK_OFFERING = """
INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at)
SELECT DISTINCT (h.hour AT TIME ZONE %s)::date, s.identity_id, 'price', now()
FROM usage_series s JOIN usage_hour h ON h.series_id = s.id
WHERE s.offering_id = %s AND h.hour >= %s AND h.hour < coalesce(%s, 'infinity'::timestamptz)
"""
_MARK_CURRENCY = """
INSERT INTO costs_dirty_day (day, identity_id, reason, recorded_at)
SELECT DISTINCT day, identity_id, 'exchange rate', now() FROM costs_line
WHERE currency = %s AND identity_id IS NOT NULL AND day >= (%s AT TIME ZONE %s)::date
  AND day <= coalesce((%s AT TIME ZONE %s)::date, 'infinity'::date)
"""
