"""What we write to those who answer for a budget when it passes a threshold."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from django.core.mail import send_mail
from django.db.models import F, Q, Value

from apps.accounts import rights
from apps.accounts.models import CostCentre, Person, Role, RoleGrant
from apps.budgets.models import Budget, Notice
from apps.core import organisation

# What a notice's message reads of other tables.
NEEDS: Final = (
    "budget__workload__budget_owner",
    "budget__workload__business_owner",
    "budget__cost_centre",
)
_BODY: Final = """Hello,

{name} has spent {spent} of its budget of {amount} for {month}.

{lines}

{consequence}
Direct cost counts: tokens, failed retries, fallbacks and GPU time. Each threshold is told once a month; what happened
since, and when the money is expected to run out, stands in Tollgate under Money, Budgets.
"""
_TOLD: Final = "Nothing is blocked. Look into what spends it, or set another budget with a reason."
_ORPHAN: Final = (
    "\nYou get this as administrator: nobody who answers for this budget has an address here any more. Name somebody."
)
_TO_BLOCK: Final = (
    "This budget is marked to be blocked at its hard threshold. No gateway enforces that yet: calls go on, and cost."
)


def send(notices: Sequence[Notice]) -> int:
    """One message about the thresholds that one budget passed in one month; 0 where nobody at all has an address.

    Where nobody who answers for it is here any more, the administrators get it: they can name somebody.
    """
    owners = _recipients(notices[0].budget)
    recipients = owners or _addresses(rights.administrators())
    if not recipients:
        return 0
    subject, body = message(notices, is_orphan=not owners)
    send_mail(subject, body, from_email=None, recipient_list=recipients)
    return 1


def message(notices: Sequence[Notice], *, is_orphan: bool = False) -> tuple[str, str]:
    """Subject and text."""
    budget, last = notices[0].budget, max(notices, key=lambda notice: notice.limit_amount)
    currency = organisation.get().currency
    month = f"{last.month:%B %Y}"
    name = " ".join(str(budget.owner).split())
    lines = "\n".join(f"- {_line(notice, currency)}" for notice in sorted(notices, key=lambda each: each.limit_amount))
    over_hard = any(notice.level == Notice.Level.HARD for notice in notices)
    blocks = over_hard and budget.on_hard == Budget.OnHard.BLOCK
    body = _BODY.format(
        name=name,
        spent=_money(last.spent, currency),
        amount=_money(budget.amount, currency),
        month=month,
        lines=lines,
        consequence=(_TO_BLOCK if blocks else _TOLD) + (_ORPHAN if is_orphan else ""),
    )
    return f"Tollgate: {name} passed the {last.get_level_display()} for {month}", body


def _line(notice: Notice, currency: str) -> str:
    return f"{notice.get_level_display().capitalize()} at {_money(notice.limit_amount, currency)} passed."


def _recipients(budget: Budget) -> list[str]:
    owner = budget.owner
    people = _analysts_of(owner) if isinstance(owner, CostCentre) else [owner.budget_owner, owner.business_owner]
    return _addresses(people)


def _addresses(people: Iterable[Person | None]) -> list[str]:
    return sorted({person.email for person in people if person and person.active and person.email})


def _analysts_of(centre: CostCentre) -> Sequence[Person | None]:
    """Those who set the budget of a cost centre: its analysts, and those of the centres above it."""
    above = Q(cost_centre__isnull=True) | Q(at__startswith=F("cost_centre__path"))
    grants = RoleGrant.objects.in_force().filter(role=Role.ANALYST).alias(at=Value(centre.path)).filter(above)
    return list(Person.objects.filter(pk__in=grants.values("person_id")))


def _money(amount: Decimal, currency: str) -> str:
    return f"{currency} {amount:,.2f}"
