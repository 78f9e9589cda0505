"""Which live sources have not delivered all of a month: what rests on them is then known in part only.

A month is judged by its own days and not by how its sources do today: one that fell silent in November has delivered
October. A bill comes when its month is over and is not wanted before. A file is brought by hand and expected from
nobody; a paused source is left alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final

from django.db import connection

from apps.core import organisation, periods
from apps.costs.selectors.freshness import EVERY_MINUTES, MISSED_TURNS, SHORTEST_STALE_MINUTES, silent_sources
from apps.economics.models import SilentSource
from apps.sources.models import Source

MONTHS: Final = 3  # the open one and two before it; older ones keep what was found then


@dataclass(frozen=True, slots=True)
class Silence:
    """The figures of a source end before `covered_to` and are wanted to `seen_to`."""

    source_id: int
    month: date
    covered_to: date
    seen_to: date


def notice(*, today: date) -> int:
    """Keep which sources are silent, and queue the months that this changes. Returns how many of them there are."""
    months = [today.replace(day=1)]
    while len(months) < MONTHS:
        months.append(periods.previous_month(months[-1]))
    kept = {Silence(*row) for row in SilentSource.objects.filter(month__in=months).values_list(*Silence.__slots__)}
    found = {silence for month in months for silence in _silent_in(month, today)}
    if kept == found:
        return 0
    SilentSource.objects.filter(month__in=months).delete()
    SilentSource.objects.bulk_create(
        SilentSource(source_id=one.source_id, month=one.month, covered_to=one.covered_to, seen_to=one.seen_to)
        for one in found
    )
    moved = [(one.source_id, one.month) for one in kept ^ found]
    with connection.cursor() as cursor:
        cursor.execute(_MARK, [[source for source, _ in moved], [month for _, month in moved]])
        return int(cursor.rowcount)


def _silent_in(month: date, today: date) -> Iterator[Silence]:
    end = min(periods.next_month(month), today)
    if end <= month:
        return
    is_over = end == periods.next_month(month)
    ends = dict(_broken(today, is_over=is_over))
    live = set(Source.objects.filter(state=Source.State.ACTIVE).exclude(kind="file").values_list("pk", flat=True))
    for one in silent_sources(until=end, is_over=is_over):
        if one.source_id in live:
            ends.setdefault(one.source_id, date.fromordinal(one.last_day.toordinal() + 1))
    for source, covered_to in ends.items():
        if covered_to < end:
            yield Silence(source, month, max(covered_to, month), end)


def _broken(today: date, *, is_over: bool) -> list[tuple[int, date]]:
    """Live sources that need attention or were not asked when it was due, with the day on which their figures end.

    While a month is not over, only those whose usage is computed from a log.
    """
    zone = organisation.get().zone
    values: dict[str, Any] = {
        "zone": zone,
        "is_over": is_over,
        "now": datetime.combine(today, time(), tzinfo=organisation.zone()).astimezone(UTC),
        "every": EVERY_MINUTES,
        "missed": MISSED_TURNS,
        "shortest": SHORTEST_STALE_MINUTES,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BROKEN, values)
        return list(cursor.fetchall())


# What a pull brought reaches to its end; where it found nothing, there was nothing.
_BROKEN = """
SELECT s.id, greatest(
    (SELECT max(least(p.until, p.finished_at) AT TIME ZONE %(zone)s)::date
        FROM sources_pull p JOIN sources_part t ON t.id = p.part_id WHERE t.source_id = s.id AND p.state = 'done'),
    (SELECT max(d.day) + 1 FROM costs_day d WHERE d.source_id = s.id AND d.lines > 0),
    (s.created_at AT TIME ZONE %(zone)s)::date)
FROM sources_source s
WHERE s.kind <> 'file'
  AND (%(is_over)s OR EXISTS (SELECT FROM costs_month m WHERE m.source_id = s.id AND m.basis = 'computed'))
  AND (s.state = 'attention' OR s.state = 'active'
    AND coalesce(s.last_looked_at, s.created_at) + make_interval(
        mins => greatest(coalesce(s.pull_every_minutes, %(every)s) * %(missed)s, %(shortest)s)) < %(now)s)
"""
_MARK = """
INSERT INTO economics_dirty (workload_id, month, reason, recorded_at)
SELECT DISTINCT m.workload_id, m.month, 'source', now()
FROM unnest(%s::bigint[], %s::date[]) moved (source_id, month)
JOIN costs_month c ON c.source_id = moved.source_id AND c.role = 'counts'
    AND c.charge_month IN (moved.month, (moved.month - interval '1 month')::date)
JOIN economics_month m ON m.workload_id = c.workload_id AND m.month = moved.month
WHERE m.is_current AND m.state <> 'signed'
"""
