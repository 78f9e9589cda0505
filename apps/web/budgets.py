"""Budgets: what may be spent in a month, what has been, when it will run out; and the page that sets one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_http_methods

from apps.accounts import rights
from apps.accounts.models import CostCentre
from apps.accounts.selectors import cost_centre_tree
from apps.approvals import services as approvals
from apps.approvals.selectors import Proposal, waiting_about
from apps.budgets import selectors, services
from apps.budgets.csv_import import workload_meant
from apps.budgets.models import Budget
from apps.budgets.rows import SORTS, BudgetRow, Filters, Totals, budget_rows, totals_of, with_forecasts
from apps.budgets.selectors import Burn, CentreRow, Standing, this_month
from apps.core import organisation, periods
from apps.core.errors import NotFound
from apps.web import figures
from apps.web.approvals import say_asked
from apps.web.budget_forms import BudgetForm, TransferForm, TurnForm, initial_of, said_of
from apps.web.budget_why import FIGURES, filters_of, month_of, proof_of, why_query, why_sum
from apps.web.charts import Chart, Limit, Series
from apps.web.cost_scope import require_money
from apps.web.exports import Cell, table_response
from apps.web.forms import errors_into, posted
from apps.web.pages import PageRequest, page_or_part
from apps.web.parts import Chip, Choice, Column, Crumb, Kpi, Tab
from apps.web.period import PeriodChoice, period_of
from apps.web.queries import page_number, query_with
from apps.workloads.models import Workload
from apps.workloads.selectors import get_workload_for

PAGE: Final = 25
LONGEST_FILE: Final = 50_000
STATE_WORDS: Final = {
    "warned": "over a threshold",
    "over": "over budget",
    "within": "within",
    "unknown": "cost unknown",
    "suspended": "suspended",
    "none": "no budget",
}
COLUMNS: Final = (
    Column("Workload", sort="name"),
    Column("Budget", sort="budget", is_number=True, title="Budget of the month"),
    Column("Spent", sort="spent", is_number=True, title="Direct cost: tokens, retries, fallbacks, GPU time"),
    Column("Used", sort="used", is_number=True),
    Column("A day", is_number=True, title="Run rate: mean of the month's full days"),
    Column("Expected", is_number=True, title="Expected at the end of the month"),
    Column("Runs out"),
    Column("State"),
)
FILE_HEADS: Final = (
    "Workload", "Reference", "Cost centre", "Budget owner", "State", "Budget ({})", "Holds since", "Soft threshold",
    "Hard threshold", "At the hard threshold", "Spent, direct ({})", "Left out of it",
    "Of it booked for earlier months ({})", "Shared, beside it ({})", "Used", "A day ({})",
    "Expected ({})", "Low ({})", "High ({})", "Runs out on",
)  # fmt: skip


# --- The list ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """A workload as the template draws it."""

    row: BudgetRow
    href: str
    why: str

    @property
    def burn(self) -> Burn:
        return self.row.burn

    @property
    def tone(self) -> str:
        return tone_of(self.row.burn)

    @property
    def meta(self) -> str:
        return " · ".join(fact for fact in (self.row.centre, self.row.owner) if fact)


@login_required
@require_GET
def budget_list(request: PageRequest) -> HttpResponseBase:
    """Workloads with their budgets, or the tree of cost centres (`?view=centres`)."""
    require_money(request.actor)
    period = period_of(request)
    if request.GET.get("view") == "centres":
        return _centres(request, period)
    filters, month = filters_of(request), month_of(period)
    rows = budget_rows(actor=request.actor, month=month, filters=filters, sort=_sort(request))
    if request.GET.get("format"):
        return _file(request, month, rows)
    page = Paginator(rows, PAGE).get_page(page_number(request))
    shown = with_forecasts(list(page.object_list), month=month, today=timezone.localdate())
    context = {
        **_frame(request, period, month),
        "rows": [_Row(row, _href(row, period), proof_of(month, row.slug)) for row in shown],
        "page": page,
        "count": len(rows),
        "totals": totals_of(rows),
        "kpis": _kpis(totals_of(rows), organisation.get().currency, why_query(request)),
        "columns": COLUMNS,
        "sort": _sort(request),
        "chips": list(_chips(request, filters)),
        "filters": filters,
        "hidden": [(name, value) for name, value in request.GET.items() if name not in ("q", "page", "format")],
        "clear_href": f"{reverse('budgets:list')}?{period.query}",
    }
    return page_or_part(request, "budgets/list.html", "rows", context)


def tone_of(burn: Burn) -> str:
    """Bad for what is over, amber for a threshold and the unknown; a budget that is kept has no colour."""
    if burn.is_over:
        return "bad"
    return "warn" if burn.is_warned or burn.standing in (Standing.SUSPENDED, Standing.UNKNOWN) else ""


def _frame(request: PageRequest, period: PeriodChoice, month: date) -> dict[str, Any]:
    """What both views of the page show around their table."""
    tabs = [
        Tab("Workloads", query_with(request, view=None, page=None, sort=None)),
        Tab("Cost centres", query_with(request, view="centres", page=None, sort=None)),
    ]
    at = 1 if request.GET.get("view") == "centres" else 0
    return {
        "month": month,
        "is_running": month == this_month(period.today),
        "is_range": not period.is_month,
        "tabs": [Tab(tab.label, tab.href, is_current=index == at) for index, tab in enumerate(tabs)],
        "file_href": query_with(request, page=None),
        "may_import": True,
    }


def _kpis(totals: Totals, currency: str, query: str) -> list[Kpi]:
    why = {figure: f"{reverse('budgets:why', args=[figure])}?{query}" for figure in FIGURES}
    used = figures.percent(totals.ratio, digits=0) if totals.ratio is not None else ""
    share = "of the budgets" if used else "no budget yet" if not totals.granted else "what is spent is unknown"
    return [
        Kpi(
            "Budgets",
            figures.money(totals.granted, currency),
            f"of {totals.with_budget} workloads",
            why=why["granted"],
        ),
        Kpi(
            "Spent of them",
            figures.money(totals.spent_of_granted, currency),
            f"{share}, and what is unknown" if used and totals.incomplete_of_granted else share,
            used,
            "bad" if totals.ratio is not None and totals.ratio > 1 else "",
            why=why["spent"],
        ),
        Kpi("Over budget", figures.count(totals.over), f"{totals.warned} over a threshold in all", why=why["over"]),
        Kpi(
            "Spent without a budget",
            figures.money(totals.ungoverned, currency),
            f"{_left_out_of(totals)}{totals.workloads - totals.with_budget} workloads have none",
            why=why["ungoverned"],
        ),
    ]


def _left_out_of(totals: Totals) -> str:
    if not totals.incomplete_without:
        return ""
    return "and what is unknown; " if totals.ungoverned is not None else "what they spent is unknown; "


def _sort(request: HttpRequest) -> str:
    sort = request.GET.get("sort", "-used")
    return sort if sort.removeprefix("-") in SORTS else "-used"


def _chips(request: HttpRequest, filters: Filters) -> Iterator[Chip]:
    def off(name: str) -> str:
        return query_with(request, **{name: None, "page": None})

    if filters.state:
        yield Chip(f"State: {STATE_WORDS[filters.state]}", off("state"), is_on=True)
    else:
        states = [
            Choice(words.capitalize(), query_with(request, state=s, page=None)) for s, words in STATE_WORDS.items()
        ]
        yield Chip("State", choices=states)
    if filters.centre_path:
        yield Chip(f"Cost centre: {request.GET['cc'][:40]}", off("cc"), is_on=True)
    else:
        centres = [Choice(c.name, query_with(request, cc=c.code, page=None)) for c in cost_centre_tree() if c.active]
        if centres:
            yield Chip("Cost centre", choices=centres)
    mine = filters.owner is not None
    yield Chip("Mine", off("owner") if mine else query_with(request, owner="me", page=None), is_on=mine)


def _href(row: BudgetRow, period: PeriodChoice) -> str:
    return f"{reverse('budgets:workload', args=[row.slug])}?{period.query}"


def _file(request: PageRequest, month: date, rows: Sequence[BudgetRow]) -> HttpResponseBase:
    currency = organisation.get().currency
    filled = with_forecasts(rows[:LONGEST_FILE], month=month, today=timezone.localdate())
    heads = [head.format(currency) for head in FILE_HEADS]
    cells = (_cells(row) for row in filled)
    return table_response(heads, cells, name=f"budgets-{month:%Y-%m}", kind=request.GET["format"])


def _cells(row: BudgetRow) -> list[Cell]:
    burn, budget = row.burn, row.burn.budget
    return [
        row.name, row.ref, row.centre, row.owner, burn.words, burn.amount, budget.month if budget else None,
        budget.soft if budget else None, budget.hard if budget else None,
        budget.get_on_hard_display() if budget else None, burn.direct, burn.mark, burn.restated, burn.shared,
        burn.ratio,
        burn.run_rate, burn.expected, burn.low, burn.high, burn.runs_out_on,
    ]  # fmt: skip


# --- Along the tree ---------------------------------------------------------------------------------------------------


CENTRE_HEADS: Final = (
    "Cost centre", "Code", "Own budget ({})", "Granted below ({})", "Spent, direct ({})", "Left out of it", "Used",
    "Expected ({})",
    "Low ({})", "High ({})", "Runs out on", "Workloads", "Without a budget",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _CentreLine:
    row: CentreRow
    href: str
    workloads_href: str
    why: str

    @property
    def burn(self) -> Burn:
        return self.row.burn

    @property
    def tone(self) -> str:
        return tone_of(self.row.burn)

    @property
    def indent(self) -> int:
        return 20 * self.row.centre.depth

    @property
    def ratio(self) -> Decimal | None:
        """Of its own budget; without one, of what was granted below."""
        if self.burn.budget is not None:
            return self.burn.ratio
        return self.burn.direct / self.row.granted if self.row.granted and self.burn.direct is not None else None


def _centres(request: PageRequest, period: PeriodChoice) -> HttpResponseBase:
    month = month_of(period)
    rows = selectors.centre_rows(actor=request.actor, month=month, today=timezone.localdate())
    if request.GET.get("format"):
        return _centres_file(request, month, rows)
    lines = [
        _CentreLine(
            row,
            f"{reverse('budgets:centre', args=[row.centre.pk])}?{period.query}",
            f"{reverse('budgets:list')}?{period.query}&{urlencode({'cc': row.centre.code})}",
            proof_of(month, centre=row.centre.code),
        )
        for row in rows
    ]
    return page_or_part(request, "budgets/centres.html", "rows", {**_frame(request, period, month), "lines": lines})


def _centres_file(request: PageRequest, month: date, rows: Sequence[CentreRow]) -> HttpResponseBase:
    currency = organisation.get().currency
    cells: list[list[Cell]] = [
        [
            row.centre.name, row.centre.code, row.burn.amount, row.granted, row.burn.direct, row.burn.mark,
            row.burn.ratio, row.burn.expected, row.burn.low, row.burn.high, row.burn.runs_out_on, row.workloads,
            row.without_budget,
        ]
        for row in rows
    ]  # fmt: skip
    heads = [head.format(currency) for head in CENTRE_HEADS]
    return table_response(heads, cells, name=f"budgets-of-cost-centres-{month:%Y-%m}", kind=request.GET["format"])


# --- Setting one ------------------------------------------------------------------------------------------------------


Owner = Workload | CostCentre


@login_required
@require_http_methods(["GET", "POST"])
def workload(request: PageRequest, slug: str) -> HttpResponse:
    """The budget of a workload: what it is, what it would be, how it was."""
    found = get_workload_for(actor=request.actor, ref=slug)
    if not Workload.objects.money_visible_to(request.actor).active().filter(pk=found.pk).exists():
        raise NotFound("This budget does not exist.")
    return _budget(request, found)


@login_required
@require_http_methods(["GET", "POST"])
def centre(request: PageRequest, pk: int) -> HttpResponse:
    """The budget of a cost centre with everything below it."""
    found = rights.cost_centres_visible(request.actor).filter(pk=pk).first()
    if found is None:
        raise NotFound("This budget does not exist.")
    return _budget(request, found)


def _budget(request: PageRequest, owner: Owner) -> HttpResponse:
    if request.method == "POST":
        services.require_may_set(request.actor, owner)
    if request.method == "POST" and request.POST.get("turn"):
        return _turn(request, owner)
    if request.method == "POST" and "taker" in request.POST and isinstance(owner, Workload):
        return _transfer(request, owner)
    today = timezone.localdate()
    form = BudgetForm(posted(request), today=today, initial=initial_of(owner, today))
    is_preview = request.method == "GET" or "preview" in request.POST
    if not is_preview and form.is_valid() and _set(request, owner, form):
        return HttpResponseRedirect(_back(request, owner))
    return _page(request, owner, form, status=200 if is_preview else 422)


def _page(request: PageRequest, owner: Owner, form: BudgetForm, *, status: int, **forms: Form) -> HttpResponse:
    today = timezone.localdate()
    context = {**_shown(request, owner, today), "form": form, "said": _said(owner, form, today), **forms}
    return page_or_part(request, "budgets/budget.html", "preview", context, status=status)


def _refused(request: PageRequest, owner: Owner, **forms: Form) -> HttpResponse:
    """The page with what was typed into another of its forms, and why that cannot be."""
    today = timezone.localdate()
    form = BudgetForm(today=today, initial=initial_of(owner, today))
    return _page(request, owner, form, status=422, **forms)


def _set(request: PageRequest, owner: Owner, form: BudgetForm) -> bool:
    """Set it, or propose it where a review has capped it lower."""
    values = form.values()
    cap = selectors.cap_at(owner, values["month"])
    with errors_into(form), _once_told(owner, form):
        if isinstance(owner, Workload) and cap is not None and values["amount"] > cap:
            told: dict[str, Any] = {"proposed": values, "reason": values["reason"]}
            say_asked(request, [approvals.ask(actor=request.actor, kind="budget", subject=owner, **told)])
        else:
            services.set_budget(actor=request.actor, owner=owner, **values)
            messages.success(request, f"The budget of {owner} is set.")
    return not form.errors


@contextmanager
def _once_told(owner: Owner, form: BudgetForm) -> Iterator[None]:
    """Whoever was told what changed has seen it: what they typed stays, and goes through when they send it again."""
    try:
        yield
    except services.Stale:
        standing = selectors.row_at(owner, this_month())
        form.data = {**dict(form.data.items()), "standing": standing.pk if standing else 0}
        raise


def _turn(request: PageRequest, owner: Owner) -> HttpResponse:
    """Suspend, resume or end it, from the month that runs on."""
    form = TurnForm(request.POST)
    if not form.is_valid():
        return _refused(request, owner, turn_form=form)
    deeds = {"suspend": services.suspend, "resume": services.resume, "end": services.end}
    done = {"suspend": "is suspended", "resume": "holds again", "end": "has ended"}
    turn = form.cleaned_data["turn"]
    with errors_into(form):
        deeds[turn](
            actor=request.actor,
            owner=owner,
            month=this_month(),
            reason=form.cleaned_data["reason"],
            expected_id=form.cleaned_data["expected_id"],
        )
        messages.success(request, f"The budget of {owner} {done[turn]}.")
    return _refused(request, owner, turn_form=form) if form.errors else HttpResponseRedirect(_back(request, owner))


def _transfer(request: PageRequest, giver: Workload) -> HttpResponse:
    """Propose to move a part of it to another workload whose budget the actor may set too, from this month on."""
    form = TransferForm(request.POST)
    if not form.is_valid():
        return _refused(request, giver, transfer=form)
    wanted = form.cleaned_data
    with errors_into(form):
        taker = workload_meant(request.actor, wanted["taker"])
        proposed = {"taker": taker, "month": this_month(), "amount": wanted["amount"]}
        told: dict[str, Any] = {"proposed": proposed, "reason": wanted["reason"]}
        say_asked(request, [approvals.ask(actor=request.actor, kind="budget_transfer", subject=giver, **told)])
    return _refused(request, giver, transfer=form) if form.errors else HttpResponseRedirect(_back(request, giver))


def _back(request: HttpRequest, owner: Owner) -> str:
    query = urlencode({name: request.GET[name] for name in ("month", "from", "to") if name in request.GET})
    return f"{_address(owner)}?{query}" if query else _address(owner)


def _address(owner: Owner) -> str:
    if isinstance(owner, Workload):
        return reverse("budgets:workload", args=[owner.slug])
    return reverse("budgets:centre", args=[owner.pk])


def _shown(request: PageRequest, owner: Owner, today: date) -> dict[str, Any]:
    month = this_month(today)
    burn = burn_of(owner, month, today)
    period = period_of(request)
    is_workload = isinstance(owner, Workload)
    above = f"{reverse('budgets:list')}?{period.query}{'' if is_workload else '&view=centres'}"
    return {
        "owner": owner,
        "is_workload": is_workload,
        "ref": owner.ref if isinstance(owner, Workload) else owner.code,
        "month": month,
        "burn": burn,
        "tone": tone_of(burn),
        "why": proof_of(month, *(owner.slug,) if isinstance(owner, Workload) else ("", owner.code)),
        "history": selectors.history_of(owner),
        "notices": selectors.notices_of(owner, month),
        "may_set": services.may_set(request.actor, owner),
        "transfer": TransferForm(),
        "turn_form": TurnForm(),
        "cap": selectors.cap_at(owner, month),
        "waiting": _waiting(owner),
        "standing_id": (selectors.row_at(owner, month) or Budget(pk=0)).pk,
        "crumbs": [Crumb("Budgets", above), Crumb(owner.ref if isinstance(owner, Workload) else owner.code)],
        "here": _back(request, owner),
    }


def _waiting(owner: Owner) -> list[Proposal]:
    """Changes of this budget that wait for somebody else."""
    if not isinstance(owner, Workload):
        return []
    return [each for each in waiting_about(owner) if each.confirmation.kind in ("budget", "budget_transfer")]


def burn_of(owner: Owner, month: date, today: date) -> Burn:
    """With its forecast; whoever calls has asked whether its money may be seen."""
    if isinstance(owner, Workload):
        found = selectors.burns(month=month, today=today, workload_ids=[owner.pk], with_forecast=True)
        return found.get(owner.pk) or Burn(month)
    below = list(CostCentre.objects.filter(path__startswith=owner.path))
    rows = selectors.centre_rows_of(below, month=month, today=today)
    return next(row.burn for row in rows if row.centre.pk == owner.pk)


def _said(owner: Owner, form: BudgetForm, today: date) -> list[tuple[str, str]]:
    """What the typed values amount to, in sentences; what stands, while nothing is typed."""
    if form.is_bound and not form.is_valid():
        return []
    values = form.values() if form.is_bound else form.standing_values()
    if values is None:
        return []
    return said_of(owner, values, burn_of(owner, this_month(today), today), organisation.get().currency, today)


# --- On the page of a workload ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """The card of the month that runs, whatever period the page shows. `chart` is None where nothing can be drawn."""

    burn: Burn
    chart: Chart | None
    title: str
    meta: str
    sentence: SafeString
    tone: str
    href: str


def block_of(found: Workload, *, today: date, currency: str) -> Block:
    """For whoever may see the workload's money: the page has asked."""
    month = this_month(today)
    burn = burn_of(found, month, today)
    href = reverse("budgets:workload", args=[found.slug])
    return Block(
        burn=burn,
        chart=_burn_chart(burn, currency, href),
        title=f"Budget, {month:%B} so far",
        meta=f"{today.day} of {(periods.next_month(month) - month).days} days",
        sentence=_burn_sentence(burn, currency, href),
        tone=tone_of(burn),
        href=href,
    )


