"""The workbench for what nobody claims: most money first, a guess for each key, binding after a look at what moves."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.catalog.models import Offering
from apps.core import organisation
from apps.core.actor import Actor
from apps.costs.attribution import bind as bind_usage
from apps.costs.limits import unallocated_limit
from apps.costs.selectors import CostScope
from apps.costs.selectors.portfolio import months_before
from apps.costs.selectors.unallocated import (
    SORTS,
    KeyFilters,
    ShareOfMonth,
    UnallocatedKey,
    UnallocatedPage,
    count_keys,
    get_identity_for,
    shares_by_month,
    suggestion_for,
    unallocated_keys,
)
from apps.costs.suggestions import Suggestion, grounds_in_words
from apps.sources.models import Source
from apps.usage.models import Identity
from apps.web import figures, hooks
from apps.web.binding_form import BindForm, Earlier, Moving, candidates, first_hour_of, look_ahead, look_back
from apps.web.exports import Cell, table_response
from apps.web.forms import errors_into
from apps.web.pages import PageRequest, page_or_part, wants_part
from apps.web.parts import Chip, Choice, Column, Crumb
from apps.web.period import PeriodChoice, period_of
from apps.web.queries import page_number, query_with, read_page
from apps.workloads.models import Workload
from workers import imports as worker
from workers.app import ring

PAGE: Final = 25
LARGEST: Final = 6  # keys in full at first sight, where several smaller ones follow
LONGEST_FILE: Final = 50_000
COLUMNS: Final = (
    Column("Usage key", sort="key"),
    Column("First seen", sort="first_seen"),
    Column("Cost", sort="cost", is_number=True),
    Column("Share", is_number=True, title="Share of all that is unallocated"),
    Column("Looks like"),
    Column("Match"),
)
FILE_HEADS: Final = (
    "Usage key", "Source", "Kind", "First seen", "Cost ({})", "Share", "Unpriced tokens", "Looks like", "Grounds",
    "Match",
)  # fmt: skip


# --- The list ---------------------------------------------------------------------------------------------------------


Guess = tuple[Suggestion, Workload] | None


@dataclass(frozen=True, slots=True)
class _Row:
    """A key as the template draws it."""

    key: UnallocatedKey
    href: str
    is_chosen: bool

    @property
    def grounds(self) -> str:
        return grounds_in_words(self.key.suggestion.grounds) if self.key.suggestion else ""


@dataclass(frozen=True, slots=True)
class _Smaller:
    """The keys after the largest, in one row."""

    count: int
    cost: Decimal | None
    share: Decimal | None
    is_unpriced: bool
    href: str


@dataclass(frozen=True, slots=True)
class _Bar:
    """One month of the strip: place and height in a drawing of 1200 x 62."""

    x: float
    height: float
    label: str
    is_now: bool
    is_over: bool

    @property
    def y(self) -> float:
        return 62 - self.height


@login_required
@require_GET
def key_list(request: PageRequest) -> HttpResponseBase:
    rights.require(request.actor, Right.SEE_UNALLOCATED)
    if request.GET.get("format"):
        return _file(request)
    return page_or_part(request, "unallocated/list.html", "rows", _list_context(request))


def _list_context(request: PageRequest, chosen: Identity | None = None) -> dict[str, Any]:
    period, filters = period_of(request), _filters(request)
    found, page = read_page(
        lambda offset: _keys(request, period, filters, limit=PAGE, offset=offset), page_number(request), PAGE
    )
    smaller = _smaller(request, found, chosen)
    shown = found.rows[:LARGEST] if smaller else found.rows
    company = organisation.get()
    months = months_before(period.end)
    shares = shares_by_month(actor=request.actor, months=months)
    limit = unallocated_limit(company)
    may_bind = rights.rights_of(request.actor).may(Right.ALLOCATE)
    return {
        "found": found,
        "page": page,
        "rows": [_Row(key, _bind_href(key, period), chosen == key.identity) for key in shown],
        "smaller": smaller,
        "columns": COLUMNS,
        "sort": _sort(request),
        "chips": _chips(request, period, filters),
        "filters": filters,
        "words": filters.words,
        "bars": _bars(shares, limit),
        "limit_y": _limit_y(shares, limit),
        "limit_text": figures.percent_short(limit),
        "now": _share_now(shares, period),
        "is_over": _is_over(_share_now(shares, period), limit),
        "may_bind": may_bind,
        "chosen": chosen,
        "month_word": f"{period.start:%B}" if period.is_month else "this period",
        "file_href": query_with(request, page=None, format=None),
        "clear_href": f"{reverse('unallocated:list')}?{period.query}",
        "hidden": [(name, value) for name, value in request.GET.items() if name not in ("q", "page", "format")],
    }


def _smaller(request: PageRequest, found: UnallocatedPage, chosen: Identity | None) -> _Smaller | None:
    """At first sight what follows the largest keys is one row; None where it is looked through, or a key in it open."""
    is_first_sight = not (_filters(request).is_filtering or {"page", "all"} & request.GET.keys())
    largest, others = found.rows[:LARGEST], found.rows[LARGEST:]
    if not is_first_sight or _sort(request) != "-cost" or len(others) < 3:
        return None
    if chosen is not None and all(key.identity != chosen for key in largest):
        return None
    known = sum((key.cost for key in largest if key.cost is not None), Decimal(0))
    is_known = found.total.cost is not None and others[0].cost is not None
    cost = (found.total.cost or Decimal(0)) - known if is_known else None
    tokens = found.total.unpriced_tokens - sum(key.money.unpriced_tokens for key in largest)
    return _Smaller(
        count=found.count - LARGEST,
        cost=cost,
        share=cost / found.total.cost if cost is not None and found.total.cost else None,
        is_unpriced=tokens > 0,
        href=_list_query(request, all="1"),
    )


def _keys(
    request: PageRequest, period: PeriodChoice, filters: KeyFilters, *, limit: int, offset: int = 0
) -> UnallocatedPage:
    new_from = first_hour_of(period.start)
    if new_from is None:
        raise AssertionError("a period has a first day")
    scope = CostScope(period.start, period.end)
    return unallocated_keys(
        actor=request.actor, scope=scope, filters=filters, new_from=new_from, sort=_sort(request), limit=limit,
        offset=offset,
    )  # fmt: skip


def _file(request: PageRequest) -> HttpResponseBase:
    period = period_of(request)
    found = _keys(request, period, _filters(request), limit=LONGEST_FILE)
    heads = [head.format(organisation.get().currency) for head in FILE_HEADS]
    rows = [_file_row(key) for key in found.rows]
    sums: tuple[Cell, ...] = (found.total.cost, None, found.total.unpriced_tokens)
    total: list[Cell] = [f"All {found.count} keys", "", "", None, *sums, "", "", ""]
    kind = "xlsx" if request.GET["format"] == "xlsx" else "csv"
    return table_response(heads, [*rows, total], name=f"unallocated-{period.query.partition('=')[2]}", kind=kind)


def _file_row(key: UnallocatedKey) -> list[Cell]:
    guess = key.suggestion
    return [
        key.identity.label, key.source.name, key.kinds, key.identity.first_seen.date(), key.cost, key.share,
        key.money.unpriced_tokens, key.suggested.name if key.suggested else "",
        grounds_in_words(guess.grounds) if guess else "", guess.strength.value if guess else "",
    ]  # fmt: skip


def _filters(request: HttpRequest) -> KeyFilters:
    get = request.GET
    return KeyFilters(
        source_id=_number(get.get("source", "")),
        offering_id=_number(get.get("model", "")),
        words=" ".join(get.get("q", "").split())[:100],
        new_since=period_of(request).start if get.get("new") == "1" else None,
        unguessed=get.get("unguessed") == "1",
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _sort(request: HttpRequest) -> str:
    sort = request.GET.get("sort", "")
    return sort if sort.removeprefix("-") in SORTS else "-cost"


def _bind_href(key: UnallocatedKey, period: PeriodChoice) -> str:
    chosen = f"&workload={key.suggested.slug}" if key.suggested else ""
    return f"{reverse('unallocated:bind', args=[key.identity.pk])}?{period.query}{chosen}"


# --- Filters ----------------------------------------------------------------------------------------------------------


def _chips(request: PageRequest, period: PeriodChoice, filters: KeyFilters) -> list[Chip]:
    sources = Source.objects.filter(identities__isnull=False).distinct().order_by("name")
    models = Offering.objects.exclude(name="").order_by("provider", "name")
    is_new = filters.new_since is not None
    return [
        _chip(request, "source", "Source", filters.source_id, sources),
        _chip(request, "model", "Model", filters.offering_id, models),
        Chip(
            "Without a suggestion",
            href=_list_query(request, unguessed=None if filters.unguessed else "1"),
            is_on=filters.unguessed,
        ),
        Chip(
            f"New in {period.start:%B}" if period.is_month else "New in this period",
            href=_list_query(request, new=None if is_new else "1"),
            is_on=is_new,
        ),
        *([Chip(f"“{filters.words}”", href=_list_query(request, q=None), is_on=True)] if filters.words else []),
    ]


def _chip(request: HttpRequest, key: str, label: str, chosen: int | None, things: QuerySet[Any]) -> Chip:
    if chosen is not None:
        word = next((str(thing) for thing in things if thing.pk == chosen), str(chosen))
        return Chip(f"{label} is {word}", href=_list_query(request, **{key: None}), is_on=True)
    return Chip(label, choices=[Choice(str(thing), _list_query(request, **{key: str(thing.pk)})) for thing in things])


def _list_query(request: HttpRequest, **changes: str | None) -> str:
    """Filters lead back to the list, also from a page that has a key open."""
    return reverse("unallocated:list") + query_with(request, page=None, workload=None, **changes)


# --- The strip --------------------------------------------------------------------------------------------------------


def _share_now(shares: list[ShareOfMonth], period: PeriodChoice) -> ShareOfMonth | None:
    """The period's own share: exact for a month, unknown for other days."""
    return next((share for share in shares if period.is_month and share.month == period.start), None)


