"""Outcomes from a table: what is new, what corrects an earlier figure, what stays, and what cannot be.

A dry run does everything and takes it back, so that it says exactly what the real run does.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from django.db import transaction

from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.economics import outcomes
from apps.economics.models import REPORTED, Outcome
from apps.economics.outcomes import Effect, Judged, OutcomeEntry
from apps.workloads.csv_table import Change, Kind, Line, Result, RowResult
from apps.workloads.models import Workload
from apps.workloads.selectors import REFERENCE

COLUMNS: Final = {
    "workload": "WL-007, the name in its address, or its name",
    "period": "a day such as 2026-10-24, or a whole month such as 2026-10",
    "produced": "how many outputs there were",
    "accepted": "how many of them were useful",
    "reviewed": "how many a person checked; empty is unknown",
}
REQUIRED: Final = ("workload", "period", "produced", "accepted")
COUNT: Final = re.compile(r"[0-9]{1,14}", re.ASCII)
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}", re.ASCII)
KINDS: Final = {Effect.NEW: Kind.NEW, Effect.CORRECTED: Kind.CHANGED, Effect.SAME: Kind.UNCHANGED}


def import_outcomes(
    *, actor: Actor, lines: Iterable[Line], today: date, dry_run: bool, source: str = REPORTED
) -> Result:
    """Store what the lines say; a line that cannot be is left out and says why."""
    given = list(lines)
    with transaction.atomic():
        read, failed = _read(actor, given)
        judged = outcomes.judge(actor=actor, entries=list(read.values()), today=today, source=source)
        outcomes.write(actor=actor, judged=judged, source=source)
        told = {number: _told(number, one) for number, one in zip(read, judged, strict=True)}
        transaction.set_rollback(dry_run)
    return Result(tuple({**told, **failed}[line.number] for line in given))


def _read(actor: Actor, lines: Iterable[Line]) -> tuple[dict[int, OutcomeEntry], dict[int, RowResult]]:
    known = _Known(actor)
    read, failed = {}, {}
    for line in lines:
        try:
            read[line.number] = _entry(known, line)
        except BadInput as error:
            label = line.cells.get("workload", "")[:80]
            failed[line.number] = RowResult(line.number, Kind.ERROR, label, error=str(error))
    return read, failed


class _Known:
    """Workloads by everything that a cell may call them, read once for the whole file."""

    def __init__(self, actor: Actor) -> None:
        self.by_id = {one.pk: one for one in Workload.objects.visible_to(actor).active().select_related("cost_centre")}
        self.by_slug = {one.slug: one for one in self.by_id.values()}
        self.by_name: dict[str, list[Workload]] = {}
        for one in self.by_id.values():
            self.by_name.setdefault(one.name.casefold(), []).append(one)

    def workload(self, cell: str) -> Workload:
        cited = REFERENCE.fullmatch(cell)
        found = self.by_id.get(int(cited[1])) if cited else self.by_slug.get(cell.casefold())
        named = self.by_name.get(cell.casefold(), [])
        if found is None and len(named) > 1:
            raise BadInput(f"{len(named)} workloads are called “{cell[:60]}”.", hint="Say which by its reference.")
        if found is None and not named:
            raise BadInput(f"There is no workload “{cell[:60]}”.")
        return found or named[0]


def _entry(known: _Known, line: Line) -> OutcomeEntry:
    cells = line.cells
    missing = [name for name in REQUIRED if name not in cells]
    if missing:
        raise BadInput(f"The line has no {' and no '.join(missing)}.")
    start, end = _period(cells["period"])
    return OutcomeEntry(
        workload=known.workload(cells["workload"]),
        period_start=start,
        period_end=end,
        produced=_count("produced", cells),
        accepted=_count("accepted", cells),
        reviewed=_count("reviewed", cells) if "reviewed" in cells else None,
    )


def _period(cell: str) -> tuple[date, date]:
    try:
        if DAY.fullmatch(cell):
            return outcomes.day(date.fromisoformat(cell))
        if MONTH.fullmatch(cell):
            return outcomes.month(date.fromisoformat(f"{cell}-01"))
    except (ValueError, OverflowError):
        pass
    raise BadInput(f"“{cell[:40]}” is no day and no month.", hint="Write 2026-10-24, or 2026-10 for the whole month.")


def _count(name: str, cells: Mapping[str, str]) -> int:
    """Plain digits: 1,234 and 1.5 could mean two things, or nothing."""
    if not COUNT.fullmatch(cells[name]):
        raise BadInput(f"“{cells[name][:40]}” is no count of {name} outputs.", hint="Write digits only, such as 1234.")
    return int(cells[name])


def _told(number: int, judged: Judged) -> RowResult:
    entry = judged.entry
    label = f"{entry.workload.name}, {entry.period_start:%B %Y}" if entry.is_monthly else _of_day(entry)
    if judged.error is not None:
        return RowResult(number, Kind.ERROR, label, error=str(judged.error))
    before = judged.before if judged.before and not judged.before.is_withdrawn else None
    return RowResult(number, KINDS[judged.effect], label, tuple(_changes(before, entry)))


def _of_day(entry: OutcomeEntry) -> str:
    return f"{entry.workload.name}, {entry.period_start.day} {entry.period_start:%B %Y}"


def _changes(before: Outcome | None, entry: OutcomeEntry) -> Iterable[Change]:
    for name in ("produced", "accepted", "reviewed"):
        old, new = getattr(before, name, None), getattr(entry, name)
        if old != new:
            yield Change(name.capitalize(), "" if old is None else str(old), "" if new is None else str(new))