def _burn_chart(burn: Burn, currency: str, href: str) -> Chart | None:
    """The running total, and dashed how it is expected to go on; the budget and the soft threshold as lines."""
    if not burn.days or burn.direct is None:
        return None
    path = burn.forecast.path if burn.forecast else ()
    first, days = burn.month, (periods.next_month(burn.month) - burn.month).days
    line = _by_day(burn.days, first, days)
    ahead: list[Decimal | None] = [None] * days
    if path:
        # The dashes begin where the line ends.
        ahead = _by_day([burn.days[-1], *(point for point in path if point[0] > burn.days[-1][0])], first, days)
    series = [Series("Spent", line), Series("Expected", ahead, is_dashed=True)]
    return Chart(
        kind="lines",
        categories=[figures.day_short(first + timedelta(days=at)) for at in range(days)],
        series=series if path else series[:1],
        unit="money",
        currency=currency,
        finding=_plain_sentence(burn, currency),
        note=_burn_sentence(burn, currency, href),
        limits=_burn_limits(burn, currency),
        band=_burn_band(burn, ahead) if path else None,
    )


def _by_day(points: Sequence[tuple[date, Decimal]], first: date, days: int) -> list[Decimal | None]:
    found = dict(points)
    return [found.get(first + timedelta(days=at)) for at in range(days)]