def _is_over(now: ShareOfMonth | None, limit: Decimal) -> bool:
    return now is not None and now.share is not None and now.share > limit


def _top(shares: list[ShareOfMonth], limit: Decimal) -> Decimal:
    return max([share.share for share in shares if share.share is not None] + [limit * Decimal("1.2")])


def _bars(shares: list[ShareOfMonth], limit: Decimal) -> list[_Bar]:
    top, step = _top(shares, limit), 1200 / len(shares)
    return [
        _Bar(
            x=round(at * step + step * 0.12, 1),
            height=round(float((share.share or 0) / top) * 60, 1),
            label=f"{share.month:%B %Y}: {figures.percent(share.share)}",
            is_now=at == len(shares) - 1,
            is_over=share.share is not None and share.share > limit,
        )
        for at, share in enumerate(shares)
    ]


def _limit_y(shares: list[ShareOfMonth], limit: Decimal) -> float:
    return round(62 - float(limit / _top(shares, limit)) * 60, 1)


# --- Binding a key ----------------------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "POST"])
def bind(request: PageRequest, pk: int) -> HttpResponse:
    """A key beside the list: to whom, from when, and what that moves. POST binds what was previewed."""
    identity = get_identity_for(actor=request.actor, pk=pk)
    rights.require(request.actor, Right.ALLOCATE)
    period = period_of(request)
    guess = suggestion_for(identity)
    form = _form(request, period, guess)
    if request.method == "POST" and form.is_valid() and _bound(request, form, identity):
        return HttpResponseRedirect(f"{reverse('unallocated:list')}?{period.query}")
    moving = look_ahead(request.actor, form, identity.pairs, identity.source, period.start) if form.is_bound else None
    earlier = look_back(request.actor, form, identity.pairs, identity.source, identity.first_seen) if moving else None
    return _bind_page(request, identity, form, moving, earlier, guess)


