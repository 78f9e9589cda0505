"""Roles are given by somebody else, dated, ended instead of deleted, and passed on while one is away."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from apps.accounts import rights
from apps.accounts.freshness import SessionTooOld, is_fresh
from apps.accounts.models import PASSED_ON, CostCentre, Person, Role, RoleGrant
from apps.accounts.rights import Right
from apps.accounts.services.people import (
    bump_sessions,
    evidence_of_role,
    lock_active,
    record_ends,
    refuse_last_administrator,
)
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed

WHOLE_ORGANISATION_ONLY = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})
# Within any WINDOW, to everybody together; the day on which summer time ends has an hour more.
LONGEST_AWAY = timedelta(days=45)
HOUR_MORE = timedelta(hours=1)
WINDOW = timedelta(days=90)


@transaction.atomic
def grant_role(
    *,
    actor: Actor,
    person: Person,
    role: Role,
    cost_centre: CostCentre | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    decision_id: int | None = None,
) -> RoleGrant:
    """Give a role in a cost centre and below, or (None) in the whole organisation; from now on unless dated.

    `decision_id` is the decision by which another administrator confirmed it; see `is_founding` for when none is
    needed. The person's sessions end, so that no open page goes on with the rights of before.
    """
    role, person = check_role(
        actor=actor, person=person, role=role, cost_centre=cost_centre, valid_from=valid_from, valid_to=valid_to
    )
    if decision_id is None and not is_founding():
        raise NotAllowed(
            "A role is given by one administrator and confirmed by another.", hint="Propose it on the person's page."
        )
    dates = {"valid_from": valid_from} if valid_from else {}
    grant = RoleGrant.objects.create(
        person=person,
        role=role,
        cost_centre=cost_centre,
        valid_to=valid_to,
        granted_by_id=actor.person_id,
        decision_id=decision_id,
        **dates,
    )
    bump_sessions(person)
    rights.forget()
    audit.record(actor=actor, verb="granted role", subject=grant, data=evidence_of_role(grant))
    return grant


@transaction.atomic
def check_role(
    *,
    actor: Actor,
    person: Person,
    role: str,
    cost_centre: CostCentre | None,
    valid_from: datetime | None,
    valid_to: datetime | None,
) -> tuple[Role, Person]:
    """Refuse a role that could not be given to the person, who stays locked until the caller's transaction ends."""
    rights.require(actor, Right.MANAGE_PEOPLE)
    known = _known(role)
    person = lock_active(person)
    if actor.person_id == person.pk and rights.administrators().exclude(pk=person.pk).exists():
        raise NotAllowed("Nobody gives a role to themselves.", hint="Another administrator can give it to you.")
    if cost_centre is not None and known in WHOLE_ORGANISATION_ONLY:
        raise BadInput(f"{known.label} is a role for the whole organisation.", hint="Leave the cost centre empty.")
    if cost_centre is not None and not cost_centre.active:
        raise Conflict(f"The cost centre {cost_centre.name} is closed.")
    if valid_from and valid_to and valid_to <= valid_from:
        raise BadInput("The role would end before it begins.")
    _refuse_repetition(person, known, cost_centre)
    return known, person


def is_founding() -> bool:
    """While one person at most has ever been administrator, nobody could confirm what they give.

    With the second administrator this is over, for good: grants are never deleted, so it does not come back when the
    second one leaves.
    """
    ever = RoleGrant.objects.filter(role=Role.ADMINISTRATOR).values("person").distinct().count()
    return ever < 2


@transaction.atomic
def end_role(*, actor: Actor, grant: RoleGrant) -> RoleGrant:
    """End a role now, and what was passed on of it; one that has not begun never will.

    What was passed on is also ended by whoever did so, and given back by whoever has it.
    """
    if not is_party(actor, grant):
        rights.require(actor, Right.MANAGE_PEOPLE)
    person = Person.objects.select_for_update(no_key=True).get(pk=grant.person_id)
    grant = RoleGrant.objects.select_for_update(of=("self",)).select_related("person").get(pk=grant.pk)
    if not _running().filter(pk=grant.pk).exists():
        raise Conflict("This role has ended already.")
    if grant.role == Role.ADMINISTRATOR:
        refuse_last_administrator(person)
    passed_on = list(_running().filter(passed_on_from=grant).order_by("pk").values_list("pk", flat=True))
    # The database ends with it what was passed on.
    _running().filter(pk=grant.pk).update(valid_to=Greatest(F("valid_from"), Now()), ended_by_id=actor.person_id)
    grant.refresh_from_db()
    if grant.passed_on_from_id is None:
        bump_sessions(person)
    rights.forget()
    data = {**evidence_of_role(grant), "passed_on": passed_on}
    audit.record(actor=actor, verb="ended role", subject=grant, data=data)
    record_ends(actor, passed_on)
    return grant


