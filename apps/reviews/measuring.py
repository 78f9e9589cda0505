"""Holds what earlier reviews were promised against the books of this month, on the same figures."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from django.db import connection
from django.db.models import Q

from apps.core import periods
from apps.costs.selectors import silent_sources
from apps.reviews.models import Action, Cycle, Measurement
from apps.reviews.promises import Arrived, MonthCost, measure

# A promise that was kept is looked at once more for so long: savings come back up.
MEASURED_MONTHS: Final = 3


def measure_promises(cycle: Cycle) -> None:
    """One row an action: every open one, and those done of the last months. The same statements for all of them."""
    actions = _due(cycle)
    Measurement.objects.filter(cycle=cycle).delete()
    costs = _costs(cycle.month, actions)
    Measurement.objects.bulk_create([_row(cycle, action, costs) for action in actions])


def _due(cycle: Cycle) -> list[Action]:
    first = periods.shifted(cycle.month, -MEASURED_MONTHS)
    recent = Q(state=Action.State.DONE, promised_saving__isnull=False, baseline_month__gte=first)
    earlier = Action.objects.filter(baseline_month__lt=cycle.month)
    return list(earlier.filter(recent | Q(state=Action.State.OPEN)).order_by("pk"))


def _row(cycle: Cycle, action: Action, costs: dict[int, MonthCost]) -> Measurement:
    arrived = _arrived(action, costs)
    return Measurement(action=action, cycle=cycle, cost=arrived.cost, saved=arrived.saved, why=arrived.why)


def _arrived(action: Action, costs: dict[int, MonthCost]) -> Arrived:
    if action.workload_id is None:
        return Arrived(None, None, "it is about no single workload")
    if action.promised_saving is None:
        return Arrived(None, None, "no saving was promised")
    baseline = MonthCost(action.baseline_month, action.baseline_cost)
    return measure(baseline, costs[action.workload_id])


def _costs(month: date, actions: Sequence[Action]) -> dict[int, MonthCost]:
    """Full cost of the month by workload, as it is known now, and which sources have not told all of it."""
    workloads = [action.workload_id for action in actions if action.workload_id is not None]
    if not workloads:
        return {}
    silent = [source.source_id for source in silent_sources(until=periods.next_month(month))]
    since = min(action.baseline_month for action in actions)
    with connection.cursor() as cursor:
        cursor.execute(_COSTS, {"month": month, "since": since, "workloads": workloads, "silent": silent})
        found = {
            workload: MonthCost(month, cost, is_whole=not unknown, late=late)
            for workload, cost, unknown, late in cursor.fetchall()
        }
    return {workload: found.get(workload, MonthCost(month, None)) for workload in workloads}


# A source is late where it fell silent before the month's end; where the workload has no line at all, also one that
# fed it before and has not said a word of the month. Then no line is no data, and not no cost.
_COSTS = """
WITH x AS MATERIALIZED (
    SELECT workload_id, source_id, charge_month, amount_org, unpriced_lines + unconverted_lines AS unknown
    FROM costs_month WHERE workload_id = ANY(%(workloads)s) AND role = 'counts' AND basis <> 'billed'
        AND charge_month >= %(since)s AND charge_month <= %(month)s
), spent AS (
    SELECT workload_id, sum(amount_org) AS cost, sum(unknown) AS unknown FROM x
    WHERE charge_month = %(month)s GROUP BY 1
), heard AS (
    SELECT DISTINCT source_id FROM costs_month WHERE charge_month = %(month)s
), late AS (
    SELECT f.workload_id, string_agg(s.name, ', ' ORDER BY s.name) AS names
    FROM (SELECT DISTINCT workload_id, source_id FROM x) f JOIN sources_source s ON s.id = f.source_id
        LEFT JOIN spent p ON p.workload_id = f.workload_id
    WHERE s.id = ANY(%(silent)s)
        OR (p.workload_id IS NULL AND NOT EXISTS (SELECT FROM heard h WHERE h.source_id = s.id))
    GROUP BY 1
)
SELECT workload_id, p.cost, coalesce(p.unknown, 0), coalesce(left(l.names, 100), '')
FROM spent p FULL JOIN late l USING (workload_id)
"""
