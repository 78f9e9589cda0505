"""Recording what is decided, in the transaction that makes it so, and what was promised with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.db.models.functions import Now

from apps.accounts.models import Person
from apps.budgets import services as budgets
from apps.budgets.models import Budget
from apps.catalog.models import LatencyBand
from apps.core import audit, organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.money import TOO_LARGE
from apps.core.working_days import days_off, working_day
from apps.reviews import effects
from apps.reviews.access import acts_for, require_decides, require_person_at_page, why_not_decide
from apps.reviews.effects import Effect, Facts, Field, Limit, Refused, Wish
from apps.reviews.models import Action, Cycle, Disposition, Figure, Item, What
from apps.workloads import services as workloads

BATCH: Final = "batch"


class StaleItem(Conflict):
    """Somebody else decided, or the figures changed, since the page was read; `standing` is what holds now."""

    def __init__(self, item: Item, standing: Disposition | None) -> None:
        what = "was decided" if standing else "was changed"
        super().__init__(
            f"This item {what} in the meantime; nothing of yours was recorded.",
            hint="Look at both, then record again what is to hold.",
        )
        self.item = item
        self.standing = standing


@dataclass(frozen=True, slots=True)
class Told:
    """What a person says about an item. `owner` acts until `due`; money in the organisation's currency, a month."""

    what: str
    reason: str
    amount: Decimal | None = None
    owner: Person | None = None
    due: date | None = None
    promised_saving: Decimal | None = None

    @property
    def wish(self) -> Wish:
        owner = self.owner.pk if self.owner else None
        return Wish(self.what, self.reason, self.amount, owner, self.due, self.promised_saving)


def facts_of(item: Item, *, today: date) -> Facts | None:
    """The workload behind an item as it stands now; None for what is about no single one."""
    if item.workload is None:
        return None
    workload = item.workload
    latest = workload.revisions.select_related("latency_band").order_by("-version").first()
    band = latest.latency_band if latest else None
    batch = LatencyBand.objects.get(code=BATCH)
    # From the running month on, which is never signed: a decision takes effect when it is recorded.
    first = today.replace(day=1)
    rows = list(Budget.objects.current().filter(workload=workload).order_by("month"))
    figure = Figure.objects.filter(cycle_id=item.cycle_id, workload=workload).first()
    return Facts(
        state=workload.state,
        stage=workload.stage,
        band=band.name if band else "",
        band_limit_ms=band.limit_ms if band else None,
        batch=batch.name,
        batch_limit_ms=batch.limit_ms,
        budget=_limit(first, next((row for row in reversed(rows) if row.month <= first), None)),
        cost=figure.cost if figure else None,
        later=tuple(_limit(row.month, row) for row in rows if row.month > first),
    )


def preview(*, actor: Actor, item: Item, told: Told, now: datetime) -> tuple[Effect, ...]:
    """What recording it would do; BadInput says what is missing or would loosen. Writes nothing."""
    require_decides(actor, item)
    today = now.astimezone(organisation.zone()).date()
    try:
        return effects.plan(facts_of(item, today=today), told.wish, today=today, off=days_off())
    except Refused as error:
        raise BadInput(str(error)) from error


@transaction.atomic
def record_disposition(*, actor: Actor, item: Item, version: int, told: Told, key: str, now: datetime) -> Disposition:
    """Decide one item; it takes effect at once. The same form sent twice (`key`) is written once.

    Raises StaleItem where the item is not as it was read, NotAllowed for anything but a person at a page.
    """
    person = require_person_at_page(actor)
    # The cycle first, as signing does: either this decision is in the pack, or it is refused.
    cycle = Cycle.objects.select_for_update().get(pk=item.cycle_id)
    again = Disposition.objects.filter(key=key).first()
    if again is not None and (again.item_id, again.by_id) == (item.pk, person):
        return again
    if again is not None:
        raise BadInput("This form was sent already, about something else.", hint="Load the page again.")
    current = Item.objects.select_for_update(of=("self",)).select_related("workload__cost_centre").get(pk=item.pk)
    require_decides(actor, current)
    _check_open(cycle, current, version)
    _check_told(told, key)
    planned = preview(actor=actor, item=current, told=told, now=now)
    disposition = Disposition.objects.create(
        item=current,
        what=told.what,
        reason=" ".join(told.reason.split()),
        effect=[effect.as_json() for effect in planned],
        by_id=person,
        acted_for_id=acts_for(actor, current),
        key=key,
    )
    _apply(actor, current, disposition, planned, told)
    current.state, current.version = Item.State.DECIDED, current.version + 1
    current.save(update_fields=["state", "version"])
    data = {"item": current.pk, "what": told.what, "reason": disposition.reason, "effect": disposition.effect}
    if disposition.acted_for_id:
        data["acted_for"] = disposition.acted_for_id
    audit.record(actor=actor, verb="decided in review", subject=cycle, data=data)
    return disposition


