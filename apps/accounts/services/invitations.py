"""Invitations: a one-time link to the address of the person, and nothing in the database that could open it."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from apps.accounts import rights
from apps.accounts.models import Account, CostCentre, Invitation, Person, Role
from apps.accounts.rights import Right
from apps.accounts.secrets import digest, new_secret
from apps.accounts.services.people import clean_email, clean_name, create_account, lock_active
from apps.accounts.services.roles import grant_role
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import Conflict, NotFound

VALID_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SentInvitation:
    """`secret` goes into the link of the e-mail and is kept nowhere."""

    invitation: Invitation
    secret: str


@transaction.atomic
def invite(
    *, actor: Actor, name: str, email: str, role: Role | None = None, cost_centre: CostCentre | None = None
) -> SentInvitation:
    """Invite somebody, known or new; a role given along counts from now, by the inviter's hand."""
    rights.require(actor, Right.MANAGE_PEOPLE)
    email = clean_email(email)
    if Account.objects.filter(email=email).exists():
        raise Conflict(f"{email} already has an account.")
    person = Person.objects.filter(email=email).first()
    person = lock_active(person) if person else Person.objects.create(name=clean_name(name), email=email)
    if _open(person).exists():
        raise Conflict(f"{person.name} has an open invitation.", hint="Send it again from the list of people.")
    sent = _send(actor, person, email)
    if role:
        grant_role(actor=actor, person=person, role=role, cost_centre=cost_centre)
    audit.record(actor=actor, verb="invited person", subject=person)
    return sent


@transaction.atomic
def resend(*, actor: Actor, person: Person) -> SentInvitation:
    """A new link for the same invitation; the earlier one stops working."""
    rights.require(actor, Right.MANAGE_PEOPLE)
    person = lock_active(person)
    earlier = _open(person).first()
    if earlier is None:
        raise Conflict(f"{person.name} has no open invitation.")
    _open(person).update(withdrawn_at=Now())
    sent = _send(actor, person, earlier.email)
    audit.record(actor=actor, verb="sent invitation again", subject=person)
    return sent


@transaction.atomic
def withdraw_invitation(*, actor: Actor, person: Person) -> None:
    rights.require(actor, Right.MANAGE_PEOPLE)
    if not _open(person).update(withdrawn_at=Now()):
        raise Conflict(f"{person.name} has no open invitation.")
    audit.record(actor=actor, verb="withdrew invitation", subject=person)


def find_invitation(secret: str) -> Invitation:
    """The open invitation behind a link; used, withdrawn, expired and invented links answer alike."""
    usable = Q(accepted_at__isnull=True, withdrawn_at__isnull=True, expires_at__gt=Now(), person__active=True)
    found = Invitation.objects.select_related("person", "invited_by").filter(usable, sha256=digest(secret)).first()
    if found is None:
        raise NotFound("This invitation is used, withdrawn or expired.", hint="Ask an administrator to send it again.")
    return found


@transaction.atomic
def accept_invitation(*, secret: str, password: str) -> Account:
    """The invited person sets a password; reading the mail has proved the address."""
    invitation = find_invitation(secret)
    # The second of two clicks waits here and then finds the invitation used.
    Invitation.objects.select_for_update().get(pk=invitation.pk)
    invitation = find_invitation(secret)
    person = invitation.person
    actor = Actor(person_id=person.pk, label=person.name, channel="web")
    account = create_account(actor=actor, person=person, email=invitation.email, password=password)
    Invitation.objects.filter(pk=invitation.pk).update(accepted_at=Now())
    audit.record(actor=actor, verb="accepted invitation", subject=person)
    return account


def _send(actor: Actor, person: Person, email: str) -> SentInvitation:
    secret, sha256 = new_secret()
    invitation = Invitation.objects.create(
        person=person, email=email, sha256=sha256, invited_by_id=actor.person_id, expires_at=Now() + VALID_FOR
    )
    invitation.refresh_from_db()
    return SentInvitation(invitation=invitation, secret=secret)


def _open(person: Person) -> QuerySet[Invitation]:
    return Invitation.objects.filter(person=person, accepted_at__isnull=True, withdrawn_at__isnull=True)
