"""How a page gets a cycle, an item, an action: never without who asks."""

from datetime import date

from django.db.models import Q

from apps.accounts import rights
from apps.accounts.models import Role, RoleGrant
from apps.accounts.rights import Right
from apps.core.actor import Actor
from apps.core.errors import NotAllowed, NotFound
from apps.reviews.models import Action, Cycle, Item


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
    actions = Action.objects.visible_to(actor).filter(item__cycle__in=Cycle.objects.visible_to(actor))
    found = actions.select_related("workload", "owner", "item__cycle").filter(pk=pk).first()
    if found is None:
        raise NotFound("This action does not exist.")
    return found


def may_prepare(actor: Actor) -> bool:
    """Open a review, take newer figures in, write to owners."""
    held = rights.rights_of(actor)
    return held.may(Right.PREPARE_REVIEWS) or held.may(Right.REVIEW)


def require_person_at_page(actor: Actor) -> int:
    """The person behind a decision. Programs, tokens and commands prepare; they never decide."""
    if actor.person_id is None or actor.channel != "web":
        raise NotAllowed("A review is decided by a person at a page, not by a program.")
    return actor.person_id


def signs_for_all(actor: Actor) -> bool:
    """Whether the actor reviews the whole organisation: a month is signed as a whole."""
    held = RoleGrant.objects.in_force().filter(person_id=actor.person_id or 0, role=Role.REVIEWER)
    return held.filter(Q(cost_centre__isnull=True)).exists()