@transaction.atomic
def close_action(*, actor: Actor, action: Action, is_done: bool, note: str) -> Action:
    """Say that an action is done (its owner or the review), or given up (the review); a note says how or why."""
    person = require_person_at_page(actor)
    current = _locked_action(action)
    is_own = is_done and current.owner_id == person
    if not is_own and why_not_decide(actor, current.item):
        raise NotAllowed("Only the review gives an action up; its owner can say that it is done.")
    note = " ".join(note.split())
    if not note or len(note) > effects.LONGEST_REASON:
        raise BadInput("Say in 1 to 500 characters what came of it.")
    if current.state != Action.State.OPEN:
        raise Conflict(f"This action is {current.get_state_display()} already.")
    current.state = Action.State.DONE if is_done else Action.State.GIVEN_UP
    current.note, current.closed_by_id, current.closed_at = note, person, Now()
    current.save(update_fields=["state", "note", "closed_by", "closed_at"])
    current.refresh_from_db()
    data = {"note": note} if is_own else {"note": note, **_in_the_name_of(actor, current.item)}
    audit.record(actor=actor, verb=f"{current.state} action", subject=current, data=data)
    return current


@transaction.atomic
def hand_over_action(*, actor: Actor, action: Action, owner: Person, due: date, today: date) -> Action:
    """Give an open action to somebody else, or another date; what was promised stays."""
    require_person_at_page(actor)
    current = _locked_action(action)
    require_decides(actor, current.item)
    if not owner.active:
        raise BadInput(f"{owner.name} is no longer here; choose somebody else.")
    if due < today:
        raise BadInput("The date has passed already.")
    if current.state != Action.State.OPEN:
        raise Conflict(f"This action is {current.get_state_display()} already.")
    before = {"owner": current.owner_id, "due": current.due}
    current.owner, current.due = owner, working_day(due, days_off())
    current.save(update_fields=["owner", "due"])
    data = {"before": before, "after": {"owner": owner.pk, "due": current.due}}
    data |= _in_the_name_of(actor, current.item)
    audit.record(actor=actor, verb="handed over action", subject=current, data=data)
    return current


def _locked_action(action: Action) -> Action:
    rows = Action.objects.select_for_update(of=("self",)).select_related("item__workload__cost_centre")
    return rows.get(pk=action.pk)


def _in_the_name_of(actor: Actor, item: Item) -> dict[str, Any]:
    """For the trail, where the role that the actor decides by was passed on to them."""
    holder = acts_for(actor, item)
    return {"acted_for": holder} if holder else {}


# --- Guards -----------------------------------------------------------------------------------------------------------


def _check_open(cycle: Cycle, item: Item, version: int) -> None:
    if not cycle.is_open:
        raise Conflict(f"The review of {cycle} is signed off.", hint="Two people can open it again.")
    if item.version != version or item.state == Item.State.CLEARED:
        raise StaleItem(item, item.dispositions.select_related("by", "acted_for").last())


def _check_told(told: Told, key: str) -> None:
    if told.what not in What.values:
        raise BadInput("Choose what is to be done.")
    if not told.reason.strip() or len(told.reason) > effects.LONGEST_REASON:
        raise BadInput("Say in 1 to 500 characters why.")
    if not 8 <= len(key) <= 32:
        raise BadInput("This form has no valid key.", hint="Load the page again.")
    for amount in (told.amount, told.promised_saving):
        if amount is not None and not (amount.is_finite() and amount < TOO_LARGE):
            raise BadInput("This is no amount of money.")
    if told.owner is not None and not told.owner.active:
        raise BadInput(f"{told.owner.name} is no longer here; choose somebody else.")


# --- Effects ----------------------------------------------------------------------------------------------------------


def _apply(actor: Actor, item: Item, disposition: Disposition, planned: Sequence[Effect], told: Told) -> None:
    """Do exactly what was planned, each by the service of the app it belongs to."""
    fields = {effect.field for effect in planned}
    if item.workload is not None and fields & {Field.STATE, Field.STAGE, Field.BAND}:
        workloads.tighten(
            actor=actor,
            workload=item.workload,
            reason=disposition.reason,
            suspend=Field.STATE in fields,
            sunset=Field.STAGE in fields,
            latency_band=LatencyBand.objects.get(code=BATCH) if Field.BAND in fields else None,
        )
    for effect in planned:
        if effect.field == Field.BUDGET and item.workload is not None and effect.starts:
            budgets.lower(
                actor=actor,
                owner=item.workload,
                month=effect.starts,
                amount=Decimal(effect.after),
                reason=disposition.reason[:300],
            )
        elif effect.field == Field.ACTION and told.owner is not None and effect.starts:
            _promise(item, disposition, told, told.owner, effect.starts)


def _promise(item: Item, disposition: Disposition, told: Told, owner: Person, due: date) -> Action:
    month = Cycle.objects.values_list("month", flat=True).get(pk=item.cycle_id)
    figure = Figure.objects.filter(cycle_id=item.cycle_id, workload=item.workload_id).first()
    return Action.objects.create(
        item=item,
        disposition=disposition,
        workload=item.workload,
        title=disposition.reason[:200],
        owner=owner,
        due=due,
        promised_saving=told.promised_saving,
        baseline_month=month,
        baseline_cost=figure.cost if figure else None,
    )


def _limit(month: date, row: Budget | None) -> Limit:
    if row is None or row.state == Budget.State.ENDED:
        return Limit(month, None)
    return Limit(month, row.amount, row.is_suspended)
