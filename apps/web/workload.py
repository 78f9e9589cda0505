"""One workload: what it costs and why, how fast and reliable it is, whose usage it is made of and where from.

Whoever may not see its money sees its card in the register and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts import rights
from apps.accounts.models import Person
from apps.accounts.rights import Right
from apps.catalog.models import LatencyBand
from apps.core import organisation, periods
from apps.core.actor import Actor
from apps.core.models import Organisation
from apps.costs import selectors
from apps.costs.selectors import CostOverTime, CostRow, CostScope, CostTotals, Grouping
from apps.usage.selectors import KEPT_SHARE, TOKEN_TYPES, UsageMonth, sources_of, usage_by_month
from apps.web import budgets, figures, workload_change, workload_worth
from apps.web.charts import COMPONENTS, Chart, Limit, Series
from apps.web.compared import lack_of, since_of
from apps.web.cost_scope import why_address
from apps.web.costs import bill_rows, bucket_labels, component_chart, costs_address, marks_of
from apps.web.pages import PageRequest
from apps.web.parts import Crumb, Kpi, Tab
from apps.web.period import PeriodChoice, period_of
from apps.web.why import KINDS, edges_text
from apps.web.workload_worth import Worth
from apps.workloads import services as workloads
from apps.workloads.models import Binding, Workload, WorkloadRevision
from apps.workloads.selectors import bindings_of, get_workload_for, promise_of

MONTHS_OF_COST: Final = 12
MONTHS_OF_LATENCY: Final = 6
MEDIAN: Final = Decimal("0.5")


@dataclass(frozen=True)
class Subject:
    """A workload in a period, with what several parts of its page need."""

    actor: Actor
    workload: Workload
    period: PeriodChoice
    company: Organisation

    @property
    def scope(self) -> CostScope:
        return CostScope(self.period.start, self.period.end, workload_id=self.workload.pk)

    @property
    def before(self) -> tuple[date, date]:
        return self.period.before.start, self.period.before.end

    def why(self, figure: str, **filters: str) -> str:
        return why_address(figure, self.period, workload=self.workload.slug, **filters)

    def midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(self.company.zone))


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model's part of the cost."""

    row: CostRow
    share: Decimal | None
    change: Decimal | None
    why: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token type that occurs."""

    name: str
    count: int
    share: Decimal | None


@login_required
@require_GET
def page(request: PageRequest, slug: str) -> HttpResponse:
    workload = get_workload_for(actor=request.actor, ref=slug)
    subject = Subject(request.actor, workload, period_of(request), organisation.get())
    promise = promise_of(workload)
    context = _card(subject, promise)
    if not Workload.objects.money_visible_to(request.actor).filter(pk=workload.pk).exists():
        hint = rights.who_can_give(Right.SEE_MONEY)
        return render(request, "workload/card.html", {**context, "hint": hint})
    return render(request, "workload/page.html", {**context, **_money(subject, promise.latency_band)})


def _card(subject: Subject, promise: WorkloadRevision) -> dict[str, Any]:
    """What every member sees."""
    workload = subject.workload
    owners = (
        ("Business", workload.business_owner),
        ("Technical", workload.technical_owner),
        ("Budget", workload.budget_owner),
    )
    return {
        "workload": workload,
        "promise": promise,
        "owners": _owners(owners),
        "crumbs": [Crumb("Portfolio", f"{reverse('workloads:list')}?{subject.period.query}"), Crumb(workload.ref)],
        "may_edit": workloads.may_edit(subject.actor, workload),
    }


def _owners(named: Sequence[tuple[str, Person | None]]) -> list[tuple[str, Person]]:
    return [(role, person) for role, person in named if person is not None]


def _money(subject: Subject, band: LatencyBand | None) -> dict[str, Any]:
    totals = selectors.cost_totals(actor=subject.actor, scope=subject.scope, before=subject.before)
    usage, earlier = _usage_now(subject)
    by_month = _usage_by_month(subject)
    history = _history(subject)
    worth = workload_worth.worth_of(
        actor=subject.actor,
        workload=subject.workload,
        period=subject.period,
        zone=ZoneInfo(subject.company.zone),
        revisions=history["revisions"],
        bindings=history["bindings"],
    )
    plain = _kpis(subject, totals, usage, earlier, band)
    return {
        "totals": totals,
        "worth": worth,
        "sentence": _sentence(subject, totals, usage, band, worth),
        "kpis": workload_worth.worth_strip(worth, subject.workload, subject.company.currency, plain)
        if worth and worth.now.useful is not None
        else list(plain.values()),
        "marks": marks_of(totals.now, rights.rights_of(subject.actor).may(Right.SEE_RATES)),
        "tabs": _tabs(subject),
        "months_chart": _months_chart(subject),
        "waterfall": _waterfall(subject),
        "change_chart": _change_chart(subject),
        "change_meta": f"from {subject.period.compare_label}",
        "models": _models(subject, totals),
        "tokens": _tokens(usage),
        "untold": [KINDS[name] for name in TOKEN_TYPES if usage.tokens[name] is None] if usage else [],
        "usage": usage,
        "tokens_why": subject.why("tokens"),
        "latency_chart": _latency_chart(by_month, band),
        "sources": sources_of(workload_id=subject.workload.pk, now=timezone.now()),
        "bills": bill_rows(
            subject.period,
            {"workload": subject.workload.slug},
            selectors.billed_months(actor=subject.actor, scope=subject.scope),
        ),
        "budget": budgets.block_of(subject.workload, today=subject.period.today, currency=subject.company.currency),
        "has_whole_month": bool(selectors.whole_months(subject.period.start, subject.period.end)),
        **history,
    }


def _history(subject: Subject) -> dict[str, Any]:
    revisions = subject.workload.revisions.select_related("value_tier", "latency_band", "recorded_by")
    return {
        "bindings": [(binding, _label(binding)) for binding in bindings_of(subject.actor, subject.workload)],
        "may_allocate": rights.rights_of(subject.actor).may(Right.ALLOCATE),
        "revisions": list(revisions.order_by("-version")),
    }


def _label(binding: Binding) -> str:
    pairs = binding.pairs
    return str(pairs[0][1]) if len(pairs) == 1 else " and ".join(f"{kind} {value}" for kind, value in pairs)


def _tabs(subject: Subject) -> list[Tab]:
    here = f"{reverse('workloads:detail', args=[subject.workload.slug])}?{subject.period.query}"
    return [
        Tab("Overview", here, is_current=True),
        Tab("Full cost", costs_address(subject.period, workload=subject.workload.slug)),
        Tab("Value case", f"{reverse('value:page', args=[subject.workload.slug])}?{subject.period.query}"),
        Tab("Outcomes", f"{reverse('outcomes:month', args=[subject.workload.slug])}?{subject.period.query}"),
    ]


# --- The sentence and the strip ---------------------------------------------------------------------------------------


def _sentence(
    subject: Subject, totals: CostTotals, usage: UsageMonth | None, band: LatencyBand | None, worth: Worth | None
) -> str:
    """What is the matter, in plain words, before any chart: the verdict's own words first."""
    spent = _spent(subject, totals, usage, band)
    return f"{worth.now.verdict.sentence} {spent}" if worth else spent


