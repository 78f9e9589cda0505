"""Persons and their accounts: made, renamed, sent away, erased."""

from collections.abc import Iterable

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Greatest, Now

from apps.accounts import rights
from apps.accounts.models import Account, ApiToken, Invitation, Person, Role, RoleGrant
from apps.accounts.rights import Right
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed

SETUP_LOCK = 7_301_010


@transaction.atomic
def make_person(*, actor: Actor, name: str, email: str = "") -> Person:
    """Make a person without a way to log in: an owner who is named before being invited."""
    rights.require(actor, Right.MANAGE_PEOPLE)
    name, email = clean_name(name), clean_email(email) if email else ""
    _refuse_known_email(email)
    person = Person.objects.create(name=name, email=email)
    audit.record(actor=actor, verb="made person", subject=person)
    return person


@transaction.atomic
def make_account(*, actor: Actor, person: Person, email: str, password: str) -> Account:
    """Give a person an account at once; for the machine's own commands. People are invited instead."""
    if not actor.is_machine:
        raise NotAllowed("Nobody sets a password for somebody else.", hint="Send an invitation.")
    return create_account(actor=actor, person=person, email=email, password=password)


@transaction.atomic
def rename_person(*, actor: Actor, person: Person, name: str) -> Person:
    if actor.person_id != person.pk:
        rights.require(actor, Right.MANAGE_PEOPLE)
    person = lock_active(person)
    person.name = clean_name(name)
    person.save(update_fields=["name"])
    audit.record(actor=actor, verb="renamed person", subject=person)
    return person


@transaction.atomic
def deactivate_person(*, actor: Actor, person: Person) -> Person:
    """Send a person away: sessions, tokens, invitations, roles and what was passed on end together, or nothing does."""
    rights.require(actor, Right.MANAGE_PEOPLE)
    if actor.person_id == person.pk:
        raise NotAllowed("You cannot deactivate yourself.", hint="Another administrator can.")
    person = lock_active(person)
    refuse_last_administrator(person)
    by_or_to = Q(passed_on_from__person=person) | Q(passed_on_from__isnull=False, person=person)
    running = RoleGrant.objects.filter(by_or_to, valid_to__gt=Now())
    passed_on = list(running.order_by("pk").values_list("pk", flat=True))
    ended = {
        "passed_on": passed_on,
        "accounts": person.accounts.filter(is_active=True).update(
            is_active=False, session_epoch=F("session_epoch") + 1
        ),
        "tokens": ApiToken.objects.filter(person=person, revoked_at__isnull=True).update(revoked_at=Now()),
        "invitations": _open_invitations(person).update(withdrawn_at=Now()),
        "roles": _end_roles(person, actor),
    }
    person.active, person.deactivated_at = False, Now()
    person.save(update_fields=["active", "deactivated_at"])
    person.refresh_from_db()
    rights.forget()
    audit.record(actor=actor, verb="deactivated person", subject=person, data=ended)
    record_ends(actor, passed_on)
    return person


@transaction.atomic
def erase_person(*, actor: Actor, person: Person) -> Person:
    """Take a former person's name and addresses out; what they did stays, under their number."""
    rights.require(actor, Right.MANAGE_PEOPLE)
    person = Person.objects.select_for_update().get(pk=person.pk)
    if person.active:
        raise Conflict(f"{person.name} is still active.", hint="Deactivate the person first.")
    person.name, person.email, person.erased_at = f"Erased person {person.pk}", "", Now()
    person.save(update_fields=["name", "email", "erased_at"])
    for account in person.accounts.all():
        account.email = f"erased-{account.pk}@invalid.invalid"
        account.set_unusable_password()
        account.save(update_fields=["email", "password"])
    person.invitations.update(email="")
    person.refresh_from_db()
    audit.record(actor=actor, verb="erased person", subject=person)
    return person


