"""By which thresholds a month is judged: for whoever keeps the settings."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.economics import services as economics
from apps.economics.thresholds import COUNTS, thresholds
from apps.economics.verdict import DEFAULTS, Settings
from apps.web import figures
from apps.web.forms import errors_into, posted
from apps.web.pages import PageRequest
from apps.web.settings import settings_tabs

HUNDRED: Final = Decimal(100)
# name -> (label, unit, what it does)
WORDS: Final = {
    "missing_days_share": ("Days without outcomes, at most", "%", "of the days with usage; beyond it unproven"),
    "unknown_cost_share": ("Cost that is not known, at most", "%", "no price, no rate or no data; beyond it unproven"),
    "least_produced": ("Outputs produced, at least", "", "fewer are unproven"),
    "fix_tolerance": ("Loss in the low case, at most", "%", "of the likely value; beyond it fix"),
    "scale_roi": ("Return from which it is scale", "", "net value for each unit of cost"),
    "band_share": ("Answers within the promised time, at least", "%", "fewer are fix"),
    "band_least": ("Calls by which a band is judged, at least", "", "fewer tell nothing"),
}
SHARES: Final = tuple(name for name, (_, unit, _) in WORDS.items() if unit)


class ThresholdsForm(forms.Form):
    """Shares are typed in per cent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for name, (label, _, does) in WORDS.items():
            self.fields[name] = _field(name, label, f"{does}. At first {_typed(name, getattr(DEFAULTS, name))}.")

    @property
    def rows(self) -> list[tuple[forms.BoundField, str]]:
        return [(self[name], unit) for name, (_, unit, _) in WORDS.items()]

    def wanted(self) -> Settings:
        said = self.cleaned_data
        return Settings(**{name: said[name] / HUNDRED if name in SHARES else said[name] for name in WORDS})


def _field(name: str, label: str, does: str) -> forms.Field:
    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    about: dict[str, Any] = {"label": label, "widget": widget, "help_text": does[0].upper() + does[1:]}
    if name in COUNTS:
        return forms.IntegerField(min_value=1, **about)
    most = HUNDRED if name in SHARES else None
    return forms.DecimalField(min_value=Decimal(0), max_value=most, max_digits=9, decimal_places=4, **about)


def _typed(name: str, value: Decimal | int) -> str:
    if name in SHARES:
        return figures.percent_short(value).removesuffix("%")
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest) -> HttpResponse:
    rights.require(request.actor, Right.MANAGE_SETTINGS)
    initial = {name: _typed(name, value) for name, value in asdict(thresholds()).items()}
    form = ThresholdsForm(posted(request), initial=initial)
    if request.method == "POST" and form.is_valid():
        with errors_into(form):
            economics.set_thresholds(actor=request.actor, wanted=form.wanted())
        if not form.errors:
            messages.success(request, "Kept. Months that nobody has signed are judged anew within seconds.")
            return redirect("thresholds:edit")
    context = {"form": form, "tabs": settings_tabs(request.actor, "thresholds:edit")}
    return render(request, "thresholds/edit.html", context, status=422 if form.errors else 200)


app_name = "thresholds"
urlpatterns = [path("", edit, name="edit")]