def _burn_limits(burn: Burn, currency: str) -> list[Limit]:
    budget = burn.budget
    if budget is None:
        return []
    limits = [Limit(budget.amount, f"budget {figures.money(budget.amount, currency)}", "stop", is_tinted=True)]
    if budget.soft < 1 and budget.amount:
        limits.append(Limit(budget.soft_amount, f"warn at {figures.percent(budget.soft, digits=0)}", "fix"))
    return limits


def _burn_band(burn: Burn, ahead: Sequence[Decimal | None]) -> tuple[list[Decimal | None], list[Decimal | None], str]:
    """The interval opens evenly from today to the month's end, where it is the one that is said."""
    known = [at for at, value in enumerate(ahead) if value is not None]
    low, high, expected = (value or Decimal(0) for value in (burn.low, burn.high, burn.expected))
    steps = Decimal(max(len(known) - 1, 1))
    lows: list[Decimal | None] = [None] * len(ahead)
    highs: list[Decimal | None] = [None] * len(ahead)
    for step, at in enumerate(known):
        value = ahead[at] or Decimal(0)
        lows[at] = value - (expected - low) * step / steps
        highs[at] = value + (high - expected) * step / steps
    return lows, highs, "cost"


def _plain_sentence(burn: Burn, currency: str) -> str:
    if burn.is_unknown:
        return f"What is spent is unknown: {burn.mark}."
    spent = f"{figures.money(burn.direct, currency)}{_beside(burn)} spent."
    if burn.expected is None:
        return f"{spent} {burn.why_not}".strip()
    between = f"{figures.money(burn.low, currency)} to {figures.money(burn.high, currency)}"
    return f"{spent} Expected {figures.money(burn.expected, currency)} ({between}){_unknown(burn)}{_runs_out(burn)}."


