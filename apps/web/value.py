"""What a workload is worth: its verdict and the figures behind it, the value case with its versions, and its evidence.

A case is written in five minutes with the verdict that it would make beside it, and counts once somebody else has
attested it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import Person
from apps.approvals.proposing import write_case_and_ask
from apps.approvals.selectors import waiting_about
from apps.core import organisation, periods
from apps.core.actor import Actor
from apps.core.errors import Conflict, NotFound, TollgateError
from apps.economics import selectors
from apps.economics import services as economics
from apps.economics.arithmetic import BreakPoint, Input, Labour
from apps.economics.cases import CASES, LIMITS, MOST_BYTES, read_assumptions
from apps.economics.estimates import first_assumptions
from apps.economics.models import Grade, ValueCase
from apps.economics.selectors import CaseVersion, Figures, Preview, UnitEconomics
from apps.web import figures
from apps.web.charts import Chart, Series
from apps.web.forms import DayField, errors_into, errors_said
from apps.web.pages import PageRequest
from apps.web.parts import Crumb, Kpi, Tone
from apps.web.period import PeriodChoice, period_of
from apps.web.remedies import remedies
from apps.web.value_cards import (
    change_rows,
    coverage_rows,
    month_before,
    month_rows,
    number_of,
    number_rows,
    ratio_text,
    times,
    trailing_rows,
)
from apps.web.worth_why import worth_address
from apps.workloads.models import Workload
from apps.workloads.selectors import get_workload_for
from apps.workloads.services import may_edit

MONTHS: Final = 12
UNITS: Final[Mapping[str, str]] = {"minutes_saved": "min", "realisation": "of 1", "review_minutes": "min"}
WHY: Final[Mapping[str, str]] = {
    "minutes_saved": (
        "The time a person needs for the same without it, less the time with it, for one useful output. "
        "Low and high are what you would not be surprised by."
    ),
    "realisation": (
        "Freed minutes are worth something only where other work fills them. 0.6 says: of ten freed minutes, six "
        "become other work."
    ),
    "review_minutes": "Where a person reads an output before it is used, that time comes off the value.",
}
ENDS: Final = {"low": "Low", "base": "Likely", "high": "High"}
INPUT_UNITS: Final = {
    Input.MINUTES_SAVED: "min",
    Input.REVIEW_MINUTES: "min",
    Input.REALISATION: "of 1",
    Input.USEFUL: "a month",
    Input.REVIEWED: "a month",
}


# --- The page ---------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def page(request: PageRequest, slug: str) -> HttpResponse:
    """Is it worth it, what would change that, what is missing and who can supply it; then the case and its versions."""
    workload = get_workload_for(actor=request.actor, ref=slug)
    period = period_of(request)
    month = period.last_day.replace(day=1)
    found = selectors.month_for(actor=request.actor, workload=workload, month=month, today=period.today)
    history = selectors.case_history(actor=request.actor, workload=workload)
    currency = organisation.get().currency
    context = {
        "workload": workload,
        "crumbs": _crumbs(workload, period, "Value case"),
        "month": month,
        "found": found,
        "now": found.now,
        "kpis": _kpis(found, workload),
        "chart": per_output_chart(found),
        "missing": remedies(found.now.verdict.missing, workload, month, request.actor),
        "breaks": [break_row(point) for point in found.now.breaks],
        "months": month_rows(found, currency),
        "trailing": trailing_rows(found, currency),
        "numbers": number_rows(found.now.verdict.numbers, currency),
        "coverage": list(coverage_rows(found.now)),
        "changes": change_rows(selectors.what_changed(found.now, found.before), currency),
        "month_before": month_before(month),
        "history": [(version, _ranges(version.labour)) for version in history],
        "waiting": waiting_about(found.waiting) if found.waiting else [],
        "may_edit": may_edit(request.actor, workload),
        "newest": history[0].case if history else None,
        "endable": _endable(history, period.today),
    }
    return render(request, "value/page.html", context)


def _endable(history: Sequence[CaseVersion], today: date) -> list[ValueCase]:
    """The version that counts today and the one that waits: either can be let end."""
    return [
        one.case
        for one in history
        if not (one.case.ended_at or one.case.superseded_by_id)
        and (one.case.counts_to is None or one.case.counts_to > today)
    ]


def _kpis(found: UnitEconomics, workload: Workload) -> list[Kpi]:
    unit, currency = workload.output_unit or "useful output", organisation.get().currency
    why = _proofs(found, workload)
    return [
        _cost_kpi(found, unit, currency, why("cost_per_useful")),
        _value_kpi(found.now, unit, currency, why("value_per_useful")),
        _net_kpi(found.now, currency, why("net")),
        Kpi("Return", ratio_text(found.now.appraisal.roi, times), "net value for each unit of cost", why=why("roi")),
        Kpi(
            "Break-even cost",
            ratio_text(found.now.appraisal.break_even_cost, lambda value: figures.unit_price(value, currency)),
            f"per {unit}, at most",
            why=why("break_even"),
        ),
        _data_kpi(found.now),
    ]


def _proofs(found: UnitEconomics, workload: Workload) -> Callable[[str], str]:
    """The address of a figure's proof; none for a month of which nothing is known."""
    return lambda figure: worth_address(workload, found.month, figure) if found.now.state else ""


