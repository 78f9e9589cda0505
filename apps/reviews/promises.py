"""Promised against arrived, on the same figures: pure.

A saving is what the workload's full cost of the reviewed month exceeds that of a later complete month. Both months are
whole and of one basis; where either is not known to the end, nothing is measured and the reason is said.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class MonthCost:
    """Full cost of one workload in one month. `is_whole`: the month is over and nothing of it lacks a price or rate.

    `late` names the sources that feed the workload and have not delivered the month to its end.
    """

    month: date
    cost: Decimal | None
    is_whole: bool = True
    late: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """`saved` may be negative: it costs more than before. None: it cannot be told yet, and `why` says so."""

    cost: Decimal | None
    saved: Decimal | None
    why: str = ""


def measure(baseline: MonthCost, now: MonthCost) -> Arrived:
    """What arrived of a promise that was made about `baseline`, as `now` shows it."""
    if now.month <= baseline.month:
        return Arrived(now.cost, None, "no whole month has passed since")
    if baseline.cost is None:
        return Arrived(now.cost, None, f"the cost of {baseline.month:%B} was not known")
    if now.late:
        return Arrived(now.cost, None, f"{now.late} has not delivered all of {now.month:%B}")
    if not now.is_whole:
        return Arrived(now.cost, None, f"the cost of {now.month:%B} is not known to the end")
    # No line at all in a month that was delivered whole is no cost: it was switched off.
    cost = now.cost if now.cost is not None else Decimal(0)
    return Arrived(cost, baseline.cost - cost)


def age_in_months(made: date, now: date) -> int:
    """How many reviews an action has been carried through."""
    return (now.year - made.year) * 12 + now.month - made.month