@transaction.atomic
def pass_on(
    *,
    actor: Actor,
    grant: RoleGrant,
    to: Person,
    valid_from: datetime | None,
    valid_to: datetime,
    reason: str = "",
    session_fresh_at: datetime | None,
) -> RoleGrant:
    """Let somebody else act by one's own role of approver or reviewer for a time, as far as neither is barred."""
    now = timezone.now()
    if actor.channel != "web" or actor.person_id is None:
        raise NotAllowed("A person passes a role on, at a page.", hint="Tokens, commands and tasks pass nothing on.")
    if not is_fresh(session_fresh_at, now):
        raise SessionTooOld("to pass a role on")
    # Persons before roles, as whoever ends a role or sends a person away holds them.
    both = Person.objects.filter(pk__in=(actor.person_id, to.pk)).order_by("pk")
    list(both.select_for_update(no_key=True))
    person = lock_active(to)
    own = RoleGrant.objects.select_for_update(of=("self",)).get(pk=grant.pk)
    begins = max(valid_from or now, now)
    _refuse_to_pass_on(actor, own, person, begins, valid_to)
    passed_on = RoleGrant.objects.create(
        person=person,
        role=own.role,
        cost_centre_id=own.cost_centre_id,
        valid_from=begins,
        valid_to=valid_to,
        granted_by_id=actor.person_id,
        passed_on_from=own,
    )
    passed_on.refresh_from_db()
    rights.forget()
    data = {**evidence_of_role(passed_on), "passed_on_from": own.pk, "reason": " ".join(reason.split())[:300]}
    audit.record(actor=actor, verb="passed on role", subject=passed_on, data=data)
    return passed_on


def _refuse_to_pass_on(actor: Actor, own: RoleGrant, to: Person, begins: datetime, ends: datetime) -> None:
    """What the database refuses as well, here in words."""
    if own.person_id != actor.person_id or own.passed_on_from_id or own.role not in PASSED_ON:
        raise NotAllowed(
            "You pass on your own role of approver or reviewer, and no other.",
            hint="A role that was passed on to you goes no further.",
        )
    if own.granted_by_id == own.person_id:
        raise NotAllowed("A role that one gave oneself is not passed on.")
    if not RoleGrant.objects.in_force().filter(pk=own.pk).exists():
        raise Conflict("This role does not count now; it is passed on while it does.")
    if to.pk == own.person_id:
        raise BadInput("Choose somebody else than yourself.")
    if ends <= begins:
        raise BadInput("It would end before it begins.")
    if ends > timezone.now() + WINDOW:
        raise BadInput(
            f"What is passed on ends within {WINDOW.days} days from now.", hint="Pass it on nearer to the day."
        )
    if _longest_away(own, begins, ends) > LONGEST_AWAY + HOUR_MORE:
        raise BadInput(
            f"A role is passed on for {LONGEST_AWAY.days} days at most within any {WINDOW.days}, to all together.",
            hint="Whoever is to act for longer needs a role of their own, which an administrator proposes.",
        )
    if own.valid_to and ends > own.valid_to:
        raise BadInput(f"Your own role ends on {timezone.localtime(own.valid_to):%-d %b %Y}, and this with it.")
    if _running().filter(person=to, passed_on_from=own, valid_from__lt=ends, valid_to__gt=begins).exists():
        raise Conflict(f"{to.name} has this role from you already in these days.", hint="End that first.")


def _longest_away(own: RoleGrant, begins: datetime, ends: datetime) -> timedelta:
    """The most time within any window for which the role is passed on, to whoever, with this one."""
    near = own.passed_on.filter(valid_to__gt=begins - WINDOW, valid_from__lt=ends + WINDOW)
    spans = [(begins, ends)]
    spans += [(first, last) for first, last in near.values_list("valid_from", "valid_to") if last]
    # A window that holds the most begins or ends with one of them.
    starts = [first for first, _ in spans] + [last - WINDOW for _, last in spans]
    return max(_time_within(start, spans) for start in starts)


def _time_within(start: datetime, spans: list[tuple[datetime, datetime]]) -> timedelta:
    end = start + WINDOW
    parts = (min(last, end) - max(first, start) for first, last in spans)
    return sum((part for part in parts if part > timedelta()), timedelta())


def is_party(actor: Actor, grant: RoleGrant) -> bool:
    """Whether the role was passed on by or to the actor."""
    if grant.passed_on_from_id is None or actor.person_id is None:
        return False
    return actor.person_id in (grant.person_id, grant.granted_by_id)


def _running() -> QuerySet[RoleGrant]:
    return RoleGrant.objects.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=Now()))


def _known(role: str) -> Role:
    try:
        return Role(role)
    except ValueError as error:
        raise BadInput(f"'{role}' is no role.", hint=f"Roles are {', '.join(Role.values)}.") from error


def _refuse_repetition(person: Person, role: Role, cost_centre: CostCentre | None) -> None:
    if _running().filter(person=person, role=role, cost_centre=cost_centre, passed_on_from=None).exists():
        where = f"in {cost_centre.name}" if cost_centre else "in the whole organisation"
        raise Conflict(f"{person.name} is {role.label} {where} already.")
