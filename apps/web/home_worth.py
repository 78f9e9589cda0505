"""What waits on Home for the owner of a value: cases to write or renew, outcomes to tell; and the month by verdict."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from django.urls import reverse

from apps.core import periods
from apps.core.actor import Actor
from apps.economics.models import EconomicsMonth, ValueCase
from apps.economics.verdict import Gap, Word
from apps.web import figures
from apps.web.home_parts import MOST_OF_A_KIND, Looker, Task
from apps.web.parts import Slice
from apps.web.portfolio import VerdictRow, by_verdict, known_sums, month_of, sums_of
from apps.workloads.models import Workload

SOON: Final = timedelta(days=30)
WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class MonthWorth:
    """The month's value beside its cost, and the workloads by verdict; `slices` are of the cost."""

    value: Decimal
    net: Decimal
    rows: Sequence[VerdictRow]
    slices: Sequence[Slice]
    label: str
    count: int

    @property
    def unproven(self) -> int:
        """Workloads whose cost is in the full cost and in no net value."""
        return sum(row.count for row in self.rows if row.word is Word.UNPROVEN)


@dataclass(frozen=True, slots=True)
class _Owned:
    """A workload of the person, with its cases (newest first) and the last complete month as far as it is known."""

    workload: Workload
    cases: Sequence[ValueCase]
    month: EconomicsMonth | None

    @property
    def cost(self) -> Decimal:
        return self.month.cost or Decimal(0) if self.month else Decimal(0)

    @property
    def value(self) -> Decimal | None:
        return self.month.value_base if self.month else None


def month_worth(looker: Looker) -> MonthWorth | None:
    """None where the period is not one month, or nothing of it has a value that counts."""
    month = month_of(looker.period)
    if month is None or not looker.sees_money:
        return None
    found = sums_of(looker.actor, month)
    known = known_sums(found)
    if known["value"] is None or known["net"] is None:
        return None
    rows = by_verdict(found, looker.period)
    slices = [Slice(float(row.cost / found.cost), row.word.value) for row in rows if found.cost and row.cost]
    said = ", ".join(f"{row.label} {figures.compact(row.cost, looker.currency)}" for row in rows if row.count)
    return MonthWorth(known["value"], known["net"], rows, slices, f"Cost by verdict: {said}", found.count)


def last_month(looker: Looker) -> date:
    """The last complete month."""
    return periods.previous_month(looker.period.today.replace(day=1))


def costs_of(actor: Actor, month: date, ids: Collection[int]) -> dict[int, Decimal | None]:
    """What workloads cost in a month, where it is known and the actor sees their money."""
    if not ids:
        return {}
    found = EconomicsMonth.objects.visible_to(actor).current().filter(month=month, workload__in=ids)
    return dict(found.values_list("workload_id", "cost"))


# --- What waits -------------------------------------------------------------------------------------------------------


def worth_tasks(looker: Looker) -> Iterator[Task]:
    """Of the workloads whose value or outcomes the person answers for, the dearest first; three queries."""
    last = last_month(looker)
    owned = sorted(_owned(looker, last), key=lambda one: -one.cost)
    cases = [task for one in owned if (task := _case_task(one, looker, last))]
    outcomes = [task for one in owned if (task := _outcomes_task(one, looker, last))]
    yield from cases[:MOST_OF_A_KIND]
    yield from outcomes[:MOST_OF_A_KIND]


def _owned(looker: Looker, last: date) -> list[_Owned]:
    found = list(Workload.objects.owned_by(looker.actor).active().exclude(state=Workload.State.CLOSED))
    ids = [one.pk for one in found]
    cases: dict[int, list[ValueCase]] = {}
    for case in ValueCase.objects.filter(workload__in=ids).order_by("-version"):
        cases.setdefault(case.workload_id, []).append(case)
    months = {row.workload_id: row for row in EconomicsMonth.objects.current().filter(workload__in=ids, month=last)}
    return [_Owned(one, cases.get(one.pk, []), months.get(one.pk)) for one in found]


def _case_task(one: _Owned, looker: Looker, last: date) -> Task | None:
    """Missing, expired or soon to be; None while a version waits for somebody else or another takes over."""
    if looker.actor.person_id != one.workload.business_owner_id or _waits(one.cases):
        return None
    today = looker.period.today
    ends = [case.counts_to for case in one.cases if case.counts_to and case.counts_from != case.counts_to]
    if not ends:
        return _missing_case(one, looker, last) if one.cost else None
    end = max(ends)
    if end - today > SOON:
        return None
    return _expired(one, looker, end) if end <= today else _expiring(one, looker, end)


def _waits(cases: Iterable[ValueCase]) -> bool:
    return any(not (case.is_attested or case.superseded_by_id or case.ended_at) for case in cases)


def _missing_case(one: _Owned, looker: Looker, last: date) -> Task:
    return Task(
        "This week",
        "certificate",
        f"Say what {one.workload.name} is worth",
        "You own it, and it has no value case: nobody can say whether it pays. It takes five minutes.",
        reverse("value:edit", args=[one.workload.slug]),
        "Write it",
        money=figures.money(one.cost, looker.currency),
        money_note=f"cost in {last:%B}",
        due="Before sign-off",
        stake=one.cost,
    )


def _expired(one: _Owned, looker: Looker, end: date) -> Task:
    return Task(
        "Today",
        "certificate-off",
        f"Renew the value case of {one.workload.name}",
        "You own it. Without a case that counts its verdict is unproven.",
        reverse("value:edit", args=[one.workload.slug]),
        "Renew",
        money=figures.money(one.cost, looker.currency),
        money_note="cost a month",
        due=f"ended {figures.day_short(end)}",
        due_tone="bad",
        stake=one.cost,
    )


def _expiring(one: _Owned, looker: Looker, end: date) -> Task:
    is_soon = end - looker.period.today <= WEEK
    return Task(
        "This week" if is_soon else "Later",
        "certificate",
        f"Renew the value case of {one.workload.name}",
        f"You own it. It counts until {figures.day(end)}; then its verdict is unproven.",
        reverse("value:edit", args=[one.workload.slug]),
        "Renew",
        money=figures.money(one.value, looker.currency),
        money_note="value a month",
        due=figures.day_short(end),
        due_tone="warn" if is_soon else "",
        stake=one.value or Decimal(0),
    )


def _outcomes_task(one: _Owned, looker: Looker, last: date) -> Task | None:
    """Outcomes that are missing, wholly or for many days, in a month that nobody has signed yet."""
    people = (one.workload.business_owner_id, one.workload.technical_owner_id)
    month = one.month
    if looker.actor.person_id not in people or month is None or month.state != EconomicsMonth.State.PROVISIONAL:
        return None
    gaps = {gap["gap"] for gap in month.reasons["missing"]}
    if not month.requests or (month.useful is not None and Gap.OUTCOMES.value not in gaps):
        return None
    name = f"{last:%B}"
    part = "Nobody has said" if month.useful is None else "For too many days nobody has said"
    return Task(
        "This week",
        "list-check",
        f"Say what came out of {one.workload.name} in {name}",
        f"You own it. {part} what of it was useful, so no output has a cost.",
        f"{reverse('outcomes:month', args=[one.workload.slug])}?month={last:%Y-%m}",
        "Tell outcomes",
        money=figures.money(month.cost, looker.currency),
        money_note=f"cost in {name}",
        due="Before sign-off",
        stake=one.cost,
    )