def _spent(subject: Subject, totals: CostTotals, usage: UsageMonth | None, band: LatencyBand | None) -> str:
    if not totals.now.lines:
        return f"No usage of {subject.period.label} is known to be its own yet. Bind a usage key to see what it costs."
    cost = figures.money(totals.now.cost, subject.company.currency)
    spent = "It has cost {} so far in" if subject.period.is_incomplete else "It cost {} in"
    parts = [f"{spent.format(cost)} {subject.period.label}{_compared(subject, totals)}."]
    kept = usage.latency.keeps(band.limit_ms) if usage and band and band.limit_ms else None
    if kept is False:
        parts.append(f"Its answers are slower than the {band.name.lower() if band else ''} band allows.")
    if usage and usage.failed_share and usage.failed_share >= Decimal("0.05"):
        parts.append(f"{figures.percent(usage.failed_share)} of its calls failed.")
    if totals.now.unpriced_tokens:
        parts.append(
            f"{figures.tokens(totals.now.unpriced_tokens)} tokens have no price, so its cost is higher than this."
        )
    return " ".join(parts)


def _compared(subject: Subject, totals: CostTotals) -> str:
    moved = totals.change
    if lack := lack_of(totals, subject.period):
        return f"; it {lack}"
    if moved is None:
        return ""
    more = "more" if moved > 0 else "less"
    return f", {figures.percent(abs(moved))} {more} than in {subject.period.compare_label}"


