"""What a month will have cost when it ends, from what its full days cost so far. Pure: no Django, no database.

The rate is the plain mean of the month's full days. Where at least four whole weeks of days are known, each weekday
gets a weight, so that a month of quiet weekends is not overrated on a Friday:

    level    = sum(full days) / sum(their weights)              money a day of weight 1
    expected = spent on full days + today + level * sum(weights of the days to come)

The interval is that of the mean method in Hyndman and Athanasopoulos, Forecasting: Principles and Practice (3rd ed.,
5.2 and 5.5), for a sum of m days to come after n known ones: level * F +/- t * s * sqrt(m + n * (F / W)^2), where s is
the spread of the days around their level (n - 1 degrees of freedom, n - 7 with weekdays), W and F are the sums of the
weights of the known days and of those to come (with equal weights this is t * s * sqrt(m + m^2 / n)), and t is
Student's factor for 80 %.
It assumes that days vary independently around a level that stays: it widens with a spike, and it knows of no launch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

LEAST_DAYS: Final = 3
WEEKS_FOR_WEEKDAYS: Final = 4
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
# Two-sided 80 % factors of Student's t by degrees of freedom; from 30 on they hardly move.
T_80: Final = (
    *(3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372, 1.363, 1.356, 1.350, 1.345, 1.341),
    *(1.337, 1.333, 1.330, 1.328, 1.325, 1.323, 1.321, 1.319, 1.318, 1.316, 1.315, 1.314, 1.313, 1.311, 1.310),
)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Money of the month's end. With `why_not` there is too little to go by, and the figures are None."""

    run_rate: Decimal | None = None
    expected: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    full_days: int = 0
    by_weekday: bool = False
    why_not: str = ""
    path: tuple[tuple[date, Decimal], ...] = ()

    @property
    def is_known(self) -> bool:
        return self.expected is not None


def forecast(*, month: date, end: date, today: date, days: Mapping[date, Decimal], beside: Decimal = ZERO) -> Forecast:
    """The end of the month [month, end), seen on `today`, whose own money is still arriving.

    `days` has what each day cost, also of earlier months; a day between two that it names and that it does not name
    cost nothing. `beside` is money of this month that no day of it used (booked late): it counts, and is no rate.
    """
    known = full_days(days, today)
    own = [(day, cost) for day, cost in known if month <= day < end]
    if len(own) < LEAST_DAYS:
        return Forecast(full_days=len(own), why_not=_too_few(len(own)))
    weights = weekday_weights([(day, cost) for day, cost in known if day < today])
    level = _level(own, weights)
    spent = sum((cost for _, cost in own), beside)
    ahead = [today + timedelta(days=at) for at in range(max((end - today).days, 0))]
    arrived = days.get(today, ZERO) if ahead else ZERO
    path = _path(spent, ahead, arrived, level, weights)
    expected = path[-1][1] if path else spent
    half = _half_width(own, ahead, weights, level)
    # What is spent stays spent, unless credits have been seen to come back.
    floor = spent + arrived if min((cost for _, cost in own), default=ZERO) >= 0 else None
    low = expected - half if floor is None else max(expected - half, min(floor, expected))
    rate = sum((cost for _, cost in own), ZERO) / len(own)
    return Forecast(rate, expected, low, expected + half, len(own), bool(weights), "", path)


def full_days(days: Mapping[date, Decimal], today: date) -> list[tuple[date, Decimal]]:
    """Every day from the first that cost something up to yesterday; gaps cost nothing, days before it are unknown."""
    began = min((day for day, cost in days.items() if cost), default=today)
    number = max((today - began).days, 0)
    return [(day, days.get(day, ZERO)) for day in (began + timedelta(days=at) for at in range(number))]


def weekday_weights(known: Sequence[tuple[date, Decimal]]) -> dict[int, Decimal]:
    """Weekday (0 is Monday) -> how its days compare with all days; empty under four whole weeks or without cost."""
    weeks = len(known) // 7
    if weeks < WEEKS_FOR_WEEKDAYS:
        return {}
    whole = known[-weeks * 7 :]
    mean = sum((cost for _, cost in whole), ZERO) / len(whole)
    sums = dict.fromkeys(range(7), ZERO)
    for day, cost in whole:
        sums[day.weekday()] += cost
    if mean <= 0 or min(sums.values()) < 0:
        return {}
    return {weekday: total / weeks / mean for weekday, total in sums.items()}


def runs_out(
    *, amount: Decimal, spent_by_day: Sequence[tuple[date, Decimal]], path: Sequence[tuple[date, Decimal]]
) -> date | None:
    """The first day at whose end more than `amount` is spent, or is expected to be; None where the month holds."""
    for day, total in (*spent_by_day, *path):
        if total > amount:
            return day
    return None


def running_total(
    days: Mapping[date, Decimal], first: date, last: date, beside: Decimal = ZERO
) -> list[tuple[date, Decimal]]:
    """What is spent at the end of each day from `first` to `last`, both included; `beside` counts from the start."""
    found, total = [], beside
    for at in range((last - first).days + 1):
        day = first + timedelta(days=at)
        total += days.get(day, ZERO)
        found.append((day, total))
    return found


def _too_few(number: int) -> str:
    has = "none has passed" if number == 0 else f"{number} {'has' if number == 1 else 'have'} passed"
    return f"Not enough history: a rate needs three full days with usage, and {has}."


def _level(own: Sequence[tuple[date, Decimal]], weights: Mapping[int, Decimal]) -> Decimal:
    """Money a day of weight 1."""
    total_weight = sum((_weight(weights, day) for day, _ in own), ZERO)
    return sum((cost for _, cost in own), ZERO) / total_weight if total_weight else ZERO


def _path(
    spent: Decimal, ahead: Sequence[date], arrived: Decimal, level: Decimal, weights: Mapping[int, Decimal]
) -> tuple[tuple[date, Decimal], ...]:
    """The expected total at the end of today and of each day to come. Today is never less than what has arrived."""
    found, total = [], spent
    for at, day in enumerate(ahead):
        expected = level * _weight(weights, day)
        total += max(arrived, expected) if at == 0 else expected
        found.append((day, total))
    return tuple(found)


def _half_width(
    own: Sequence[tuple[date, Decimal]], ahead: Sequence[date], weights: Mapping[int, Decimal], level: Decimal
) -> Decimal:
    known_weight = sum((_weight(weights, day) for day, _ in own), ZERO)
    if not ahead or not known_weight:
        return ZERO
    # Seven weekdays that were fitted to the same days cost seven degrees of freedom, a plain mean costs one.
    freedom = max(len(own) - (7 if weights else 1), 1)
    squares = sum(((cost - level * _weight(weights, day)) ** 2 for day, cost in own), ZERO)
    spread = (squares / freedom).sqrt()
    to_come = sum((_weight(weights, day) for day in ahead), ZERO)
    number, left = Decimal(len(own)), Decimal(len(ahead))
    factor = Decimal(str(T_80[min(freedom, len(T_80)) - 1]))
    return factor * spread * (left + number * (to_come / known_weight) ** 2).sqrt()


def _weight(weights: Mapping[int, Decimal], day: date) -> Decimal:
    return weights.get(day.weekday(), ONE)
