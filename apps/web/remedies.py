"""What keeps a month unproven, and the link that fills it or asks whoever can."""

from collections.abc import Iterable, Sequence
from datetime import date
from urllib.parse import quote, urlencode

from django.conf import settings
from django.urls import reverse

from apps.accounts import rights
from apps.accounts.models import Person, Role, RoleGrant
from apps.accounts.rights import Right
from apps.core.actor import Actor
from apps.economics.verdict import Gap, Missing, Supplier
from apps.workloads.models import Workload
from apps.workloads.services import may_edit, may_report

Remedy = tuple[Missing, str, str]


def remedies(gaps: Sequence[Missing], workload: Workload, month: date, actor: Actor) -> list[Remedy]:
    """Each gap with what its link says and where it leads: to the place, or by mail to whoever may fill it."""
    if not gaps:
        return []
    writes = may_edit(actor, workload)
    held = rights.rights_of(actor)
    may = {
        Gap.CASE: writes,
        Gap.OUTCOMES: writes or may_report(actor, workload),
        Gap.RATE: held.may(Right.SEE_GRADES),
        Gap.COST: held.may(Right.EDIT_RATES),
        Gap.USAGE: writes or held.may(Right.ALLOCATE),
    }
    may |= dict.fromkeys((Gap.TOO_FEW, Gap.REVIEWS), may[Gap.OUTCOMES])
    return [
        (gap, *(_place(gap, workload, month) if may[gap.gap] or _waits(gap) else _letter(gap, workload, month)))
        for gap in gaps
    ]


def _waits(gap: Missing) -> bool:
    """A case that waits is already asked about; whoever looks is shown where."""
    return gap.gap is Gap.CASE and gap.who is Supplier.ATTESTER


def _place(gap: Missing, workload: Workload, month: date) -> tuple[str, str]:
    at = f"?month={month:%Y-%m}"
    if gap.gap in (Gap.OUTCOMES, Gap.TOO_FEW, Gap.REVIEWS):
        return "Say what came out", reverse("outcomes:month", args=[workload.slug]) + at
    if gap.gap is Gap.CASE:
        said, name = ("See what waits", "value:page") if _waits(gap) else ("Write the value case", "value:edit")
        return said, reverse(name, args=[workload.slug]) + at
    if gap.gap is Gap.RATE:
        return "Open the grade table", reverse("grades:list")
    if gap.gap is Gap.COST:
        return "See what has no price", f"{reverse('costs:overview')}{at}&workload={workload.slug}"
    return "Bind its usage", reverse("workloads:bindings", args=[workload.slug])


def _letter(gap: Missing, workload: Workload, month: date) -> tuple[str, str]:
    """A link that asks by mail; nothing where there is nobody to ask."""
    person = _whom(gap, workload)
    if person is None:
        return "", ""
    page = f"{settings.TOLLGATE_PUBLIC_URL}{reverse('value:page', args=[workload.slug])}?month={month:%Y-%m}"
    told = {
        "subject": f"{workload.name}, {month:%B %Y}: {gap.what}",
        "body": f"Please look at {workload.name} ({workload.ref}) of {month:%B %Y} in Tollgate: {page}",
    }
    return f"Ask {person.name}", f"mailto:{person.email}?{urlencode(told, quote_via=quote)}"


def _whom(gap: Missing, workload: Workload) -> Person | None:
    """Whoever the gap names and is still here; after them the other owners, and an administrator in the end."""
    business, technical, budget = workload.business_owner, workload.technical_owner, workload.budget_owner
    owners = (technical, business, budget) if gap.who is Supplier.TECHNICAL_OWNER else (business, technical, budget)
    asked = _analysts(workload) if gap.who is Supplier.ANALYST else owners
    return _reachable(asked) or _reachable(rights.administrators())


def _reachable(people: Iterable[Person | None]) -> Person | None:
    return next((one for one in people if one is not None and one.active and one.email), None)


def _analysts(workload: Workload) -> list[Person]:
    """Those of its cost centre or above, the nearest first."""
    grants = RoleGrant.objects.in_force().filter(role=Role.ANALYST).select_related("person", "cost_centre")
    path = workload.cost_centre.path if workload.cost_centre else ""
    there = [grant for grant in grants if grant.cost_centre is None or path.startswith(grant.cost_centre.path)]
    there.sort(key=lambda grant: (-len(grant.cost_centre.path) if grant.cost_centre else 0, grant.person.name))
    return [grant.person for grant in there]