def _kpis(
    subject: Subject, totals: CostTotals, usage: UsageMonth | None, earlier: UsageMonth | None, band: LatencyBand | None
) -> dict[str, Kpi]:
    """The strip of a workload of which only cost and usage are known."""
    return {
        "cost": _cost_kpi(subject, totals),
        "per_call": _per_call_kpi(subject, totals),
        "calls": _calls_kpi(subject, totals, earlier),
        "latency": _latency_kpi(subject, usage, band),
        "cache": _cache_kpi(subject, usage, earlier),
        "failed": _failed_kpi(subject, usage, earlier),
    }


def _cost_kpi(subject: Subject, totals: CostTotals) -> Kpi:
    shown = figures.money(totals.now.cost if totals.now.lines else None, subject.company.currency)
    since = since_of(totals, subject.period, workload=subject.workload.slug)
    return Kpi("Full cost", shown, since, _delta(totals.change), why=subject.why("cost"))


def _per_call_kpi(subject: Subject, totals: CostTotals) -> Kpi:
    calls = totals.now.calls
    each = totals.now.cost / calls if totals.now.cost is not None and calls else None
    shown = figures.unit_price(each, subject.company.currency)
    return Kpi("Cost per call", shown, "full cost over delivered calls", why=subject.why("cost-per-call"))


def _calls_kpi(subject: Subject, totals: CostTotals, earlier: UsageMonth | None) -> Kpi:
    calls = totals.now.calls
    before = earlier.requests - earlier.failed if earlier and earlier.requests else None
    moved = Decimal(calls) / before - 1 if calls is not None and before else None
    return Kpi(
        "Calls",
        figures.count(calls),
        _since(subject, moved),
        _delta(moved),
        why=subject.why("calls"),
    )


def _latency_kpi(subject: Subject, usage: UsageMonth | None, band: LatencyBand | None) -> Kpi:
    shown = edges_text(usage.latency.between(KEPT_SHARE)) if usage else figures.UNKNOWN
    why = subject.why("latency") if shown != figures.UNKNOWN else ""
    if band is None or not band.limit_ms:
        return Kpi("Latency, p95", shown, "its band has no limit" if band else "no band chosen", why=why)
    kept = usage.latency.keeps(band.limit_ms) if usage else None
    limit = figures.latency(band.limit_ms)
    if kept is None:
        return Kpi("Latency, p95", shown, f"band of {limit}: too few calls to say", why=why)
    tone, strong = ("", "within") if kept else ("bad", "over")
    return Kpi("Latency, p95", shown, f"the band of {limit}", strong, tone, why)  # type: ignore[arg-type]


def _cache_kpi(subject: Subject, usage: UsageMonth | None, earlier: UsageMonth | None) -> Kpi:
    share = usage.cache_share if usage else None
    if share is None:
        return Kpi("Cache share", figures.UNKNOWN, "no source tells cached tokens")
    before = earlier.cache_share if earlier else None
    return Kpi("Cache share", figures.percent(share), *_points(subject, share, before), why=subject.why("cache-share"))