@transaction.atomic
def first_administrator(*, name: str, email: str, password: str) -> Account:
    """The very first account of a database, administrator by nobody's grant; refused once any account exists."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SETUP_LOCK])
    if Account.objects.exists():
        raise Conflict("Tollgate is set up already.", hint="Log in, or ask an administrator for an invitation.")
    email = clean_email(email)
    person = Person.objects.filter(email=email, active=True).first()
    person = person or Person.objects.create(name=clean_name(name), email=email)
    actor = Actor(person_id=person.pk, label=person.name, channel="web")
    account = create_account(actor=actor, person=person, email=email, password=password)
    grant = RoleGrant.objects.create(person=person, role=Role.ADMINISTRATOR, granted_by=None)
    audit.record(actor=actor, verb="became first administrator", subject=person, data={"grant": grant.pk})
    return account


@transaction.atomic
def skip_second_person(*, actor: Actor, reason: str) -> None:
    """Leave on record why the first administrator stays alone for now: nobody can look over one's own shoulder."""
    rights.require(actor, Right.MANAGE_PEOPLE)
    reason = " ".join(reason.split())
    if not reason:
        raise BadInput("Say in a few words why there is no second person yet.")
    audit.record(actor=actor, verb="skipped second person", data={"reason": reason[:300]})


@transaction.atomic
def end_sessions(*, actor: Actor, person: Person) -> None:
    """Every open session of the person ends at its next click."""
    if actor.person_id != person.pk:
        rights.require(actor, Right.MANAGE_PEOPLE)
    bump_sessions(person)
    audit.record(actor=actor, verb="ended sessions", subject=person)


@transaction.atomic
def password_changed(*, account: Account) -> None:
    """Leave the event of a new password; the session hash holds the password, so other sessions end by themselves."""
    actor = Actor(person_id=account.person_id, label=account.person.name, channel="web")
    audit.record(actor=actor, verb="changed password", subject=account)


# Shared by the services of this folder.


def create_account(*, actor: Actor, person: Person, email: str, password: str) -> Account:
    email = clean_email(email)
    if Account.objects.filter(email=email).exists():
        raise Conflict(f"{email} already has an account.", hint="Reset its password, or use another address.")
    account = Account(person=person, email=email)
    try:
        validate_password(password, user=account)
    except ValidationError as error:
        raise BadInput(" ".join(error.messages)) from error
    account.set_password(password)
    account.save()
    audit.record(actor=actor, verb="made account", subject=account, data={"person": person.pk})
    return account


def lock_active(person: Person) -> Person:
    # No key is held: whoever is named in somebody else's row meanwhile, as its giver say, holds nobody up.
    person = Person.objects.select_for_update(no_key=True).get(pk=person.pk)
    if not person.active:
        raise Conflict(f"{person.name} is no longer active.")
    return person


def record_ends(actor: Actor, passed_on: Iterable[int]) -> None:
    """An event for each role that was passed on and fell with something else."""
    for grant in RoleGrant.objects.filter(pk__in=passed_on).order_by("pk"):
        audit.record(actor=actor, verb="ended role", subject=grant, data=evidence_of_role(grant))


def evidence_of_role(grant: RoleGrant) -> dict[str, object]:
    return {
        "person": grant.person_id,
        "role": grant.role,
        "cost_centre": grant.cost_centre_id,
        "valid_from": grant.valid_from,
        "valid_to": grant.valid_to,
        "decision": grant.decision_id,
    }


def bump_sessions(person: Person) -> None:
    Account.objects.filter(person=person).update(session_epoch=F("session_epoch") + 1)


def refuse_last_administrator(person: Person) -> None:
    """Somebody must be able to let others in; the check holds a lock, so two cannot leave at once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SETUP_LOCK])
    remaining = rights.administrators().exclude(pk=person.pk)
    if rights.administrators().filter(pk=person.pk).exists() and not remaining.exists():
        raise Conflict(f"{person.name} is the only administrator.", hint="Make somebody else administrator first.")


def clean_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise BadInput("A name is missing.")
    if len(name) > 120 or not name.isprintable():
        raise BadInput("A name has at most 120 printable characters.")
    return name


def clean_email(email: str) -> str:
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise BadInput(f"'{email}' is no e-mail address.") from error
    return email


def _refuse_known_email(email: str) -> None:
    if email and Person.objects.filter(email=email).exists():
        raise Conflict(f"A person with the address {email} exists already.")


def _open_invitations(person: Person) -> QuerySet[Invitation]:
    return Invitation.objects.filter(person=person, accepted_at__isnull=True, withdrawn_at__isnull=True)


def _end_roles(person: Person, actor: Actor) -> int:
    running = RoleGrant.objects.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=Now()), person=person)
    return running.update(valid_to=Greatest(F("valid_from"), Now()), ended_by_id=actor.person_id)
