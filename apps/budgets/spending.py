"""What budgets burn: direct cost by booked month. The only place of this app that reads the books.

Direct are tokens, failed retries, fallbacks, GPU time used and GPU time held idle: what the workload's own calls cause.
Shared cost (guardrails, retrieval, a pool's idle time, ...) and internal cost stand beside it and burn nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from apps.costs.models import DIRECT, components_of
from apps.costs.sums import known_sum
from apps.workloads.models import Workload

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Spending:
    """One workload's month in the organisation's currency. None is unknown: no usage, or no price for any.

    `restated` was used in earlier months and booked in this one; it is part of `direct`. The lines without a price or
    without an exchange rate are direct ones that no amount contains.
    """

    direct: Decimal | None = None
    shared: Decimal | None = None
    restated: Decimal = ZERO
    unpriced_tokens: int = 0
    unpriced_lines: int = 0
    unconverted_lines: int = 0


def spending(month: date, workload_ids: Collection[int] | None = None) -> dict[int, Spending]:
    """Every workload with cost booked in the month, or those of `workload_ids`: one statement."""
    only, values = _only("t.workload_id", workload_ids)
    with connection.cursor() as cursor:
        cursor.execute(_MONTH.format(only=only), [month, components_of(DIRECT), month, month, *values])
        return {row[0]: _spending(row) for row in cursor.fetchall()}


def granted_and_spent(month: date, workloads: QuerySet[Workload]) -> tuple[Decimal | None, Decimal | None, bool]:
    """What the budgets of these workloads grant in the month, the direct cost booked of them, and whether there is more
    that has no price or no exchange rate: one statement.

    None where none has a budget, and where nothing that those with one have spent is known.
    """
    try:
        text, values = workloads.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:  # Django has no SQL for a filter that it knows to choose nothing
        return None, None, False
    with connection.cursor() as cursor:
        cursor.execute(_GRANTED.format(workloads=text), [month, *values, components_of(DIRECT), month, month])
        granted, spent, lines, unknown = cursor.fetchone()
    return granted, _known(spent, lines, unknown), unknown > 0


def daily(first: date, end: date, workload_ids: Collection[int]) -> dict[int, dict[date, Decimal]]:
    """Direct cost by the day it was used on, without what was booked in a later month: one statement."""
    found: dict[int, dict[date, Decimal]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, [list(workload_ids), first, end, components_of(DIRECT)])
        for workload, day, cost in cursor.fetchall():
            found.setdefault(workload, {})[day] = cost
    return found


def daily_by_centre(first: date, end: date, centre_ids: Collection[int]) -> dict[int, dict[date, Decimal]]:
    """The same by the cost centre that each workload itself belongs to: thousands of workloads, few rows."""
    found: dict[int, dict[date, Decimal]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_DAYS_OF_CENTRES, [list(centre_ids), first, end, components_of(DIRECT)])
        for centre, day, cost in cursor.fetchall():
            found.setdefault(centre, {})[day] = cost
    return found


def newest_days(month: date, today: date, workload_ids: Collection[int]) -> dict[int, date]:
    """Up to which day all sources that count usage of a workload in the month have told of anything.

    Days after it are not yet known, rather than free. Who is missing has no usage that is counted day by day: a bill
    says in advance what days will cost, and is no such source.
    """
    return _newest("m.workload_id = ANY(%s)", "m.workload_id", month, today, workload_ids)


def newest_days_of_centres(month: date, today: date, centre_ids: Collection[int]) -> dict[int, date]:
    """The same for all workloads that belong to a cost centre itself."""
    return _newest("w.cost_centre_id = ANY(%s)", "w.cost_centre_id", month, today, centre_ids)


def _newest(only: str, key: str, month: date, today: date, ids: Collection[int]) -> dict[int, date]:
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST.format(only=only, key=key), [month, today, month, components_of(DIRECT), list(ids)])
        return dict(cursor.fetchall())


def added(parts: Sequence[Spending]) -> Spending:
    """The sum of several; unknown only where all are."""
    return Spending(
        _sum([part.direct for part in parts]),
        _sum([part.shared for part in parts]),
        sum((part.restated for part in parts), ZERO),
        sum(part.unpriced_tokens for part in parts),
        sum(part.unpriced_lines for part in parts),
        sum(part.unconverted_lines for part in parts),
    )


def added_days(parts: Sequence[Mapping[date, Decimal]]) -> dict[date, Decimal]:
    found: dict[date, Decimal] = {}
    for part in parts:
        for day, cost in part.items():
            found[day] = found.get(day, ZERO) + cost
    return found


def _spending(row: Sequence[Any]) -> Spending:
    _, direct, lines, unpriced, unconverted, shared, shared_lines, shared_unknown, restated, tokens = row
    return Spending(
        _known(direct, lines, unpriced + unconverted),
        _known(shared, shared_lines, shared_unknown),
        restated,
        int(tokens),
        int(unpriced),
        int(unconverted),
    )


def _known(amount: Decimal, lines: int, unknown: int) -> Decimal | None:
    """A month of corrections alone has an amount and no lines; with neither, nothing is in the books."""
    return None if not lines and not amount else known_sum(amount, lines=lines, unknown=unknown)


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, ZERO) if known else None


def _only(column: str, ids: Collection[int] | None) -> tuple[str, list[Any]]:
    return ("", []) if ids is None else (f"AND {column} = ANY(%s)", [list(ids)])


_MONTH = """
SELECT workload_id, coalesce(sum(amount_org) FILTER (WHERE direct), 0), coalesce(sum(lines) FILTER (WHERE direct), 0),
    coalesce(sum(unpriced_lines) FILTER (WHERE direct), 0), coalesce(sum(unconverted_lines) FILTER (WHERE direct), 0),
    coalesce(sum(amount_org) FILTER (WHERE NOT direct), 0), coalesce(sum(lines) FILTER (WHERE NOT direct), 0),
    coalesce(sum(unpriced_lines + unconverted_lines) FILTER (WHERE NOT direct), 0),
    coalesce(sum(amount_org) FILTER (WHERE direct AND charge_month < %s), 0), coalesce(sum(unpriced_tokens), 0)
