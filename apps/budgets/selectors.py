"""Budgets against what they burn: for one workload, for thousands, and along the tree of cost centres.

The number of statements never grows with the number of workloads. Functions without an actor ask for no right: they
serve the clock, packs, and pages that have narrowed the workloads already.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts import rights
from apps.accounts.models import CostCentre
from apps.accounts.selectors import cost_centre_tree
from apps.budgets.forecast import Forecast, forecast, running_total, runs_out
from apps.budgets.models import Budget, BudgetQuerySet, Notice, key_of_owner
from apps.budgets.spending import (
    Spending,
    added,
    added_days,
    daily,
    daily_by_centre,
    granted_and_spent,
    newest_days,
    newest_days_of_centres,
    spending,
)
from apps.core import periods
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.costs.sums import left_out
from apps.workloads.models import Workload

ZERO: Final = Decimal(0)
NOTHING: Final = Spending()
# Two months and a bit: enough for eight weeks of weekdays, whatever the day of the month.
DAYS_LOOKED_BACK: Final = 56
LAGS: Final = timedelta(days=3)  # sources deliver at their own pace; beyond it one of them has fallen silent
SILENT: Final = "No forecast: one of its sources has told of nothing since another one has."
UNKNOWN: Final = "No forecast: nothing of this month's cost is known as money."
NOT_BY_THE_DAY: Final = "No forecast: none of this month's cost is counted day by day; a bill says it."


class Standing(StrEnum):
    """How a month's spending stands to its budget. A budget of 0 is kept or it is over.

    Unknown is what nothing has a price or an exchange rate of; a part that is known is measured, as the least it is.
    """

    NONE = "none"
    SUSPENDED = "suspended"
    UNKNOWN = "unknown"
    WITHIN = "within"
    SOFT = "soft"
    HARD = "hard"
    OVER = "over"


WORDS: Final = {
    Standing.NONE: "no budget",
    Standing.SUSPENDED: "suspended",
    Standing.UNKNOWN: "unknown",
    Standing.WITHIN: "within",
    Standing.SOFT: "over the soft threshold",
    Standing.HARD: "over the hard threshold",
    Standing.OVER: "over budget",
}


@dataclass(frozen=True, slots=True)
class Burn:
    """A budget in a month and what has been spent of it. Money is in the organisation's currency.

    `direct` and `shared` are None where nothing is known. `days` are running totals of a burn line, `forecast` is None
    where nobody asked for it or the month is over.
    """

    month: date
    budget: Budget | None = None
    direct: Decimal | None = None
    shared: Decimal | None = None
    restated: Decimal = ZERO
    unpriced_tokens: int = 0
    unpriced_lines: int = 0
    unconverted_lines: int = 0
    forecast: Forecast | None = None
    runs_out_on: date | None = None
    days: tuple[tuple[date, Decimal], ...] = ()

    @property
    def standing(self) -> Standing:
        if self.is_unknown and self.budget is not None and not self.budget.is_suspended:
            return Standing.UNKNOWN
        return standing_of(self.budget, self.direct)

    @property
    def mark(self) -> str:
        """What the direct cost leaves out, in words; empty where it is all of it."""
        return left_out(unpriced=self.unpriced_lines, unconverted=self.unconverted_lines)

    @property
    def is_unknown(self) -> bool:
        """Something was used, and nothing of it is known as money."""
        return self.direct is None and bool(self.mark)

    @property
    def words(self) -> str:
        if self.budget is not None and self.budget.amount == 0 and self.standing is Standing.WITHIN:
            return "nothing may be spent"
        if self.mark and self.standing is Standing.WITHIN:
            return "within, as far as is known"
        return WORDS[self.standing]

    @property
    def amount(self) -> Decimal | None:
        """None without a budget; a suspended one keeps its amount."""
        return self.budget.amount if self.budget else None

    @property
    def limit(self) -> Decimal | None:
        """What may be spent: the amount, and nothing while it is suspended; None without a budget."""
        return self.budget.limit if self.budget else None

    @property
    def ratio(self) -> Decimal | None:
        """Spent over budget; None where either is unknown or the budget is 0."""
        return self.direct / self.amount if self.amount and self.direct is not None else None

    @property
    def left(self) -> Decimal | None:
        return self.amount - (self.direct or ZERO) if self.amount is not None and not self.is_unknown else None

    @property
    def run_rate(self) -> Decimal | None:
        return self.forecast.run_rate if self.forecast else None

    @property
    def expected(self) -> Decimal | None:
        return self.forecast.expected if self.forecast else None

    @property
    def low(self) -> Decimal | None:
        return self.forecast.low if self.forecast else None

    @property
    def high(self) -> Decimal | None:
        return self.forecast.high if self.forecast else None

    @property
    def why_not(self) -> str:
        """Why there is no forecast, in words; empty where there is one."""
        return self.forecast.why_not if self.forecast else ""

    @property
    def is_over(self) -> bool:
        """More is spent than may be; the one answer for lists, totals, Home and the portfolio."""
        return self.limit is not None and self.direct is not None and self.direct > self.limit

    @property
    def is_warned(self) -> bool:
        """A threshold is passed, or more is spent than may be."""
        return self.is_over or self.standing in (Standing.SOFT, Standing.HARD)

    @property
    def will_pass(self) -> bool:
        """The month is expected to end over the budget."""
        return self.limit is not None and self.expected is not None and self.expected > self.limit


@dataclass(frozen=True, slots=True)
class Granted:
    """What several budgets grant together and what is spent of them; None is unknown, or that there is none.

    Incomplete is a sum beside which there is usage without a price, or amounts without an exchange rate.
    """

    amount: Decimal | None = None
    spent: Decimal | None = None
    is_incomplete: bool = False

    @property
    def ratio(self) -> Decimal | None:
        """Of what is known to be spent: the least it is where the sum is incomplete."""
        return self.spent / self.amount if self.amount and self.spent is not None else None


@dataclass(frozen=True, slots=True)
class CentreRow:
    """A cost centre with all below it. `granted` sums the budgets of its workloads and of the centres below it."""

    centre: CostCentre
    burn: Burn
    granted: Decimal
    workloads: int
    without_budget: int

    @property
    def spare(self) -> Decimal | None:
        """What its own budget holds beyond what was granted below it; negative where more was granted than it has."""
        return None if self.burn.amount is None else self.burn.amount - self.granted


def standing_of(budget: Budget | None, spent: Decimal | None) -> Standing:
    if budget is None:
        return Standing.NONE
    if budget.is_suspended:
        return Standing.SUSPENDED
    if not spent or spent < 0:
        return Standing.WITHIN
    if spent > budget.amount:
        return Standing.OVER
    if spent >= budget.hard_amount:
        return Standing.HARD
    return Standing.SOFT if spent >= budget.soft_amount else Standing.WITHIN


def this_month(today: date | None = None) -> date:
    """The month that runs, in the organisation's zone."""
    return (today or timezone.localdate()).replace(day=1)


