"""Why this number? What workloads are worth together: by verdict, and below each verdict by workload."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.core import organisation
from apps.core.errors import BadInput, NotFound
from apps.economics.portfolio import Portfolio, VerdictSum, portfolio
from apps.economics.verdict import Word
from apps.web import figures
from apps.web.cost_scope import require_money
from apps.web.pages import PageRequest, page_or_part
from apps.web.period import PeriodChoice, period_of
from apps.web.portfolio import WORDS, month_of, worth_sum_address

FIGURES: Final = {
    "value": ("Value", "The likely value of every workload with a verdict, added up. Unproven ones are left out."),
    "net": (
        "Net value",
        "Value − review cost − full cost, of every workload with a verdict. Unproven ones are left out.",
    ),
}
MOST: Final = 20


@dataclass(frozen=True, slots=True)
class Line:
    """An addend, and where its own proof stands."""

    label: str
    text: str
    href: str = ""


@login_required
@require_GET
def why_sum(request: PageRequest, figure: str) -> HttpResponse:
    require_money(request.actor)
    period, currency, word = period_of(request), organisation.get().currency, _word(request.GET.get("verdict", ""))
    month = month_of(period)
    if figure not in FIGURES:
        raise NotFound("There is no such figure.")
    if month is None:
        raise BadInput("A value is of a whole month.", hint="Choose a month above.")
    found = portfolio(
        actor=request.actor, month=month, verdict=word.value if word else "", sort=f"-{figure}",
        limit=MOST if word else 0, with_months=False,
    )  # fmt: skip
    title, formula = FIGURES[figure]
    sums = [found.by_verdict.get(each, VerdictSum()) for each in ([word] if word else _proven())]
    lines = _by_workload(found, figure, month, currency) if word else _by_verdict(found, figure, period, currency)
    query = f"?{period.query}&sort=-{figure}" + (f"&verdict={word.value}" if word else "")
    context = {
        "title": f"{title}, {WORDS[word].lower()}" if word else title,
        "formula": formula,
        "figure": figures.money_exact(_cents(sum((getattr(one, figure) for one in sums), Decimal(0))), currency),
        "count": sum(one.count for one in sums),
        "terms": list(_terms(sums, currency)) if figure == "net" else [],
        "lines": list(lines),
        "most": MOST if found.count > MOST and word else 0,
        "address": request.build_absolute_uri(),
        "back": f"{reverse('workloads:list')}{query}",
    }
    return page_or_part(request, "workloads/why.html", "panel_part", context)


def _word(text: str) -> Word | None:
    """A verdict whose value is known; whatever else is written narrows nothing."""
    return Word(text) if text in _proven() else None


def _proven() -> list[Word]:
    return [word for word in WORDS if word is not Word.UNPROVEN]


def _terms(sums: list[VerdictSum], currency: str) -> Iterator[Line]:
    """What the net value is made of; what is neither left nor cost is review."""
    value, net, cost = (sum((getattr(one, name) for one in sums), Decimal(0)) for name in ("value", "net", "cost"))
    for label, amount in (("Value", value), ("Review cost", value - net - cost), ("Full cost", cost)):
        yield Line(label, figures.money_exact(_cents(amount), currency))


def _by_verdict(found: Portfolio, figure: str, period: PeriodChoice, currency: str) -> Iterator[Line]:
    for word in _proven():
        one = found.by_verdict.get(word, VerdictSum())
        text = figures.money_exact(_cents(getattr(one, figure)), currency)
        address = f"{worth_sum_address(figure, period)}&verdict={word.value}" if one.count else ""
        yield Line(f"{WORDS[word]}, {one.count}", text, address)


def _by_workload(found: Portfolio, figure: str, month: date, currency: str) -> Iterator[Line]:
    for row in found.rows:
        text = figures.money_exact(_cents(getattr(row, figure)), currency)
        yield Line(row.name, text, f"{reverse('worth:why', args=[row.slug, figure])}?month={month:%Y-%m}")


def _cents(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else amount.quantize(Decimal("0.01"), context=figures.EXACT)