def _runs_out(burn: Burn) -> str:
    if burn.runs_out_on is None:
        return "; the budget lasts" if burn.budget and not burn.mark else ""
    return f"; runs out on {figures.day_short(burn.runs_out_on)}{' or sooner' if burn.mark else ''}"


def _beside(burn: Burn) -> str:
    return f" and {burn.mark}" if burn.mark else ""


def _unknown(burn: Burn) -> str:
    return " and what is unknown" if burn.mark else ""


def _burn_sentence(burn: Burn, currency: str, href: str) -> SafeString:
    """$15,320 spent. Expected $42,900 ($39,800 to $46,300); runs out on 27 Nov."""
    spent = format_html("<b>{}</b>{} spent.", figures.money(burn.direct, currency), _beside(burn))
    if burn.is_unknown:
        told = format_html("What is spent is unknown: {}.", burn.mark)
    elif burn.expected is None:
        told = format_html("{} {}", spent, burn.why_not)
    else:
        told = format_html(
            '{} Expected <b class="{}">{}</b> ({} to {}){}{}.',
            spent,
            "tg-bad" if burn.will_pass else "",
            figures.money(burn.expected, currency),
            figures.money(burn.low, currency),
            figures.money(burn.high, currency),
            _unknown(burn),
            _runs_out(burn),
        )
    word = "Set a budget" if burn.budget is None else "Budget and versions"
    return format_html('{} <a href="{}">{}</a>', told, href, word)


app_name = "budgets"
urlpatterns = [
    path("", budget_list, name="list"),
    path("sums/<str:figure>/why/", why_sum, name="why"),
    path("workload/<slug:slug>/", workload, name="workload"),
    path("centre/<int:pk>/", centre, name="centre"),
]