# --- Which budget holds -----------------------------------------------------------------------------------------------


def budgets_at(month: date, workload_ids: Collection[int] | None = None) -> dict[int, Budget]:
    """The budget of each workload that has one in the month: the newest that began by then and has not ended."""
    found = Budget.objects.current().filter(month__lte=month, workload__isnull=False)
    if workload_ids is not None:
        found = found.filter(workload__in=workload_ids)
    newest = found.order_by("workload_id", "-month").distinct("workload_id")
    return {each.workload_id: each for each in newest if each.workload_id and each.state != Budget.State.ENDED}


def centre_budgets_at(month: date) -> dict[int, Budget]:
    found = Budget.objects.current().filter(month__lte=month, cost_centre__isnull=False)
    newest = found.order_by("cost_centre_id", "-month").distinct("cost_centre_id")
    return {each.cost_centre_id: each for each in newest if each.cost_centre_id and each.state != Budget.State.ENDED}


def row_at(owner: Workload | CostCentre, month: date) -> Budget | None:
    """The row that holds in the month, an ended one too: what a new version would take the place of."""
    return _rows_of(owner).filter(month__lte=month).order_by("-month").first()


def rows_after(owner: Workload | CostCentre, month: date) -> list[Budget]:
    """Budgets that were set for later months already."""
    return list(_rows_of(owner).filter(month__gt=month).order_by("month"))


def cap_at(owner: Workload | CostCentre, month: date) -> Decimal | None:
    """The most that may be set for the month without somebody else; None where no review has capped it."""
    capped = _all_rows_of(owner).filter(month__lte=month, cap__isnull=False).order_by("-month", "-version")
    return capped.values_list("cap", flat=True).first()


def history_of(owner: Workload | CostCentre) -> list[Budget]:
    """Every version, the newest first, with who set it."""
    return list(_all_rows_of(owner).select_related("recorded_by").order_by("-month", "-version"))


def notices_of(owner: Workload | CostCentre, month: date) -> list[Notice]:
    return list(Notice.objects.filter(owner_key=_key(owner), month=month).order_by("crossed_at", "limit_amount"))


