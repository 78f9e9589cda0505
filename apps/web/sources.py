"""Sources: where usage and bills come from, how fresh they are, what they hold, and whether they count or check."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.rights import Right, require, rights_of
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.costs import roles
from apps.costs.selectors import figure_state
from apps.sources import selectors
from apps.sources import services as sources
from apps.sources.connector import Connector, FileConnector, RowConnector, connector_of, registry
from apps.sources.connectors.folder import incoming
from apps.sources.models import Source, SourceRole
from apps.web import figures, hooks
from apps.web.forms import errors_into, errors_said, posted
from apps.web.pages import PageRequest, page_or_part
from apps.web.parts import Column, Crumb, Kpi
from apps.web.sources_forms import RoleForm, SourceForm, config_initial
from workers import imports
from workers import sources as bells
from workers.app import ring

ICONS = {"file": "file-import", "folder": "folder", "push": "api"}
PARTS_PAGE = 50
LIST_COLUMNS = (
    Column("Source"),
    Column("State"),
    Column("Last import"),
    Column("Parts", is_number=True),
    Column("Counts or checks", title="Whether its cost is added up, or only compared with what counts"),
)
PART_COLUMNS = (Column("Part"), Column("Last import"), Column("Rows", is_number=True), Column("State"))


@hooks.finds("Sources")
def find(actor: Actor, words: str) -> list[hooks.Found]:
    found = Source.objects.visible_to(actor).filter(name__icontains=words)[:5]
    return [
        hooks.Found(
            source.name, reverse("sources:detail", args=[source.slug]), ICONS.get(source.kind, "plug-connected")
        )
        for source in found
    ]


@hooks.counts("sources")
def need_attention(actor: Actor) -> int:
    return Source.objects.visible_to(actor).filter(state=Source.State.NEEDS_ATTENTION).count()


# --- Looking ----------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def source_list(request: PageRequest) -> HttpResponseBase:
    require(request.actor, Right.SEE_SOURCES)
    rows = selectors.source_rows(actor=request.actor)
    context = {
        "rows": rows,
        "columns": LIST_COLUMNS,
        "icons": ICONS,
        "broken": [row for row in rows if row.source.state == Source.State.NEEDS_ATTENTION],
        "state": figure_state(now=timezone.now()),
        "may_manage": _may_manage(request.actor),
    }
    return page_or_part(request, "sources/list.html", "rows", context)


@login_required
@require_GET
def detail(request: PageRequest, slug: str) -> HttpResponseBase:
    return _detail(request, _source(request, slug), RoleForm(actor=request.actor))


def _detail(request: PageRequest, source: Source, role_form: RoleForm) -> HttpResponse:
    kind = registry().get(source.kind)
    parts = Paginator(selectors.parts_of(source), PARTS_PAGE).get_page(request.GET.get("page"))
    running = list(selectors.pulls_of(actor=request.actor, source=source, states=["queued", "running"])[:5])
    context = {
        "source": source,
        "kind": kind,
        "icon_name": ICONS.get(source.kind, "plug-connected"),
        "is_live": kind is not None and issubclass(kind, FileConnector | RowConnector),
        "crumbs": [Crumb("Sources", reverse("sources:list")), Crumb(source.name)],
        "kpis": _kpis(source, parts.paginator.count),
        "page": parts,
        "columns": PART_COLUMNS,
        "running": running,
        "waiting_files": list(selectors.files_of(source)[:50]),
        "roles": selectors.role_lines(source),
        "role_form": role_form,
        "may_manage": _may_manage(request.actor),
        "api_address": request.build_absolute_uri(reverse("api:usage")),
    }
    part = "parts" if request.GET.get("page") else "state"
    return page_or_part(request, "sources/detail.html", part, context, status=422 if role_form.errors else 200)


def _kpis(source: Source, parts: int) -> list[Kpi]:
    facts = selectors.facts_of(source)
    every = source.pull_every_minutes
    schedule = "on upload" if source.kind == "file" else f"every {every} min" if every else "every minute"
    last = facts.last_import
    return [
        Kpi(
            "Last import",
            figures.ago(last),
            context=f"{timezone.localtime(last):%-d %b %Y, %H:%M}" if last else "nothing yet",
        ),
        Kpi(
            "Parts",
            f"{parts:,}",
            context=f"{facts.failed} could not be read" if facts.failed else "all read",
            tone="bad" if facts.failed else "",
        ),
        Kpi("Spenders seen", f"{facts.identities:,}", context="keys, projects or teams it names"),
        Kpi("Looks for more", schedule, context=_looked(source)),
    ]


def _looked(source: Source) -> str:
    if source.state == Source.State.PAUSED:
        return "paused"
    return f"last {figures.ago(source.last_looked_at)}" if source.last_looked_at else ""


# --- Making and changing ----------------------------------------------------------------------------------------------


@login_required
@require_GET
def choose_kind(request: PageRequest) -> HttpResponse:
    require(request.actor, Right.MANAGE_SOURCES)
    kinds = [(kind, ICONS.get(kind.kind, "plug-connected")) for kind in registry().values()]
    context = {"kinds": kinds, "crumbs": [Crumb("Sources", reverse("sources:list")), Crumb("Add a source")]}
    return render(request, "sources/choose.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def make(request: PageRequest, kind: str) -> HttpResponse:
    require(request.actor, Right.MANAGE_SOURCES)
    connector = registry().get(kind)
    if connector is None:
        raise NotFound("There is no such kind of source.")
    form = SourceForm(posted(request), **_asks(connector), initial={"zone": organisation.get().zone})
    config = connector.Config(posted(request), initial={"folder": str(incoming())} if kind == "folder" else None)
    if request.method == "POST" and form.is_valid() & config.is_valid():
        with errors_into(form):
            source = _make(request.actor, connector, form, config)
            return redirect("sources:detail", slug=source.slug)
    crumbs = [
        Crumb("Sources", reverse("sources:list")),
        Crumb("Add a source", reverse("sources:new")),
        Crumb(connector.label),
    ]
    context = {"kind": connector, "form": form, "config": config, "crumbs": crumbs, "source": None}
    return render(request, "sources/edit.html", context, status=422 if form.errors or config.errors else 200)


def _make(actor: Actor, connector: type[Connector], form: SourceForm, config: forms.Form) -> Source:
    open_values, secrets = connector.split(config.cleaned_data)
    given = form.cleaned_data
    source = sources.create_source(
        actor=actor,
        name=given["name"],
        kind=connector.kind,
        config=open_values,
        secrets=secrets,
        zone=given["zone"],
        pull_every_minutes=given.get("pull_every_minutes"),
        service_categories=given.get("service_categories", []),
    )
    if _is_pulled(connector):
        ring(bells.pull, source.pk)
    return source


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest, slug: str) -> HttpResponse:
    source = _source(request, slug)
    require(request.actor, Right.MANAGE_SOURCES)
    connector = type(connector_of(source))
    initial = {
        "name": source.name,
        "zone": source.zone,
        "pull_every_minutes": source.pull_every_minutes or "",
        "service_categories": "\n".join(source.scope_filter.get("service_categories", [])),
    }
    form = SourceForm(posted(request), **_asks(connector), initial=initial)
    config = connector.Config(posted(request), initial=config_initial(source, connector))
    if request.method == "POST" and form.is_valid() & config.is_valid():
        with errors_into(form):
            _change(request.actor, source, connector, form, config)
            return redirect("sources:detail", slug=source.slug)
    page = reverse("sources:detail", args=[source.slug])
    crumbs = [Crumb("Sources", reverse("sources:list")), Crumb(source.name, page), Crumb("Change")]
    context = {"kind": connector, "form": form, "config": config, "crumbs": crumbs, "source": source}
    return render(request, "sources/edit.html", context, status=422 if form.errors or config.errors else 200)


def _change(actor: Actor, source: Source, connector: type[Connector], form: SourceForm, config: forms.Form) -> None:
    open_values, secrets = connector.split(config.cleaned_data)
    given: Mapping[str, Any] = form.cleaned_data
    sources.change_source(
        actor=actor,
        source=source,
        name=given["name"],
        config=open_values,
        secrets=secrets,
        zone=given["zone"],
        pull_every_minutes=given.get("pull_every_minutes"),
        service_categories=given.get("service_categories", []),
    )


# --- Doing ------------------------------------------------------------------------------------------------------------


@login_required
@require_POST
def pull_now(request: PageRequest, slug: str) -> HttpResponse:
    """Ask the source at once; reading what it has goes on in the background."""
    source = _source(request, slug)
    require(request.actor, Right.MANAGE_SOURCES)
    with errors_said(request, "Asked for whatever is new. What is found appears below."):
        connector_of(source).check()
        ring(bells.pull, source.pk)
    return redirect("sources:detail", slug=source.slug)


@login_required
@require_POST
def check(request: PageRequest, slug: str) -> HttpResponse:
    source = _source(request, slug)
    require(request.actor, Right.MANAGE_SOURCES)
    with errors_said(request):
        messages.success(request, connector_of(source).check())
    return redirect("sources:detail", slug=source.slug)


@login_required
@require_POST
def pause(request: PageRequest, slug: str) -> HttpResponse:
    source = _source(request, slug)
    with errors_said(request, f"{source.name} is paused."):
        sources.pause(actor=request.actor, source=source)
    return redirect("sources:detail", slug=source.slug)


@login_required
@require_POST
def resume(request: PageRequest, slug: str) -> HttpResponse:
    source = _source(request, slug)
    with errors_said(request, f"{source.name} is active."):
        sources.resume(actor=request.actor, source=source)
    return redirect("sources:detail", slug=source.slug)


@login_required
@require_POST
def set_role(request: PageRequest, slug: str) -> HttpResponse:
    source = _source(request, slug)
    require(request.actor, Right.MANAGE_SOURCES)
    form = RoleForm(request.POST, actor=request.actor)
    if form.is_valid():
        with errors_into(form):
            given = form.cleaned_data
            roles.set_role(
                actor=request.actor,
                source=source,
                measure=given["measure"],
                role=SourceRole.Role(given["role"]),
                valid_from=form.start(),
                workload=given["workload"],
            )
            ring(imports.rate)
            return redirect("sources:detail", slug=source.slug)
    return _detail(request, source, form)


def _source(request: PageRequest, slug: str) -> Source:
    return selectors.get_source_for(actor=request.actor, slug=slug)


def _may_manage(actor: Actor) -> bool:
    return rights_of(actor).may(Right.MANAGE_SOURCES)


def _asks(kind: type[Connector]) -> dict[str, bool]:
    """What the form asks of a kind: what sends rows of usage has no bills."""
    return {"has_schedule": _is_pulled(kind), "has_bills": not issubclass(kind, RowConnector)}


def _is_pulled(kind: type[Connector]) -> bool:
    return issubclass(kind, FileConnector | RowConnector)


app_name = "sources"
urlpatterns = [
    path("", source_list, name="list"),
    path("new/", choose_kind, name="new"),
    path("new/<slug:kind>/", make, name="make"),
    path("<slug:slug>/", detail, name="detail"),
    path("<slug:slug>/edit/", edit, name="edit"),
    path("<slug:slug>/pull/", pull_now, name="pull"),
    path("<slug:slug>/check/", check, name="check"),
    path("<slug:slug>/pause/", pause, name="pause"),
    path("<slug:slug>/resume/", resume, name="resume"),
    path("<slug:slug>/role/", set_role, name="role"),
]