def _cost_kpi(found: UnitEconomics, unit: str, currency: str, why: str) -> Kpi:
    each, before = found.now.appraisal.cost_per_useful, found.comparable
    now, earlier = number_of(each), number_of(before.appraisal.cost_per_useful) if before else None
    moved = now / earlier - 1 if now is not None and earlier else None
    since = f"from {figures.month_name(before.month)}" if moved is not None and before else "cost ÷ useful outputs"
    shown = ratio_text(each, lambda value: figures.unit_price(value, currency))
    return Kpi(f"Cost per {unit}", shown, since, figures.delta(moved) if moved is not None else "", why=why)


def _value_kpi(now: Figures, unit: str, currency: str, why: str) -> Kpi:
    shown = ratio_text(now.appraisal.value_per_useful, lambda value: figures.unit_price(value, currency))
    return Kpi(f"Value per {unit}", shown, _range_text(now.appraisal.value, now.useful, currency), why=why)


def _net_kpi(now: Figures, currency: str, why: str) -> Kpi:
    net = now.appraisal.net
    if net is None:
        return Kpi("Net value", figures.UNKNOWN, why=why)
    low, high = (figures.compact(end, currency) for end in (net.low, net.high))
    tone: Tone = "bad" if net.base < 0 else ""
    return Kpi("Net value", figures.money(net.base, currency), f"{low} to {high}, low to high", tone=tone, why=why)


def _data_kpi(now: Figures) -> Kpi:
    words = "days with usage have outcomes" if now.coverage.usage_days else "no usage in this month"
    return Kpi("Data", _covered(now), words)


def _range_text(value: Any, useful: Decimal | None, currency: str) -> str:
    if value is None or not useful:
        return "no value case counts"
    low, high = (figures.unit_price(end / useful, currency) for end in (value.low, value.high))
    return f"between {low} and {high}"


def _covered(now: Figures) -> str:
    coverage = now.coverage
    return f"{coverage.days_with_outcomes} of {coverage.usage_days}" if coverage.usage_days else figures.UNKNOWN


def per_output_chart(economics: UnitEconomics) -> Chart:
    """Twelve months of cost and value of one useful output, with the range between the low and the high case."""
    months, found = months_to(economics.month, MONTHS), economics.months
    costs = [number_of(one.appraisal.cost_per_useful) if one else None for one in found]
    values = [number_of(one.appraisal.value_per_useful) if one else None for one in found]
    low, high = ([_end_per_useful(one, end) for one in found] for end in ("low", "high"))
    currency = organisation.get().currency
    return Chart(
        kind="lines",
        categories=[f"{one:%b}" if one.month != 1 else f"{one:%b %y}" for one in months],
        series=[Series("Cost", costs, tone="cost"), Series("Value", values, tone="value")],
        unit="unit_price",
        finding=_finding(costs, values, currency),
        currency=currency,
        category_label="Month",
        band=(low, high, "value") if any(end is not None for end in low) else None,
        incomplete=frozenset(at for at, one in enumerate(found) if one is not None and not one.is_complete),
    )


def months_to(month: date, number: int) -> list[date]:
    """So many months up to this one, the oldest first."""
    found = [month]
    while len(found) < number:
        found.insert(0, periods.previous_month(found[0]))
    return found