FROM (
    SELECT t.*, t.component = ANY(%s) AS direct FROM costs_month t
    WHERE (
        (t.charge_month = %s AND t.booked_month = t.charge_month)
        OR (t.booked_month = %s AND t.booked_month <> t.charge_month)
    ) AND t.role = 'counts' AND t.basis <> 'billed' AND t.workload_id IS NOT NULL {only}
) x GROUP BY workload_id
"""
_GRANTED = """
WITH newest AS (
    SELECT DISTINCT ON (workload_id) workload_id, amount, state FROM budgets_budget
    WHERE state <> 'superseded' AND month <= %s AND workload_id IN ({workloads}) ORDER BY workload_id, month DESC
), held AS MATERIALIZED (
    SELECT workload_id, amount FROM newest WHERE state <> 'ended'
)
SELECT (SELECT sum(amount) FROM held), coalesce(sum(t.amount_org), 0), coalesce(sum(t.lines), 0),
    coalesce(sum(t.unpriced_lines + t.unconverted_lines), 0)
FROM costs_month t
WHERE t.workload_id IN (SELECT workload_id FROM held) AND t.component = ANY(%s) AND (
    (t.charge_month = %s AND t.booked_month = t.charge_month)
    OR (t.booked_month = %s AND t.booked_month <> t.charge_month)
) AND t.role = 'counts' AND t.basis <> 'billed'
"""
_NEWEST = """
WITH told AS (
    SELECT source_id, max(day) AS day FROM costs_day
    WHERE day >= %s AND day <= %s AND basis = 'computed' AND role = 'counts' AND lines > 0 GROUP BY 1
)
SELECT {key}, min(told.day)
FROM costs_month m JOIN told ON told.source_id = m.source_id JOIN workloads_workload w ON w.id = m.workload_id
WHERE m.charge_month = %s AND m.basis = 'computed' AND m.role = 'counts' AND m.lines > 0 AND m.component = ANY(%s)
AND {only} GROUP BY 1
"""
_COUNTED = """
t.day >= %s AND t.day < %s AND t.component = ANY(%s) AND t.role = 'counts' AND t.basis <> 'billed'
AND t.booked_month = t.charge_month AND t.allocation_run_id IS NULL AND t.amount_org IS NOT NULL
"""
_DAYS = f"""
SELECT t.workload_id, t.day, sum(t.amount_org) FROM costs_line t
WHERE t.workload_id = ANY(%s) AND {_COUNTED} GROUP BY 1, 2
"""
_DAYS_OF_CENTRES = f"""
SELECT w.cost_centre_id, t.day, sum(t.amount_org)
FROM costs_line t JOIN workloads_workload w ON w.id = t.workload_id
WHERE w.cost_centre_id = ANY(%s) AND {_COUNTED} GROUP BY 1, 2
"""