def _form(request: PageRequest, period: PeriodChoice, guess: Guess) -> BindForm:
    """Filled by what was sent; at first sight by the guess, from the first day of the period on."""
    if request.method == "POST":
        return BindForm(request.POST, actor=request.actor)
    values = {name: request.GET[name] for name in ("workload", "first_day", "last_day") if name in request.GET}
    if "workload" not in values and guess:
        values["workload"] = guess[1].slug
    values.setdefault("first_day", period.start.isoformat())
    if not values.get("workload"):
        return BindForm(initial=values, actor=request.actor)
    return BindForm(values, actor=request.actor)


@login_required
@require_GET
def workload_options(request: PageRequest) -> HttpResponse:
    """What the written letters may mean, as the options of a list that the browser completes from."""
    rights.require(request.actor, Right.ALLOCATE)
    text = " ".join(request.GET.get("workload", "").split())[:100]
    options = candidates(request.actor, text)
    return render(request, "unallocated/_options.html", {"options": options})


def _bound(request: PageRequest, form: BindForm, identity: Identity) -> bool:
    workload = form.cleaned_data["workload"]
    with errors_into(form):
        bind_usage(
            actor=request.actor, workload=workload, pairs=identity.pairs, source=identity.source,
            valid_from=form.valid_from, valid_to=form.valid_to,
        )  # fmt: skip
    if form.errors:
        return False
    ring(worker.rate)
    messages.success(request, f"{identity.label} is bound to {workload.name}. The figures follow within seconds.")
    return True


