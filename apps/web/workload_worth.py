"""What a workload is worth, on its own page: the verdict's figures, cost and value of an output, what changed when.

Verdicts are given by whole months, so all of it is there for a period that is one month of which something is known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from apps.core.actor import Actor
from apps.economics import selectors
from apps.economics.arithmetic import Three
from apps.economics.models import ValueCase
from apps.economics.selectors import Figures, UnitEconomics
from apps.economics.verdict import Missing
from apps.web import figures
from apps.web.charts import Chart, Mark
from apps.web.parts import Kpi
from apps.web.period import PeriodChoice
from apps.web.portfolio import month_of
from apps.web.remedies import remedies
from apps.web.value import MONTHS, BreakRow, break_row, months_to, per_output_chart
from apps.web.value_cards import number_of, ratio_text
from apps.web.worth_why import worth_address
from apps.workloads.models import Binding, Workload, WorkloadRevision

LETTERS: Final = "ABCDEFGHIJKL"
MOST_BREAKS: Final = 4
FIRST_YEAR: Final = 1971  # a binding without a beginning starts before it


@dataclass(frozen=True, slots=True)
class Worth:
    """A month's worth on the page of its workload. `missing`: gap, what its link says, where that leads.

    `breaks`: what breaks the case first, each input alone, the nearest first.
    """

    found: UnitEconomics
    chart: Chart | None
    missing: Sequence[tuple[Missing, str, str]]
    breaks: Sequence[BreakRow] = ()

    @property
    def now(self) -> Figures:
        return self.found.now


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that may move cost or value, on its day, in words."""

    day: date
    words: str


def worth_of(
    *, actor: Actor, workload: Workload, period: PeriodChoice, zone: ZoneInfo,
    revisions: Iterable[WorkloadRevision], bindings: Iterable[tuple[Binding, str]],
) -> Worth | None:  # fmt: skip
    """None for a period that is not one month, or one of which nothing is worked out."""
    month = month_of(period)
    if month is None:
        return None
    found = selectors.month_for(actor=actor, workload=workload, month=month, today=period.today)
    if not found.now.state:
        return None
    chart = None
    if found.now.useful is not None:
        changes = [*_of_promise(revisions, zone), *_of_bindings(bindings, zone), *_of_cases(workload)]
        chart = per_output_chart(found)
        chart = replace(chart, marks=marks_on(months_to(month, MONTHS), changes))
    return Worth(
        found,
        chart,
        missing=remedies(found.now.verdict.missing, workload, month, actor),
        breaks=[break_row(point) for point in found.now.breaks if point.at is not None][:MOST_BREAKS],
    )


# --- The strip --------------------------------------------------------------------------------------------------------


def worth_strip(worth: Worth, workload: Workload, currency: str, plain: Mapping[str, Kpi]) -> list[Kpi]:
    """Cost, value and net value of the output; where no value is known its calls and failed share stay."""
    found = worth.found
    per_output = _cost_per_output(found, workload, currency)
    if found.now.appraisal.value is None:
        return [per_output, *(plain[name] for name in ("cost", "calls", "latency", "cache", "failed"))]
    return [
        per_output,
        _value_per_output(found, workload, currency),
        _net(found, workload, currency),
        *(plain[name] for name in ("cost", "latency", "cache")),
    ]


def _cost_per_output(found: UnitEconomics, workload: Workload, currency: str) -> Kpi:
    now = number_of(found.now.appraisal.cost_per_useful)
    before = number_of(found.comparable.appraisal.cost_per_useful) if found.comparable else None
    moved = now / before - 1 if now is not None and before else None
    shown = ratio_text(found.now.appraisal.cost_per_useful, lambda amount: figures.unit_price(amount, currency))
    label, why = f"Cost per {unit_of(workload)}", worth_address(workload, found.month, "cost_per_useful")
    if found.now.is_declared:
        return Kpi(label, shown, "its outputs are declared, not counted", tone="warn", why=why)
    if moved is None:
        return Kpi(label, shown, "full cost ÷ useful outputs", why=why)
    return Kpi(label, shown, f"from {figures.unit_price(before, currency)}", figures.delta(moved), why=why)


def _value_per_output(found: UnitEconomics, workload: Workload, currency: str) -> Kpi:
    return Kpi(
        f"Value per {unit_of(workload)}",
        ratio_text(found.now.appraisal.value_per_useful, lambda amount: figures.unit_price(amount, currency)),
        _between(found.now.appraisal.value, found.now.useful, currency),
        why=worth_address(workload, found.month, "value_per_useful"),
    )


def _between(value: Three | None, useful: Decimal | None, currency: str) -> str:
    if value is None or not useful:
        return ""
    low, high = (figures.unit_price(end / useful, currency) for end in (value.low, value.high))
    return f"between {low} and {high}"


def _net(found: UnitEconomics, workload: Workload, currency: str) -> Kpi:
    """Net value with its change where the month before has one, else with its range."""
    net = found.now.appraisal.net
    before = found.comparable.appraisal.net if found.comparable else None
    context, strong = "", ""
    if net and before and before.base > 0:
        context, strong = f"from {figures.money(before.base, currency)}", figures.delta(net.base / before.base - 1)
    elif net:
        low, high = (figures.money(end, currency) for end in (net.low, net.high))
        context = f"between {low} and {high}"
    return Kpi(
        "Net value",
        figures.money(net.base if net else None, currency),
        context,
        strong,
        "bad" if net and net.base < 0 else "",
        worth_address(workload, found.month, "net"),
    )


def unit_of(workload: Workload) -> str:
    return workload.output_unit or "useful output"


# --- Lettered changes -------------------------------------------------------------------------------------------------


def marks_on(months: Sequence[date], changes: Iterable[Changed]) -> list[Mark]:
    """One letter a month with everything that changed in it, for the newest months in which something did."""
    shown = sorted((one for one in changes if one.day.replace(day=1) in months), key=lambda one: one.day)
    by_month = [(month, list(those)) for month, those in groupby(shown, key=lambda one: one.day.replace(day=1))]
    latest = by_month[-len(LETTERS) :]
    return [Mark(months.index(month), LETTERS[at], _told(those)) for at, (month, those) in enumerate(latest)]


def _told(those: Sequence[Changed]) -> str:
    """2 Mar, value case 2; 5 Mar, key bound. Of many the first three."""
    told = [f"{figures.day_short(one.day)}, {one.words}" for one in those[:3]]
    more = [f"{len(those) - 3} more"] if len(those) > 3 else []
    return "; ".join([*told, *more])


def _of_promise(revisions: Iterable[WorkloadRevision], zone: ZoneInfo) -> Iterator[Changed]:
    """The first revision is the registration and changes nothing."""
    for one in revisions:
        if one.version > 1:
            yield Changed(_day(one.recorded_at, zone), f"promise: {one.reason or 'tier, band or failure cost'}")


def _of_bindings(bindings: Iterable[tuple[Binding, str]], zone: ZoneInfo) -> Iterator[Changed]:
    for binding, label in bindings:
        if binding.in_force and binding.valid_from.year >= FIRST_YEAR:
            yield Changed(_day(binding.valid_from, zone), f"{label} bound")


def _of_cases(workload: Workload) -> Iterator[Changed]:
    attested = ValueCase.objects.filter(workload=workload, counts_from__isnull=False)
    for version, day in attested.order_by("version").values_list("version", "counts_from"):
        if day:
            yield Changed(day, f"value case {version} counts")


def _day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()
