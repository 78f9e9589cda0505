"""The item that is spoken about: its sentence, four figures, and the year behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.db.models import Q

from apps.core import periods
from apps.economics.arithmetic import BreakPoint, Input
from apps.economics.figures import figures_of
from apps.economics.models import EconomicsMonth
from apps.reviews.models import Cycle, Item, ItemKind
from apps.web import figures, reviews_words
from apps.web.charts import Chart, Series
from apps.web.parts import Kpi
from apps.web.reviews_words import amount

CHART_MONTHS: Final = 12
MILLISECONDS: Final = 60_000  # in a minute


@dataclass(frozen=True, slots=True)
class Year:
    """Twelve months of a workload up to the reviewed one, as they are known now; `told` is that one as it is signed."""

    months: Sequence[date]
    known: dict[date, EconomicsMonth]
    told: EconomicsMonth | None

    def per_output(self, month: date, name: str) -> Decimal | None:
        row = self.known.get(month)
        return per(getattr(row, name), row.useful) if row else None


def about(cycle: Cycle, chosen: Item, currency: str) -> dict[str, Any]:
    """What the page says of it, without what was decided."""
    year = _year(cycle, chosen) if chosen.workload_id else None
    is_of_worth = chosen.kind in (ItemKind.STOP, ItemKind.FIX)
    return {
        "item": chosen,
        "tier": _tier(chosen),
        "sentence": reviews_words.sentence(chosen, currency),
        "kpis": _unit_kpis(chosen, year, currency) if year and is_of_worth else reviews_words.kpis(chosen, currency),
        "chart": _chart(cycle, chosen, year, currency) if year else None,
    }


def per(total: Decimal | None, count: Decimal | None) -> Decimal | None:
    return total / count if total is not None and count else None


def _year(cycle: Cycle, chosen: Item) -> Year:
    months = list(periods.months_between(periods.shifted(cycle.month, 1 - CHART_MONTHS), cycle.month))
    as_signed = Q(is_signed_now=True, month=cycle.month)
    rows = EconomicsMonth.objects.filter(Q(is_current=True) | as_signed, workload=chosen.workload, month__in=months)
    known = {row.month: row for row in rows if row.is_current}
    signed = next((row for row in rows if row.is_signed_now and row.month == cycle.month), None)
    return Year(months, known, known.get(cycle.month) if cycle.is_open or signed is None else signed)


def _tier(chosen: Item) -> str:
    if chosen.workload is None:
        return ""
    newest = chosen.workload.revisions.order_by("-version").values_list("value_tier_id", flat=True).first()
    return newest or ""


def _unit_kpis(item: Item, year: Year, currency: str) -> list[Kpi]:
    """What one output costs and is worth, what the month nets, and from where on it would pay."""
    facts, unit = item.facts, (item.workload.output_unit if item.workload else "") or "output"
    cost, value, net, useful = (amount(facts, name) for name in ("cost", "value", "net", "useful"))
    outputs = f"{figures.count(useful)} useful outputs"
    low, high = (figures.money(amount(facts, name), currency) for name in ("net_low", "net_high"))
    pays = _pays_from(year, unit, net)
    return [
        _cost_kpi(year, f"Cost per {unit}", per(cost, useful), currency),
        Kpi(f"Value per {unit}", figures.unit_price(per(value, useful), currency), context=_range(year, currency)),
        Kpi(
            "Net value",
            figures.money(net, currency),
            context=outputs if pays and item.kind == ItemKind.STOP else f"{low} to {high}",
            tone="bad" if net is not None and net < 0 else "",
        ),
        pays or Kpi("Useful outputs", figures.count(useful)),
    ]


def _cost_kpi(year: Year, label: str, now: Decimal | None, currency: str) -> Kpi:
    """Beside the month before, where the cost of both is known whole."""
    shown, month = figures.unit_price(now, currency), periods.previous_month(year.months[-1])
    before = year.per_output(month, "cost")
    if now is None or not before or _lacks(year.told) or _lacks(year.known.get(month)):
        return Kpi(label, shown)
    return Kpi(label, shown, strong=figures.delta(now / before - 1), context=f"from {month:%B}")


def _lacks(row: EconomicsMonth | None) -> bool:
    return row is not None and bool(figures_of(row).coverage.lacks)


def _range(year: Year, currency: str) -> str:
    row = year.told
    low, high = (per(getattr(row, name), row.useful) if row else None for name in ("value_low", "value_high"))
    if low is None or high is None or low == high:
        return ""
    return f"{figures.unit_price(low, currency)} to {figures.unit_price(high, currency)}"


def _pays_from(year: Year, unit: str, net: Decimal | None) -> Kpi | None:
    """The time that one output would have to save, all else equal; None where no time alone gets there."""
    points: list[BreakPoint] = figures_of(year.told).breaks if year.told else []
    point = next((each for each in points if each.input is Input.MINUTES_SAVED), None)
    if point is None or point.at is None:
        return None
    at, base = (figures.latency(minutes * MILLISECONDS) for minutes in (point.at, point.base))
    label = "It would pay from" if net is not None and net <= 0 else "It pays from"
    return Kpi(label, at, context=f"saved by each {unit}; today {base}")


def _chart(cycle: Cycle, chosen: Item, year: Year, currency: str) -> Chart | None:
    """Cost and value per useful output over a year, as they are known now, with what value ranges between."""
    cost, value, low, high = (
        [year.per_output(month, name) for month in year.months]
        for name in ("cost", "value_base", "value_low", "value_high")
    )
    if not any(each is not None for each in cost):
        return None
    unit = (chosen.workload.output_unit if chosen.workload else "") or "output"
    return Chart(
        kind="lines",
        categories=[
            f"{month:%b %y}" if month.month == 1 or at == 0 else f"{month:%b}" for at, month in enumerate(year.months)
        ],
        series=[Series("Cost", cost, tone="cost"), Series("Value", value, tone="value")],
        band=(low, high, "value"),
        unit="unit_price",
        currency=currency,
        category_label="Month",
        finding=f"In {cycle} one {unit} costs {_price(cost, currency)} and is worth {_price(value, currency)}.",
    )


def _price(values: Sequence[Decimal | None], currency: str) -> str:
    return figures.unit_price(values[-1], currency) if values[-1] is not None else "an unknown amount"
