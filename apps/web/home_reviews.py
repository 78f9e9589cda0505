"""What waits on Home of the monthly review: agendas to decide, figures to attest, promises to keep, what blocks."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Count, Sum
from django.urls import reverse
from django.utils import timezone

from apps.accounts.rights import Right
from apps.reviews.blockers import blockers_of, not_waived
from apps.reviews.models import Action, Cycle, Item
from apps.reviews.selectors import figures_for
from apps.web import figures, reviews_words
from apps.web.home_parts import MOST_OF_A_KIND, Check, Looker, Task

WEEK: Final = timedelta(days=7)


def open_cycles(looker: Looker) -> list[Cycle]:
    """Reviews that are open and that the person takes part in, the oldest month first."""
    return list(Cycle.objects.visible_to(looker.actor).filter(state=Cycle.State.OPEN).order_by("month"))


def review_tasks(looker: Looker, cycles: Sequence[Cycle]) -> Iterator[Task]:
    for cycle in cycles:
        if looker.rights.may(Right.REVIEW):
            yield _agenda(looker, cycle)
        yield from _figures(looker, cycle)
    yield from _promises(looker)


def _agenda(looker: Looker, cycle: Cycle) -> Task:
    seen = Item.objects.visible_to(looker.actor).filter(cycle=cycle, state=Item.State.OPEN)
    left = seen.aggregate(count=Count("pk"), stake=Sum("money_at_stake"))
    leads = "You lead it. " if cycle.facilitator_id == looker.actor.person_id else "You decide in it. "
    items = f"{left['count']} item{'' if left['count'] == 1 else 's'}"
    said = f"{items} on the agenda are undecided." if left["count"] != 1 else f"{items} on the agenda is undecided."
    return Task(
        "Today",
        "presentation-analytics",
        f"Monthly review, {cycle.month:%B %Y}",
        leads + (said if left["count"] else "Every item is decided; it can be signed off."),
        reverse("reviews:show", args=[f"{cycle.month:%Y-%m}"]),
        "Open agenda",
        money=figures.money(left["stake"], looker.currency),
        money_note="at stake a month",
        due=f"open since {figures.day_short(cycle.opened_at)}",
        stake=left["stake"] or Decimal(0),
    )


def _figures(looker: Looker, cycle: Cycle) -> Iterator[Task]:
    """Figures of own workloads that nobody who owns them has attested as they stand."""
    own = figures_for(actor=looker.actor, cycle=cycle, only_own=True)
    left = [one.figure for one in own if one.is_mine and not one.attested_by]
    if not left:
        return
    cost = sum((figure.cost or Decimal(0) for figure in left), Decimal(0))
    name = left[0].workload.name if len(left) == 1 else f"{len(left)} workloads"
    yield Task(
        "This week",
        "rosette-discount-check",
        f"Attest the {cycle.month:%B} figures of {name}",
        "You own them; the review asks whether these figures are right, and nobody has said so yet."
        if len(left) > 1
        else "You own it; the review asks whether its figures are right, and nobody has said so yet.",
        reverse("reviews:figures", args=[f"{cycle.month:%Y-%m}"]),
        "Attest",
        money=figures.money(cost, looker.currency),
        money_note=f"cost in {cycle.month:%B}",
        due="Before sign-off",
        stake=cost,
    )


def _promises(looker: Looker) -> Iterator[Task]:
    """What the person has promised in a review, until they say what came of it."""
    own = Action.objects.unfinished().filter(owner_id=looker.actor.person_id or 0).select_related("item__cycle")
    for action in own.order_by("due", "pk")[:MOST_OF_A_KIND]:
        yield _promise(looker, action)


def _promise(looker: Looker, action: Action) -> Task:
    left = action.due - looker.period.today
    is_late = left < timedelta(0)
    saving = action.promised_saving
    return Task(
        "Today" if is_late else "This week" if left <= WEEK else "Later",
        "checklist",
        f"Action: {action.title}",
        f"You promised this in the {action.item.cycle.month:%B} review.",
        reverse("reviews:action", args=[action.pk]),
        "Report on it",
        money=figures.money(saving, looker.currency),
        money_note="promised a month" if saving is not None else "no saving promised",
        due=f"was due {figures.day_short(action.due)}" if is_late else figures.day_short(action.due),
        due_tone="bad" if is_late else "",
        stake=saving or Decimal(0),
    )


def sign_off(looker: Looker, cycles: Sequence[Cycle]) -> tuple[Cycle, list[Check]] | None:
    """What blocks the oldest open review, for whoever reads reviews of the whole organisation."""
    if not cycles or not looker.rights.may(Right.SEE_REVIEWS) or not looker.rights.sees_all_money:
        return None
    cycle = cycles[0]
    found = not_waived(cycle, blockers_of(cycle, now=timezone.now()))
    checks = []
    for blocker in found:
        remedy, href = reviews_words.remedy(blocker, cycle.month)
        here = href or reverse("reviews:show", args=[f"{cycle.month:%Y-%m}"])
        checks.append(Check(reviews_words.blocker_words(blocker), False, href=here, action=remedy or "See the review"))
    return cycle, checks or [Check("Nothing is in the way of signing", True)]
