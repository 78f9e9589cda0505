"""A cost centre's statement of a month: as a page and as a table that adds up to the last digit."""

from collections.abc import Sequence
from typing import Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.selectors import get_cost_centre_for
from apps.core.errors import BadInput
from apps.reviews import selectors
from apps.reviews.selectors import Statement, StatementLine
from apps.web.exports import Cell, table_response
from apps.web.pages import PageRequest
from apps.web.parts import Crumb
from apps.web.period import period_of

STATEMENT_COLUMNS: Final = (
    *("Workload", "Cost centre", "Used in", "Booked in", "What", "Amount"),
    "Tokens without a price",
)


@login_required
@require_GET
def statement(request: PageRequest, pk: int) -> HttpResponseBase:
    """What a cost centre bears in a month: booked amounts, restatements apart."""
    centre = get_cost_centre_for(actor=request.actor, pk=pk)
    period = period_of(request)
    if not period.is_month:
        raise BadInput("A statement is of a month.", hint="Choose a month in the period picker.")
    shown = selectors.statement(actor=request.actor, cost_centre=centre, month=period.start)
    kind = request.GET.get("format", "")
    if kind in ("csv", "xlsx"):
        name = f"statement-{centre.code}-{period.start:%Y-%m}"
        return table_response(STATEMENT_COLUMNS, statement_rows(shown), name=name, kind=kind)
    context = {
        "statement": shown,
        "centre": centre,
        "crumbs": [Crumb("Monthly review", reverse("reviews:list")), Crumb(f"Statement of {centre}")],
    }
    return render(request, "reviews/statement.html", context)


def statement_rows(shown: Statement) -> list[Sequence[Cell]]:
    """The lines, and under each part its sum, to the last digit."""
    rows: list[Sequence[Cell]] = [_statement_row(line, shown, "own cost") for line in shown.own]
    rows.append(["Own cost", "", None, shown.month, "sum", shown.own_total, None])
    rows += [_statement_row(line, shown, "restated") for line in shown.restated]
    if shown.restated:
        rows.append(["Restated from earlier months", "", None, shown.month, "sum", shown.restated_total, None])
    rows.append(["Statement", "", None, shown.month, "total", shown.total, None])
    return rows


def _statement_row(line: StatementLine, shown: Statement, what: str) -> Sequence[Cell]:
    unpriced = line.unpriced_tokens or None
    return [line.name, line.cost_centre, line.charge_month, shown.month, what, line.amount, unpriced]
