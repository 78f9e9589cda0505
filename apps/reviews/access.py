"""How a page gets a cycle, an item, an action: never without who asks."""

from datetime import date

from django.db.models import Q

from apps.accounts import rights
from apps.accounts.models import Role
from apps.accounts.rights import Right
from apps.core.actor import Actor
from apps.core.errors import NotAllowed, NotFound
from apps.reviews.models import Action, Cycle, Item
from apps.workloads.services import reviews_for, why_not_tighten


def get_cycle_for(*, actor: Actor, month: date) -> Cycle:
    found = Cycle.objects.visible_to(actor).select_related("facilitator").filter(month=month).first()
    if found is None:
        raise NotFound(f"There is no review of {month:%B %Y}.", hint="It opens when the month is over.")
    return found


def get_item_for(*, actor: Actor, cycle: Cycle, pk: int) -> Item:
    items = Item.objects.visible_to(actor).select_related("workload__cost_centre", "workload__business_owner")
    found = items.filter(cycle=cycle, pk=pk).first()
    if found is None:
        raise NotFound("This item is not on the agenda.")
    return found


def get_action_for(*, actor: Actor, pk: int) -> Action:
    """Whoever is to do it sees it, also where they see nothing else of the review."""
    in_sight = Q(item__cycle__in=Cycle.objects.visible_to(actor)) | Q(owner_id=actor.person_id or 0)
    actions = Action.objects.visible_to(actor).filter(in_sight)
    found = actions.select_related("owner", "item__cycle", "item__workload__cost_centre").filter(pk=pk).first()
    if found is None:
        raise NotFound("This action does not exist.")
    return found


def may_prepare(actor: Actor) -> bool:
    """Open a review, take newer figures in, write to owners."""
    held = rights.rights_of(actor)
    return held.may(Right.PREPARE_REVIEWS) or held.may(Right.REVIEW)


def why_not_decide(actor: Actor, item: Item) -> str:
    """Why this person does not decide an item, in a sentence; empty when they do."""
    if item.workload is not None:
        return why_not_tighten(actor, item.workload)
    if not rights.rights_of(actor).may(Right.REVIEW):
        return f"You may not {Right.REVIEW}."
    return "" if signs_for_all(actor) else "This is about no single cost centre; you review a part of the organisation."


def acts_for(actor: Actor, item: Item) -> int | None:
    """Whose role of reviewer the actor decides an item by, where they have none of their own."""
    if item.workload is not None:
        return reviews_for(actor, item.workload)
    return next(iter(rights.for_whom(actor, rights.behind(actor, Role.REVIEWER, None))), None)


def require_decides(actor: Actor, item: Item) -> None:
    """Raises NotAllowed for whoever does not decide the item."""
    refusal = why_not_decide(actor, item)
    if refusal:
        raise NotAllowed(refusal)


def require_person_at_page(actor: Actor) -> int:
    """The person behind a decision. Programs, tokens and commands prepare; they never decide."""
    if actor.person_id is None or actor.channel != "web":
        raise NotAllowed("A review is decided by a person at a page, not by a program.")
    return actor.person_id


def signs_for_all(actor: Actor) -> bool:
    """Whether the actor reviews the whole organisation: a month is signed as a whole."""
    return rights.holds(actor, Role.REVIEWER, None)
