"""Bindings from a table. A dry run binds and takes it back, so that it refuses exactly what the real run refuses."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db import transaction

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, TollgateError
from apps.costs.attribution import bind, rebind
from apps.sources.models import Source
from apps.usage.fields import DAY, MOMENT
from apps.workloads.csv_table import Change, Kind, Line, Result, RowResult
from apps.workloads.models import BEGINNING, END, Binding, Workload
from apps.workloads.selectors import get_workload_for
from apps.workloads.services.bindings import clean_pairs

COLUMNS: Final = {
    "workload": "WL-007, the name in its address, or its exact name",
    "source": "the source's short name; empty for any source",
    "keys": "team=growth; env=prod (usage must have all of them); a bare word is a usage key",
    "from": "first day, such as 2026-10-01, or a full hour; empty is from the beginning",
    "until": "last day, that day included, or a full hour, not included; empty is open",
}
REQUIRED: Final = ("workload", "keys")


def import_bindings(*, actor: Actor, lines: Iterable[Line], dry_run: bool) -> Result:
    """Bind what the lines say. Same keys, source and start with another workload or end take the old one's place."""
    rights.require(actor, Right.ALLOCATE)
    with transaction.atomic():
        sources = {source.slug: source for source in Source.objects.all()}
        zone = organisation.zone()
        result = Result(tuple(_row(actor, line, sources, zone) for line in lines))
        transaction.set_rollback(dry_run)
    return result


def _row(actor: Actor, line: Line, sources: Mapping[str, Source], zone: ZoneInfo) -> RowResult:
    label = line.cells.get("keys", "")
    try:
        # A savepoint of its own: a line that fails leaves nothing behind.
        with transaction.atomic():
            return _take(actor, line, label, sources, zone)
    except TollgateError as error:
        return RowResult(line.number, Kind.ERROR, label, error=str(error))


def _take(actor: Actor, line: Line, label: str, sources: Mapping[str, Source], zone: ZoneInfo) -> RowResult:
    workload = _workload(actor, line.cells.get("workload", ""))
    pairs = clean_pairs([_pair(part) for part in label.split(";") if part.strip()])
    source = _source(line.cells.get("source", ""), sources)
    start = _instant(line.cells.get("from", ""), zone, is_last=False) or BEGINNING
    end = _instant(line.cells.get("until", ""), zone, is_last=True) or END
    standing = _standing(pairs, source, start)
    if standing is None:
        bind(actor=actor, workload=workload, pairs=pairs, source=source, valid_from=start, valid_to=end)
        return RowResult(line.number, Kind.NEW, label, (Change("Workload", "", workload.name),))
    changes = _changes(standing, workload, end)
    if not changes:
        return RowResult(line.number, Kind.UNCHANGED, label)
    rebind(actor=actor, binding=standing, workload=workload, valid_to=end)
    return RowResult(line.number, Kind.CHANGED, label, changes)


def _standing(pairs: list[tuple[str, str]], source: Source | None, start: datetime) -> Binding | None:
    found = Binding.objects.in_force().select_related("workload").filter(pairs=[list(pair) for pair in pairs])
    return found.filter(source_id=source.pk if source else None, valid_from=start).first()


def _changes(standing: Binding, workload: Workload, end: datetime) -> tuple[Change, ...]:
    found = []
    if standing.workload_id != workload.pk:
        found.append(Change("Workload", standing.workload.name, workload.name))
    if standing.valid_to != end:
        found.append(Change("Until", _shown(standing.valid_to), _shown(end)))
    return tuple(found)


def _workload(actor: Actor, text: str) -> Workload:
    if not text:
        raise BadInput("The line names no workload.")
    named = list(Workload.objects.visible_to(actor).active().filter(name__iexact=text)[:2])
    if len(named) > 1:
        raise BadInput(f"Several workloads are called “{text[:60]}”.", hint="Write the reference, such as WL-007.")
    return named[0] if named else get_workload_for(actor=actor, ref=text)


def _source(text: str, sources: Mapping[str, Source]) -> Source | None:
    if text and text not in sources:
        raise BadInput(f"There is no source “{text[:60]}”.", hint=f"Known: {', '.join(list(sources)[:12])}.")
    return sources.get(text)


def _pair(text: str) -> tuple[str, str]:
    kind, sign, value = text.partition("=")
    return (kind.strip(), value.strip()) if sign and kind.strip() else ("key", text.strip())


def _instant(text: str, zone: ZoneInfo, *, is_last: bool) -> datetime | None:
    """A day in the organisation's zone at its first full UTC hour (of the day after for a last day), or an hour."""
    if not text:
        return None
    try:
        if re.fullmatch(DAY, text):
            return _first_hour(date.fromisoformat(text) + timedelta(days=int(is_last)), zone)
        instant = datetime.fromisoformat(text) if re.fullmatch(MOMENT, text) else None
    except (ValueError, OverflowError):
        instant = None
    if instant is None:
        raise BadInput(f"“{text[:40]}” is no day and no hour.", hint="Write 2026-10-01 or 2026-10-01T08:00.")
    return instant if instant.tzinfo else instant.replace(tzinfo=zone).astimezone(UTC)


def _first_hour(day: date, zone: ZoneInfo) -> datetime:
    midnight = datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
    hour = midnight.replace(minute=0)
    return hour if hour == midnight else hour + timedelta(hours=1)


def _shown(instant: datetime) -> str:
    return "open" if instant == END else f"{instant:%Y-%m-%d %H:%M} UTC"
