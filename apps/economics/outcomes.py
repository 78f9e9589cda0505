"""Recording what came out: by form, file, API, or declared as a share of the calls. A correction is a revision.

A workload's month is told either by days or as a whole, never both, since nobody could say which of the two counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from django.db import transaction

from apps.accounts import rights
from apps.core import audit, periods
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed, NotFound
from apps.economics import queue
from apps.economics.models import REPORTED, Outcome
from apps.usage.fields import LARGEST
from apps.workloads.models import Workload
from apps.workloads.services import may_report

EARLIEST: Final = date(2015, 1, 1)
DAY: Final = timedelta(days=1)
LONGEST_SOURCE: Final = 60
DECLARED: Final = "declared"  # the source of declared shares


class Effect(StrEnum):
    """What an entry does, or would do."""

    NEW = "new"
    CORRECTED = "corrected"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class OutcomeEntry:
    """Counts of one workload for a day or a whole month, half-open. `reviewed` None is unknown.

    `external_id` is what the sender calls it: sent again with the same content it changes nothing.
    """

    workload: Workload
    period_start: date
    period_end: date
    produced: int
    accepted: int
    reviewed: int | None = None
    external_id: str = ""
    digest: str = ""

    @property
    def month(self) -> date:
        return self.period_start.replace(day=1)

    @property
    def is_monthly(self) -> bool:
        return self.period_end - self.period_start > DAY

    @property
    def counts(self) -> tuple[int, int, int | None]:
        return self.produced, self.accepted, self.reviewed


@dataclass(frozen=True, slots=True)
class Judged:
    """An entry with what stands in its place, and the error that keeps it out, if any."""

    entry: OutcomeEntry
    effect: Effect
    before: Outcome | None = None
    error: BadInput | Conflict | NotAllowed | None = None


class OutcomesRefused(BadInput):
    """Nothing was stored; `errors` says for each position (from 0) what is wrong with it."""

    def __init__(self, errors: Mapping[int, str], *, status: int) -> None:
        first, text = next(iter(errors.items()))
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        super().__init__(f"Entry {first + 1}{more} cannot be taken: {text}", hint="Nothing was stored.")
        self.errors = dict(errors)
        self.status = status


def day(of: date) -> tuple[date, date]:
    return of, of + DAY


def month(of: date) -> tuple[date, date]:
    first = of.replace(day=1)
    return first, periods.next_month(first)


@transaction.atomic
def record_outcomes(
    *, actor: Actor, entries: Sequence[OutcomeEntry], today: date, source: str = REPORTED
) -> list[Judged]:
    """Store counts; all of them or none. Raises OutcomesRefused that says what is wrong with each refused one."""
    judged = judge(actor=actor, entries=entries, today=today, source=source)
    errors = {at: str(one.error) for at, one in enumerate(judged) if one.error}
    if errors:
        raise OutcomesRefused(errors, status=_worst(one.error.status for one in judged if one.error))
    write(actor=actor, judged=judged, source=source)
    return judged


@transaction.atomic
def declare_outcomes(
    *, actor: Actor, workload: Workload, month: date, share: Decimal, reviewed_share: Decimal | None = None, today: date
) -> Outcome:
    """Say that a share of the delivered calls was useful, where nobody counts. Counts of the month stand before it.

    `reviewed_share` None is unknown: where reviews cost time, nobody can say then what they cost.
    """
    for name, value in (("The useful share", share), ("The reviewed share", reviewed_share or Decimal(0))):
        if not value.is_finite() or not 0 <= value <= 1:
            raise BadInput(f"{name} lies between 0 and 1.", hint="0.8 says that four of five calls were useful.")
    start, end = month.replace(day=1), periods.next_month(month.replace(day=1))
    _check_period(OutcomeEntry(workload, start, end, 0, 0), today)
    _locked(actor, [workload])
    before = _latest([workload.pk], DECLARED).get((workload.pk, start, end))
    values = {"declared": share, "declared_reviewed": reviewed_share}
    told = (before.declared, before.declared_reviewed) if before and not before.is_withdrawn else None
    if before is not None and told == (share, reviewed_share):
        return before
    made = _next(actor, before, workload_id=workload.pk, period_start=start, period_end=end, source=DECLARED, **values)
    data = {"month": start, "share": share, "reviewed_share": reviewed_share, "revision": made.revision}
    audit.record(actor=actor, verb="declared outcomes", subject=workload, data={"workload": workload.pk, **data})
    queue.mark([(workload.pk, start)], "outcomes")
    return made


@transaction.atomic
def withdraw_outcomes(
    *, actor: Actor, workload: Workload, period_start: date, period_end: date, source: str = REPORTED
) -> Outcome:
    """Take figures back: they were none. They stay in the history and count no longer."""
    _locked(actor, [workload])
    before = _latest([workload.pk], source).get((workload.pk, period_start, period_end))
    if before is None or before.is_withdrawn:
        raise NotFound("There are no outcomes of this period to take back.")
    made = _next(
        actor, before, workload_id=workload.pk, period_start=period_start, period_end=period_end, source=source,
        is_withdrawn=True,
    )  # fmt: skip
    data = {"workload": workload.pk, "from": period_start, "to": period_end, "source": source}
    audit.record(actor=actor, verb="took outcomes back", subject=workload, data=data)
    queue.mark([(workload.pk, period_start.replace(day=1))], "outcomes")
    return made


# --- In two steps, for files that are looked at before they are taken -------------------------------------------------


def judge(*, actor: Actor, entries: Sequence[OutcomeEntry], today: date, source: str) -> list[Judged]:
    """What each entry would do; holds the workloads until the transaction ends. Three statements for any number."""
    source = _source(source)
    workloads = {entry.workload.pk: entry.workload for entry in entries}
    refused = _not_theirs(actor, workloads.values())
    _hold(set(workloads) - set(refused))
    known = _Known(workloads, source)
    found = []
    for entry in entries:
        error = refused.get(entry.workload.pk) or _fault(entry, today) or known.clash(entry)
        found.append(known.judged(entry, error))
    return found


def write(*, actor: Actor, judged: Iterable[Judged], source: str) -> None:
    """Store what `judge` let through and found to be new or different."""
    taken = [one for one in judged if one.error is None and one.effect is not Effect.SAME]
    if not taken:
        return
    Outcome.objects.filter(pk__in=[one.before.pk for one in taken if one.before]).update(is_latest=False)
    Outcome.objects.bulk_create([_row(actor, one, _source(source)) for one in taken])
    for workload, rows in _by_workload(taken).items():
        data = {"workload": workload.pk, "source": source, "entries": [_told(row) for row in rows]}
        audit.record(actor=actor, verb="recorded outcomes", subject=workload, data=data)
    queue.mark([(one.entry.workload.pk, one.entry.month) for one in taken], "outcomes")


class _Known:
    """What stands already for these workloads, and what this batch has added to it."""

    def __init__(self, workloads: Mapping[int, Workload], source: str) -> None:
        self.latest = _latest(workloads, source)
        self.sent = {
            (row.workload_id, row.external_id): row.digest
            for row in Outcome.objects.filter(workload__in=workloads, source=source).exclude(external_id="")
        }
        self.grains: dict[tuple[int, date], set[bool]] = {}
        for row in Outcome.objects.current().filter(workload__in=workloads, produced__isnull=False):
            self._note(row.workload_id, row.period_start, is_monthly=row.is_monthly)
        self.in_batch: set[tuple[int, date, date]] = set()

    def _note(self, workload_id: int, start: date, *, is_monthly: bool) -> None:
        self.grains.setdefault((workload_id, start.replace(day=1)), set()).add(is_monthly)

    def clash(self, entry: OutcomeEntry) -> BadInput | Conflict | None:
        sent = self.sent.get((entry.workload.pk, entry.external_id))
        if sent is not None and sent != entry.digest:
            hint = "An entry never changes. Send a correction under a new id."
            return Conflict(f"“{entry.external_id}” was sent before with other content.", hint=hint)
        key = (entry.workload.pk, entry.period_start, entry.period_end)
        if key in self.in_batch and sent is None:
            return BadInput(f"{entry.workload.name} has two figures for the same period.")
        if (not entry.is_monthly) in self.grains.get((entry.workload.pk, entry.month), set()):
            there, hint = ("the whole month", "month") if not entry.is_monthly else ("single days", "days")
            return BadInput(
                f"{entry.month:%B %Y} of {entry.workload.name} has figures for {there} already.",
                hint=f"Take the {hint} back first, or go on with it.",
            )
        return None

    def judged(self, entry: OutcomeEntry, error: BadInput | Conflict | NotAllowed | None) -> Judged:
        key = (entry.workload.pk, entry.period_start, entry.period_end)
        before = self.latest.get(key)
        if error is not None:
            return Judged(entry, Effect.NEW, before, error)
        self.in_batch.add(key)
        self._note(entry.workload.pk, entry.period_start, is_monthly=entry.is_monthly)
        if entry.external_id:
            if (entry.workload.pk, entry.external_id) in self.sent:
                return Judged(entry, Effect.SAME, before)
            self.sent[entry.workload.pk, entry.external_id] = entry.digest
        if before is None or before.is_withdrawn:
            return Judged(entry, Effect.NEW, before)
        same = (before.produced, before.accepted, before.reviewed) == entry.counts and not entry.external_id
        return Judged(entry, Effect.SAME if same else Effect.CORRECTED, before)


def _fault(entry: OutcomeEntry, today: date) -> BadInput | None:
    try:
        _check_period(entry, today)
        _check_counts(entry)
    except BadInput as error:
        return error
    return None


def _check_period(entry: OutcomeEntry, today: date) -> None:
    start, end = entry.period_start, entry.period_end
    if not EARLIEST <= start <= today:
        raise BadInput("The period lies before 2015 or in the future.")
    if (start, end) not in (day(start), month(start)):
        raise BadInput(
            "Outcomes cover a day or a whole month.", hint="Send one entry for each day, or one for the month."
        )


def _check_counts(entry: OutcomeEntry) -> None:
    for name in ("produced", "accepted", "reviewed"):
        count = getattr(entry, name)
        if count is not None and not 0 <= count <= LARGEST:
            raise BadInput(f"{name.capitalize()} is a count from 0 to {LARGEST:,}.")
    if entry.accepted > entry.produced:
        raise BadInput(f"{entry.accepted:,} accepted are more than the {entry.produced:,} produced.")
    if entry.reviewed is not None and entry.reviewed > entry.produced:
        raise BadInput(f"{entry.reviewed:,} reviewed are more than the {entry.produced:,} produced.")


def _source(name: str) -> str:
    text = " ".join(name.split())
    if not text or len(text) > LONGEST_SOURCE or not text.isprintable():
        raise BadInput(f"The source of outcomes has 1 to {LONGEST_SOURCE} characters.")
    return text


def _not_theirs(actor: Actor, workloads: Iterable[Workload]) -> dict[int, NotAllowed]:
    with rights.remembering():
        return {
            workload.pk: NotAllowed(
                f"You may not say what came out of {workload.name}.", hint="Its owners and the FinOps analysts may."
            )
            for workload in workloads
            if not may_report(actor, workload)
        }


def _locked(actor: Actor, workloads: Sequence[Workload]) -> None:
    for refusal in _not_theirs(actor, workloads).values():
        raise refusal
    _hold({workload.pk for workload in workloads})


def _hold(ids: Iterable[int]) -> None:
    """Two at once take turns, in the order of ids, so that they cannot wait for each other."""
    list(Workload.objects.select_for_update(no_key=True).filter(pk__in=list(ids)).order_by("pk").values_list("pk"))


def _latest(workloads: Iterable[int], source: str) -> dict[tuple[int, date, date], Outcome]:
    rows = Outcome.objects.filter(workload__in=list(workloads), source=source, is_latest=True)
    return {(row.workload_id, row.period_start, row.period_end): row for row in rows}


def _next(actor: Actor, before: Outcome | None, **values: object) -> Outcome:
    if before is not None:
        Outcome.objects.filter(pk=before.pk).update(is_latest=False)
    revision = before.revision + 1 if before else 0
    return Outcome.objects.create(revision=revision, recorded_by_id=actor.person_id, **values)


def _row(actor: Actor, judged: Judged, source: str) -> Outcome:
    entry, before = judged.entry, judged.before
    return Outcome(
        workload=entry.workload,
        period_start=entry.period_start,
        period_end=entry.period_end,
        source=source,
        revision=before.revision + 1 if before else 0,
        produced=entry.produced,
        accepted=entry.accepted,
        reviewed=entry.reviewed,
        external_id=entry.external_id,
        digest=entry.digest,
        recorded_by_id=actor.person_id,
    )


def _by_workload(taken: Iterable[Judged]) -> dict[Workload, list[Judged]]:
    found: dict[Workload, list[Judged]] = {}
    for one in taken:
        found.setdefault(one.entry.workload, []).append(one)
    return found


def _told(judged: Judged) -> list[object]:
    """One entry as the audit trail keeps it: from, to, produced, accepted, reviewed."""
    entry = judged.entry
    return [entry.period_start, entry.period_end, *entry.counts]


def _worst(statuses: Iterable[int]) -> int:
    """409 only where nothing else is wrong; a refusal of rights before everything."""
    found = set(statuses)
    return 403 if 403 in found else 400 if 400 in found else 409
