"""Up to when the figures reach, whether every source has delivered, and which month to show first.

A source is *stale* when nobody has asked it for longer than its schedule says, and *silent* when it is asked and has
nothing more to say: none of its usage lies in the last three full days, although it was seen on five days of its last
five weeks, and it has never paused that long in them. So a gateway without traffic at weekends is not silent on a
Monday, and one that stopped on Tuesday is on Saturday. One that ended longer ago than a whole month is over.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection

# A source that is asked on a schedule is stale after three missed turns, but not within two hours.
MISSED_TURNS = 3
SHORTEST_STALE_MINUTES = 120
EVERY_MINUTES = 1  # how often a live source without a schedule of its own is asked
SILENT_DAYS = 3
SEEN_DAYS = 5
LOOK_BACK_DAYS = 35
LONGEST_MONTH = 31


@dataclass(frozen=True, slots=True)
class FigureState:
    """`as_of`: when the newest usage was taken in. `stale`, `silent` and `broken` name live sources.

    `is_being_rated`: days wait. What is broken is neither stale nor silent, what is stale is not silent.
    """

    as_of: datetime | None
    stale: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    is_being_rated: bool = False
    silent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SilentSource:
    """A source of any kind whose usage ends on `last_day`, before a period does."""

    source_id: int
    slug: str
    name: str
    last_day: date


def figure_state(*, now: datetime) -> FigureState:
    """One statement, on every page: newest successful pull, sources that have not delivered, days not yet rated.

    Only logs can be silent here, since a bill comes when its month is over.
    """
    values = {
        **_rule(("computed",)),
        "now": now,
        "missed": MISSED_TURNS,
        "shortest": SHORTEST_STALE_MINUTES,
        "every": EVERY_MINUTES,
    }
    with connection.cursor() as cursor:
        cursor.execute(_STATE, values)
        as_of, stale, broken, waiting, silent = cursor.fetchone()
    return FigureState(as_of, tuple(stale or ()), tuple(broken or ()), waiting, tuple(silent or ()))


def silent_sources(*, until: date, is_over: bool = True) -> list[SilentSource]:
    """Sources whose usage or charges end before the last full days up to `until` (exclusive, the organisation's days).

    For a month its first day after: uploaded files, bills and paused sources are judged like live ones then. While it
    is not over only logs are, since its bill could not have come.
    """
    bases = ("computed", "effective") if is_over else ("computed",)
    with connection.cursor() as cursor:
        cursor.execute(_SILENT_SOURCES, {**_rule(bases), "until": until})
        return [SilentSource(*row) for row in cursor.fetchall()]


def newest_month(*, today: date) -> date | None:
    """The newest month with any cost that has begun; a bill may name days to come."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(charge_month) FROM costs_month WHERE charge_month <= %s", [today])
        found: date | None = cursor.fetchone()[0]
    return found


def _rule(bases: tuple[str, ...]) -> dict[str, Any]:
    return {"bases": list(bases), "look_back": LOOK_BACK_DAYS, "ended": LOOK_BACK_DAYS + LONGEST_MONTH, **_LEAST}


_LEAST = {"silent_days": SILENT_DAYS, "seen_days": SEEN_DAYS}
# The pauses are counted in whole days without usage; the last one runs up to the end of the period.
_SILENT = """
seen AS (
    SELECT source_id, day, max(day) OVER (PARTITION BY source_id) AS last_day
    FROM (
        SELECT d.source_id, d.day FROM costs_day d, edge
        WHERE d.day >= edge.until - %(ended)s AND d.day < edge.until AND d.basis = ANY(%(bases)s)
        GROUP BY d.source_id, d.day HAVING sum(d.lines) > 0
    ) days
), paused AS (
    SELECT source_id, last_day, day - lag(day) OVER (PARTITION BY source_id ORDER BY day) - 1 AS pause
    FROM seen WHERE day > last_day - %(look_back)s
), silent AS (
    SELECT source_id, last_day FROM paused, edge GROUP BY source_id, last_day, edge.until
    HAVING count(*) >= %(seen_days)s
       AND edge.until - 1 - last_day >= greatest(%(silent_days)s, coalesce(max(pause), 0) + 1)
)
"""
_STATE = f"""
WITH edge AS (SELECT (%(now)s AT TIME ZONE zone)::date AS until FROM core_organisation), {_SILENT}, judged AS (
    SELECT s.name, s.state = 'attention' AS is_broken,
        s.state = 'active' AND s.kind <> 'file' AND coalesce(s.last_looked_at, s.created_at)
            + make_interval(mins => greatest(coalesce(s.pull_every_minutes, %(every)s) * %(missed)s, %(shortest)s))
            < %(now)s AS is_stale,
        s.state = 'active' AND s.kind <> 'file' AND EXISTS (SELECT FROM silent WHERE source_id = s.id)
            AND NOT EXISTS (SELECT FROM costs_day d, edge WHERE d.source_id = s.id AND d.day >= edge.until
                AND d.basis = ANY(%(bases)s) AND d.lines > 0) AS is_silent
    FROM sources_source s
)
SELECT (SELECT max(finished_at) FROM sources_pull WHERE state = 'done'),
    array_agg(name ORDER BY name) FILTER (WHERE is_stale AND NOT is_broken),
    array_agg(name ORDER BY name) FILTER (WHERE is_broken), EXISTS (SELECT FROM costs_dirty_day),
    array_agg(name ORDER BY name) FILTER (WHERE is_silent AND NOT is_broken AND NOT is_stale)
FROM judged
"""
_SILENT_SOURCES = f"""
WITH edge AS (SELECT %(until)s::date AS until), {_SILENT}
SELECT s.id, s.slug, s.name, silent.last_day FROM silent JOIN sources_source s ON s.id = silent.source_id
ORDER BY s.name
"""
