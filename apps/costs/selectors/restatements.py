"""What became known of signed months after they were signed: booked in an open month, with its cause."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from django.db import connection

from apps.core.actor import Actor
from apps.costs.selectors.scope import CostScope, owner_conditions


@dataclass(frozen=True, slots=True)
class Restatement:
    """Corrections of one workload's month with one cause, in the organisation's currency; `workload_id` None is
    unallocated, `amount` None where nothing of them could be priced or converted. Negative is less cost than signed."""

    workload_id: int | None
    charge_month: date
    cause: str
    amount: Decimal | None
    lines: int


def restatements(
    *, actor: Actor, booked_month: date | None = None, charge_month: date | None = None
) -> list[Restatement]:
    """Corrections of full cost that are booked in a month or are of a month (or both), as far as the actor may see."""
    where = owner_conditions(actor, CostScope(date.min, date.max))
    values = [booked_month, booked_month, charge_month, charge_month, *where.values]
    with connection.cursor() as cursor:
        cursor.execute(_RESTATEMENTS.format(conditions=where.text or "true"), values)
        return [Restatement(*row) for row in cursor.fetchall()]


def month_mark(month: date) -> str:
    """Changes with every change of what the month cost: equal before and after, nothing happened in between."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [month])
        return str(cursor.fetchone()[0])


_RESTATEMENTS: Final = """
SELECT t.workload_id, t.charge_month, t.cause, sum(t.amount_org), count(*) FROM costs_line t
WHERE t.revision > 0 AND (%s::date IS NULL OR t.booked_month = %s) AND (%s::date IS NULL OR t.charge_month = %s)
    AND t.role = 'counts' AND t.basis <> 'billed' AND {conditions}
GROUP BY 1, 2, 3 ORDER BY abs(sum(t.amount_org)) DESC NULLS LAST, 2, 1, 3
"""
_MARK: Final = """
SELECT md5(coalesce(string_agg(concat_ws(' ', booked_month, workload_id, basis, role, amount_org, requests, lines), ','
    ORDER BY booked_month, workload_id, basis, role), '')) FROM costs_owner_month WHERE charge_month = %s
"""
