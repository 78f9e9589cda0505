"""Writing to whom a review waits for: owners of figures that nobody attested, reviewers of a month left unsigned."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from smtplib import SMTPDataError, SMTPRecipientsRefused
from typing import Final

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from apps.accounts.models import Person, Role, RoleGrant
from apps.core import audit
from apps.reviews import mails
from apps.reviews.blockers import CLOCK
from apps.reviews.mails import Letter
from apps.reviews.models import Attestation, Cycle, Figure, Reminder
from apps.workloads.models import Workload

REMIND_EVERY: Final = timedelta(days=3)
MOST_REMINDERS: Final = 4
ESCALATE_AFTER: Final = timedelta(days=10)
ESCALATION: Final = 100
LETTERS_LOCK: Final = 7_311
# The server is there, and it does not take this one letter.
REFUSED: Final = (SMTPRecipientsRefused, SMTPDataError)
log = logging.getLogger(__name__)


def send_letters(*, now: datetime) -> int:
    """Send what is due; returns how many went. One turn at a time: a second one that begins meanwhile sends nothing.

    A mail server that is away ends the turn, and all that is left is due at the next one. An address that is refused
    keeps nobody else's letter from being sent.
    """
    sent = 0
    with _turn() as is_mine:
        for letter in list(letters_due(now=now)) if is_mine else ():
            try:
                mails.send(letter)
            except REFUSED as error:
                log.warning("a letter about the review of %s was refused: %s", letter.cycle, error)
            except OSError as error:
                log.warning("letters about reviews wait, since the mail server is away: %s", error)
                break
            else:
                _mark(letter)
                sent += 1
    return sent


def letters_due(*, now: datetime) -> Iterator[Letter]:
    """Owners whose figures nobody has attested, every few days; reviewers, when a month stays unsigned for long."""
    for cycle in Cycle.objects.filter(state=Cycle.State.OPEN):
        age = now - cycle.opened_at
        number = min(age // REMIND_EVERY, MOST_REMINDERS - 1)
        written = set(cycle.reminders.filter(number=number).values_list("person_id", flat=True))
        for person, names in _unattested(cycle).items():
            if person.pk not in written:
                yield Letter(cycle, person, number, tuple(names))
        if age >= ESCALATE_AFTER:
            yield from _escalations(cycle)


@contextmanager
def _turn() -> Iterator[bool]:
    """Whether nobody else is sending. Held by the session, since no transaction may wait for a mail server."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [LETTERS_LOCK])
        is_mine = bool(cursor.fetchone()[0])
    try:
        yield is_mine
    finally:
        if is_mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LETTERS_LOCK])


@transaction.atomic
def _mark(letter: Letter) -> None:
    """Each by itself and once it is out: if the process dies in between, it goes out twice rather than never."""
    Reminder.objects.create(cycle=letter.cycle, person=letter.person, number=letter.number)
    data = {"to": letter.person.pk, "number": letter.number, "workloads": len(letter.workloads)}
    audit.record(actor=CLOCK, verb="wrote about review", subject=letter.cycle, data=data)


def _unattested(cycle: Cycle) -> dict[Person, list[str]]:
    """By whoever answers for them, the workloads of the cycle without an attestation of the figures as they are."""
    attested = Attestation.objects.filter(cycle=cycle, workload=OuterRef("workload"), digest=OuterRef("digest"))
    waiting = (
        Figure.objects.filter(~Exists(attested), cycle=cycle)
        .order_by("workload__name")
        .select_related("workload__business_owner", "workload__technical_owner", "workload__budget_owner")
    )
    found: dict[Person, list[str]] = {}
    for figure in waiting:
        owner = _answering(figure.workload)
        if owner is not None:
            found.setdefault(owner, []).append(figure.workload.name)
    return found


def _answering(workload: Workload) -> Person | None:
    """The first of its owners who is still here and can be written to; without any it stands on the agenda."""
    owners = (workload.business_owner, workload.technical_owner, workload.budget_owner)
    return next((owner for owner in owners if owner is not None and owner.active and owner.email), None)


def _escalations(cycle: Cycle) -> Iterator[Letter]:
    reviewing = RoleGrant.objects.in_force().filter(role=Role.REVIEWER, cost_centre=None, person=OuterRef("pk"))
    written = cycle.reminders.filter(number=ESCALATION).values("person_id")
    people = Person.objects.filter(Exists(reviewing)).exclude(email="").exclude(pk__in=written)
    yield from (Letter(cycle, person, ESCALATION, (), is_escalation=True) for person in people)
