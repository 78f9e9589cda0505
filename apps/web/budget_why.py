"""Which budgets a page is about, and why its figures are what they are: workload by workload."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.models import CostCentre
from apps.budgets.rows import STATES, BudgetRow, Filters, budget_rows
from apps.core import organisation
from apps.core.errors import BadInput, NotFound
from apps.web import figures
from apps.web.cost_scope import require_money, why_address
from apps.web.pages import PageRequest, page_or_part
from apps.web.period import PeriodChoice, period_of
from apps.web.portfolio_why import Line

MOST: Final = 20
# What narrows the list, in its address.
NARROWS: Final = ("month", "from", "to", "q", "state", "cc", "owner")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure over the list: which rows it takes in, and what it adds of each."""

    title: str
    formula: str
    takes: Callable[[BudgetRow], bool]
    adds: Callable[[BudgetRow], Decimal | None]
    is_spent: bool = True


FIGURES: Final = {
    "granted": Figure(
        "Budgets",
        "The budget of each workload that has one in the month, added up.",
        lambda row: row.burn.budget is not None,
        lambda row: row.burn.amount,
        is_spent=False,
    ),
    "spent": Figure(
        "Spent of the budgets",
        "The direct cost of each workload with a budget, as far as it is known, added up.",
        lambda row: row.burn.budget is not None,
        lambda row: row.burn.direct,
    ),
    "over": Figure(
        "Over budget",
        "Workloads whose direct cost is more than they may spend; a suspended budget may not be spent at all.",
        lambda row: row.burn.is_over,
        lambda row: row.burn.direct,
    ),
    "ungoverned": Figure(
        "Spent without a budget",
        "The direct cost of each workload without a budget in the month, as far as it is known, added up.",
        lambda row: row.burn.budget is None,
        lambda row: row.burn.direct,
    ),
}


@login_required
@require_GET
def why_sum(request: PageRequest, figure: str) -> HttpResponse:
    """The addends of a figure over the list, the largest first, each with its own proof."""
    require_money(request.actor)
    wanted, currency, period = FIGURES.get(figure), organisation.get().currency, period_of(request)
    if wanted is None:
        raise NotFound("There is no such figure.")
    month = month_of(period)
    rows = [
        row for row in budget_rows(actor=request.actor, month=month, filters=filters_of(request)) if wanted.takes(row)
    ]
    rows.sort(key=lambda row: wanted.adds(row) or Decimal(0), reverse=True)
    known = [amount for row in rows if (amount := wanted.adds(row)) is not None]
    total = sum(known, Decimal(0)) if known or not any(row.burn.mark for row in rows) else None
    context = {
        "title": wanted.title,
        "formula": wanted.formula,
        "figure": figures.count(len(rows)) if figure == "over" else figures.money_exact(total, currency),
        "count": len(rows),
        "lines": [_line(row, wanted, month, currency) for row in rows[:MOST]],
        "most": MOST if len(rows) > MOST else 0,
        "address": request.build_absolute_uri(),
        "back": f"{reverse('budgets:list')}?{why_query(request)}",
    }
    return page_or_part(request, "workloads/why.html", "panel_part", context)


def _line(row: BudgetRow, wanted: Figure, month: date, currency: str) -> Line:
    page = f"{reverse('budgets:workload', args=[row.slug])}?month={month:%Y-%m}"
    text = figures.money_exact(wanted.adds(row), currency)
    mark = f", and {row.burn.mark}" if wanted.is_spent and row.burn.mark else ""
    return Line(f"{row.name}{mark}", text, proof_of(month, row.slug) if wanted.is_spent else page)


def why_query(request: HttpRequest) -> str:
    """What the list was narrowed to, for the proof of its figures and back."""
    return urlencode({name: request.GET[name] for name in NARROWS if name in request.GET})


def month_of(period: PeriodChoice) -> date:
    """Budgets are by the month: of a free range, the month in which it ends."""
    return period.last_day.replace(day=1)


def filters_of(request: HttpRequest) -> Filters:
    state = request.GET.get("state", "")
    if state and state not in STATES:
        raise BadInput(f"“{state[:40]}” is no state of a budget.", hint=f"Use one of {', '.join(STATES)}.")
    owner = getattr(request, "actor", None) if request.GET.get("owner") == "me" else None
    return Filters(
        words=request.GET.get("q", "")[:100],
        state=state,
        centre_path=_centre_path(request.GET.get("cc", "")),
        owner=owner.person_id if owner else None,
    )


def _centre_path(code: str) -> str:
    if not code:
        return ""
    found = CostCentre.objects.filter(code__iexact=code).first()
    if found is None:
        raise NotFound("There is no such cost centre.")
    return found.path


def proof_of(month: date, slug: str = "", centre: str = "") -> str:
    """The proof of what was used in the month itself; what was booked for earlier ones stands beside it."""
    return why_address("cost", _month_query(month), workload=slug, centre=centre, component="direct")


def _month_query(month: date) -> str:
    return urlencode({"month": f"{month:%Y-%m}"})
