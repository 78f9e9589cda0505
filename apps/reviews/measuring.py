"""Holds what earlier reviews were promised against the books of this month, on the same figures."""

from datetime import date
from decimal import Decimal
from typing import Final

from django.db import connection
from django.db.models import Q

from apps.core import periods
from apps.reviews.models import Action, Cycle, Measurement
from apps.reviews.promises import Arrived, MonthCost, measure

# A promise that was kept is looked at once more for so long: savings come back up.
MEASURED_MONTHS: Final = 3


def measure_promises(cycle: Cycle) -> list[Measurement]:
    """One row an action: every open one, and those done of the last months. Two statements for all of them."""
    actions = list(_due(cycle))
    Measurement.objects.filter(cycle=cycle).delete()
    costs = _costs(cycle.month, [action.workload_id for action in actions if action.workload_id is not None])
    rows = [_row(cycle, action, costs) for action in actions]
    return Measurement.objects.bulk_create(rows)


def _due(cycle: Cycle) -> list[Action]:
    first = cycle.month
    for _ in range(MEASURED_MONTHS):
        first = periods.previous_month(first)
    recent = Q(state=Action.State.DONE, promised_saving__isnull=False, baseline_month__gte=first)
    earlier = Action.objects.filter(baseline_month__lt=cycle.month)
    return list(earlier.filter(recent | Q(state=Action.State.OPEN)).order_by("pk"))


def _row(cycle: Cycle, action: Action, costs: dict[int, MonthCost]) -> Measurement:
    arrived = _arrived(cycle.month, action, costs)
    return Measurement(action=action, cycle=cycle, cost=arrived.cost, saved=arrived.saved, why=arrived.why)


def _arrived(month: date, action: Action, costs: dict[int, MonthCost]) -> Arrived:
    if action.workload_id is None:
        return Arrived(None, None, "it is about no single workload")
    if action.promised_saving is None:
        return Arrived(None, None, "no saving was promised")
    baseline = MonthCost(action.baseline_month, action.baseline_cost)
    return measure(baseline, costs.get(action.workload_id, MonthCost(month, None)))


def _costs(month: date, workloads: list[int]) -> dict[int, MonthCost]:
    """Full cost of the month by workload, as it is known now."""
    with connection.cursor() as cursor:
        cursor.execute(_COSTS, [month, workloads])
        return {workload: _month(month, cost, unknown) for workload, cost, unknown in cursor.fetchall()}


def _month(month: date, cost: Decimal, unknown: int) -> MonthCost:
    return MonthCost(month, cost, is_whole=not unknown)


_COSTS = """
SELECT workload_id, sum(amount_org), sum(unpriced_lines + unconverted_lines) FROM costs_month
WHERE charge_month = %s AND role = 'counts' AND basis <> 'billed' AND workload_id = ANY(%s) GROUP BY 1
"""
