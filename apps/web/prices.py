"""The price list: what holds now, how it came to that, and what has no price yet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.approvals import services as approvals
from apps.approvals.selectors import waiting_about
from apps.catalog import selectors
from apps.catalog import services as catalog
from apps.catalog.models import ModelClass, Offering, Rate
from apps.catalog.selectors import PriceLine
from apps.catalog.services import LooksLikeAnotherUnit
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import TollgateError
from apps.costs.selectors.unpriced import unpriced_tokens
from apps.web import bands, fx, hooks
from apps.web.exports import Cell, table_response
from apps.web.forms import posted
from apps.web.pages import PageRequest, page_or_part
from apps.web.parts import Chip, Column, Crumb
from apps.web.price_tabs import price_tabs
from apps.web.prices_forms import (
    ClassForm,
    ContractForm,
    CorrectionForm,
    EndForm,
    HostingForm,
    ListedForm,
    start_of_day,
)
from apps.web.queries import choice_chip, query_with

PAGE = 50
COLUMNS = (
    Column("Model", sort="name"),
    Column("Class", sort="class"),
    Column("Input", sort="input", is_number=True, title="Per 1,000,000 input tokens that are not cached"),
    Column("Cached", is_number=True, title="Per 1,000,000 input tokens read from the cache"),
    Column("Output", sort="output", is_number=True, title="Per 1,000,000 output tokens"),
    Column("GPU hour", sort="gpu", is_number=True),
    Column("Price from"),
    Column("Since", is_number=True),
)
FILE_COLUMNS = (
    "Provider", "Model", "Class", "Hosted", "Input per 1M tokens", "Cached per 1M tokens", "Output per 1M tokens",
    "GPU hour", "Currency", "Price from", "List or contract", "Since",
)  # fmt: skip
SOURCES = {"contract": "Contract", "public": "List price", "none": "No price"}


# --- The list ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filters:
    """What the URL asks for."""

    words: str
    provider: str
    model_class: str
    source: str
    sort: str

    @classmethod
    def of(cls, request: HttpRequest) -> "Filters":
        get = request.GET
        sort = get.get("sort", "name")
        return cls(
            words=get.get("q", "").strip()[:100],
            provider=get.get("provider", ""),
            model_class=get.get("class", "") if get.get("class", "") in ModelClass.values else "",
            source=get.get("from", "") if get.get("from", "") in SOURCES else "",
            sort=sort if sort.removeprefix("-") in selectors.SORTS else "name",
        )

    def apply(self, offerings: QuerySet[Offering]) -> QuerySet[Offering]:
        if self.words:
            offerings = offerings.filter(Q(name__icontains=self.words) | Q(provider__icontains=self.words))
        if self.provider:
            offerings = offerings.filter(provider=self.provider)
        if self.model_class:
            offerings = offerings.filter(Q(class_now=self.model_class))
        if self.source:
            offerings = offerings.filter(
                Q(scope_now__isnull=True) if self.source == "none" else Q(scope_now=self.source)
            )
        return offerings.order_by(*self._order())

    def _order(self) -> Iterator[Any]:
        """What is unknown comes last in either direction."""
        first, *others = selectors.SORTS[self.sort.removeprefix("-")]
        column = F(first)
        yield column.desc(nulls_last=True) if self.sort.startswith("-") else column.asc(nulls_last=True)
        yield from others


@login_required
@require_GET
def price_list(request: PageRequest) -> HttpResponseBase:
    rights.require(request.actor, Right.SEE_RATES)
    now, filters = timezone.now(), Filters.of(request)
    offerings = filters.apply(selectors.offerings_now(now))
    kind = request.GET.get("format", "")
    if kind:
        rows = (_file_row(line) for line in selectors.price_lines(offerings))
        name = f"prices-{timezone.localdate()}"
        return table_response(FILE_COLUMNS, rows, name=name, kind="xlsx" if kind == "xlsx" else "csv")
    page = Paginator(offerings, PAGE).get_page(request.GET.get("page"))
    lines = selectors.price_lines(page.object_list)
    context = {
        "page": page,
        "lines": lines,
        "columns": COLUMNS,
        "sort": filters.sort,
        "chips": _chips(request, filters),
        "is_filtered": any((filters.words, filters.provider, filters.model_class, filters.source)),
        "unpriced": _waiting_for_a_price(now),
        "may_edit": _may_edit(request.actor),
        "words": filters.words,
        "tabs": price_tabs("rates:list"),
        "file_query": query_with(request, page=None),
    }
    return page_or_part(request, "prices/list.html", "rows", context)


def _waiting_for_a_price(now: datetime) -> list[tuple[selectors.Unpriced, int]]:
    """Models without a price and their tokens without a cost, the most first."""
    tokens = unpriced_tokens()
    found = [(item, tokens.get(item.offering.pk, 0)) for item in selectors.unpriced(now)]
    return sorted(found, key=lambda pair: -pair[1])


def _file_row(line: PriceLine) -> list[Cell]:
    return [
        line.provider, line.name, line.model_class, line.hosted, line.input, line.cached, line.output, line.gpu_hour,
        line.currency, SOURCES[line.scope or "none"], line.list_version, line.valid_from,
    ]  # fmt: skip


def _chips(request: HttpRequest, filters: Filters) -> list[Chip]:
    providers = Offering.objects.exclude(provider="").order_by("provider").values_list("provider", flat=True).distinct()
    kinds: list[tuple[str, str, str, list[tuple[str, str]]]] = [
        ("provider", "Provider", filters.provider, [(name, name) for name in providers]),
        ("class", "Class", filters.model_class, [(value, str(label)) for value, label in ModelClass.choices]),
        ("from", "Price from", filters.source, list(SOURCES.items())),
    ]
    return [choice_chip(request, *kind, are_names=True) for kind in kinds]


# --- One model --------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def offering(request: PageRequest, pk: int) -> HttpResponse:
    return _offering_page(request, selectors.get_offering_for(actor=request.actor, pk=pk))


def _offering_page(request: PageRequest, found: Offering, **forms: forms.Form) -> HttpResponse:
    now = timezone.now()
    context = {
        "history": selectors.history(found, at=now),
        "holding": selectors.holding_now(found, at=now),
        "crumbs": [Crumb("Prices", reverse("rates:list")), Crumb(str(found))],
        "may_edit": _may_edit(request.actor),
        "waiting": waiting_about(found),
        "class_form": ClassForm(initial={"valid_from": timezone.localdate()}),
        "hosting_form": HostingForm(initial={"hosted": found.hosted, "accelerator": found.accelerator}),
        "listed_form": ListedForm(initial={"provider": found.provider, "model": found.name}),
        **forms,
    }
    return render(request, "prices/offering.html", context, status=422 if forms else 200)


@login_required
@require_http_methods(["GET", "POST"])
def add_rate(request: PageRequest, pk: int) -> HttpResponse:
    """State a contract price; one far from the list price is asked about once."""
    found = selectors.get_offering_for(actor=request.actor, pk=pk)
    rights.require(request.actor, Right.EDIT_RATES)
    today = timezone.localdate().replace(day=1)
    form = ContractForm(
        posted(request), initial={"currency": organisation.get().currency, "valid_from": today, "prompt_band": 0}
    )
    if request.method == "POST" and form.is_valid():
        values = {"deed": "add", **form.values()}
        if _try(form, lambda: _propose(request.actor, found, values, form.cleaned_data["reason"] or "A new contract")):
            return _proposed(request, found)
    return _rate_page(request, found, form, title="Add a contract price", button="Propose the price")


@login_required
@require_http_methods(["GET", "POST"])
def correct_rate(request: PageRequest, pk: int) -> HttpResponse:
    rate = selectors.get_contract_rate_for(actor=request.actor, pk=pk)
    rights.require(request.actor, Right.EDIT_RATES)
    form = CorrectionForm(request.POST) if request.method == "POST" else CorrectionForm.of(rate)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        values = {"deed": "correct", "rate": rate, "prices": form.prices(), "confirmed": data["confirmed"]}
        if _try(form, lambda: _propose(request.actor, rate.offering, values, data["reason"])):
            return _proposed(request, rate.offering)
    return _rate_page(
        request, rate.offering, form, title="Correct a contract price", button="Propose the correction", rate=rate
    )


@login_required
@require_http_methods(["GET", "POST"])
def end_rate(request: PageRequest, pk: int) -> HttpResponse:
    rate = selectors.get_contract_rate_for(actor=request.actor, pk=pk)
    rights.require(request.actor, Right.EDIT_RATES)
    form = EndForm(posted(request))
    if request.method == "POST" and form.is_valid():
        valid_to = start_of_day(form.cleaned_data["last_day"] + timedelta(days=1))
        values = {"deed": "end", "rate": rate, "valid_to": valid_to}
        if _try(form, lambda: _propose(request.actor, rate.offering, values, form.cleaned_data["reason"])):
            return _proposed(request, rate.offering)
    return _rate_page(request, rate.offering, form, title="End a contract price", button="Propose the end", rate=rate)


@login_required
@require_POST
def take_list_price(request: PageRequest, pk: int) -> HttpResponse:
    """Say which model of the public list an unknown name is."""
    found = selectors.get_offering_for(actor=request.actor, pk=pk)
    rights.require(request.actor, Right.EDIT_RATES)
    form = ListedForm(request.POST)
    if form.is_valid() and _try(
        form, lambda: catalog.take_list_price(actor=request.actor, offering=found, **form.cleaned_data)
    ):
        messages.success(request, f"{found} takes the list price of {form.cleaned_data['model']}.")
        return _back_to(found)
    return _offering_page(request, found, listed_form=form)


@login_required
@require_POST
def set_class(request: PageRequest, pk: int) -> HttpResponse:
    found = selectors.get_offering_for(actor=request.actor, pk=pk)
    rights.require(request.actor, Right.EDIT_RATES)
    form = ClassForm(request.POST)
    if form.is_valid():
        values = {**form.cleaned_data, "valid_from": start_of_day(form.cleaned_data["valid_from"])}
        if _try(form, lambda: catalog.set_offering_class(actor=request.actor, offering=found, **values)):
            messages.success(request, f"{found} is {values['model_class']}.")
            return _back_to(found)
    return _offering_page(request, found, class_form=form)


@login_required
@require_POST
def set_hosting(request: PageRequest, pk: int) -> HttpResponse:
    found = selectors.get_offering_for(actor=request.actor, pk=pk)
    rights.require(request.actor, Right.EDIT_RATES)
    form = HostingForm(request.POST)
    if form.is_valid() and _try(
        form, lambda: catalog.set_hosting(actor=request.actor, offering=found, **form.cleaned_data)
    ):
        messages.success(request, f"{found} is hosted {found.Hosted(form.cleaned_data['hosted']).label}.")
        return _back_to(found)
    return _offering_page(request, found, hosting_form=form)


@login_required
@require_POST
def refresh(request: PageRequest) -> HttpResponse:
    """Take over the public list that is installed now."""
    changes = catalog.refresh_public_prices(actor=request.actor)
    text = (
        f"{len(changes)} models have other prices now."
        if changes
        else "All list prices are those of the installed list."
    )
    messages.success(request, text)
    return HttpResponseRedirect(reverse("rates:list"))


def _rate_page(
    request: PageRequest, found: Offering, form: forms.Form, *, title: str, button: str, rate: Rate | None = None
) -> HttpResponse:
    back = reverse("rates:offering", args=[found.pk])
    context = {
        "offering": found,
        "form": form,
        "title": title,
        "button": button,
        "rate": rate,
        "listed": _list_line(found),
        "asks_for_unit": form.has_error("confirmed", "unit"),
        "is_add": isinstance(form, ContractForm),
        "is_end": isinstance(form, EndForm),
        "crumbs": [Crumb("Prices", reverse("rates:list")), Crumb(str(found), back), Crumb(title)],
        "back": back,
    }
    return render(request, "prices/rate.html", context, status=422 if form.errors else 200)


def _propose(actor: Actor, found: Offering, values: dict[str, Any], reason: str) -> None:
    approvals.ask(actor=actor, kind="contract_rate", subject=found, proposed=values, reason=reason)


def _proposed(request: PageRequest, found: Offering) -> HttpResponseRedirect:
    messages.success(request, "The price waits until somebody else who keeps prices has confirmed it.")
    return _back_to(found)


def _list_line(found: Offering) -> PriceLine:
    return selectors.history(found, at=timezone.now()).now


def _try(form: forms.Form, deed: Callable[[], object]) -> bool:
    """Do it, or say in the form why not."""
    try:
        deed()
    except LooksLikeAnotherUnit as question:
        form.add_error("confirmed", forms.ValidationError(question.message, code="unit"))
    except TollgateError as refusal:
        form.add_error(None, str(refusal))
    return not form.errors


def _back_to(found: Offering) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("rates:offering", args=[found.pk]))


def _may_edit(actor: Actor) -> bool:
    return rights.rights_of(actor).may(Right.EDIT_RATES)


# --- Sockets of the frame ---------------------------------------------------------------------------------------------


@hooks.counts("rates")
def waiting(actor: Actor) -> int:
    """Models without a price wait for those who can give one."""
    return selectors.count_unpriced(timezone.now()) if _may_edit(actor) else 0


@hooks.finds("Models")
def find(actor: Actor, words: str) -> list[hooks.Found]:
    if not rights.rights_of(actor).may(Right.SEE_RATES):
        return []
    found = Offering.objects.filter(Q(name__icontains=words) | Q(provider__icontains=words)).order_by("name")[:8]
    return [
        hooks.Found(row.name or str(row), reverse("rates:offering", args=[row.pk]), "tag", row.provider)
        for row in found
    ]


app_name = "rates"
urlpatterns = [
    path("", price_list, name="list"),
    path("refresh/", refresh, name="refresh"),
    path("exchange/", fx.exchange_rates, name="fx"),
    path("bands/", bands.band_list, name="bands"),
    path("bands/<slug:code>/", bands.edit_band, name="band"),
    path("<int:pk>/", offering, name="offering"),
    path("<int:pk>/contract/", add_rate, name="add"),
    path("<int:pk>/listed/", take_list_price, name="listed"),
    path("<int:pk>/class/", set_class, name="class"),
    path("<int:pk>/hosting/", set_hosting, name="hosting"),
    path("rates/<int:pk>/correct/", correct_rate, name="correct"),
    path("rates/<int:pk>/end/", end_rate, name="end"),
]
