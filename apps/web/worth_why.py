"""Why this number? The proof of a figure of worth: its formula, its inputs, and where each of them comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponseBase
from django.urls import path, reverse
from django.views.decorators.http import require_GET

from apps.core import organisation, periods
from apps.core.models import Period
from apps.costs.models import Component
from apps.economics import selectors
from apps.economics.arithmetic import Ratio, Three, rounded
from apps.economics.why import Origin, Term, WhyWorth
from apps.web import figures
from apps.web.cost_scope import why_address
from apps.web.exports import Cell, table_response
from apps.web.pages import PageRequest, page_or_part
from apps.web.period import PeriodChoice, period_of
from apps.workloads.models import Workload
from apps.workloads.selectors import get_workload_for

CASES: Final = (("low", "Low"), ("base", "Likely"), ("high", "High"))
NAMES: Final = {component.value: component.label for component in Component}


@dataclass(frozen=True, slots=True)
class Row:
    """One input as it is shown; `exact` holds every digit."""

    name: str
    text: str
    exact: str
    note: str = ""
    href: str = ""


SIGNED: Final = "signed"


def worth_address(workload: Workload, month: date, figure: str, *, is_signed: bool = False) -> str:
    """Where the proof of a month's figure stands, as it is known now or as it was signed."""
    side = f"&side={SIGNED}" if is_signed else ""
    return f"{reverse('worth:why', args=[workload.slug, figure])}?month={month:%Y-%m}{side}"


@login_required
@require_GET
def why(request: PageRequest, slug: str, figure: str) -> HttpResponseBase:
    workload = get_workload_for(actor=request.actor, ref=slug)
    period = period_of(request)
    month = period.last_day.replace(day=1)
    is_signed = request.GET.get("side") == SIGNED
    proof = selectors.why_for(actor=request.actor, workload=workload, month=month, figure=figure, signed=is_signed)
    if request.GET.get("format") == "csv":
        return table_response(
            ["Part", "Figure", "Low", "Likely", "High", "Unit", "From"],
            list(_cells(proof)),
            name=f"why-{workload.slug}-{figure}-{month:%Y-%m}{'-signed' if is_signed else ''}",
        )
    currency = organisation.get().currency
    side = _Side(workload, month, is_signed, is_signed and _is_signed_once(month))
    context = {
        "workload": workload,
        "proof": proof,
        "month": month,
        "figure": shown(proof.result, proof.figure, currency),
        "ends": _ends(proof.result, currency),
        "rows": [_row(term, side, currency) for term in proof.terms],
        "parts": [
            (part.label, _ends(part.result, currency), [_row(term, side, currency) for term in part.terms])
            for part in proof.parts
        ],
        "is_signed": is_signed,
        "address": request.build_absolute_uri(),
        "file": f"{worth_address(workload, month, figure, is_signed=is_signed)}&format=csv",
        "back": f"{reverse('value:page', args=[workload.slug])}?month={month:%Y-%m}",
    }
    return page_or_part(request, "value/why.html", "panel_part", context)


def shown(result: Ratio | Three, figure: str, currency: str) -> str:
    """The figure in large type, with every digit that helps."""
    if isinstance(result, Three):
        return figures.money_exact(_six(result.base), currency)
    if result is None:
        return figures.UNKNOWN
    if not isinstance(result, Decimal):
        return str(result).capitalize()
    if figure in ("margin", "roi", "pays_back"):
        return f"{_six(result, 4):,f}"
    if figure == "useful":
        return figures.count(result)
    return figures.money_exact(_six(result), currency)


def _six(amount: Decimal, places: int = 6) -> Decimal:
    """As many places as help the eye; the file has them all."""
    return rounded(amount).quantize(Decimal(1).scaleb(-places), context=figures.EXACT)


def _ends(result: Ratio | Three, currency: str) -> list[tuple[str, str]]:
    if not isinstance(result, Three):
        return []
    return [(label, figures.money_exact(_six(getattr(result, case)), currency)) for case, label in CASES]


@dataclass(frozen=True, slots=True)
class _Side:
    """Whose month is proved, which of its two sides, and whether what it cost is proved as it was signed."""

    workload: Workload
    month: date
    is_signed: bool
    is_signed_once: bool


def _row(term: Term, side: _Side, currency: str) -> Row:
    name = NAMES.get(term.name, term.name.capitalize())
    if term.is_hidden:
        return Row(name, "known, not shown", "", "Hourly rates are seen by analysts and administrators.")
    href = _leads_to(term, side)
    if isinstance(term.value, Three):
        text = " / ".join(_text(getattr(term.value, case), term.unit, currency) for case, _ in CASES)
        return Row(name, text, text, "" if term.unit == "money" else term.unit, href)
    text = _text(term.value, term.unit, currency)
    note = "" if term.unit in ("money", "outputs") else term.unit
    return Row(name, text, "" if term.value is None else f"{term.value:f}", note, href)


def _text(value: Decimal | None, unit: str, currency: str) -> str:
    if value is None:
        return figures.UNKNOWN
    if unit in ("money", "an hour"):
        return figures.money_exact(_six(value), currency)
    return f"{value.normalize():,f}"


def _leads_to(term: Term, side: _Side) -> str:
    workload, month = side.workload, side.month
    period = PeriodChoice(start=month, end=periods.next_month(month), today=month)
    if term.origin is Origin.COST:
        more = {"component": term.ref} if term.ref else {}
        if side.is_signed_once:
            more["figures"] = SIGNED
        return why_address("cost", period, workload=workload.slug, **more)
    if term.origin is Origin.OUTCOMES:
        return f"{reverse('outcomes:month', args=[workload.slug])}?month={month:%Y-%m}"
    if term.origin is Origin.FIGURE:
        return worth_address(workload, month, term.ref, is_signed=side.is_signed)
    if term.origin is Origin.RATE:
        return reverse("grades:list")
    return f"{reverse('value:page', args=[workload.slug])}?month={month:%Y-%m}"


def _is_signed_once(month: date) -> bool:
    """What a second signing sealed has the corrections of the first one in it."""
    return Period.objects.filter(month=month, revision=1).exists()


def _cells(proof: WhyWorth) -> Iterator[tuple[Cell, ...]]:
    yield ("Result", proof.title, *_three_cells(proof.result), "", proof.formula)
    for term in proof.terms:
        yield ("Input", term.name, *_three_cells(term.value), term.unit, term.origin.value)
    for part in proof.parts:
        yield (part.label, "Result", *_three_cells(part.result), "money", "")
        for term in part.terms:
            yield (part.label, term.name, *_three_cells(term.value), term.unit, term.origin.value)


def _three_cells(value: Ratio | Three) -> tuple[Cell, Cell, Cell]:
    if isinstance(value, Three):
        return rounded(value.low), rounded(value.base), rounded(value.high)
    return (None, rounded(value) if isinstance(value, Decimal) else value and str(value), None)


app_name = "worth"
urlpatterns = [path("<slug:slug>/worth/<str:figure>/", why, name="why")]
