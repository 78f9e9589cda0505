"""The portfolio: every workload and what it costs, as filters, columns and saved views would have it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import path, reverse
from django.views.decorators.http import require_GET, require_POST

from apps.accounts import services as accounts
from apps.accounts.models import CostCentre, SavedView
from apps.budgets.selectors import granted
from apps.catalog.models import LatencyBand, ValueTier
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.models import Organisation
from apps.costs.limits import unallocated_limit
from apps.costs.selectors import CostScope, CostTotals, billed_months, cost_totals, may_see_unallocated
from apps.costs.selectors.portfolio import SORTS, Portfolio, months_before, portfolio
from apps.costs.selectors.scope import Sql
from apps.costs.selectors.unpriced import unpriced_of
from apps.economics.portfolio import RANKS, Point, ranking, with_band_broken, with_verdict
from apps.economics.portfolio import Portfolio as Worths
from apps.web import figures, hooks, portfolio_why, register, workload, workload_edit, workload_import
from apps.web import portfolio as worth_side
from apps.web.compared import moved_of_all
from apps.web.cost_scope import why_address
from apps.web.exports import Cell, table_response
from apps.web.forms import errors_said
from apps.web.pages import PageRequest, page_or_part
from apps.web.parts import Chip, Choice, Kpi
from apps.web.period import PeriodChoice, period_of
from apps.web.portfolio import WORDS
from apps.web.queries import choice_chip, page_number, query_with, read_page
from apps.web.workloads_cells import Links, ListRow
from apps.web.workloads_columns import (
    COLUMNS,
    Entry,
    ListColumn,
    chosen_columns,
    file_columns,
    file_row,
    for_file,
    totals_row,
)
from apps.workloads import selectors
from apps.workloads.models import Workload
from apps.workloads.selectors import Filters

PAGE: Final = 15  # what a screen holds beside the picture
LONGEST_FILE: Final = 50_000
VIEW_PAGE: Final = "workloads"
STAGES: Final = {"live": "not sunset", **{value: str(label) for value, label in Workload.Stage.choices}}
FLAGS: Final = {"over": "Over budget", "slow": "Band broken"}
KEPT_IN_VIEW: Final = (
    "verdict",
    *FLAGS,
    "stage",
    "tier",
    "band",
    "audience",
    "cc",
    "q",
    "sort",
    "cols",
    "density",
    "drafts",
)


# --- The list ---------------------------------------------------------------------------------------------------------


@login_required
@require_GET
def workload_list(request: PageRequest) -> HttpResponseBase:
    """One page of the register with its money; `format` gives all rows of the filter as a file."""
    if "col" in request.GET:
        return HttpResponseRedirect(query_with(request, col=None, page=None, cols=",".join(request.GET.getlist("col"))))
    period, filters, company = period_of(request), _filters(request), organisation.get()
    sees_money = selectors.sees_any_money(request.actor)
    month = worth_side.month_of(period) if sees_money else None
    columns = chosen_columns(request.GET.get("cols", ""), sees_money=sees_money, has_worth=month is not None)
    if request.GET.get("format"):
        return _file(request, period, filters, columns, company.currency, month)
    listed = _chosen(request, selectors.listed(request.actor, filters), month)
    sums, points = worth_side.picture_of(request.actor, month) if month else (None, [])
    scope = CostScope(period.start, period.end)
    before = (period.before.start, period.before.end)
    totals = cost_totals(actor=request.actor, scope=scope, before=before) if sees_money else None

    def read(offset: int) -> Portfolio:
        whole = None if _is_narrowed(request, filters) else totals
        return _portfolio(request, period, listed, month, limit=PAGE, offset=offset, columns=columns, whole=whole)

    found, page = read_page(read, page_number(request), PAGE)
    context = {
        "found": found,
        "rows": _rows(found, columns, period, company.currency, month),
        "column_sums": _sums_of(request, listed, month, columns, None if _is_narrowed(request, filters) else sums),
        "sums_why": _proofs_of_sums(request, filters, period),
        "has_key": any(column.key == "useful_months" for column in columns),
        "worth": _worth_context(request, period, sums, points, totals, company.currency) if sums and totals else None,
        "page": page,
        "columns": columns,
        "heads": _heads(columns),
        "sort": _sort(request),
        "chips": _chips(request, filters, has_worth=month is not None),
        "filters": filters,
        "is_narrowed": _is_narrowed(request, filters),
        "kpis": _kpis(request.actor, period, company, sums, totals) if totals else [],
        "views": _views(request),
        "view_query": _view_query(request),
        "hidden": _hidden(request, ("cols",)),
        "search_hidden": _hidden(request, ("q",)),
        "all_columns": _choosable(columns, sees_money=sees_money),
        "is_dense": request.GET.get("density") == "dense",
        "density_href": query_with(request, density=None if request.GET.get("density") == "dense" else "dense"),
        "file_href": query_with(request, page=None),
        "clear_href": f"?{period.query}",
    }
    return page_or_part(request, "workloads/list.html", "rows", context)


def _rows(
    found: Portfolio, columns: list[ListColumn], period: PeriodChoice, currency: str, month: date | None
) -> list[ListRow]:
    links = Links.of(period, month)
    return [ListRow(entry, columns, found.largest, currency, links) for entry in _entries(found, month)]


def _entries(found: Portfolio, month: date | None) -> list[Entry]:
    """The rows with their worth and budget, for whoever sees their money."""
    ids = [row.workload.pk for row in found.rows if row.money is not None]
    if month is None or not ids:
        return [Entry(row) for row in found.rows]
    worth, burn = worth_side.worth_of(month, ids), worth_side.burns_of(month, ids)
    return [Entry(row, worth.get(row.workload.pk), burn.get(row.workload.pk)) for row in found.rows]


def _portfolio(
    request: PageRequest,
    period: PeriodChoice,
    listed: QuerySet[Workload],
    month: date | None,
    *,
    columns: list[ListColumn],
    limit: int | None,
    offset: int = 0,
    whole: CostTotals | None = None,
) -> Portfolio:
    before, sort = (period.before.start, period.before.end), _sort(request)
    by = sort.lstrip("-")
    is_ranked = month is not None and by in RANKS
    return portfolio(
        actor=request.actor,
        workloads=listed,
        scope=CostScope(period.start, period.end),
        before=before, sort=sort if is_ranked or by in SORTS else "-cost", limit=limit, offset=offset,
        rank=_rank(request.actor, month, by) if month and is_ranked else None,
        with_months=any(column.key == "months" for column in columns),
        with_people=any(column.key in ("owner", "technical", "budget") for column in columns),
        whole=whole,
    )  # fmt: skip


def _rank(actor: Actor, month: date, by: str) -> Sql:
    text, values = ranking(actor=actor, month=month, by=by)
    return Sql(text, tuple(values))


def _chosen(request: PageRequest, listed: QuerySet[Workload], month: date | None) -> QuerySet[Workload]:
    """The filters that ask for worth or budgets; without a month whose money is seen they filter nothing."""
    if month is None:
        return listed
    if word := _verdict(request):
        listed = listed.filter(pk__in=with_verdict(actor=request.actor, month=month, word=word).values("pk"))
    if request.GET.get("slow") == "1":
        listed = listed.filter(pk__in=with_band_broken(actor=request.actor, month=month).values("pk"))
    if request.GET.get("over") == "1":
        listed = listed.filter(pk__in=worth_side.over_budget(request.actor, month))
    return listed


def _is_narrowed(request: HttpRequest, filters: Filters) -> bool:
    flags = any(request.GET.get(name) == "1" for name in FLAGS)
    return filters.is_filtering or bool(_verdict(request)) or flags


def _verdict(request: HttpRequest) -> str:
    word = request.GET.get("verdict", "")
    return word if word in WORDS else ""


def _worth_context(
    request: PageRequest, period: PeriodChoice, sums: Worths, points: list[Point], totals: CostTotals, currency: str
) -> dict[str, Any]:
    per_month = request.GET.get("chart") == "month"
    bills = billed_months(actor=request.actor, scope=CostScope(period.start, period.end))
    return {
        "drawn": worth_side.drawn(period=period, currency=currency, found=sums, shown=points, per_month=per_month),
        "by_verdict": worth_side.by_verdict(sums, period),
        "rest": worth_side.rest_of(sums, totals, bills, sees_unallocated=may_see_unallocated(request.actor)),
        "count": sums.count,
        "per_month": per_month,
        "per_useful_href": query_with(request, chart=None),
        "per_month_href": query_with(request, chart="month"),
    }


def _proofs_of_sums(request: PageRequest, filters: Filters, period: PeriodChoice) -> dict[str, str]:
    """The proofs are of all workloads, so that they say nothing of the sums of a filter."""
    if _is_narrowed(request, filters):
        return {}
    return {figure: worth_side.worth_sum_address(figure, period) for figure in ("value", "net")}


def _file(
    request: PageRequest, period: PeriodChoice, filters: Filters, columns: list[ListColumn], currency: str,
    month: date | None,
) -> HttpResponseBase:  # fmt: skip
    columns = for_file(columns)
    listed = _chosen(request, selectors.listed(request.actor, filters), month)
    found = _portfolio(request, period, listed, month, columns=columns, limit=LONGEST_FILE)
    has_months = any(column.key in ("months", "useful_months") for column in columns)
    months = months_before(period.end) if has_months else []
    entries = _entries(found, month)
    rows: list[list[Cell]] = [file_row(columns, entry, months) for entry in entries]
    rows.append(totals_row(columns, found, months, _sums_of(request, listed, month, columns)))
    kind = "xlsx" if request.GET["format"] == "xlsx" else "csv"
    heads = file_columns(columns, months, currency)
    return table_response(heads, rows, name=f"workloads-{period.query.partition('=')[2]}", kind=kind)


def _sums_of(
    request: PageRequest, listed: QuerySet[Workload], month: date | None, columns: list[ListColumn],
    sums: Worths | None = None,
) -> dict[str, Cell]:  # fmt: skip
    """What the columns of worth and budget come to over all rows, by their keys; of what is known of them."""
    if month is None:
        return {}
    known: dict[str, Cell] = dict(worth_side.known_sums(sums or worth_side.sums_of(request.actor, month, listed)))
    if not any(column.key in ("burn", "spend") for column in columns):
        return known
    budgets = granted(actor=request.actor, month=month, workloads=listed)
    exact = None if budgets.is_incomplete else budgets.ratio
    left_out = "what is unknown" if budgets.is_incomplete else ""
    return {
        **known, "burn": exact, "burn_at_least": budgets.ratio, "burn_left_out": left_out, "spend": budgets.amount
    }  # fmt: skip


def _filters(request: HttpRequest) -> Filters:
    """What the URL asks for; a value that does not exist filters nothing."""
    get = request.GET
    return Filters(
        words=" ".join(get.get("q", "").split())[:100],
        stage=get.get("stage", "") if get.get("stage", "") in STAGES else "",
        tier=get.get("tier", "")[:2],
        band=get.get("band", "")[:20],
        audience=get.get("audience", "") if get.get("audience", "") in Workload.Audience.values else "",
        cost_centre=get.get("cc", "")[:40],
        drafts=get.get("drafts", "") == "1",
    )


def _sort(request: HttpRequest) -> str:
    sort = request.GET.get("sort", "")
    return sort if sort.removeprefix("-") in {*SORTS, *RANKS} else "-cost"


def _heads(columns: list[ListColumn]) -> list[Any]:
    first = replace(COLUMNS["stage"].head, label="Workload", sort="name")
    return [first, *(column.head for column in columns)]


# --- Figures at the top -----------------------------------------------------------------------------------------------


def _kpis(
    actor: Actor, period: PeriodChoice, company: Organisation, sums: Worths | None, totals: CostTotals
) -> list[Kpi]:
    kpis = [_full_cost(totals, period, company.currency)]
    kpis += worth_side.worth_kpis(sums, period, company.currency) if sums else [_calls(totals)]
    if may_see_unallocated(actor):
        kpis.append(_unallocated(totals, period, company))
    return [*kpis, _unpriced(actor, CostScope(period.start, period.end))]


def _full_cost(totals: CostTotals, period: PeriodChoice, currency: str) -> Kpi:
    amount = figures.money(totals.now.cost if totals.now.lines else None, currency)
    why = why_address("cost", period) if totals.now.lines else ""
    strong, since = moved_of_all(totals, period)
    return Kpi("Full cost", amount, strong=strong, context=since, why=why)


def _unallocated(totals: CostTotals, period: PeriodChoice, company: Organisation) -> Kpi:
    cost, bill = totals.unallocated.cost, totals.now.cost
    share = cost / bill if cost is not None and bill else None
    limit = unallocated_limit(company)
    amount = figures.money(cost if totals.now.lines else None, company.currency)
    if share is None:
        return Kpi("Unallocated", amount, context="of the full cost")
    is_over = share > limit
    return Kpi(
        "Unallocated", amount, strong=figures.percent(share), tone="warn" if is_over else "",
        why=why_address("cost", period, allocated="no"),
        context=f"of the full cost, limit {figures.percent_short(limit)}",
    )  # fmt: skip


def _calls(totals: CostTotals) -> Kpi:
    if not totals.now.requests:
        return Kpi("Calls", figures.UNKNOWN, context="none counted in this period")
    delivered = totals.now.requests - totals.now.failed
    share = totals.now.failed / totals.now.requests
    return Kpi("Calls", figures.tokens(delivered), strong=figures.percent(share), context="of all attempts failed")


def _unpriced(actor: Actor, scope: CostScope) -> Kpi:
    models, tokens = unpriced_of(actor=actor, scope=scope)
    if not models:
        return Kpi("Unpriced", "None", context="every model used has a price")
    noun = "model" if models == 1 else "models"
    return Kpi(
        "Unpriced", f"{models} {noun}", strong=figures.tokens(tokens), tone="warn", context="tokens, cost unknown"
    )


# --- Filters, columns, saved views ------------------------------------------------------------------------------------


def _chips(request: PageRequest, filters: Filters, *, has_worth: bool) -> list[Chip]:
    tiers = [(tier.code, str(tier)) for tier in ValueTier.objects.all()]
    bands = [(band.code, band.name) for band in LatencyBand.objects.all()]
    centres = list(CostCentre.objects.filter(active=True).values_list("code", "name"))
    audiences = [(value, str(label)) for value, label in Workload.Audience.choices]
    verdicts = [(word.value, label) for word, label in WORDS.items()]
    chips = [
        *([choice_chip(request, "verdict", "Verdict", _verdict(request), verdicts)] if has_worth else []),
        choice_chip(request, "stage", "Stage", filters.stage, list(STAGES.items())),
        choice_chip(request, "tier", "Tier", filters.tier, tiers),
        choice_chip(request, "cc", "Cost centre", filters.cost_centre, centres),
        choice_chip(request, "audience", "Audience", filters.audience, audiences),
        *([choice_chip(request, "band", "Speed", filters.band, bands)] if filters.band else []),
    ]
    return [
        *chips,
        *(_flag_chips(request) if has_worth else ()),
        *_draft_chip(request, filters),
        *_words_chip(request, filters),
        *_more_chip(request, filters, bands),
    ]


def _more_chip(request: PageRequest, filters: Filters, bands: list[tuple[str, str]]) -> Iterator[Chip]:
    """Filters that are wanted now and then, behind one chip: the row above the table stays one row."""
    choices = [] if filters.band else [(name, query_with(request, band=code, page=None)) for code, name in bands]
    found = [Choice(f"Speed is {name.lower()}", href) for name, href in choices]
    drafts = 0 if filters.drafts else selectors.listed(request.actor, Filters(drafts=True)).count()
    if drafts:
        found.append(Choice("Drafts", query_with(request, drafts="1", page=None), count=drafts))
    if found:
        yield Chip("Filter", choices=found, is_add=True)


def _flag_chips(request: HttpRequest) -> Iterator[Chip]:
    for name, label in FLAGS.items():
        is_on = request.GET.get(name) == "1"
        yield Chip(label, href=query_with(request, page=None, **{name: None if is_on else "1"}), is_on=is_on)


def _draft_chip(request: PageRequest, filters: Filters) -> Iterator[Chip]:
    if filters.drafts:
        yield Chip("Drafts", href=query_with(request, drafts=None, page=None), is_on=True)


def _words_chip(request: HttpRequest, filters: Filters) -> Iterator[Chip]:
    if filters.words:
        yield Chip(f"“{filters.words}”", href=query_with(request, q=None, page=None), is_on=True)


def _hidden(request: HttpRequest, besides: tuple[str, ...]) -> list[tuple[str, str]]:
    """What a small form must carry along so that the rest of the address stays."""
    left_out = (*besides, "page", "format")
    return [(key, str(value)) for key, value in request.GET.items() if key not in left_out]


def _choosable(columns: list[ListColumn], *, sees_money: bool) -> list[tuple[ListColumn, bool]]:
    return [(column, column in columns) for column in COLUMNS.values() if sees_money or not column.is_money]


@dataclass(frozen=True, slots=True)
class _View:
    view: SavedView
    href: str
    is_current: bool
    is_own: bool


def _views(request: PageRequest) -> list[_View]:
    """Saved views carry no period: the chosen one stays."""
    period, now = period_of(request).query, dict(parse_qsl(_view_query(request)))
    found = SavedView.objects.visible_to_person(request.actor.person_id).filter(page=VIEW_PAGE).order_by("name")
    return [
        _View(
            view=view,
            href=f"?{view.query}&{period}" if view.query else f"?{period}",
            is_current=dict(parse_qsl(view.query)) == now,
            is_own=view.person_id == request.actor.person_id,
        )
        for view in found
    ]


def _view_query(request: HttpRequest) -> str:
    return urlencode([(key, request.GET[key]) for key in KEPT_IN_VIEW if request.GET.get(key)])


@login_required
@require_POST
def save_view(request: PageRequest) -> HttpResponse:
    """Keep filters, columns, order and density under a name."""
    kept = [(key, value) for key, value in parse_qsl(request.POST.get("query", "")) if key in KEPT_IN_VIEW]
    name, shared = request.POST.get("name", ""), request.POST.get("shared") == "1"
    with errors_said(request, done=f"The view “{' '.join(name.split())[:60]}” is saved."):
        accounts.save_view(actor=request.actor, page=VIEW_PAGE, name=name, query=urlencode(kept), shared=shared)
    return HttpResponseRedirect(f"{reverse('workloads:list')}?{urlencode(kept)}")


@login_required
@require_POST
def delete_view(request: PageRequest, pk: int) -> HttpResponse:
    accounts.delete_view(actor=request.actor, view_id=pk)
    messages.success(request, "The view is deleted.")
    return HttpResponseRedirect(reverse("workloads:list"))


# --- Search -----------------------------------------------------------------------------------------------------------


@hooks.finds("Workloads")
def find(actor: Actor, words: str) -> Iterator[hooks.Found]:
    for found in selectors.listed(actor, Filters(words=words)).select_related("cost_centre")[:8]:
        yield hooks.Found(
            label=found.name,
            href=reverse("workloads:detail", args=[found.slug]),
            icon="chart-bubble",
            meta=found.cost_centre.name if found.cost_centre else found.ref,
        )


app_name = "workloads"
urlpatterns = [
    path("", workload_list, name="list"),
    path("sums/<str:figure>/why/", portfolio_why.why_sum, name="why"),
    path("views/save/", save_view, name="save_view"),
    path("views/<int:pk>/delete/", delete_view, name="delete_view"),
    path("new/", register.begin, name="new"),
    path("register/<str:token>/<int:number>/", register.step, name="register"),
    path("register/<str:token>/<int:number>/save/", register.autosave, name="autosave"),
    path("register/<str:token>/alike/", register.answer_duplicate, name="answer_duplicate"),
    path("register/<str:token>/discard/", register.discard, name="discard"),
    path("import/", workload_import.start, name="import"),
    path("import/apply/", workload_import.apply, name="import_apply"),
    path("import/template/<str:kind>/", workload_import.template, name="import_template"),
    path("<slug:slug>/resume/", register.resume, name="resume"),
    path("<slug:slug>/registered/", register.registered, name="registered"),
    path("<slug:slug>/edit/", workload_edit.edit, name="edit"),
    path("<slug:slug>/promise/", workload_edit.promise, name="promise"),
    path("<slug:slug>/mandate/", workload_edit.mandate, name="mandate"),
    path("<slug:slug>/take-up/", workload_edit.take_up, name="take_up"),
    path("<slug:slug>/bindings/", workload_edit.bindings, name="bindings"),
    path("<slug:slug>/bindings/add/", workload_edit.add_binding, name="add_binding"),
    path("<slug:slug>/bindings/<int:pk>/end/", workload_edit.end_binding, name="end_binding"),
    path("<slug:slug>/", workload.page, name="detail"),
]