def _end_per_useful(one: Figures | None, end: str) -> Decimal | None:
    if one is None or one.appraisal.value is None or not one.useful:
        return None
    amount: Decimal = getattr(one.appraisal.value, end)
    return amount / one.useful


def _finding(costs: Sequence[Decimal | None], values: Sequence[Decimal | None], currency: str) -> str:
    known = [cost for cost in costs if cost is not None]
    if not known:
        return "Without outcomes there is no cost of a useful output."
    text = f"Cost per useful output went from {_price(known[0], currency)} to {_price(known[-1], currency)}"
    worth = [value for value in values if value is not None]
    return f"{text}; its value is {_price(worth[-1], currency)}." if worth else f"{text}; its value is not known."


def _price(amount: Decimal, currency: str) -> str:
    return figures.unit_price(amount, currency)


@dataclass(frozen=True, slots=True)
class BreakRow:
    """One input moved alone to where nothing is left."""

    name: str
    base: str
    at: str
    change: str
    in_range: bool


def break_row(point: BreakPoint) -> BreakRow:
    unit = INPUT_UNITS.get(point.input, "")
    is_hidden = point.input is Input.HOURLY_RATE

    def shown(number: Decimal | None) -> str:
        if number is None:
            return "nothing alone gets there"
        if is_hidden:
            return "hidden"
        if point.input is Input.COST:
            return figures.money(number, organisation.get().currency)
        return f"{_short(number)} {unit}".strip()

    change = figures.delta(point.change) if point.change is not None else figures.UNKNOWN
    return BreakRow(point.input.value.capitalize(), shown(point.base), shown(point.at), change, point.in_range)


def _short(number: Decimal) -> str:
    """At most three significant digits after the point, no trailing zeros; whole counts in full."""
    if number == number.to_integral_value() or abs(number) >= 1000:
        return figures.count(number)
    return f"{number:.3g}" if abs(number) >= Decimal("0.001") else f"{number:.6f}".rstrip("0")


def _ranges(labour: Labour) -> list[tuple[str, str, str]]:
    return [
        (label, " / ".join(f"{getattr(getattr(labour, name), case).normalize():f}" for case in CASES), UNITS[name])
        for name, (label, _, _) in LIMITS.items()
    ]


# --- Writing a case ---------------------------------------------------------------------------------------------------


def at_most_10_mb(upload: UploadedFile[bytes]) -> None:
    """Asked before a byte of it is read."""
    if upload.size is None or upload.size > MOST_BYTES:
        raise forms.ValidationError("The file is larger than 10 MB. Link to it instead.")


class CaseForm(forms.Form):
    """Assumptions in three cases, whose work it is, for how long, and what supports it."""

    grade = forms.ModelChoiceField(Grade.objects.none(), label="Whose minutes are these?", empty_label="Pick one")
    review_grade = forms.ModelChoiceField(
        Grade.objects.none(), label="Who reviews?", required=False, empty_label="Nobody reviews"
    )
    owner = forms.ModelChoiceField(Person.objects.none(), label="Who answers for these figures?")
    valid_from = DayField(label="They hold from")
    expires = DayField(label="and are looked at again by")
    evidence_link = forms.URLField(
        label="A link to what supports them", required=False, max_length=500, assume_scheme="https"
    )
    evidence_file = forms.FileField(
        label="or a file, up to 10 MB", required=False, max_length=200, validators=[at_most_10_mb]
    )
    reason = forms.CharField(label="How do you know, or what is new?", max_length=300, required=False)
    expected_version = forms.IntegerField(widget=forms.HiddenInput(), min_value=0)

    def __init__(self, *args: Any, people: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for name in ("grade", "review_grade"):
            self.fields[name].queryset = selectors.grades()  # type: ignore[attr-defined]
        self.fields["owner"].queryset = people  # type: ignore[attr-defined]
        for name, (label, _, most) in LIMITS.items():
            for case in CASES:
                self.fields[f"{name}_{case}"] = forms.DecimalField(
                    label=ENDS[case],
                    min_value=Decimal(0),
                    max_value=most,
                    decimal_places=6,
                    max_digits=12,
                    required=name != "review_minutes",
                    widget=forms.TextInput(
                        attrs={"inputmode": "decimal", "autocomplete": "off", "aria-label": f"{label}, {ENDS[case]}"}
                    ),
                )

    @property
    def questions(self) -> list[tuple[str, str, str, list[forms.BoundField]]]:
        """Label, unit, why it is asked, and the three fields."""
        return [
            (label, UNITS[name], WHY[name], [self[f"{name}_{case}"] for case in CASES])
            for name, (label, _, _) in LIMITS.items()
        ]

    @property
    def assumptions(self) -> dict[str, dict[str, Any]]:
        """What was typed; no review time at all reads as none is spent."""
        return {name: {case: self._number(f"{name}_{case}") for case in CASES} for name in LIMITS}

    def _number(self, field: str) -> Decimal | None:
        number: Decimal | None = self.cleaned_data.get(field)
        return Decimal(0) if number is None and field.startswith("review_minutes") else number


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, slug: str) -> HttpResponse:
    """Write the next version; it is sent for attestation at once."""
    workload = _editable(request, slug)
    newest = _newest(request.actor, workload)
    if request.method == "GET":
        form = CaseForm(initial=_initial(request, workload, newest), people=_people())
        return _edit_page(request, workload, form)
    form = CaseForm(request.POST, request.FILES, people=_people())
    if form.is_valid() and _written(request, workload, form):
        messages.success(request, "Written. It counts once somebody else has attested it.")
        return HttpResponseRedirect(reverse("value:page", args=[workload.slug]))
    return _edit_page(request, workload, form)


