"""Latency bands: what speed each name promises. Limits lie on the edges between which latencies are counted."""

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.catalog import services as catalog
from apps.catalog.bands import LATENCY_EDGES_MS
from apps.catalog.models import LatencyBand
from apps.core.errors import NotFound
from apps.web import figures
from apps.web.exports import Cell, table_response
from apps.web.forms import errors_into
from apps.web.pages import PageRequest
from apps.web.parts import Column, Crumb
from apps.web.price_tabs import past_changes, price_tabs
from apps.workloads.models import Workload, WorkloadRevision

CHANGED: Final = "changed latency band"
COLUMNS: Final = (
    Column("Band"),
    Column("p95 at most", is_number=True, title="The 95th percentile of the time to an answer"),
    Column("In plain words"),
    Column("Workloads", is_number=True),
)


class BandForm(forms.Form):
    """A band's words and its limit, one of the edges: between two of them nobody could say whether it was kept."""

    name = forms.CharField(label="Name", max_length=40)
    limit_ms = forms.TypedChoiceField(label="p95 at most", coerce=int, required=False, empty_value=None)
    sentence = forms.CharField(label="In plain words", max_length=200)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        edges = [(str(edge), figures.latency(edge)) for edge in LATENCY_EDGES_MS]
        self.fields["limit_ms"].choices = [("", "no limit: it is scheduled"), *edges]  # type: ignore[attr-defined]


@login_required
@require_GET
def band_list(request: PageRequest) -> HttpResponseBase:
    """The bands with the workloads that promise them now, and how they came to be what they are."""
    rights.require(request.actor, Right.SEE_RATES)
    bands, users = list(LatencyBand.objects.all()), _users()
    if request.GET.get("format"):
        kind = "xlsx" if request.GET["format"] == "xlsx" else "csv"
        heads = ["Band", "Code", "p95 at most (ms)", "In plain words", "Workloads"]
        return table_response(heads, [_cells(band, users) for band in bands], name="latency-bands", kind=kind)
    context = {
        "rows": [(band, users.get(band.code, 0)) for band in bands],
        "columns": COLUMNS,
        "may_change": rights.rights_of(request.actor).may(Right.MANAGE_SETTINGS),
        "changes": past_changes(CHANGED),
        "tabs": price_tabs("rates:bands"),
    }
    return render(request, "prices/bands.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def edit_band(request: PageRequest, code: str) -> HttpResponse:
    """Another limit or other words; months of workloads that promise the band follow, unless they are signed."""
    rights.require(request.actor, Right.MANAGE_SETTINGS)
    band = LatencyBand.objects.filter(code=code).first()
    if band is None:
        raise NotFound("There is no such latency band.")
    initial = {"name": band.name, "limit_ms": band.limit_ms or "", "sentence": band.sentence}
    form = BandForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        with errors_into(form):
            catalog.set_latency_band(actor=request.actor, band=band, **form.cleaned_data)
        if not form.errors:
            messages.success(request, f"The band {form.cleaned_data['name']} is changed.")
            return HttpResponseRedirect(reverse("rates:bands"))
    context = {
        "band": band,
        "form": form,
        "users": _users().get(band.code, 0),
        "crumbs": [Crumb("Prices", reverse("rates:list")), Crumb("Latency bands", reverse("rates:bands"))],
    }
    return render(request, "prices/band.html", context, status=422 if form.errors else 200)


def _cells(band: LatencyBand, users: dict[str, int]) -> list[Cell]:
    return [band.name, band.code, band.limit_ms, band.sentence, users.get(band.code, 0)]


def _users() -> dict[str, int]:
    """How many workloads promise each band now."""
    newest = WorkloadRevision.objects.order_by("workload_id", "-version").distinct("workload_id").values("pk")
    active = Workload.objects.active().exclude(state=Workload.State.CLOSED)
    counted = WorkloadRevision.objects.filter(pk__in=newest, workload__in=active).values("latency_band_id")
    return {
        row["latency_band_id"]: row["number"]
        for row in counted.annotate(number=Count("pk")).order_by()
        if row["latency_band_id"]
    }
