"""Rows of the portfolio as HTML. Made here and not in a template: a page of them has hundreds of cells."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from django.urls import reverse
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator

from apps.costs.selectors.portfolio import PortfolioRow
from apps.web import figures
from apps.web.cost_scope import why_address
from apps.web.period import PeriodChoice
from apps.web.queries import addresses
from apps.web.templatetags.components import change, fact_tag, icon, limit_bar, share, sparkline, verdict
from apps.web.templatetags.figures import shown
from apps.web.templatetags.why import why_to
from apps.web.workloads_columns import COLUMNS, Entry, ListColumn
from apps.workloads.models import Workload

LONGEST_PURPOSE: Final = 120


PROVEN: Final = ("value", "net", "cost_per_useful", "value_per_useful")


@dataclass(frozen=True, slots=True)
class Links:
    """Where the rows of a period lead; `worth` has the proofs of its figures, and none without verdicts."""

    page: Callable[[str], str]
    query: str
    cost: str
    worth: Mapping[str, Callable[[str], str]]
    month: date | None

    @classmethod
    def of(cls, period: PeriodChoice, month: date | None) -> "Links":
        worth = {figure: addresses("worth:why", figure) for figure in PROVEN} if month else {}
        return cls(addresses("workloads:detail"), period.query, why_address("cost", period), worth, month)

    def proof(self, slug: str, figure: str) -> str:
        """Of a figure of worth; empty where there is none."""
        return f"{self.worth[figure](slug)}?month={self.month:%Y-%m}" if self.month else ""


@dataclass(frozen=True, slots=True)
class ListRow:
    """A row as it is drawn; `largest` is the largest cost of the filter."""

    entry: Entry
    columns: Sequence[ListColumn]
    largest: Decimal | None
    currency: str
    links: Links

    @property
    def row(self) -> PortfolioRow:
        return self.entry.row

    @property
    def workload(self) -> Workload:
        return self.row.workload

    @property
    def href(self) -> str:
        """A draft is gone on with."""
        if self.workload.state == Workload.State.DRAFT:
            return reverse("workloads:resume", args=[self.workload.slug])
        return f"{self.links.page(self.workload.slug)}?{self.links.query}"

    @property
    def meta(self) -> str:
        """Customer care · T2 · ticket summary"""
        centre = self.workload.cost_centre
        facts = (centre.name if centre else "", self.row.tier, self.workload.output_unit)
        return " · ".join(fact for fact in facts if fact) or self.workload.ref

    @property
    def cells(self) -> SafeString:
        """All beside the name."""
        return mark_safe("".join(_CELLS[column.key](self) for column in self.columns))  # noqa: S308 (cells are safe)


# --- Kinds of cells ---------------------------------------------------------------------------------------------------


def _text(label: str, value: object, *more: object) -> SafeString:
    words = format_html_join("", "{}", ((part,) for part in (value or "–", *more)))
    return format_html('<td class="tg-cards-hide" data-label="{}">{}</td>', label, words)


def _number(label: str, text: str, *, classes: str = "") -> SafeString:
    return mark_safe(  # noqa: S308 (labels and classes are of this file)
        f'<td class="tg-num{classes}" data-label="{label}">{conditional_escape(text)}</td>'
    )


def _proved(item: ListRow, figure: str, text: str) -> str | SafeString:
    """A figure of worth with its proof; what is unknown has none."""
    return shown(text) if text == figures.UNKNOWN else why_to(text, item.links.proof(item.workload.slug, figure))


def _worth(label: str, name: str, figure: str, show: Callable[[Decimal | None, str], str]) -> "_Cell":
    def cell(item: ListRow) -> SafeString:
        worth = item.entry.worth
        amount: Decimal | None = getattr(worth, name) if worth else None
        is_loss = name == "net" and amount is not None and amount < 0
        classes = "" if name == "net" else " tg-cards-hide"
        text = _proved(item, figure, show(amount, item.currency))
        return _number(label, text, classes=f"{classes} tg-bad" if is_loss else classes)

    return cell


# --- Columns ----------------------------------------------------------------------------------------------------------


def _cost(item: ListRow) -> SafeString:
    money, cost = item.row.money, item.row.cost
    if cost is None:
        return _number("Full cost", _unpriced_tag() if money and money.unpriced_lines else shown(figures.UNKNOWN))
    ratio = cost / item.largest if cost and item.largest and item.largest > 0 else 0
    address = f"{item.links.cost}&workload={item.workload.slug}"
    bar = share(why_to(figures.money(cost, item.currency), address), ratio)
    return _number("Full cost", format_html("{}{}", _unsure(item), bar))


def _unpriced_tag() -> SafeString:
    return fact_tag("unpriced", "warn", "tag-off")


def _unsure(item: ListRow) -> str | SafeString:
    money = item.row.money
    if money and money.unpriced_lines:
        return _mark("tag-off", "Some of its usage has no price yet; this is what is known.", "some usage is unpriced")
    if money and money.unconverted_lines:
        return _mark("currency", "Some of it has no exchange rate yet.", "incomplete: no exchange rate")
    return ""


def _mark(name: str, title: str, words: str) -> SafeString:
    """An icon beside a figure, in words for whoever hears it."""
    return format_html(
        '<span class="tg-unsure" title="{}">{}<span class="tg-hidden">{}</span></span>',
        title, icon(name, 14, "warn"), words,
    )  # fmt: skip


def _verdict(item: ListRow) -> SafeString:
    worth = item.entry.worth
    if worth is None:
        return format_html('<td data-label="Verdict">{}</td>', shown(figures.UNKNOWN))
    marks = []
    if worth.is_restated:
        marks.append(_mark("history", "Restated after sign-off", "restated after sign-off"))
    if worth.is_declared:
        marks.append(_mark("ballpen", "What is useful is declared as a share, not counted", "outcomes are declared"))
    badge = verdict(worth.verdict.value)
    return format_html(
        '<td data-label="Verdict">{}{}</td>', badge, format_html_join("", " {}", ((mark,) for mark in marks))
    )


def _useful_months(item: ListRow) -> SafeString:
    worth = item.entry.worth
    known = [point for point in worth.months if point.cost_per_useful is not None] if worth else []
    drawing: str | SafeString = ""
    if worth and known:
        first, last = (figures.unit_price(point.cost_per_useful, item.currency) for point in (known[0], known[-1]))
        value = figures.unit_price(known[-1].value_per_useful, item.currency)
        drawing = sparkline(
            [point.cost_per_useful for point in worth.months],
            f"Cost per useful output, from {first} to {last}; its value {value}",
            [point.value_per_useful for point in worth.months],
        )
    elif worth:
        href = reverse("outcomes:month", args=[item.workload.slug])
        drawing = fact_tag("no outcomes yet", "", "circle-dashed", href)
    return format_html('<td data-label="12 months">{}</td>', drawing)


def _burn(item: ListRow) -> SafeString:
    burn = item.entry.burn
    if item.row.money is None:
        drawing = shown(figures.UNKNOWN)  # whoever does not see its money does not learn of its budget either
    elif burn and burn.ratio is not None:
        drawing = limit_bar(burn.ratio, is_partly=bool(burn.mark))
    else:
        words = burn.words if burn and burn.budget else "no budget"
        drawing = format_html('<span class="tg-meta">{}</span>', words)
    return _text("Budget", drawing)


def _months(item: ListRow) -> SafeString:
    known = [cost for cost in item.row.months if cost is not None]
    if known:
        first, last = (figures.compact(cost, item.currency) for cost in (known[0], known[-1]))
        drawing: str | SafeString = sparkline(item.row.months, f"Cost a month, from {first} to {last}")
    elif item.row.money is None:
        drawing = shown(figures.UNKNOWN)
    else:
        drawing = format_html('<span class="tg-meta">{}</span>', "no cost yet")
    return format_html('<td data-label="12 months">{}</td>', drawing)


def _stage(item: ListRow) -> SafeString:
    workload = item.workload
    words = workload.get_stage_display()
    if workload.state in (Workload.State.SUSPENDED, Workload.State.CLOSED):
        return _text("Stage", words, " ", fact_tag(workload.state, "warn", "player-pause"))
    return _text("Stage", words)


def _spend(item: ListRow) -> str:
    burn = item.entry.burn
    return shown(figures.money(burn.amount if burn else None, item.currency))


_Cell = Callable[[ListRow], SafeString]
_HIDDEN: Final = " tg-cards-hide"
_CELLS: Final[Mapping[str, _Cell]] = {
    "verdict": _verdict,
    "cost": _cost,
    "change": lambda item: _number("Change", change(item.row.change)),
    "value": _worth("Value", "value", "value", figures.money),
    "net": _worth("Net value", "net", "net", figures.money),
    "cost_useful": _worth("Cost / useful", "cost_per_useful", "cost_per_useful", figures.unit_price),
    "value_useful": _worth("Value / useful", "value_per_useful", "value_per_useful", figures.unit_price),
    "useful_months": _useful_months,
    "burn": _burn,
    "months": _months,
    "calls": lambda item: _number("Calls", shown(figures.count(item.row.calls)), classes=_HIDDEN),
    "per_call": lambda item: _number(
        "Cost / call", shown(figures.unit_price(item.row.per_call, item.currency)), classes=_HIDDEN
    ),
    "outcomes": lambda item: _text("Outcomes", COLUMNS["outcomes"].value(item.entry)),
    "spend": lambda item: _number("May spend", _spend(item), classes=_HIDDEN),
    "stage": _stage,
    "tier": lambda item: _text("Tier", item.row.tier),
    "owner": lambda item: _text("Owner", item.workload.business_owner),
    "technical": lambda item: _text("Technical", item.workload.technical_owner),
    "budget": lambda item: _text("Budget", item.workload.budget_owner),
    "cost_centre": lambda item: _text("Cost centre", item.workload.cost_centre),
    "audience": lambda item: _text("Audience", item.workload.get_audience_display()),
    "band": lambda item: _text("Speed", item.row.band),
    "unit": lambda item: _text("Useful answer", item.workload.output_unit),
    "purpose": lambda item: _text("Purpose", Truncator(item.workload.purpose).chars(LONGEST_PURPOSE)),
    "since": lambda item: _text("Registered", shown(figures.day(item.workload.activated_at))),
}
