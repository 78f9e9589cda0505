"""Opening a review, by the calendar or by hand, keeping its agenda up to date, and who takes part in it."""

from datetime import date, datetime, timedelta
from typing import Final

from django.db import connection, transaction

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import audit, organisation, periods
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.economics import services as economics
from apps.economics.models import EconomicsMonth
from apps.reviews import agenda
from apps.reviews.access import may_prepare, require_person_at_page
from apps.reviews.agenda import Taken
from apps.reviews.models import Attendance, Attestation, Cycle, Figure
from apps.workloads.models import Workload

TOOK: Final = "took figures into review"
LONGEST_BACK: Final = 6
REFRESH_EVERY: Final = timedelta(days=1)
SETTLING: Final = timedelta(minutes=10)  # what was being worked out or signed while the agenda was taken


def open_cycle(*, actor: Actor, month: date, now: datetime, by_calendar: bool = False) -> Cycle:
    """Open the review of a month that is over; an open one is only brought up to date, a signed one is left alone.

    Raises BadInput for a month that is still running, NotAllowed for whoever does not prepare reviews.
    """
    if not may_prepare(actor):
        raise NotAllowed("You may not open a review.", hint=rights.who_can_give(Right.PREPARE_REVIEWS))
    month = month.replace(day=1)
    _check_over(month, now)
    _work_out()
    with transaction.atomic():
        cycle, made = Cycle.objects.get_or_create(
            month=month,
            defaults={"by_calendar": by_calendar, "opened_by_id": actor.person_id, "figures_at": now},
        )
        # Whoever comes second waits here, finds the agenda taken, and takes it once more.
        cycle = Cycle.objects.select_for_update().get(pk=cycle.pk)
        if not cycle.is_open:
            return cycle
        taken = take_into(cycle, now=now, is_new=made)
        verb = "opened review" if made else TOOK
        audit.record(actor=actor, verb=verb, subject=cycle, data={"items": taken.items, "by_calendar": by_calendar})
    return cycle


def take_into(cycle: Cycle, *, now: datetime, is_new: bool = False) -> Taken:
    """Bring the agenda of a cycle that the caller holds up to date; a page that was read before is stale then."""
    taken = agenda.take(cycle)
    cycle.figures_at, cycle.books = now, taken.books
    cycle.version += taken.is_changed and not is_new
    cycle.save(update_fields=["figures_at", "books", "version"])
    return taken


def refresh(*, actor: Actor, cycle: Cycle, now: datetime) -> bool:
    """Take newer figures into an open review; returns whether they were newer."""
    _work_out()
    with transaction.atomic():
        current = Cycle.objects.select_for_update().get(pk=cycle.pk)
        if not current.is_open:
            return False
        taken = take_into(current, now=now)
        if taken.is_changed:
            audit.record(actor=actor, verb=TOOK, subject=current, data={"items": taken.items})
    return taken.is_changed


def refresh_due(*, actor: Actor, now: datetime) -> list[Cycle]:
    """Keep open reviews up to date: when figures were worked out or an earlier month was signed since, and daily.

    Returns those in which something changed.
    """
    waiting = list(Cycle.objects.filter(state=Cycle.State.OPEN).order_by("month"))
    return [cycle for cycle in waiting if _is_behind(cycle, now) and refresh(actor=actor, cycle=cycle, now=now)]


def _is_behind(cycle: Cycle, now: datetime) -> bool:
    if cycle.figures_at <= now - REFRESH_EVERY:
        return True
    settled = cycle.figures_at - SETTLING
    if Cycle.objects.filter(month__lt=cycle.month, signed_at__gt=settled).exists():
        return True
    moved = EconomicsMonth.objects.filter(month=cycle.month, computed_at__gt=settled)
    return moved.exists()


def open_due(*, actor: Actor, now: datetime) -> list[Cycle]:
    """Open what the calendar says: each complete month with cost since the last review; once, however often asked.

    No more than half a year of them, and of a new organisation only the last one.
    """
    last = _last_complete(now)
    newest = Cycle.objects.filter(month__lte=last).order_by("-month").values_list("month", flat=True).first()
    first = max(periods.next_month(newest), periods.shifted(last, 1 - LONGEST_BACK)) if newest else last
    due = [month for month in months_to_open(now=now) if month >= first]
    return [open_cycle(actor=actor, month=month, now=now, by_calendar=True) for month in due]


def months_to_open(*, now: datetime) -> list[date]:
    """Complete months with cost and without a review, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_MONTHS_TO_OPEN, [_last_complete(now)])
        return [month for (month,) in cursor.fetchall()]


@transaction.atomic
def attest_figures(*, actor: Actor, cycle: Cycle, workload: Workload, digest: str, note: str = "") -> Attestation:
    """An owner says that the figures are right, as they were seen; whoever does so does not sign this month."""
    person = require_person_at_page(actor)
    current = _held_open(cycle)
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
    current = _held_open(cycle)
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
    # Held, so that whoever comes while it is being signed is in the pack or refused.
    current = _held_open(cycle)
    if not Cycle.objects.visible_to(actor).filter(pk=current.pk).exists():
        raise NotAllowed("You do not take part in this review.")
    attendance, made = Attendance.objects.get_or_create(cycle=current, person_id=person)
    if made:
        audit.record(actor=actor, verb="attended review", subject=current)
    return attendance


# --- Below ------------------------------------------------------------------------------------------------------------


def _check_over(month: date, now: datetime) -> None:
    _, ends_at = periods.bounds(month, organisation.zone())
    if now < ends_at:
        raise BadInput(f"{month:%B %Y} is not over.", hint="A review looks at complete months.")


def _work_out() -> None:
    """What moved since is worked out first, just as freezing the month will do it."""
    economics.notice_sources()
    economics.recompute_dirty()


def _held_open(cycle: Cycle) -> Cycle:
    """The cycle, held until the transaction ends; Conflict where it is signed off."""
    current = Cycle.objects.select_for_update().get(pk=cycle.pk)
    if not current.is_open:
        raise Conflict(f"The review of {current} is signed off.", hint="Two people can open it again.")
    return current


def _last_complete(now: datetime) -> date:
    return periods.previous_month(periods.month_of(now, organisation.zone()))


_MONTHS_TO_OPEN: Final = """
SELECT DISTINCT booked_month FROM costs_owner_month
WHERE booked_month <= %s AND booked_month NOT IN (SELECT month FROM reviews_cycle) ORDER BY 1
"""