def _key(owner: Workload | CostCentre) -> str:
    return key_of_owner(*((owner.pk, None) if isinstance(owner, Workload) else (None, owner.pk)))


def _rows_of(owner: Workload | CostCentre) -> BudgetQuerySet:
    return _all_rows_of(owner).exclude(state=Budget.State.SUPERSEDED)


def _all_rows_of(owner: Workload | CostCentre) -> BudgetQuerySet:
    mine = Q(workload=owner) if isinstance(owner, Workload) else Q(cost_centre=owner)
    return Budget.objects.filter(mine)


# --- What is burned ---------------------------------------------------------------------------------------------------


def burns(
    *,
    month: date,
    today: date | None = None,
    workload_ids: Collection[int] | None = None,
    with_forecast: bool = False,
) -> dict[int, Burn]:
    """Each workload with a budget or with cost in the month. A forecast is made only for a month that still runs."""
    budgets, spent = budgets_at(month, workload_ids), spending(month, workload_ids)
    found = {pk: _burn(month, budgets.get(pk), spent.get(pk, NOTHING)) for pk in budgets.keys() | spent.keys()}
    return forecasted(found, month=month, today=today) if with_forecast else found


def granted(*, actor: Actor, month: date, workloads: QuerySet[Workload]) -> Granted:
    """The budgets of these workloads together, of those whose money the actor sees: one statement for all."""
    seen = workloads.exclude(state=Workload.State.DRAFT)
    if not rights.rights_of(actor).sees_all_money:
        seen = seen.filter(pk__in=Workload.objects.money_visible_to(actor).values("pk"))
    return Granted(*granted_and_spent(month, seen))


def burn_for(*, actor: Actor, workload: Workload, month: date, today: date | None = None) -> Burn:
    """One workload's month with its forecast and its burn line. NotFound where its money is not for this actor."""
    if not Workload.objects.money_visible_to(actor).filter(pk=workload.pk).exists():
        raise NotFound("This budget does not exist.")
    found = burns(month=month, today=today, workload_ids=[workload.pk], with_forecast=True)
    return found.get(workload.pk) or Burn(month)


def forecasted(found: Mapping[int, Burn], *, month: date, today: date | None = None) -> dict[int, Burn]:
    """The same burns with burn line, forecast and the day on which they run out; two statements for all of them."""
    if not found:
        return {}
    clock = _Clock.at(month, today)
    days = daily(clock.looked_back_to, clock.end, list(found))
    newest = newest_days(month, clock.today, list(found))
    return {pk: clock.filled(burn, days.get(pk, {}), newest.get(pk)) for pk, burn in found.items()}


@dataclass(frozen=True, slots=True)
class _Clock:
    """A month as it is looked at; it runs until `end`."""

    month: date
    end: date
    today: date

    @classmethod
    def at(cls, month: date, today: date | None) -> "_Clock":
        return cls(month, periods.next_month(month), today or timezone.localdate())

    @property
    def looked_back_to(self) -> date:
        return min(self.month, self.today - timedelta(days=DAYS_LOOKED_BACK))

    def filled(self, burn: Burn, days: Mapping[date, Decimal], newest: date | None) -> Burn:
        """Nothing is known yet of the days after the newest one of all its sources, so none of them counts as free.

        Where another source has told of much later ones, those count all the same, and nothing is left to forecast by.
        """
        is_running = self.today < self.end
        arriving = min(self.today, newest or self.today) if is_running else self.end
        known = max((day for day, cost in days.items() if cost and day <= self.today), default=arriving)
        is_silent = newest is not None and is_running and known > arriving + LAGS
        last = known if is_silent else arriving
        line = running_total(days, self.month, min(last, self.end - timedelta(days=1)), burn.restated)
        seen = Forecast(why_not=SILENT) if is_silent else self._forecast(burn, days, newest, arriving)
        expected = seen.path if is_running else ()
        out = None
        if burn.limit is not None:
            out = runs_out(amount=burn.limit, spent_by_day=line, path=expected)
        return replace(burn, days=tuple(line), forecast=seen if is_running else None, runs_out_on=out)

    def _forecast(self, burn: Burn, days: Mapping[date, Decimal], newest: date | None, arriving: date) -> Forecast:
        if burn.is_unknown:
            return Forecast(why_not=UNKNOWN)
        if newest is None and any(self.month <= day < self.end for day in days):
            return Forecast(why_not=NOT_BY_THE_DAY)
        return forecast(month=self.month, end=self.end, today=arriving, days=days, beside=burn.restated)


def _burn(month: date, budget: Budget | None, spent: Spending) -> Burn:
    return Burn(
        month,
        budget,
        spent.direct,
        spent.shared,
        spent.restated,
        spent.unpriced_tokens,
        spent.unpriced_lines,
        spent.unconverted_lines,
    )