def _failed_kpi(subject: Subject, usage: UsageMonth | None, earlier: UsageMonth | None) -> Kpi:
    share = usage.failed_share if usage else None
    if share is None:
        return Kpi("Failed share", figures.UNKNOWN, "no calls are counted")
    before = earlier.failed_share if earlier else None
    return Kpi(
        "Failed share", figures.percent(share), *_points(subject, share, before), why=subject.why("failed-share")
    )


def _points(subject: Subject, share: Decimal, before: Decimal | None) -> tuple[str, str]:
    """Context and its bold start: by how many points of a hundred a share moved."""
    if before is None:
        return f"nothing in {subject.period.compare_label}", ""
    points = round((share - before) * 100, 1)
    sign = "+" if points > 0 else figures.MINUS if points < 0 else ""
    return f"points from {subject.period.compare_label}", f"{sign}{abs(points)}"


def _since(subject: Subject, moved: Decimal | None) -> str:
    return f"{'from' if moved is not None else 'nothing in'} {subject.period.compare_label}"


def _delta(moved: Decimal | None) -> str:
    return figures.delta(moved) if moved is not None else ""


# --- Charts -----------------------------------------------------------------------------------------------------------


def _months(subject: Subject, number: int) -> list[date]:
    """The last months up to the period's last day, oldest first."""
    month = subject.period.last_day.replace(day=1)
    found = [month]
    while len(found) < number:
        found.append(periods.previous_month(found[-1]))
    return found[::-1]


def _months_chart(subject: Subject) -> Chart:
    months = _months(subject, MONTHS_OF_COST)
    scope = subject.scope.over(months[0], periods.next_month(months[-1]))
    over_time = selectors.cost_over_time(actor=subject.actor, scope=scope, by_month=True)
    return component_chart(
        over_time,
        months,
        finding=_months_finding(over_time, months, subject.company.currency),
        currency=subject.company.currency,
        incomplete=frozenset(at for at, month in enumerate(months) if periods.next_month(month) > subject.period.today),
        links=[f"?month={month:%Y-%m}" for month in months],
    )


def _months_finding(over_time: CostOverTime, months: Sequence[date], currency: str) -> str:
    sums = [sum((v for (day, _), v in over_time.amounts.items() if day == month), Decimal(0)) for month in months]
    known = [(month, cost) for month, cost in zip(months, sums, strict=True) if cost]
    if not known:
        return "There is no cost in these months."
    (first, low), (last, high) = known[0], known[-1]
    begin, end = figures.money(low, currency), figures.money(high, currency)
    return f"Full cost went from {begin} in {figures.month_name(first)} to {end} in {figures.month_name(last)}."


def _waterfall(subject: Subject) -> Chart:
    """From the cost of tokens to the full cost, each component beginning where the one before ended."""
    table = selectors.cost_table(actor=subject.actor, scope=subject.scope, grouping=Grouping.COMPONENT)
    amounts = {row.key: row.now.cost for row in table.rows if row.now.cost}
    shown = [name for name in COMPONENTS if name in amounts]
    total = sum((amounts[name] or Decimal(0) for name in shown), Decimal(0))
    currency = subject.company.currency
    waste = sum(
        (amounts[name] or Decimal(0) for name in shown if name in ("retry_failed", "fallback", "gpu_idle")), Decimal(0)
    )
    return Chart(
        kind="waterfall",
        categories=[*(COMPONENTS[name] for name in shown), "Full cost"] if shown else [],
        series=[Series("Cost", [*(amounts[name] for name in shown), total] if shown else [])],
        unit="money",
        finding=f"{len(shown)} components make {figures.money(total, currency)}.",
        currency=currency,
        note=f"Hatched bars, {figures.money(waste, currency)}, paid for nothing useful." if waste else "",
        category_label="Component",
        tones=[*shown, "cost"],
        links=[subject.why("cost", component=name) for name in shown],
    )