def _bind_page(
    request: PageRequest,
    identity: Identity,
    form: BindForm,
    moving: Moving | None,
    earlier: Earlier | None,
    guess: Guess,
) -> HttpResponse:
    context = {
        "identity": identity,
        "form": form,
        "options": candidates(request.actor, ""),
        "moving": moving,
        "earlier": earlier,
        "from_then": _from_then(request, identity, form),
        "guess": guess[0] if guess else None,
        "guessed": guess[1] if guess else None,
        "grounds": grounds_in_words(guess[0].grounds) if guess else "",
        "crumbs": [Crumb("Unallocated", reverse("unallocated:list")), Crumb("Bind")],
    }
    status = 422 if request.method == "POST" and form.errors else 200
    if wants_part(request):
        return render(request, "unallocated/list.html#bind", context, status=status)
    return render(request, "unallocated/list.html", {**_list_context(request, identity), **context}, status=status)


def _from_then(request: PageRequest, identity: Identity, form: BindForm) -> str:
    """The same with the key's first day in the zone of the organisation; empty where the form says that already."""
    first = timezone.localtime(identity.first_seen).date().isoformat()
    if str(form["first_day"].value() or "") in ("", first):
        return ""
    values = {
        "workload": form["workload"].value() or "",
        "first_day": first,
        "last_day": form["last_day"].value() or "",
    }
    chosen = urlencode({name: value for name, value in values.items() if value})
    return f"{reverse('unallocated:bind', args=[identity.pk])}?{period_of(request).query}&{chosen}"


# --- The side bar -----------------------------------------------------------------------------------------------------


@hooks.counts("unallocated")
def waiting(actor: Actor) -> int:
    """Keys of the newest month that nobody claims."""
    month = hooks.newest_month(actor)
    return count_keys(actor=actor, month=month) if month else 0


@hooks.finds("Usage keys")
def find(actor: Actor, words: str) -> Iterator[hooks.Found]:
    if not rights.rights_of(actor).may(Right.ALLOCATE):
        return
    for identity in Identity.objects.filter(pairs__icontains=words).select_related("source")[:5]:
        href = reverse("unallocated:bind", args=[identity.pk])
        yield hooks.Found(label=identity.label, href=href, icon="key", meta=identity.source.name)


app_name = "unallocated"
urlpatterns = [
    path("", key_list, name="list"),
    path("workloads/", workload_options, name="workloads"),
    path("<int:pk>/bind/", bind, name="bind"),
]
