"""Opening a review, by the calendar or by hand, keeping its agenda up to date, and writing to whom it waits for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from apps.accounts import rights
from apps.accounts.models import Person, Role, RoleGrant
from apps.accounts.rights import Right
from apps.core import audit, organisation, periods
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.economics.services import recompute_dirty
from apps.reviews import agenda
from apps.reviews.access import may_prepare, require_person_at_page
from apps.reviews.models import Attendance, Attestation, Cycle, Figure, Reminder
from apps.workloads.models import Workload

REMIND_EVERY: Final = timedelta(days=3)
MOST_REMINDERS: Final = 4
ESCALATE_AFTER: Final = timedelta(days=10)
LONGEST_BACK: Final = 6


@dataclass(frozen=True, slots=True)
class Letter:
    """Somebody who is to be written to about a cycle, and which of their workloads wait for their word."""

    cycle: Cycle
    person: Person
    number: int
    workloads: tuple[str, ...]
    is_escalation: bool = False


def open_cycle(*, actor: Actor, month: date, now: datetime, by_calendar: bool = False) -> Cycle:
    """Open the review of a month that is over; an open one is only brought up to date, a signed one is left alone.

    Raises BadInput for a month that is still running, NotAllowed for whoever does not prepare reviews.
    """
    if not may_prepare(actor):
        raise NotAllowed("You may not open a review.", hint=rights.who_can_give(Right.PREPARE_REVIEWS))
    month = month.replace(day=1)
    _check_over(month, now)
    recompute_dirty()
    with transaction.atomic():
        cycle, made = Cycle.objects.get_or_create(
            month=month,
            defaults={"by_calendar": by_calendar, "opened_by_id": actor.person_id, "figures_at": now},
        )
        # Whoever comes second waits here, finds the agenda taken, and takes it once more.
        cycle = Cycle.objects.select_for_update().get(pk=cycle.pk)
        if not cycle.is_open:
            return cycle
        taken = agenda.take(cycle)
        cycle.figures_at = now
        cycle.save(update_fields=["figures_at"])
        verb = "opened review" if made else "took figures into review"
        audit.record(actor=actor, verb=verb, subject=cycle, data={"items": taken, "by_calendar": by_calendar})
    return cycle


def open_due(*, actor: Actor, now: datetime) -> list[Cycle]:
    """Open what the calendar says: each complete month with cost since the last review; once, however often asked."""
    due = months_to_open(now=now)
    if not Cycle.objects.exists():
        due = [month for month in due if month == _last_complete(now)]
    return [open_cycle(actor=actor, month=month, now=now, by_calendar=True) for month in due]


def months_to_open(*, now: datetime) -> list[date]:
    """Complete months with cost after the newest review, oldest first; no more than half a year of them."""
    last = _last_complete(now)
    known = Cycle.objects.filter(month__lte=last).order_by("-month").values_list("month", flat=True).first()
    earliest = _back(last, LONGEST_BACK)
    first = max(periods.next_month(known), earliest) if known else earliest
    return [month for month in periods.months_between(first, last) if _has_cost(month)]


@transaction.atomic
def attest_figures(*, actor: Actor, cycle: Cycle, workload: Workload, digest: str, note: str = "") -> Attestation:
    """An owner says that the figures are right, as they were seen; whoever does so does not sign this month."""
    person = require_person_at_page(actor)
    current = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if not current.is_open:
        raise Conflict(f"The review of {current} is signed off.")
    if not Workload.objects.owned_by(actor).filter(pk=workload.pk).exists():
        raise NotAllowed(f"Only the owners of {workload.name} attest its figures.")
    figure = Figure.objects.filter(cycle=current, workload=workload).first()
    if figure is None or figure.digest != digest:
        raise Conflict("The figures changed since you looked at them.", hint="Look at them again, then attest.")
    attestation, made = Attestation.objects.get_or_create(
        cycle=current, workload=workload, person_id=person, digest=digest, defaults={"note": note.strip()[:500]}
    )
    if made:
        data = {"workload": workload.pk, "digest": digest}
        audit.record(actor=actor, verb="attested figures", subject=current, data=data)
    return attestation


@transaction.atomic
def take_facilitation(*, actor: Actor, cycle: Cycle, version: int) -> Cycle:
    """Lead the meeting, from here on; whoever led it before sees who does."""
    person = require_person_at_page(actor)
    rights.require(actor, Right.REVIEW)
    current = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if current.version != version:
        raise Conflict("Somebody else was quicker.", hint="Look at who leads the review now.")
    before, current.facilitator_id = current.facilitator_id, person
    current.version += 1
    current.save(update_fields=["facilitator", "version"])
    audit.record(actor=actor, verb="took facilitation", subject=current, data={"before": before})
    return current


@transaction.atomic
def attend(*, actor: Actor, cycle: Cycle) -> Attendance:
    """Be written into the minutes; once, however often it is said."""
    person = require_person_at_page(actor)
    if not cycle.is_open:
        raise Conflict(f"The review of {cycle} is signed off.")
    if not Cycle.objects.visible_to(actor).filter(pk=cycle.pk).exists():
        raise NotAllowed("You do not take part in this review.")
    attendance, made = Attendance.objects.get_or_create(cycle=cycle, person_id=person)
    if made:
        audit.record(actor=actor, verb="attended review", subject=cycle)
    return attendance


# --- Letters ----------------------------------------------------------------------------------------------------------


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


def note_letter(letter: Letter) -> bool:
    """Whether this one is to be sent now; the row stands before the mail goes, so that it goes once."""
    _, made = Reminder.objects.get_or_create(cycle=letter.cycle, person=letter.person, number=letter.number)
    return made


def _unattested(cycle: Cycle) -> dict[Person, list[str]]:
    """By business owner, the workloads of the cycle without an attestation of the figures as they are."""
    attested = Attestation.objects.filter(cycle=cycle, workload=OuterRef("workload"), digest=OuterRef("digest"))
    waiting = (
        Figure.objects.filter(~Exists(attested), cycle=cycle, workload__business_owner__active=True)
        .exclude(workload__business_owner__email="")
        .select_related("workload__business_owner")
        .order_by("workload__name")
    )
    found: dict[Person, list[str]] = {}
    for figure in waiting:
        owner = figure.workload.business_owner
        if owner is not None:
            found.setdefault(owner, []).append(figure.workload.name)
    return found


ESCALATION: Final = 100


def _escalations(cycle: Cycle) -> Iterator[Letter]:
    reviewing = RoleGrant.objects.in_force().filter(role=Role.REVIEWER, cost_centre=None, person=OuterRef("pk"))
    written = cycle.reminders.filter(number=ESCALATION).values("person_id")
    people = Person.objects.filter(Exists(reviewing)).exclude(email="").exclude(pk__in=written)
    yield from (Letter(cycle, person, ESCALATION, (), is_escalation=True) for person in people)


# --- Below ------------------------------------------------------------------------------------------------------------


def _check_over(month: date, now: datetime) -> None:
    _, ends_at = periods.bounds(month, organisation.zone())
    if now < ends_at:
        raise BadInput(f"{month:%B %Y} is not over.", hint="A review looks at complete months.")


def _last_complete(now: datetime) -> date:
    return periods.previous_month(periods.month_of(now, organisation.zone()))


def _has_cost(month: date) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM costs_owner_month WHERE booked_month = %s)", [month])
        return bool(cursor.fetchone()[0])


def _back(month: date, number: int) -> date:
    for _ in range(number - 1):
        month = periods.previous_month(month)
    return month
