"""What the answers of a registration amount to before anything runs, and the value case that they begin.

Minutes times a count is told to whoever said them. In money it is told only to those who may see what an hour costs:
sixty minutes and one answer would show the rate to anybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.economics.arithmetic import EXACT, Labour, Ratio, Span, Three, appraise, labour_value
from apps.economics.cases import CASES, read_assumptions
from apps.economics.models import GradeRate
from apps.economics.thresholds import thresholds
from apps.economics.verdict import CaseState, Facts, Verdict, verdict

ASKED: Final[Mapping[str, str]] = {
    "minutes_low": "the least minutes",
    "minutes_base": "the most likely minutes",
    "minutes_high": "the minutes at best",
    "grade": "whose minutes they are",
    "useful_a_month": "how many people will use in a month",
}


@dataclass(frozen=True, slots=True)
class Worth:
    """The same in money: a month's value, that of one output, and what one may cost so that the return is `hurdle`.

    `verdict` is the one that a month would get; None while nobody has said what it may spend.
    """

    value: Three
    grade: str
    hourly: Decimal
    each: Ratio
    at_most: Decimal
    hurdle: Decimal
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Hours saved in a month. `worth` is None where an hour has no price yet or the actor may not see it."""

    hours: Three
    worth: Worth | None
    sees_rates: bool


def lacking(said: Mapping[str, Any]) -> list[str]:
    """What has to be said before it amounts to anything, in words; empty when all of it is there."""
    return [words for name, words in ASKED.items() if said.get(name) in (None, "")]


def first_assumptions(said: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The value case that the answers begin. The question counts only work that really disappears, checks taken off:
    all of it becomes other work, and nobody's reviews are left to subtract.
    """
    return {
        "minutes_saved": {case: said.get(f"minutes_{case}") for case in CASES},
        "realisation": dict.fromkeys(CASES, Decimal(1)),
        "review_minutes": dict.fromkeys(CASES, Decimal(0)),
    }


def estimate(*, actor: Actor, said: Mapping[str, Any], spend: Decimal | None, today: date) -> Estimate:
    """By the arithmetic of every value case; `spend` is what it may cost in a month.

    Raises BadInput where something lacks, lies out of limits or of order.
    """
    missing = lacking(said)
    if missing:
        raise BadInput(f"Say {' and '.join(missing)}.")
    labour, useful = read_assumptions(first_assumptions(said)), Decimal(said["useful_a_month"])
    sees_rates = rights.rights_of(actor).may(Right.SEE_GRADES)
    rate = _rate(actor, said["grade"], today) if sees_rates else None
    worth = _worth(labour, useful, rate, spend) if rate else None
    return Estimate(labour_value(_span(labour, Decimal(1), useful)), worth, sees_rates)


def _rate(actor: Actor, grade_id: int, today: date) -> GradeRate | None:
    rates = GradeRate.objects.visible_to(actor).filter(grade=grade_id, valid_from__lte=today)
    return rates.select_related("grade").order_by("-valid_from", "-pk").first()


def _worth(labour: Labour, useful: Decimal, rate: GradeRate, spend: Decimal | None) -> Worth | None:
    found = appraise([_span(labour, rate.hourly, useful)], cost=spend, useful=useful)
    if found.value is None:
        return None
    company = organisation.get()
    settings = thresholds(company)
    hurdle = settings.scale_roi
    at_most = EXACT.divide(found.value.base, EXACT.multiply(useful, 1 + hurdle))
    # As if all that is still to come were there: the case attested, everything counted.
    facts = Facts(found, case=CaseState.ATTESTED, produced=useful, currency=company.currency)
    judged = None if spend is None else verdict(facts, settings)
    return Worth(found.value, rate.grade.name, rate.hourly, found.value_per_useful, at_most, hurdle, judged)


def _span(labour: Labour, hourly: Decimal, useful: Decimal) -> Span:
    return Span(labour, hourly, None, useful, Decimal(0))
