"""What Larkfield lets its uses spend a month. Data and its telling.

Amounts follow from how full each budget was in the last complete month; of three uses company.py's figure is not the
whole direct cost, so theirs are said outright.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from apps.accounts.models import CostCentre, Person
from apps.budgets import services as budgets
from apps.config.demo.company import USES, Use
from apps.core.actor import Actor
from apps.workloads.models import Workload

# Per cent of the budget that the last complete month spent.
SPENT: Final[Mapping[str, int]] = {
    "Shop search": 92,
    "Checkout fraud check": 88,
    "Code assistant": 91,
    "Contract risk review": 86,
    "Enquiry classification": 95,
    "Claims triage": 85,
    "Voice agent": 98,
    "Meeting notes": 107,
    "Demand forecast": 81,
    "Support ticket summaries": 69,
    "HR policy assistant": 88,
    "Invoice extraction": 71,
}
USUALLY_SPENT: Final = 84
SAID: Final[Mapping[str, int]] = {"Sales copilot": 38_000, "Order status bot": 23_080, "Image studio": 17_930}
# What held until the last complete month, and was raised then.
BEFORE: Final[Mapping[str, int]] = {"Shop search": 52_000, "Claims triage": 15_000}
OF_CENTRES: Final[Mapping[str, int]] = {"COM": 118_000, "CARE": 92_000, "ENG": 47_000}
RAISED: Final = "Raised with the plan of the autumn."


def tell_budgets(
    *, people: Mapping[str, Person], made: Mapping[str, Workload], first_month: date, last_month: date
) -> None:
    """A budget for every use from its first month on, and for three parts of the group."""
    analyst = people["Felix Adeyemi"]
    actor = Actor(person_id=analyst.pk, label=analyst.name, channel="web")
    for use in USES:
        before = BEFORE.get(use.name)
        budgets.set_budget(
            actor=actor, owner=made[use.name], month=first_month, amount=Decimal(before or amount_of(use))
        )
        if before:
            budgets.set_budget(
                actor=actor, owner=made[use.name], month=last_month, amount=Decimal(amount_of(use)), reason=RAISED
            )
    for centre in CostCentre.objects.filter(code__in=OF_CENTRES):
        budgets.set_budget(actor=actor, owner=centre, month=first_month, amount=Decimal(OF_CENTRES[centre.code]))


def amount_of(use: Use) -> int:
    """In whole tens, as people set budgets."""
    tens = round(use.cost * 10 / SPENT.get(use.name, USUALLY_SPENT))
    return SAID.get(use.name, tens * 10)
