"""Exchange rates: what one unit of another currency was worth in the organisation's, day by day, and by whose word."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.catalog import services as catalog
from apps.catalog.models import Fx
from apps.core import organisation
from apps.core.errors import BadInput
from apps.web.exports import Cell, table_response
from apps.web.forms import DayField, errors_into, posted
from apps.web.pages import PageRequest, page_or_part
from apps.web.parts import Chip, Column
from apps.web.price_tabs import past_changes, price_tabs
from apps.web.queries import page_number, query_with
from apps.web.settings import CURRENCIES

PAGE: Final = 50
CHANGED: Final = "set exchange rate"


class RateForm(forms.Form):
    """A rate of one day, with the reason that the trail keeps."""

    currency = forms.ChoiceField(label="One unit of")
    day = DayField(label="On")
    rate = forms.DecimalField(
        label="Is worth",
        min_value=Decimal(0),
        max_digits=38,
        decimal_places=18,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    reason = forms.CharField(label="Why?", max_length=300)

    def __init__(self, *args: Any, currencies: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.fields["currency"].choices = [(code, code) for code in currencies]  # type: ignore[attr-defined]

    def clean_day(self) -> date:
        day: date = self.cleaned_data["day"]
        if day > timezone.localdate():
            raise forms.ValidationError("That day has not come yet.")
        return day


@login_required
@require_http_methods(["GET", "POST"])
def exchange_rates(request: PageRequest) -> HttpResponseBase:
    """The newest rate of each currency, or all days of one; a rate stated by hand goes before the published one."""
    rights.require(request.actor, Right.SEE_RATES)
    quote, known = organisation.get().currency, _known()
    others = list(dict.fromkeys(code for code in (*known, *CURRENCIES) if code != quote))
    chosen = request.GET.get("currency", "")
    if chosen and chosen not in others:
        raise BadInput(f"“{chosen[:40]}” is no currency with rates.", hint="Choose one of the list.")
    if request.GET.get("format"):
        return _file(request, quote, chosen)
    form = RateForm(posted(request), currencies=others, initial={"currency": chosen, "day": timezone.localdate()})
    if request.method == "POST":
        rights.require(request.actor, Right.EDIT_RATES)
        if form.is_valid() and _stated(request, form, quote):
            return HttpResponseRedirect(f"{reverse('rates:fx')}?currency={form.cleaned_data['currency']}")
    return _page(request, form, quote, chosen, known)


def _page(request: PageRequest, form: RateForm, quote: str, chosen: str, known: list[str]) -> HttpResponse:
    page = Paginator(_rates(quote, chosen), PAGE).get_page(page_number(request))
    context = {
        "form": form,
        "page": page,
        "quote": quote,
        "chosen": chosen,
        "columns": _columns(quote),
        "chips": _chips(request, chosen, known),
        "may_edit": rights.rights_of(request.actor).may(Right.EDIT_RATES),
        "changes": past_changes(CHANGED, _ids(quote, chosen) if chosen else None),
        "tabs": price_tabs("rates:fx"),
        "file_query": query_with(request, page=None),
    }
    return page_or_part(request, "prices/fx.html", "rows", context, status=422 if form.errors else 200)


def _stated(request: PageRequest, form: RateForm, quote: str) -> bool:
    values = form.cleaned_data
    with errors_into(form):
        catalog.set_exchange_rate(actor=request.actor, quote=quote, **values)
    if form.errors:
        return False
    messages.success(request, f"The rate of {values['day']:%-d %b %Y} is stated; open months are worked out again.")
    return True


def _known() -> list[str]:
    return list(Fx.objects.order_by("currency").values_list("currency", flat=True).distinct())


def _rates(quote: str, chosen: str) -> QuerySet[Fx]:
    rows = Fx.objects.filter(quote=quote)
    if chosen:
        return rows.filter(currency=chosen).order_by("-day")
    return rows.order_by("currency", "-day").distinct("currency")


def _ids(quote: str, chosen: str) -> QuerySet[Fx, int]:
    return Fx.objects.filter(quote=quote, currency=chosen, source="by hand").values_list("pk", flat=True)


def _columns(quote: str) -> list[Column]:
    return [
        Column("Currency"),
        Column("Day"),
        Column(f"In {quote}", is_number=True, title=f"What one unit is worth in {quote}"),
        Column("Rate of", title="The day whose rate it is: earlier on weekends and holidays"),
        Column("From"),
    ]


def _chips(request: PageRequest, chosen: str, known: list[str]) -> list[Chip]:
    if chosen:
        return [Chip(f"Currency is {chosen}", href=query_with(request, currency=None, page=None), is_on=True)]
    return [Chip(code, href=query_with(request, currency=code, page=None)) for code in known[:12]]


def _file(request: PageRequest, quote: str, chosen: str) -> HttpResponseBase:
    heads = ["Currency", "Day", f"One unit in {quote}", "Rate of", "From"]
    rows: Iterable[list[Cell]] = (
        [row.currency, row.day, row.rate, row.as_of, row.source] for row in _rates(quote, chosen).iterator()
    )
    kind = "xlsx" if request.GET["format"] == "xlsx" else "csv"
    return table_response(heads, rows, name=f"exchange-rates-{chosen or 'newest'}-{quote}", kind=kind)
