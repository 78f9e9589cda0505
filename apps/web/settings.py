"""Settings: the organisation for those who manage it, and for everybody what they are here."""

import calendar
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_http_methods

from apps.accounts import rights
from apps.accounts.models import RoleGrant
from apps.accounts.rights import Right, rights_of
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.models import Organisation
from apps.core.working_days import days_off, set_days_off
from apps.costs.limits import set_unallocated_limit, unallocated_limit
from apps.usage.models import Series
from apps.web import figures
from apps.web.forms import errors_into, posted
from apps.web.pages import PageRequest
from apps.web.parts import Tab

# What most books are kept in first, then every other currency of the European Central Bank's list.
CURRENCIES = [
    *("USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "CAD", "AUD"),
    *("BGN", "BRL", "CZK", "DKK", "HKD", "HUF", "IDR", "ILS", "ISK", "KRW", "MXN", "MYR"),
    *("NOK", "NZD", "PHP", "PLN", "RON", "SEK", "SGD", "THB", "TRY", "ZAR"),
]
MONTHS = list(calendar.month_name)[1:]


def zones() -> list[tuple[str, str]]:
    """UTC, then the places of the world; the many aliases and the POSIX oddities are left out."""
    areas = ("Africa/", "America/", "Antarctica/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    places = sorted(name for name in available_timezones() if name.startswith(areas))
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in places)]


class OrganisationForm(forms.Form):
    """Currency and zone cannot be chosen any more once `is_fixed`: every month and every amount hangs on them."""

    name = forms.CharField(label="Name of the organisation", max_length=120)
    currency = forms.ChoiceField(label="Currency of all figures")
    zone = forms.ChoiceField(label="Accounting time zone")
    fiscal_start = forms.TypedChoiceField(
        label="Fiscal year begins in", coerce=int, choices=list(enumerate(MONTHS, start=1)), initial=1
    )

    def __init__(self, *args: Any, current: Organisation | None, is_fixed: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("currency", [(code, code) for code in CURRENCIES], current.currency if current else "USD")
        self._offer("zone", zones(), current.zone if current else "UTC")
        if current:
            # A name that nobody chose is not offered as if somebody had.
            self.fields["name"].initial = "" if current.name == organisation.DEFAULT_NAME else current.name
            self.fields["fiscal_start"].initial = current.fiscal_start
        for name in ("currency", "zone"):
            self.fields[name].disabled = is_fixed

    def _offer(self, name: str, choices: list[tuple[str, str]], chosen: str) -> None:
        """What stands in the database is always among the choices, even if no list has it."""
        known = {value for value, _ in choices}
        self.fields[name].choices = choices if chosen in known else [(chosen, chosen), *choices]  # type: ignore[attr-defined]
        self.fields[name].initial = chosen


class SettingsForm(OrganisationForm):
    """The organisation, and the limits by which its figures are judged."""

    unallocated_limit = forms.DecimalField(
        label="Unallocated, at most",
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(100),
        max_digits=5,
        decimal_places=2,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text="Per cent of the full cost. Above it Home and the workbench ask for somebody to bind the keys.",
    )

    days_off = forms.CharField(
        label="Days off",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
        help_text="Holidays, each as 2026-12-25. What falls due on one is due on the next working day.",
    )

    def __init__(self, *args: Any, current: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, current=current, **kwargs)
        self.fields["days_off"].initial = " ".join(day.isoformat() for day in sorted(days_off(current)))
        self.fields["unallocated_limit"].initial = figures.percent_short(unallocated_limit(current)).removesuffix("%")

    def save(self, actor: Actor) -> None:
        """All or nothing: the caller's transaction holds them together. An empty limit stays as it is."""
        values = dict(self.cleaned_data)
        limit, off = values.pop("unallocated_limit"), values.pop("days_off")
        organisation.change(actor=actor, usage_is_loaded=usage_is_loaded(), **values)
        if limit is not None:
            set_unallocated_limit(actor=actor, share=limit / 100)
        set_days_off(actor=actor, text=off)


def usage_is_loaded() -> bool:
    return Series.objects.exists()


def settings_tabs(actor: Actor, current: str) -> list[Tab]:
    """The pages of the settings that this person may open."""
    may = rights_of(actor).may
    pages = [("settings:overview", "Organisation", True)]
    pages += [
        ("people:list", "People", may(Right.SEE_PEOPLE)),
        ("cost_centres:list", "Cost centres", may(Right.SEE_PEOPLE)),
    ]
    pages += [("thresholds:edit", "Verdict", may(Right.MANAGE_SETTINGS))]
    pages += [("tokens:list", "API tokens", may(Right.MANAGE_TOKENS) or may(Right.SEE_PEOPLE))]
    return [Tab(label, reverse(name), is_current=name == current) for name, label, seen in pages if seen]


@login_required
@require_http_methods(["GET", "POST"])
def overview(request: PageRequest) -> HttpResponse:
    current, is_fixed = organisation.get(), usage_is_loaded()
    form = SettingsForm(posted(request), current=current, is_fixed=is_fixed)
    if request.method == "POST":
        rights.require(request.actor, Right.MANAGE_SETTINGS)
        if form.is_valid():
            with errors_into(form), transaction.atomic():
                form.save(request.actor)
                messages.success(request, "Settings saved.")
                return redirect("settings:overview")
    context = {
        "form": form,
        "organisation": current,
        "is_fixed": is_fixed,
        "may_change": rights_of(request.actor).may(Right.MANAGE_SETTINGS),
        "tabs": settings_tabs(request.actor, "settings:overview"),
        "my_grants": RoleGrant.objects.in_force()
        .filter(person_id=request.actor.person_id or 0)
        .select_related("cost_centre", "granted_by", "passed_on_from__person"),
        "unallocated_limit": figures.percent_short(unallocated_limit(current)),
        "days_off": sorted(days_off(current)),
        "month_name": MONTHS[current.fiscal_start - 1],
    }
    return render(request, "settings/overview.html", context, status=400 if form.errors else 200)


app_name = "settings"
urlpatterns = [path("", overview, name="overview")]