@login_required
@require_POST
def preview(request: PageRequest, slug: str) -> HttpResponse:
    """The verdict that the form as it stands would make of the month, by the function that makes the real one."""
    workload = _editable(request, slug)
    form = CaseForm(request.POST, people=_people())
    form.is_valid()
    return render(request, "value/edit.html#preview", _preview_context(request, workload, form))


@login_required
@require_POST
def end(request: PageRequest, slug: str, version: int) -> HttpResponse:
    """The case holds no longer; months before keep it."""
    workload = _editable(request, slug)
    case = selectors.get_case_for(actor=request.actor, workload=workload, version=version)
    with errors_said(request, done="The value case has ended. From today on nothing says what it is worth."):
        economics.expire_case(
            actor=request.actor, case=case, reason=request.POST.get("reason", ""), today=period_of(request).today
        )
    return HttpResponseRedirect(reverse("value:page", args=[workload.slug]))


@login_required
@require_GET
def evidence(request: PageRequest, slug: str, pk: int) -> HttpResponse:
    """The file as a download that no browser opens by itself."""
    workload = get_workload_for(actor=request.actor, ref=slug)
    found = selectors.get_evidence_for(actor=request.actor, pk=pk)
    if found.workload_id != workload.pk:
        raise NotFound("There is no such file.")
    answer = HttpResponse(bytes(found.content), content_type="application/octet-stream")
    name = "".join(letter if letter.isalnum() or letter in "._- " else "_" for letter in found.name)
    answer["Content-Disposition"] = f'attachment; filename="{name.encode("ascii", "replace").decode()}"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


def _written(request: PageRequest, workload: Workload, form: CaseForm) -> bool:
    given = form.cleaned_data
    try:
        with errors_into(form):
            write_case_and_ask(
                actor=request.actor,
                workload=workload,
                file=_file(given.get("evidence_file")),
                assumptions=form.assumptions,
                **{name: given[name] for name in ("grade", "review_grade", "owner", "valid_from", "expires")},
                evidence_link=given["evidence_link"],
                reason=given["reason"],
                expected_version=given["expected_version"],
            )
    except Conflict as error:
        form.add_error(None, str(error))
    return not form.errors


def _file(upload: Any) -> tuple[str, bytes] | None:
    return (upload.name, upload.read()) if upload else None


def _edit_page(request: PageRequest, workload: Workload, form: CaseForm) -> HttpResponse:
    context = {
        "workload": workload,
        "form": form,
        "crumbs": _crumbs(workload, period_of(request), "Write the value case"),
        "has_grades": selectors.grades().exists(),
        "is_begun": not form.is_bound and form.initial["expected_version"] == 0 and "minutes_saved_low" in form.initial,
        **_preview_context(request, workload, form),
    }
    return render(request, "value/edit.html", context, status=422 if form.errors else 200)