# --- Along the tree ---------------------------------------------------------------------------------------------------


def centre_rows(*, actor: Actor, month: date, today: date | None = None, with_forecast: bool = True) -> list[CentreRow]:
    """The cost centres whose money the actor may see, each below its parent, with the sums of everything below it."""
    visible = set(rights.cost_centres_visible(actor).values_list("pk", flat=True))
    centres = [centre for centre in cost_centre_tree() if centre.pk in visible]
    return centre_rows_of(centres, month=month, today=today, with_forecast=with_forecast)


def centre_rows_of(
    centres: Sequence[CostCentre], *, month: date, today: date | None = None, with_forecast: bool = True
) -> list[CentreRow]:
    """Six statements for the whole tree."""
    if not centres:
        return []
    below = _workloads_below(centres)
    everybody = {pk for ids in below.values() for pk in ids}
    budgets, spent = budgets_at(month, everybody), spending(month, everybody)
    own = centre_budgets_at(month)
    granted = _granted(own, budgets)
    rows = [_centre_row(centre, month, below[centre.pk], own, budgets, spent, granted) for centre in centres]
    return _with_forecasts(rows, month, today) if with_forecast else rows


def _workloads_below(centres: Sequence[CostCentre]) -> dict[int, list[int]]:
    """Cost centre -> ids of the registered workloads in it and below it."""
    found: dict[int, list[int]] = {centre.pk: [] for centre in centres}
    placed = Workload.objects.active().filter(cost_centre__isnull=False).values_list("pk", "cost_centre__path")
    for pk, path in placed:
        for step in path.strip("/").split("/"):
            if int(step) in found:
                found[int(step)].append(pk)
    return found


def _granted(own: Mapping[int, Budget], budgets: Mapping[int, Budget]) -> dict[int, Decimal]:
    """Cost centre -> what is granted below it: its workloads' budgets, and each child's own budget or, without one,
    what is granted below that child."""
    centres = list(CostCentre.objects.all())
    direct: dict[int, Decimal] = {}
    for pk, placed_in in Workload.objects.filter(pk__in=budgets).values_list("pk", "cost_centre_id"):
        if placed_in is not None:
            direct[placed_in] = direct.get(placed_in, ZERO) + budgets[pk].amount
    granted: dict[int, Decimal] = {}
    # The deepest first: what a child was given is known before its parent adds it up.
    for centre in sorted(centres, key=lambda each: -each.depth):
        mine = granted.get(centre.pk, ZERO) + direct.get(centre.pk, ZERO)
        granted[centre.pk] = mine
        if centre.parent_id is not None:
            passed_up = own[centre.pk].amount if centre.pk in own else mine
            granted[centre.parent_id] = granted.get(centre.parent_id, ZERO) + passed_up
    return granted


def _centre_row(
    centre: CostCentre,
    month: date,
    ids: Sequence[int],
    own: Mapping[int, Budget],
    budgets: Mapping[int, Budget],
    spent: Mapping[int, Spending],
    granted: Mapping[int, Decimal],
) -> CentreRow:
    burn = _burn(month, own.get(centre.pk), added([spent[pk] for pk in ids if pk in spent]))
    return CentreRow(centre, burn, granted.get(centre.pk, ZERO), len(ids), sum(pk not in budgets for pk in ids))


def _with_forecasts(rows: Sequence[CentreRow], month: date, today: date | None) -> list[CentreRow]:
    """From the month's own days alone: for a whole tree, the look back for weekdays would read too much.

    Whoever sees a cost centre sees all below it, so the rows hold every centre that adds to another one.
    """
    clock = _Clock.at(month, today)
    ids = [row.centre.pk for row in rows]
    days, newest = daily_by_centre(month, clock.end, ids), newest_days_of_centres(month, clock.today, ids)
    paths = {row.centre.pk: row.centre.path for row in rows}
    return [
        replace(
            row,
            burn=clock.filled(
                row.burn, _days_below(row.centre.path, paths, days), _newest_below(row.centre.path, paths, newest)
            ),
        )
        for row in rows
    ]


def _newest_below(path: str, paths: Mapping[int, str], newest: Mapping[int, date]) -> date | None:
    return min((day for pk, day in newest.items() if paths[pk].startswith(path)), default=None)


def _days_below(path: str, paths: Mapping[int, str], days: Mapping[int, Mapping[date, Decimal]]) -> dict[date, Decimal]:
    return added_days([each for pk, each in days.items() if paths[pk].startswith(path)])
