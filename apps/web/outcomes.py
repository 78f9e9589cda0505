"""What came out: a workload's month of outcomes with every correction, and three ways to say more of it."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_GET, require_POST

from apps.core import periods
from apps.core.errors import BadInput, NotAllowed, NotFound
from apps.economics import selectors
from apps.economics import services as economics
from apps.economics.models import Outcome
from apps.usage.fields import LARGEST
from apps.web import figures
from apps.web.exports import Cell, table_response
from apps.web.forms import DayField, errors_into, errors_said
from apps.web.pages import PageRequest
from apps.web.parts import Crumb
from apps.web.period import PeriodChoice, period_of
from apps.workloads.models import Workload
from apps.workloads.selectors import get_workload_for
from apps.workloads.services import may_report

COLUMNS: Final = (
    "Workload", "From", "To", "Source", "Revision", "State", "Produced", "Accepted", "Reviewed", "Declared share",
    "Declared reviewed share", "Recorded by", "Recorded at",
)  # fmt: skip


class CountForm(forms.Form):
    """Counts of the whole month, or of one day of it."""

    day = DayField(label="Day", required=False, help_text="Empty: the whole month.")
    produced = forms.IntegerField(label="Produced", min_value=0, max_value=LARGEST)
    accepted = forms.IntegerField(label="Of these useful", min_value=0, max_value=LARGEST)
    reviewed = forms.IntegerField(label="Of these a person checked", min_value=0, max_value=LARGEST, required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for name in ("produced", "accepted", "reviewed"):
            self.fields[name].widget = forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"})


class ShareForm(forms.Form):
    """A share of the delivered calls, where nobody counts."""

    share = forms.DecimalField(label="Useful share", min_value=0, max_value=100, decimal_places=2, max_digits=5)
    reviewed_share = forms.DecimalField(
        label="Share a person checks",
        min_value=0,
        max_value=100,
        decimal_places=2,
        max_digits=5,
        required=False,
        help_text="Empty: unknown. Write 0 where nobody checks.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for bound in self.fields.values():
            bound.widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})


@login_required
@require_GET
def month(request: PageRequest, slug: str) -> HttpResponseBase:
    """Every figure of the month, the newest of each period first; corrections stay below what they correct."""
    workload, period = get_workload_for(actor=request.actor, ref=slug), period_of(request)
    if request.GET.get("format") in ("csv", "xlsx"):
        return _file(request, workload, period)
    return _page(request, workload, period)


@login_required
@require_POST
def record(request: PageRequest, slug: str) -> HttpResponse:
    workload, period = _editable(request, slug), period_of(request)
    form = CountForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        start, end = _span(given["day"], period)
        entry = economics.OutcomeEntry(workload, start, end, given["produced"], given["accepted"], given["reviewed"])
        with errors_into(form):
            if start.replace(day=1) != _month(period):
                raise BadInput("The day lies outside the month of this page.", hint="Choose the month above.")
            (judged,) = economics.record_outcomes(actor=request.actor, entries=[entry], today=period.today)
        if not form.errors:
            same = judged.effect is economics.Effect.SAME
            messages.success(request, "That stood already." if same else "Kept. The verdict follows in seconds.")
            return _back(workload, period)
    return _page(request, workload, period, counts=form)


@login_required
@require_POST
def declare(request: PageRequest, slug: str) -> HttpResponse:
    workload, period = _editable(request, slug), period_of(request)
    form = ShareForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        with errors_into(form):
            economics.declare_outcomes(
                actor=request.actor,
                workload=workload,
                month=_month(period),
                share=given["share"] / 100,
                reviewed_share=None if given["reviewed_share"] is None else given["reviewed_share"] / 100,
                today=period.today,
            )
        if not form.errors:
            messages.success(request, "Declared. A declared share is marked, and the verdict is at most keep.")
            return _back(workload, period)
    return _page(request, workload, period, shares=form)


@login_required
@require_POST
def withdraw(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """Take a figure back: it stays in the history and counts no longer."""
    workload, period = _editable(request, slug), period_of(request)
    found = Outcome.objects.visible_to(request.actor).filter(workload=workload, pk=pk).first()
    if found is None:
        raise NotFound("There is no such figure.")
    with errors_said(request, done="Taken back. It stays in the history and counts no longer."):
        economics.withdraw_outcomes(
            actor=request.actor,
            workload=workload,
            period_start=found.period_start,
            period_end=found.period_end,
            source=found.source,
        )
    return _back(workload, period)


def _page(
    request: PageRequest,
    workload: Workload,
    period: PeriodChoice,
    *,
    counts: CountForm | None = None,
    shares: ShareForm | None = None,
) -> HttpResponse:
    found = selectors.month_for(actor=request.actor, workload=workload, month=_month(period), today=period.today)
    rows = list(selectors.outcomes_of(actor=request.actor, workload=workload, month=_month(period)))
    context = {
        "workload": workload,
        "month": _month(period),
        "now": found.now,
        "rows": rows,
        "counts": counts or CountForm(),
        "shares": shares or ShareForm(),
        "may_edit": may_report(request.actor, workload),
        "crumbs": [
            Crumb("Portfolio", reverse("workloads:list")),
            Crumb(workload.name, f"{reverse('workloads:detail', args=[workload.slug])}?{period.query}"),
            Crumb("Outcomes"),
        ],
        "summary": _summary(found.now, workload),
    }
    is_refused = bool((counts and counts.errors) or (shares and shares.errors))
    return render(request, "outcomes/month.html", context, status=422 if is_refused else 200)


def _summary(now: selectors.Figures, workload: Workload) -> str:
    if now.useful is None:
        return "Nothing is known of what came out. Without it there is no cost of a useful output and no verdict."
    text = f"{figures.count(now.useful)} useful of {figures.count(now.produced)} produced."
    if workload.output_unit:
        text = f"{text[:-1]}, counted as “{workload.output_unit}”."
    if now.is_declared:
        return f"{text} The share is declared, not counted."
    return text


def _file(request: PageRequest, workload: Workload, period: PeriodChoice) -> HttpResponseBase:
    selectors.series_for(actor=request.actor, workload=workload, months=[])  # 404 for whoever may not see its money
    rows = selectors.outcomes_of(actor=request.actor, workload=workload, month=_month(period))
    name = f"outcomes-{workload.slug}-{_month(period):%Y-%m}"
    return table_response(COLUMNS, _cells(rows), name=name, kind=request.GET["format"])


def _cells(rows: Iterable[Outcome]) -> Iterator[tuple[Cell, ...]]:
    for row in rows:
        yield (
            row.workload.name,
            row.period_start,
            row.period_end,
            row.source,
            row.revision,
            state_of(row),
            row.produced,
            row.accepted,
            row.reviewed,
            row.declared,
            row.declared_reviewed,
            row.recorded_by.name if row.recorded_by else "",
            row.recorded_at,
        )


def state_of(row: Outcome) -> str:
    if not row.is_latest:
        return "corrected"
    return "taken back" if row.is_withdrawn else "counts"


def _span(day: date | None, period: PeriodChoice) -> tuple[date, date]:
    if day is None:
        return _month(period), periods.next_month(_month(period))
    return day, day + timedelta(days=1)


def _month(period: PeriodChoice) -> date:
    return period.last_day.replace(day=1)


def _back(workload: Workload, period: PeriodChoice) -> HttpResponseRedirect:
    return HttpResponseRedirect(f"{reverse('outcomes:month', args=[workload.slug])}?{period.query}")


def _editable(request: PageRequest, slug: str) -> Workload:
    workload = get_workload_for(actor=request.actor, ref=slug)
    selectors.outcomes_of(actor=request.actor, workload=workload, month=period_of(request).start)
    if not may_report(request.actor, workload):
        raise NotAllowed(f"You may not say what came out of {workload.name}.", hint="Its owners may.")
    return workload


app_name = "outcomes"
urlpatterns = [
    path("<slug:slug>/outcomes/", month, name="month"),
    path("<slug:slug>/outcomes/record/", record, name="record"),
    path("<slug:slug>/outcomes/declare/", declare, name="declare"),
    path("<slug:slug>/outcomes/<int:pk>/withdraw/", withdraw, name="withdraw"),
]
