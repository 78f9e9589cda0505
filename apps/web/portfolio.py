"""The worth side of the portfolio: figures on top, value against cost as a picture, and sums by verdict.

Verdicts are given by whole months, so all of it is there for a period that is one month.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.budgets.selectors import Burn, burns
from apps.core import periods
from apps.core.actor import Actor
from apps.costs.selectors import BilledMonth, CostTotals
from apps.economics.portfolio import Point, Portfolio, PortfolioRow, VerdictSum, points, portfolio, rows_of
from apps.economics.verdict import Word
from apps.web import figures
from apps.web.parts import Kpi
from apps.web.period import PeriodChoice
from apps.web.queries import addresses
from apps.web.value_map import Spot, value_map
from apps.workloads.models import Workload

WORDS: Final = {
    Word.SCALE: "Scale",
    Word.KEEP: "Keep",
    Word.FIX: "Fix",
    Word.STOP: "Stop",
    Word.UNPROVEN: "Unproven",
}
WIDE: Final = (780.0, 372.0)
SMALL: Final = (358.0, 320.0)
MOST_DRAWN: Final = 200  # the largest by cost; more would hide each other
MOST_SMALL: Final = 60


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """One verdict's share of the bill; `net` None where it cannot be known, `why` the address of its proof."""

    word: Word
    label: str
    count: int
    cost: Decimal
    net: Decimal | None
    ratio: Decimal
    href: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The two pictures (a wide and a narrow one) of one way to look, and how many workloads are not in them."""

    wide: SafeString
    small: SafeString
    note: str
    is_empty: bool


def month_of(period: PeriodChoice) -> date | None:
    """The month that the period is; None for any other period."""
    return period.start if period.start.day == 1 and period.end == periods.next_month(period.start) else None


def sums_of(actor: Actor, month: date, workloads: QuerySet[Workload] | None = None) -> Portfolio:
    """What all workloads of the month, or some of them, come to by verdict."""
    return portfolio(actor=actor, month=month, workloads=workloads, limit=0, with_months=False)


def picture_of(actor: Actor, month: date) -> tuple[Portfolio, list[Point]]:
    """The sums of all workloads of the month, and those that are drawn."""
    return sums_of(actor, month), points(actor=actor, month=month, most=MOST_DRAWN)


def known_sums(found: Portfolio) -> dict[str, Decimal | None]:
    """Value and net value over the workloads of which they are known; None where they are of none."""
    known = [one for word, one in found.by_verdict.items() if word is not Word.UNPROVEN and one.count]
    if not known:
        return {"value": None, "net": None}
    return {name: sum((getattr(one, name) for one in known), Decimal(0)) for name in ("value", "net")}


def worth_of(month: date, ids: Collection[int]) -> dict[int, PortfolioRow]:
    """The worth of workloads whose money the actor may see, with twelve months of it."""
    return {pk: _proven(row) for pk, row in rows_of(month=month, workload_ids=ids).items()}


def _proven(row: PortfolioRow) -> PortfolioRow:
    """Without the value of an unproven one: the totals leave it out, and rows have to add up to them."""
    if row.verdict is not Word.UNPROVEN:
        return row
    return replace(row, value=None, net_low=None, net=None, net_high=None)


def burns_of(month: date, ids: Collection[int]) -> dict[int, Burn]:
    """Budgets of workloads whose money the actor may see."""
    return burns(month=month, today=timezone.localdate(), workload_ids=list(ids))


def over_budget(actor: Actor, month: date) -> list[int]:
    """Workloads that have spent more than they may."""
    seen = Workload.objects.money_visible_to(actor).values_list("pk", flat=True)
    found = burns(month=month, today=timezone.localdate(), workload_ids=list(seen))
    return [pk for pk, burn in found.items() if burn.is_over]


# --- Figures on top ---------------------------------------------------------------------------------------------------


def worth_kpis(found: Portfolio, period: PeriodChoice, currency: str) -> list[Kpi]:
    """Value and net value, over the workloads of which they are known."""
    known = [one for word, one in found.by_verdict.items() if word is not Word.UNPROVEN]
    if not any(one.count for one in known):
        return [
            Kpi("Value", figures.UNKNOWN, "no workload has an attested value case"),
            Kpi("Net value", figures.UNKNOWN),
        ]
    value, net = sum((one.value for one in known), Decimal(0)), sum((one.net for one in known), Decimal(0))
    cost = sum((one.cost for one in known), Decimal(0))
    ends = (sum((getattr(one, name) for one in known), Decimal(0)) for name in ("value_low", "value_high"))
    low, high = (figures.compact(amount, currency) for amount in ends)
    each = f"{figures.unit_price(value / cost, currency)}" if cost else ""
    return [
        Kpi(
            "Value",
            figures.money(value, currency),
            f"between {low} and {high}",
            why=worth_sum_address("value", period),
        ),
        Kpi(
            "Net value",
            figures.money(net, currency),
            f"of value for each {figures.money(1, currency).split('.')[0]} of cost" if each else "",
            each,
            "bad" if net < 0 else "",
            why=worth_sum_address("net", period),
        ),
    ]


def worth_sum_address(figure: str, period: PeriodChoice) -> str:
    """Where the proof of the value, or of the net value, of all workloads stands."""
    return f"{reverse('workloads:why', args=[figure])}?{period.query}"


# --- By verdict -------------------------------------------------------------------------------------------------------


def by_verdict(found: Portfolio, period: PeriodChoice) -> list[VerdictRow]:
    largest = max((one.cost for one in found.by_verdict.values()), default=Decimal(0))
    return [
        VerdictRow(
            word,
            label,
            one.count,
            one.cost,
            None if word is Word.UNPROVEN else one.net,
            one.cost / largest if largest else Decimal(0),
            f"?{period.query}&verdict={word.value}",
            f"{worth_sum_address('net', period)}&verdict={word.value}" if one.count else "",
        )
        for word, label in WORDS.items()
        for one in [found.by_verdict.get(word, VerdictSum())]
    ]


@dataclass(frozen=True, slots=True)
class Rest:
    """What stands under the verdicts so that the card adds up to the full cost, and leads from there to the bill.

    Full cost and residuals, less what no bill is compared with (its provider sent none, or the pool is one's own), are
    what the bills say.
    """

    unallocated: Decimal | None
    partly_known: Decimal
    total: Decimal | None
    bills: Sequence[BilledMonth] = ()  # one a provider; none where no bill stands beside the month

    @property
    def not_compared(self) -> Decimal | None:
        """What no bill stands beside, as it is taken off; None where the full cost is unknown."""
        compared = sum((bill.computed for bill in self.bills), Decimal(0))
        return None if self.total is None else compared - self.total

    @property
    def bill(self) -> Decimal:
        """What the bills say of the calls they are compared with, as on the page of costs."""
        return sum((bill.effective for bill in self.bills), Decimal(0))


def rest_of(found: Portfolio, totals: CostTotals, bills: Sequence[BilledMonth], *, sees_unallocated: bool) -> Rest:
    """`partly_known`: known parts of costs that as a whole are unknown, such as those with an unpriced model."""
    total = totals.now.cost if totals.now.lines else None
    unallocated = totals.unallocated.cost if sees_unallocated else None
    partly = (total or Decimal(0)) - (unallocated or Decimal(0)) - found.cost
    return Rest(unallocated, partly, total, bills)


# --- The picture ------------------------------------------------------------------------------------------------------


def drawn(
    *, period: PeriodChoice, currency: str, found: Portfolio, shown: Sequence[Point], per_month: bool
) -> Drawn:  # fmt: skip
    """Value against cost, per useful output or per month; unproven workloads are counted and never put at zero."""
    unit = "per month" if per_month else "per useful output"
    label = f"Value against cost {unit}: {_counted(shown)}. Each mark is a workload; the table below has all figures."
    page, query = addresses("workloads:detail"), period.query
    spots = [_spot(one, f"{page(one.slug)}?{query}", currency, per_month=per_month) for one in shown]
    wide = value_map(spots, currency=currency, width=WIDE[0], height=WIDE[1])
    small = value_map(spots[:MOST_SMALL], currency=currency, width=SMALL[0], height=SMALL[1], is_small=True)
    return Drawn(
        wide=wide.drawn(label=label, unit=unit),
        small=small.drawn(label=label, unit=unit),
        note=_note(found, len(shown)),
        is_empty=not spots,
    )


def _spot(one: Point, href: str, currency: str, *, per_month: bool) -> Spot:
    cost, value = (one.cost, one.value) if per_month else (one.cost / one.useful, one.value / one.useful)
    shown = [figures.unit_price(amount, currency) for amount in (cost, value)]
    title = f"{one.name}: {WORDS[one.verdict].lower()}, costs {shown[0]} and is worth {shown[1]}"
    return Spot(one.name, href, one.verdict.value, cost, value, one.cost, title)


def _counted(shown: Sequence[Point]) -> str:
    losing = sum(1 for one in shown if one.value < one.cost)
    return f"{len(shown)} workloads, {losing} of them cost more than they are worth"


def _note(found: Portfolio, drawn: int) -> str:
    """What the picture does not show, by reason; each workload once."""
    proven = [one for word, one in found.by_verdict.items() if word is not Word.UNPROVEN]
    without = {
        f"without {what}": sum(getattr(one, f"without_{name}") for one in proven)
        for name, what in (("cost", "a known cost"), ("output", "a useful output"), ("value", "a value"))
    }
    left_out = {
        "unproven": found.by_verdict.get(Word.UNPROVEN, VerdictSum()).count,
        **without,
        f"smaller than the largest {drawn}": sum(one.count for one in proven) - sum(without.values()) - drawn,
    }
    said = ", ".join(f"{count} {why}" for why, count in left_out.items() if count > 0)
    text = "Area is full cost of the month. Both scales are logarithmic."
    return f"{text} Not drawn: {said}." if said else text
