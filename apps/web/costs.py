"""Full cost: what the organisation pays for its use of AI, by any of its sides, with the proof behind each figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.core.paginator import Page
from django.http import HttpResponseBase
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import organisation, periods
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.core.models import Organisation
from apps.costs import selectors
from apps.costs.limits import unallocated_limit
from apps.costs.models import Component
from apps.costs.selectors import BilledMonth, CostOverTime, CostRow, CostTotals, Grouping, Measures, Order
from apps.web import figures, hooks
from apps.web.charts import COMPONENTS, WASTE, Chart, Series
from apps.web.compared import moved_of_all
from apps.web.cost_scope import BASIS_WORDS, AskedScope, asked_scope, provider_filters, row_filters, why_address
from apps.web.exports import Cell, table_response
from apps.web.pages import PageRequest, page_or_part, wants_part
from apps.web.parts import Chip, Choice, Column, Kpi
from apps.web.period import PeriodChoice, period_of
from apps.web.queries import page_number, read_page

PAGE: Final = 25
GROUP_WORDS: Final = {
    Grouping.WORKLOAD: "Workload",
    Grouping.MODEL: "Model",
    Grouping.PROVIDER: "Provider",
    Grouping.COMPONENT: "Component",
    Grouping.COST_CENTRE: "Cost centre",
    Grouping.SOURCE: "Source",
    Grouping.DAY: "Day",
    Grouping.MONTH: "Month",
}
NOUNS: Final = {
    Grouping.WORKLOAD: "workloads",
    Grouping.MODEL: "models",
    Grouping.PROVIDER: "providers",
    Grouping.COMPONENT: "components",
    Grouping.COST_CENTRE: "cost centres",
    Grouping.SOURCE: "sources",
    Grouping.DAY: "days",
    Grouping.MONTH: "months",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A tag at a figure: what is uncertain about it, and where it can be put right."""

    label: str
    tone: str
    title: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row of the table as it is drawn."""

    name: str
    meta: str
    href: str
    why: str
    now: Measures
    share: Decimal | None
    ratio: Decimal | None
    change: Decimal | None
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Asked:
    """Everything that the URL of the cost page says."""

    actor: Actor
    period: PeriodChoice
    about: AskedScope
    grouping: Grouping
    sort: str

    @property
    def before(self) -> tuple[date, date]:
        return self.period.before.start, self.period.before.end

    @property
    def scope(self) -> selectors.CostScope:
        return self.about.scope

    def address(self, **changes: str | None) -> str:
        """This page with other filters or another grouping; None takes one out."""
        given = {**self.about.filters, "group": self.grouping.value, **changes}
        return costs_address(self.period, **given)

    def why(self, figure: str = "cost", **filters: str) -> str:
        return why_address(figure, self.period, **{**self.about.filters, **filters})


@login_required
@require_GET
def overview(request: PageRequest) -> HttpResponseBase:
    asked = _asked(request)
    if request.GET.get("format"):
        return _download(asked, request.GET["format"])
    totals = selectors.cost_totals(actor=asked.actor, scope=asked.scope, before=asked.before)
    page = _page(asked, totals, page_number(request))
    context = {
        "asked": asked,
        "totals": totals,
        "page": page,
        "columns": _columns(asked),
        "sort": asked.sort,
        "counted": _counted(asked, totals, page.paginator.count),
        "total_why": asked.why(),
        "chips": _chips(asked),
        "groups": _group_choices(asked),
        "group_word": GROUP_WORDS[asked.grouping],
        "csv": asked.address(sort=asked.sort, format="csv"),
        "xlsx": asked.address(sort=asked.sort, format="xlsx"),
        "zone": timezone.get_current_timezone_name(),
    }
    if not wants_part(request):
        context |= _around_the_table(asked, totals)
    return page_or_part(request, "costs/overview.html", "rows", context)


def costs_address(period: PeriodChoice, **values: str | None) -> str:
    """The cost page with filters, a grouping or a sort."""
    given = urlencode({name: value for name, value in values.items() if value})
    return f"{reverse('costs:overview')}?{period.query}{'&' if given else ''}{given}"


def component_chart(over_time: CostOverTime, buckets: Sequence[date], *, finding: str, **more: Any) -> Chart:
    """Components stacked in their fixed order; only those that occur."""
    shown = [name for name in COMPONENTS if name in over_time.components]
    return Chart(
        kind="bars",
        categories=bucket_labels(buckets, by_month=over_time.by_month),
        series=[
            Series(
                COMPONENTS[name],
                [over_time.amounts.get((bucket, name)) for bucket in buckets],
                tone=name,
                is_hatched=name in WASTE,
            )
            for name in shown
        ],
        unit="money",
        finding=finding,
        category_label="Month" if over_time.by_month else "Day",
        **more,
    )


def bucket_labels(buckets: Sequence[date], *, by_month: bool) -> list[str]:
    """'1 Oct' for days; 'Nov 25', 'Dec', 'Jan 26', 'Feb' for months: the year where it begins."""
    if not by_month:
        return [figures.day_short(bucket) for bucket in buckets]
    return [f"{b:%b %y}" if at == 0 or b.month == 1 else f"{b:%b}" for at, b in enumerate(buckets)]


def marks_of(now: Measures, may_see_prices: bool) -> list[Mark]:
    """What is uncertain about sums of lines, most serious first."""
    prices = reverse("rates:list") if may_see_prices else ""
    tokens = figures.tokens(now.unpriced_tokens)
    found = [
        (now.unpriced_lines, "unpriced", "warn", f"{tokens} tokens have no price; an analyst can give one.", prices),
        (
            now.unconverted_lines,
            "no exchange rate",
            "warn",
            "Part of it has no exchange rate; an analyst can give one.",
            "",
        ),
        (
            now.assumed_lines,
            "assumed",
            "",
            "A token type has no price of its own and takes the next wider one.",
            prices,
        ),
        (now.upper_bound_lines, "upper bound", "", "Cached tokens are not told; all input is priced as uncached.", ""),
        (
            now.tier_assumed_lines,
            "tier assumed",
            "",
            "Service tier or prompt size is not told; base prices are taken.",
            "",
        ),
        (now.carried_lines, "rate carried", "", "The exchange rate of an earlier business day is used.", ""),
    ]
    return [Mark(label, tone, title, href) for lines, label, tone, title, href in found if lines]


# --- What was asked ---------------------------------------------------------------------------------------------------


def _asked(request: PageRequest) -> Asked:
    period = period_of(request)
    about = asked_scope(request.actor, request.GET.dict(), period)
    grouping = _grouping(request.GET.get("group", ""), about, period)
    in_time = grouping in (Grouping.DAY, Grouping.MONTH)
    return Asked(
        request.actor, period, about, grouping, _sort(request.GET.get("sort", ""), "name" if in_time else "-cost")
    )


def _grouping(text: str, about: AskedScope, period: PeriodChoice) -> Grouping:
    if not text:
        return Grouping.MODEL if about.workload else Grouping.WORKLOAD
    if text not in list(Grouping):
        raise BadInput(f"Cost cannot be grouped by “{text[:40]}”.", hint=f"Use one of {', '.join(Grouping)}.")
    # Days of a longer period would be read from day lines, millions of them.
    return Grouping.MONTH if text == Grouping.DAY and period.days > selectors.LONGEST_BY_DAY else Grouping(text)


def _sort(text: str, default: str) -> str:
    return text if text.lstrip("-") in list(Order) and not text.startswith("--") else default


# --- Bills ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BillRow:
    """A bill beside what was computed, with the address of the proof."""

    bill: BilledMonth
    why: str


def bill_rows(period: PeriodChoice, filters: Mapping[str, str], bills: Sequence[BilledMonth]) -> list[BillRow]:
    return [BillRow(bill, _bill_why(period, filters, bill)) for bill in bills]


def residual_of(bills: Sequence[BilledMonth]) -> Decimal:
    """Bill less computed of one; of several how far they are apart in all, so that none hides another."""
    return bills[0].residual if len(bills) == 1 else selectors.apart(bills)


def _bill_why(period: PeriodChoice, filters: Mapping[str, str], bill: BilledMonth) -> str:
    month = PeriodChoice(bill.month, periods.next_month(bill.month), period.today)
    return why_address("residual", month, **{**filters, **provider_filters(bill.provider)})


# --- The table --------------------------------------------------------------------------------------------------------


def _columns(asked: Asked) -> list[Column]:
    return [
        Column(GROUP_WORDS[asked.grouping], sort="name"),
        Column(
            "Full cost" if asked.scope.basis is selectors.BasisChoice.FULL else "Amount", sort="cost", is_number=True
        ),
        Column("Share", is_number=True, title="Share of the total of this page's filters"),
        Column(f"From {asked.period.compare_label}", sort="change", is_number=True),
        Column("Calls", sort="requests", is_number=True, title="Attempts, failed ones included"),
        Column("Tokens", sort="tokens", is_number=True),
        Column("Marks", title="What is uncertain about the figure"),
    ]


def _counted(asked: Asked, totals: CostTotals, rows: int) -> str:
    """40 workloads and unallocated: what belongs to nobody is no workload."""
    by_owner = asked.grouping in (Grouping.WORKLOAD, Grouping.COST_CENTRE)
    is_there = by_owner and asked.scope.allocated is not True and totals.unallocated.lines > 0
    number = rows - 1 if is_there else rows
    named = f"{figures.count(number)} {NOUNS[asked.grouping] if number != 1 else GROUP_WORDS[asked.grouping].lower()}"
    return f"{named} and unallocated" if is_there else named


def _page(asked: Asked, totals: CostTotals, number: int) -> Page[ShownRow]:
    table, page = read_page(lambda offset: _table(asked, limit=PAGE, offset=offset), number, PAGE)
    page.object_list = _shown(asked, totals, table.rows)
    return page


def _table(asked: Asked, *, limit: int | None, offset: int = 0) -> selectors.CostTable:
    return selectors.cost_table(
        actor=asked.actor,
        scope=asked.scope,
        grouping=asked.grouping,
        before=asked.before,
        sort=asked.sort,
        limit=limit,
        offset=offset,
    )


def _shown(asked: Asked, totals: CostTotals, rows: Sequence[CostRow]) -> list[ShownRow]:
    largest = max((row.now.cost for row in rows if row.now.cost is not None), default=None)
    may_see_prices = rights.rights_of(asked.actor).may(Right.SEE_RATES)
    return [_shown_row(asked, totals, row, largest, may_see_prices) for row in rows]


def _shown_row(
    asked: Asked, totals: CostTotals, row: CostRow, largest: Decimal | None, may_see_prices: bool
) -> ShownRow:
    cost = row.now.cost
    return ShownRow(
        name=_name(asked.grouping, row),
        meta=row.meta,
        href=_href(asked, row),
        why=_row_why(asked, row),
        now=row.now,
        share=_ratio(cost, totals.now.cost),
        ratio=_ratio(cost, largest),
        change=row.change,
        marks=marks_of(row.now, may_see_prices),
    )


def _ratio(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return part / whole if part is not None and whole else None


def _name(grouping: Grouping, row: CostRow) -> str:
    if grouping is Grouping.COMPONENT:
        return Component(row.key).label
    if grouping is Grouping.DAY:
        return f"{date.fromisoformat(row.key):%a} {figures.day(date.fromisoformat(row.key))}"
    return figures.month_name(date.fromisoformat(row.key)) if grouping is Grouping.MONTH else row.name


def _href(asked: Asked, row: CostRow) -> str:
    """Where a row leads: a workload to its page, anything else deeper into this one."""
    if asked.grouping is Grouping.WORKLOAD and row.ref:
        return f"{reverse('workloads:detail', args=[row.ref])}?{asked.period.query}"
    if asked.grouping in (Grouping.DAY, Grouping.MONTH):
        return costs_address(_days_of(asked, row), **asked.about.filters)
    filters = row_filters(asked.grouping, row)
    by = Grouping.MODEL if asked.grouping is Grouping.WORKLOAD else Grouping.WORKLOAD
    return asked.address(**{**filters, "group": by.value}) if filters else ""


def _row_why(asked: Asked, row: CostRow) -> str:
    filters = row_filters(asked.grouping, row)
    if filters is None:
        return ""
    if asked.grouping in (Grouping.DAY, Grouping.MONTH):
        return why_address("cost", _days_of(asked, row), **asked.about.filters)
    return asked.why(**filters)


def _days_of(asked: Asked, row: CostRow) -> PeriodChoice:
    """The days of a row in time, cut to the period."""
    first = date.fromisoformat(row.key)
    end = first + timedelta(days=1) if asked.grouping is Grouping.DAY else periods.next_month(first)
    return PeriodChoice(max(first, asked.period.start), min(end, asked.period.end), asked.period.today)


def _download(asked: Asked, kind: str) -> HttpResponseBase:
    """All rows of the table, in its order, every digit of it."""
    if kind not in ("csv", "xlsx"):
        raise BadInput("A table can be had as csv or xlsx.")
    currency, table = organisation.get().currency, _table(asked, limit=None)
    totals = selectors.cost_totals(actor=asked.actor, scope=asked.scope)
    columns = [
        GROUP_WORDS[asked.grouping], "Belongs to", f"{BASIS_WORDS[asked.scope.basis]}, {currency}",
        "Share of the total", f"{asked.period.before.label}, {currency}", "Change", "Calls", "Tokens",
        "Tokens without a price", "Marks",
    ]  # fmt: skip
    name = f"costs-by-{asked.grouping.value}-{asked.period.start}-to-{asked.period.last_day}"
    return table_response(columns, (_cells(asked, row, totals) for row in table.rows), name=name, kind=kind)


def _cells(asked: Asked, row: CostRow, totals: CostTotals) -> list[Cell]:
    marks = ", ".join(mark.label for mark in marks_of(row.now, may_see_prices=False))
    name = row.key if asked.grouping in (Grouping.DAY, Grouping.MONTH) else _name(asked.grouping, row)
    share, moved, now = _ratio(row.now.cost, totals.now.cost), row.change, row.now
    return [name, row.meta, now.cost, share, row.before, moved, now.requests, now.tokens, now.unpriced_tokens, marks]


# --- Around the table -------------------------------------------------------------------------------------------------


def _around_the_table(asked: Asked, totals: CostTotals) -> dict[str, Any]:
    bills = selectors.billed_months(actor=asked.actor, scope=asked.scope)
    return {
        "kpis": _kpis(asked, totals, bills),
        "chart": _chart(asked),
        "chart_title": f"{BASIS_WORDS[asked.scope.basis]} by {_bucket_word(asked)}",
        "bills": bill_rows(asked.period, asked.about.filters, bills),
        "marks": marks_of(totals.now, rights.rights_of(asked.actor).may(Right.SEE_RATES)),
        "is_filtered": bool(asked.about.filters),
        "unfiltered": costs_address(asked.period),
    }


def _kpis(asked: Asked, totals: CostTotals, bills: Sequence[selectors.BilledMonth]) -> list[Kpi]:
    company = organisation.get()
    currency = company.currency
    kpis = [_full_cost(asked, totals, currency)]
    if asked.scope.allocated is None and asked.about.workload is None and selectors.may_see_unallocated(asked.actor):
        kpis += [_workloads(asked, totals, currency), _unallocated(asked, totals, company)]
    return [*kpis, _unpriced(asked, totals), _bill(asked, bills, currency)]


def _full_cost(asked: Asked, totals: CostTotals, currency: str) -> Kpi:
    strong, since = moved_of_all(totals, asked.period, **asked.about.filters)
    label = BASIS_WORDS[asked.scope.basis]
    return Kpi(label, _money(totals, totals.now, currency), context=since, strong=strong, why=asked.why())


def _workloads(asked: Asked, totals: CostTotals, currency: str) -> Kpi:
    share = _ratio(totals.workloads.cost, totals.now.cost)
    context = f"{figures.percent(share)} of full cost" if share is not None else "none bound yet"
    return Kpi("Workloads", _money(totals, totals.workloads, currency), context=context, why=asked.why(allocated="yes"))


def _unallocated(asked: Asked, totals: CostTotals, company: Organisation) -> Kpi:
    share = _ratio(totals.unallocated.cost, totals.now.cost)
    limit = unallocated_limit(company)
    is_over = share is not None and share > limit
    return Kpi(
        "Unallocated",
        _money(totals, totals.unallocated, company.currency),
        context=f"of full cost, limit {figures.percent_short(limit)}",
        strong=figures.percent(share),
        tone="warn" if is_over else "",
        why=asked.why(allocated="no"),
    )


def _unpriced(asked: Asked, totals: CostTotals) -> Kpi:
    tokens = totals.now.unpriced_tokens
    context = "have no price, cost unknown" if tokens else "every token has a price"
    shown, tone = figures.tokens(tokens), "warn" if tokens else ""
    return Kpi("Unpriced tokens", shown, context=context, tone=tone, why=asked.why("unpriced"))  # type: ignore[arg-type]


def _bill(asked: Asked, bills: Sequence[BilledMonth], currency: str) -> Kpi:
    if not bills:
        return Kpi(
            "Bill",
            "No bill",
            context="none covers these calls" if _has_whole_month(asked) else "compared by whole months",
        )
    bill, residual = sum((each.effective for each in bills), Decimal(0)), residual_of(bills)
    return Kpi(
        "Bill for these calls",
        figures.money(bill, currency),
        context=f"residual, {figures.percent(_ratio(abs(residual), bill))} of the bill",
        strong=figures.money(residual, currency),
        tone="bad" if any(each.is_over_tolerance for each in bills) else "",
        why=asked.why("residual"),
    )


def _bucket_word(asked: Asked) -> str:
    return "month" if asked.period.days > selectors.LONGEST_BY_DAY else "day"


def _has_whole_month(asked: Asked) -> bool:
    return bool(selectors.whole_months(asked.scope.first, asked.scope.end))


def _money(totals: CostTotals, part: Measures, currency: str) -> str:
    """A part of which there is no line costs nothing; where there is no line at all, nothing is known."""
    return figures.money(part.cost if part.lines or totals.now.lines else None, currency)


def _chart(asked: Asked) -> Chart:
    over_time = selectors.cost_over_time(actor=asked.actor, scope=asked.scope)
    buckets = _buckets(asked.period, by_month=over_time.by_month)
    sums = {bucket: _sum_of(over_time, bucket) for bucket in buckets}
    currency = organisation.get().currency
    return component_chart(
        over_time,
        buckets,
        finding=_finding(sums, currency, by_month=over_time.by_month),
        currency=currency,
        incomplete=_incomplete(asked, buckets, by_month=over_time.by_month),
        links=[
            costs_address(_bucket_days(asked.period, b, over_time.by_month), **asked.about.filters) for b in buckets
        ],
        note=f"Days begin at midnight in {timezone.get_current_timezone_name()}. "
        "Hatched layers are paid for nothing useful.",
    )


def _sum_of(over_time: CostOverTime, bucket: date) -> Decimal:
    return sum((amount for (day, _), amount in over_time.amounts.items() if day == bucket), Decimal(0))


def _buckets(period: PeriodChoice, *, by_month: bool) -> list[date]:
    if by_month:
        return list(periods.months_between(period.start, period.last_day))
    return [period.start + timedelta(days=at) for at in range(period.days)]


def _bucket_days(period: PeriodChoice, bucket: date, by_month: bool) -> PeriodChoice:
    end = periods.next_month(bucket) if by_month else bucket + timedelta(days=1)
    return PeriodChoice(max(bucket, period.start), min(end, period.end), period.today)


def _incomplete(asked: Asked, buckets: Sequence[date], *, by_month: bool) -> frozenset[int]:
    """Buckets whose figures still arrive: from the day of the newest import, or today, on."""
    if not asked.period.is_incomplete:
        return frozenset()
    as_of = hooks.freshness(asked.actor).as_of
    last = min(asked.period.today, timezone.localtime(as_of).date()) if as_of else asked.period.today
    last = last.replace(day=1) if by_month else last
    return frozenset(at for at, bucket in enumerate(buckets) if last <= bucket <= asked.period.today)


def _finding(sums: dict[date, Decimal], currency: str, *, by_month: bool) -> str:
    if not any(sums.values()):
        return "There is no cost in this period."
    most = max(sums, key=lambda bucket: sums[bucket])
    when = figures.month_name(most) if by_month else figures.day(most)
    whole, largest = figures.money(sum(sums.values()), currency), figures.money(sums[most], currency)
    return f"{whole} in all; the most, {largest}, {'in' if by_month else 'on'} {when}."


# --- Filters ----------------------------------------------------------------------------------------------------------


def _group_choices(asked: Asked) -> list[Choice]:
    is_long = asked.period.days > selectors.LONGEST_BY_DAY
    may_see_sources = rights.rights_of(asked.actor).may(Right.SEE_SOURCES)
    offered = [
        g for g in Grouping if not (g is Grouping.DAY and is_long) and (g is not Grouping.SOURCE or may_see_sources)
    ]
    return [Choice(GROUP_WORDS[g], asked.address(group=g.value), g is asked.grouping) for g in offered]


def _chips(asked: Asked) -> list[Chip]:
    """Active filters first, each with its way out; then those that can be put on."""
    filters, words = asked.about.filters, asked.about.words
    on = [Chip(text, asked.address(**{name: None, "below": None}), is_on=True) for name, text in words.items()]
    offers = [("component", "Component", _component_choices), ("centre", "Cost centre", _centre_choices),
              ("basis", "Basis", _basis_choices)]  # fmt: skip
    if selectors.may_see_unallocated(asked.actor) and "workload" not in filters:
        offers.insert(0, ("allocated", "Whose", _allocated_choices))
    return on + [Chip(label, choices=choices(asked)) for name, label, choices in offers if name not in words]


def _allocated_choices(asked: Asked) -> list[Choice]:
    return [
        Choice("Bound to a workload", asked.address(allocated="yes")),
        Choice("Unallocated", asked.address(allocated="no")),
    ]


def _component_choices(asked: Asked) -> list[Choice]:
    return [Choice(label, asked.address(component=key)) for key, label in COMPONENTS.items()]


def _centre_choices(asked: Asked) -> list[Choice]:
    visible = rights.cost_centres_visible(asked.actor).order_by("path")
    return [Choice(f"{'  ' * centre.depth}{centre.name}", asked.address(centre=centre.code)) for centre in visible]


def _basis_choices(asked: Asked) -> list[Choice]:
    from_words = {
        "computed": "Computed from usage",
        "effective": "The bill, spread over its use",
        "billed": "The bill as invoiced",
    }
    return [Choice(label, asked.address(basis=key)) for key, label in from_words.items()]


# --- Sockets of the frame ---------------------------------------------------------------------------------------------


@hooks.tells_freshness
def freshness(_actor: Actor) -> hooks.Freshness:
    state = selectors.figure_state(now=timezone.now())
    if state.as_of is None:
        return hooks.Freshness(as_of=None, state="none")
    if state.broken:
        return hooks.Freshness(state.as_of, "broken", f"{', '.join(state.broken)} cannot be read.")
    if state.stale:
        return hooks.Freshness(state.as_of, "stale", f"{', '.join(state.stale)} has not been asked when it was due.")
    if state.silent:
        why = f"{', '.join(state.silent)} is asked and has said nothing for days."
        return hooks.Freshness(state.as_of, "stale", why)
    return hooks.Freshness(state.as_of, why="Some days are being worked out again." if state.is_being_rated else "")


@hooks.tells_newest_month
def newest_month(_actor: Actor) -> date | None:
    return selectors.newest_month(today=timezone.localdate())


app_name = "costs"
urlpatterns = [path("", overview, name="overview")]
