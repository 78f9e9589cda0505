"""What pages read about people: each in a number of queries that does not grow with the number of people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, Max, OuterRef, Prefetch, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from apps.accounts import rights
from apps.accounts.models import PASSED_ON, Account, ApiToken, CostCentre, Invitation, Person, RoleGrant
from apps.accounts.rights import Right
from apps.core.actor import Actor
from apps.core.errors import NotFound
from apps.core.models import AuditEvent


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One line of the list of people. `grants` are roles that run or will run, `former` those that have ended."""

    person: Person
    emails: Sequence[str]
    grants: Sequence[RoleGrant]
    former: Sequence[RoleGrant]
    invitation: Invitation | None
    last_login: datetime | None

    @property
    def state(self) -> str:
        """In a word: erased, deactivated, active, invited, expired (the invitation), or named (no account yet)."""
        if self.person.erased_at:
            return "erased"
        if not self.person.active:
            return "deactivated"
        if self.emails:
            return "active"
        if self.invitation is None:
            return "named"
        return "invited" if self.invitation.expires_at > timezone.now() else "expired"


def people_for(actor: Actor) -> QuerySet[Person]:
    """Everybody, for those who may see people; oneself, for the others."""
    people = Person.objects.all()
    if not rights.rights_of(actor).may(Right.SEE_PEOPLE):
        people = people.filter(pk=actor.person_id or 0)
    open_invitations = Invitation.objects.filter(accepted_at__isnull=True, withdrawn_at__isnull=True)
    grants = RoleGrant.objects.select_related("cost_centre", "granted_by", "passed_on_from__person")
    grants = grants.order_by("role", "-valid_from")
    # Grouping drops the model's own order.
    return (
        people.annotate(last_login=Max("accounts__last_login"))
        .order_by("name", "pk")
        .prefetch_related(
            "accounts",
            Prefetch("grants", queryset=grants, to_attr="all_grants"),
            Prefetch("invitations", queryset=open_invitations, to_attr="open_invitations"),
        )
    )


def person_row(person: Person) -> PersonRow:
    """A row from a person of `people_for`; asks the database nothing more."""
    now = timezone.now()
    grants: list[RoleGrant] = person.all_grants  # type: ignore[attr-defined]
    invitations: list[Invitation] = person.open_invitations  # type: ignore[attr-defined]
    return PersonRow(
        person=person,
        emails=[account.email for account in person.accounts.all() if account.is_active],
        grants=[grant for grant in grants if grant.valid_to is None or grant.valid_to > now],
        former=[grant for grant in grants if grant.valid_to is not None and grant.valid_to <= now],
        invitation=invitations[0] if invitations else None,
        last_login=person.last_login,  # type: ignore[attr-defined]
    )


def get_person_for(*, actor: Actor, pk: int) -> Person:
    person = people_for(actor).filter(pk=pk).first()
    if person is None:
        raise NotFound("This person does not exist.")
    return person


def get_grant_for(*, actor: Actor, pk: int) -> RoleGrant:
    """Any role, for those who see people; for the others one that they passed on, or that was passed on to them."""
    grants = RoleGrant.objects.select_related("person", "cost_centre")
    if not rights.rights_of(actor).may(Right.SEE_PEOPLE):
        me = actor.person_id or 0
        grants = grants.filter(Q(person=me) | Q(granted_by=me), passed_on_from__isnull=False)
    grant = grants.filter(pk=pk).first()
    if grant is None:
        raise NotFound("This role does not exist.")
    return grant


def passed_on_by(person: Person) -> list[RoleGrant]:
    """What the person has passed on and has not ended yet, the first to begin first."""
    passed_on = RoleGrant.objects.filter(passed_on_from__person=person, valid_to__gt=Now())
    return list(passed_on.select_related("person", "cost_centre").order_by("valid_from", "pk"))


def to_pass_on(person: Person) -> QuerySet[RoleGrant]:
    """The person's own roles that they may pass on now."""
    own = RoleGrant.objects.in_force().filter(person=person, role__in=PASSED_ON, passed_on_from=None)
    others = own.filter(Q(granted_by=None) | ~Q(granted_by=person))
    return others.select_related("cost_centre").order_by("role", "pk")


def stand_ins_for(person: Person) -> QuerySet[Person]:
    """Who could act for somebody: everybody else who can log in."""
    can_log_in = Account.objects.filter(person=OuterRef("pk"), is_active=True)
    return Person.objects.filter(Exists(can_log_in), active=True).exclude(pk=person.pk)


def get_cost_centre_for(*, actor: Actor, pk: int) -> CostCentre:
    """Names and places of cost centres are part of the register, which every member may read."""
    centre = CostCentre.objects.filter(pk=pk).first() if rights.rights_of(actor).may(Right.SEE_REGISTER) else None
    if centre is None:
        raise NotFound("This cost centre does not exist.")
    return centre


def cost_centre_tree() -> list[CostCentre]:
    """All cost centres, each below its parent, siblings by code."""
    centres = list(CostCentre.objects.all())
    codes = {centre.pk: centre.code.lower() for centre in centres}
    return sorted(centres, key=lambda centre: [codes[int(step)] for step in centre.path.strip("/").split("/")])


def tokens_for(actor: Actor) -> QuerySet[ApiToken]:
    """One's own tokens; everybody's, for those who may see people (never the tokens themselves)."""
    tokens = ApiToken.objects.select_related("person")
    if rights.rights_of(actor).may(Right.SEE_PEOPLE):
        return tokens
    return tokens.filter(person_id=actor.person_id or 0)


def get_token_for(*, actor: Actor, pk: int) -> ApiToken:
    token = tokens_for(actor).filter(pk=pk).first()
    if token is None:
        raise NotFound("This token does not exist.")
    return token


def audit_events_for(actor: Actor) -> QuerySet[AuditEvent]:
    """What everybody did, for those who read the audit trail; one's own deeds, for the others."""
    events = AuditEvent.objects.select_related("seal")
    if rights.rights_of(actor).may(Right.READ_AUDIT):
        return events
    return events.filter(person_id=actor.person_id) if actor.person_id else events.none()


def names_of(person_ids: set[int]) -> dict[int, str]:
    """Names for audit events, which hold only ids; an erased person reads as such."""
    return dict(Person.objects.filter(pk__in=person_ids).values_list("pk", "name"))


def grants_at(instant: datetime) -> QuerySet[RoleGrant]:
    """The roles as they were at an instant: what a decision of that time is judged by."""
    ended_later = Q(valid_to__isnull=True) | Q(valid_to__gt=instant)
    return RoleGrant.objects.filter(ended_later, valid_from__lte=instant, granted_at__lte=Now())