def _change_chart(subject: Subject) -> Chart:
    return workload_change.change_chart(
        selectors.cost_change(actor=subject.actor, scope=subject.scope, before=subject.before),
        currency=subject.company.currency,
        now=subject.period.label,
        before=subject.period.compare_label,
        why=subject.why("cost"),
        models=(_models_of(subject, subject.period), _models_of(subject, subject.period.before)),
    )


def _models_of(subject: Subject, period: PeriodChoice) -> workload_change.Models:
    return workload_change.Models(
        period.label, costs_address(period, workload=subject.workload.slug, group=Grouping.MODEL.value)
    )


def _latency_chart(by_month: dict[date, UsageMonth], band: LatencyBand | None) -> Chart:
    """The upper edges of the ranges in which p95 and p50 lie: 'at most', said so, since no more is known."""
    months = sorted(by_month)
    lines = [
        (name, [_upper_edge(by_month[month], share) for month in months])
        for name, share in (("p95", KEPT_SHARE), ("p50", MEDIAN))
    ]
    limit = band.limit_ms if band else None
    return Chart(
        kind="lines",
        categories=bucket_labels(months, by_month=True),
        series=[Series(name, values, is_dashed=name == "p50") for name, values in lines],
        unit="latency",
        finding=_latency_finding(by_month, band),
        note="Upper edge of the range in which the percentile lies.",
        category_label="Month",
        limits=[Limit(limit, f"band {figures.latency(limit)}", "stop", is_tinted=True)] if limit else [],
    )


def _upper_edge(usage: UsageMonth, share: Decimal) -> int | None:
    edges = usage.latency.between(share)
    return edges[1] if edges else None


def _latency_finding(by_month: dict[date, UsageMonth], band: LatencyBand | None) -> str:
    if not by_month:
        return "No call was timed."
    newest = by_month[max(by_month)]
    shown = edges_text(newest.latency.between(KEPT_SHARE))
    limit = f", the band allows {figures.latency(band.limit_ms)}" if band and band.limit_ms else ""
    return f"The 95th percentile of {figures.month_name(newest.month)} lies in {shown}{limit}."


# --- Usage ------------------------------------------------------------------------------------------------------------


def _usage_now(subject: Subject) -> tuple[UsageMonth | None, UsageMonth | None]:
    """The usage of the period and of the one before, each as a whole."""
    return _usage(subject, subject.period), _usage(subject, subject.period.before)


def _usage(subject: Subject, period: PeriodChoice) -> UsageMonth | None:
    first, end = subject.midnight(period.start), subject.midnight(period.end)
    found = usage_by_month(
        workload_id=subject.workload.pk, first=first, end=end, zone=subject.company.zone, as_one=True
    )
    return found.get(period.start)


def _usage_by_month(subject: Subject) -> dict[date, UsageMonth]:
    months = _months(subject, MONTHS_OF_LATENCY)
    first, end = subject.midnight(months[0]), subject.midnight(periods.next_month(months[-1]))
    return usage_by_month(workload_id=subject.workload.pk, first=first, end=end, zone=subject.company.zone)


def _tokens(usage: UsageMonth | None) -> list[TokenRow]:
    if usage is None:
        return []
    known = {name: count for name in TOKEN_TYPES if (count := usage.tokens[name])}
    total = sum(known.values())
    return [TokenRow(KINDS[name].capitalize(), count, _share(count, total)) for name, count in known.items()]


def _share(part: int, whole: int) -> Decimal | None:
    return Decimal(part) / whole if whole else None


def _models(subject: Subject, totals: CostTotals) -> list[ModelRow]:
    table = selectors.cost_table(
        actor=subject.actor, scope=subject.scope, grouping=Grouping.MODEL, before=subject.before, limit=8
    )
    return [
        ModelRow(
            row,
            row.now.cost / totals.now.cost if row.now.cost is not None and totals.now.cost else None,
            row.change,
            subject.why("cost", model=row.key),
        )
        for row in table.rows
    ]