def _preview_context(request: PageRequest, workload: Workload, form: CaseForm) -> dict[str, Any]:
    month = period_of(request).last_day.replace(day=1)
    found, why_not = _preview(request, workload, form, month)
    currency = organisation.get().currency
    lines: list[tuple[str, str]] = []
    if found and found.appraisal.net:
        appraisal = found.appraisal
        lines = [
            ("Value", _three(appraisal.value, currency)),
            ("Reviews", _three(appraisal.review, currency)),
            ("Full cost", figures.money(appraisal.cost, currency)),
            ("Net value", _three(appraisal.net, currency)),
            ("Return, likely case", ratio_text(appraisal.roi, times)),
        ]
    breaks = [break_row(point) for point in found.breaks if point.at is not None][:1] if found else []
    return {"preview": found, "why_not": why_not, "lines": lines, "first_break": breaks, "month": month}


def _preview(request: PageRequest, workload: Workload, form: CaseForm, month: date) -> tuple[Preview | None, str]:
    given = form.cleaned_data if form.is_bound else form.initial
    grade = given.get("grade")
    if grade is None:
        return None, "Say whose minutes these are, and the verdict appears here."
    try:
        labour = read_assumptions(form.assumptions if form.is_bound else _said(form.initial))
    except TollgateError as error:
        return None, str(error)
    return (
        selectors.preview_case(
            actor=request.actor,
            workload=workload,
            labour=labour,
            grade=grade,
            review_grade=given.get("review_grade"),
            valid_from=given.get("valid_from"),
            expires=given.get("expires"),
            month=month,
            today=period_of(request).today,
        ),
        "",
    )


def _said(initial: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {case: initial.get(f"{name}_{case}") or 0 for case in CASES} for name in LIMITS}


def _three(amounts: Any, currency: str) -> str:
    if amounts is None:
        return figures.UNKNOWN
    return " / ".join(figures.compact(getattr(amounts, case), currency) for case in CASES)


def _initial(request: PageRequest, workload: Workload, newest: ValueCase | None) -> dict[str, Any]:
    today = period_of(request).today
    start = today.replace(day=1)
    given: dict[str, Any] = {
        "owner": workload.business_owner,
        "valid_from": start,
        "expires": start.replace(year=start.year + 1),
        "expected_version": 0,
    }
    if newest is None:
        given |= _first(workload)
    else:
        given |= {name: getattr(newest, name) for name in ("grade", "review_grade", "owner", "evidence_link")}
        given |= {f"{name}_{case}": newest.assumptions[name][case] for name in LIMITS for case in CASES}
        given["expected_version"] = newest.version
    return given


def _first(workload: Workload) -> dict[str, Any]:
    """What the registration said of saved time; nothing of it where something else was to be brought."""
    said = workload.first_estimate
    if not said or workload.benefit != Workload.Benefit.LABOUR:
        return {}
    assumed = first_assumptions(said)
    given = {f"{name}_{case}": assumed[name][case] for name in LIMITS for case in CASES}
    return given | {"grade": selectors.grades().filter(pk=said.get("grade")).first()}


def _newest(actor: Actor, workload: Workload) -> ValueCase | None:
    history = selectors.case_history(actor=actor, workload=workload)
    return history[0].case if history else None


def _people() -> Any:
    return Person.objects.filter(active=True).order_by("name")


def _editable(request: PageRequest, slug: str) -> Workload:
    workload = get_workload_for(actor=request.actor, ref=slug)
    selectors.case_history(actor=request.actor, workload=workload)  # 404 for whoever may not see its money
    if not may_edit(request.actor, workload):
        raise NotFound("There is no such value case to write.")
    return workload


def _crumbs(workload: Workload, period: PeriodChoice, last: str) -> list[Crumb]:
    here = f"{reverse('workloads:detail', args=[workload.slug])}?{period.query}"
    return [Crumb("Portfolio", reverse("workloads:list")), Crumb(workload.name, here), Crumb(last)]


app_name = "value"
urlpatterns = [
    path("<slug:slug>/value/", page, name="page"),
    path("<slug:slug>/value/write/", edit, name="edit"),
    path("<slug:slug>/value/preview/", preview, name="preview"),
    path("<slug:slug>/value/<int:version>/end/", end, name="end"),
    path("<slug:slug>/evidence/<int:pk>/", evidence, name="evidence"),
]
