"""The grade table: what an hour of a kind of work costs. Seen and kept by analysts and administrators only."""

from collections.abc import Iterator
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.economics import selectors
from apps.economics import services as economics
from apps.economics.models import Grade
from apps.web.exports import Cell, table_response
from apps.web.forms import DayField, errors_into
from apps.web.pages import PageRequest
from apps.web.parts import Crumb
from apps.web.register_forms import AmountField

COLUMNS: Final = ("Grade", "An hour costs", "From", "Recorded by", "Recorded at")


class GradeForm(forms.Form):
    name = forms.CharField(label="Name of the grade", max_length=80)
    hourly = AmountField(label="An hour costs")
    valid_from = DayField(label="From")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})


class RateForm(forms.Form):
    hourly = AmountField(label="An hour costs")
    valid_from = DayField(label="From")


@login_required
@require_GET
def grades(request: PageRequest) -> HttpResponseBase:
    rights.require(request.actor, Right.SEE_GRADES)
    if request.GET.get("format") in ("csv", "xlsx"):
        return table_response(COLUMNS, _cells(request), name="grades", kind=request.GET["format"])
    return _page(request)


@login_required
@require_POST
def add(request: PageRequest) -> HttpResponseBase:
    """A grade with its first rate."""
    rights.require(request.actor, Right.SEE_GRADES)
    form = GradeForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        with errors_into(form):
            economics.add_grade_with_rate(actor=request.actor, **given)
        if not form.errors:
            messages.success(request, f"{given['name']} is in the table.")
            return HttpResponseRedirect(reverse("grades:list"))
    return _page(request, form)


@login_required
@require_POST
def rate(request: PageRequest, pk: int) -> HttpResponseBase:
    """What an hour costs from a day on; months that are not signed are worked out again."""
    rights.require(request.actor, Right.SEE_GRADES)
    grade = get_object_or_404(Grade, pk=pk)
    form = RateForm(request.POST)
    if form.is_valid():
        with errors_into(form):
            economics.set_grade_rate(actor=request.actor, grade=grade, **form.cleaned_data)
        if not form.errors:
            messages.success(request, f"{grade.name} has a new rate. Months that are not signed follow.")
            return HttpResponseRedirect(reverse("grades:list"))
    return _page(request, rate=form, rated=grade.pk)


def _page(
    request: PageRequest, form: GradeForm | None = None, *, rate: RateForm | None = None, rated: int = 0
) -> HttpResponseBase:
    """With what was typed into one of its forms and refused: `rate` is that of the grade `rated`."""
    rates = list(selectors.grade_rates_for(request.actor).order_by("grade__name", "-valid_from", "-pk"))
    context = {
        "rates": rates,
        "grades": selectors.grades(),
        "form": form or GradeForm(),
        "rate": rate,
        "rated": rated,
        "crumbs": [Crumb("Settings", reverse("settings:overview")), Crumb("Grades")],
    }
    is_refused = any(each and each.errors for each in (form, rate))
    return render(request, "grades/list.html", context, status=422 if is_refused else 200)


def _cells(request: PageRequest) -> Iterator[tuple[Cell, ...]]:
    for row in selectors.grade_rates_for(request.actor).order_by("grade__name", "-valid_from", "-pk"):
        by = row.recorded_by.name if row.recorded_by else ""
        yield row.grade.name, row.hourly, row.valid_from, by, row.recorded_at


app_name = "grades"
urlpatterns = [
    path("", grades, name="list"),
    path("add/", add, name="add"),
    path("<int:pk>/rate/", rate, name="rate"),
]
