"""Up to when the figures reach, whether every source has delivered, and which month to show first."""

from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection

# A source that is asked on a schedule is stale after three missed turns, but not within two hours.
MISSED_TURNS = 3
SHORTEST_STALE_MINUTES = 120


@dataclass(frozen=True, slots=True)
class FigureState:
    """`as_of`: when the newest usage was taken in. `stale` and `broken` name sources; `is_being_rated`: days wait."""

    as_of: datetime | None
    stale: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    is_being_rated: bool = False


def figure_state(*, now: datetime) -> FigureState:
    """One statement, on every page: newest successful pull, sources that have not delivered, days not yet rated."""
    with connection.cursor() as cursor:
        cursor.execute(_STATE, [MISSED_TURNS, SHORTEST_STALE_MINUTES, now])
        as_of, stale, broken, waiting = cursor.fetchone()
    return FigureState(as_of, tuple(stale or ()), tuple(broken or ()), waiting)


def newest_month(*, today: date) -> date | None:
    """The newest month with any cost that has begun; a bill may name days to come."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(charge_month) FROM costs_month WHERE charge_month <= %s", [today])
        found: date | None = cursor.fetchone()[0]
    return found


_STATE = """
WITH judged AS (
    SELECT s.name, s.state = 'attention' AS is_broken,
        s.state = 'active' AND s.pull_every_minutes IS NOT NULL
            AND coalesce(s.last_looked_at, s.created_at)
                + make_interval(mins => greatest(s.pull_every_minutes * %s, %s)) < %s AS is_stale
    FROM sources_source s
)
SELECT (SELECT max(finished_at) FROM sources_pull WHERE state = 'done'),
    array_agg(name ORDER BY name) FILTER (WHERE is_stale AND NOT is_broken),
    array_agg(name ORDER BY name) FILTER (WHERE is_broken), EXISTS (SELECT FROM costs_dirty_day)
FROM judged
"""
