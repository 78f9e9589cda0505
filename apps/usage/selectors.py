"""Reads of hours for pages: what a workload's calls were made of, how long they took. Nothing averages percentiles."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any, Final

from django.db import connection

from apps.catalog.bands import LATENCY_EDGES_MS
from apps.sources.roles_sql import role_at
from apps.usage.fields import AMENDS, CANCELS

BUCKETS: Final = len(LATENCY_EDGES_MS) + 1
FEWEST_CALLS: Final = 100
KEPT_SHARE: Final = Decimal("0.95")
TOKEN_TYPES: Final = ("input", "cached", "cache_write", "cache_write_1h", "output", "reasoning")


@dataclass(frozen=True, slots=True)
class Latency:
    """Delivered calls by how long they took: one count for each edge, and one for what took longer than the last."""

    counts: tuple[int, ...]
    is_coarse: bool = False

    @property
    def calls(self) -> int:
        return sum(self.counts)

    def between(self, share: Decimal) -> tuple[int, int | None] | None:
        """The edges, in ms, between which the percentile lies; the upper one is None beyond the last edge.

        None where there are fewer than 100 calls: too few to say.
        """
        if self.calls < FEWEST_CALLS:
            return None
        reached = accumulate(self.counts)
        at = next(index for index, count in enumerate(reached) if count >= share * self.calls)
        return (LATENCY_EDGES_MS[at - 1] if at else 0, LATENCY_EDGES_MS[at] if at < len(LATENCY_EDGES_MS) else None)

    def within(self, limit_ms: int) -> Decimal | None:
        """The share of calls within a limit, which is one of the edges; None for fewer than 100 calls."""
        if self.calls < FEWEST_CALLS:
            return None
        kept = sum(self.counts[: LATENCY_EDGES_MS.index(limit_ms) + 1])
        return Decimal(kept) / self.calls

    def keeps(self, limit_ms: int) -> bool | None:
        """Whether at least 95 % are within the limit; None is unknown."""
        share = self.within(limit_ms)
        return None if share is None else share >= KEPT_SHARE


@dataclass(frozen=True, slots=True)
class UsageMonth:
    """One month of a workload. A token type that no source told is None."""

    month: date
    hours: int
    requests: int | None
    failed: int
    tokens: dict[str, int | None]
    latency: Latency

    @property
    def input_tokens(self) -> int | None:
        """All that went in: uncached, cached and written to a cache."""
        known = [self.tokens[name] for name in TOKEN_TYPES[:4] if self.tokens[name] is not None]
        return sum(known) if known else None  # type: ignore[arg-type]

    @property
    def cache_share(self) -> Decimal | None:
        """Cached of all input tokens; None where no source tells what was cached."""
        cached = self.tokens["cached"]
        return Decimal(cached) / self.input_tokens if cached is not None and self.input_tokens else None

    @property
    def failed_share(self) -> Decimal | None:
        """Failed attempts of all calls."""
        return Decimal(self.failed) / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class SourceOfWorkload:
    """A source that names spenders of a workload, and how far it has delivered."""

    name: str
    slug: str
    state: str
    delivered_at: datetime | None
    last_hour: datetime | None


def usage_by_month(
    *, workload_id: int, first: datetime, end: datetime, zone: str, as_one: bool = False
) -> dict[date, UsageMonth]:
    """What a workload's calls came to in each month of [first, end), in the organisation's zone; one statement.

    Sources that only check tokens or latency are left out of these. `as_one` sums all under the first day.
    """
    values: dict[str, Any] = {"workload": workload_id, "first": first, "end": end, "zone": zone, "as_one": as_one}
    with connection.cursor() as cursor:
        cursor.execute(_BY_MONTH, values)
        return {row[0]: _month(row) for row in cursor.fetchall()}


def sources_of(*, workload_id: int, now: datetime) -> list[SourceOfWorkload]:
    """The sources whose usage is a workload's now, by name."""
    with connection.cursor() as cursor:
        cursor.execute(_SOURCES, {"workload": workload_id, "now": now})
        return [SourceOfWorkload(*row) for row in cursor.fetchall()]


def bucket_names() -> Iterator[tuple[int, int | None]]:
    """The edges of each count of a `Latency`, in ms: over the first, up to the second."""
    yield from zip((0, *LATENCY_EDGES_MS), (*LATENCY_EDGES_MS, None), strict=True)


def _month(row: tuple[Any, ...]) -> UsageMonth:
    month, hours, requests, failed, coarse, *others = row
    tokens = {name: None if value is None else int(value) for name, value in zip(TOKEN_TYPES, others[:6], strict=True)}
    counts = tuple(int(count or 0) for count in others[6:])
    return UsageMonth(
        month, hours, None if requests is None else int(requests), int(failed), tokens, Latency(counts, bool(coarse))
    )


# Summing 26 columns of an array is quicker than unnesting it: no hour becomes 26 rows.
_COUNTS: Final = ", ".join(
    f"sum(h.latency_counts[{at}]) FILTER (WHERE s.latency_counts_here)" for at in range(1, BUCKETS + 1)
)
_TOKENS: Final = ", ".join(f"sum(h.{name}) FILTER (WHERE s.tokens_count_here)" for name in TOKEN_TYPES)


def _counts(*measures: str) -> str:
    """Whether the source counts: by what was said of the first of these measures of which anything was said."""
    roles = [role_at(source="w.source_id", measure=f"'{m}'", workload="%(workload)s", at="w.at") for m in measures]
    return f"coalesce({', '.join(roles)}, 'counts') = 'counts'"


# Stretches of a series within which it is the workload's and no role changes. Calls and tokens are counted where their
# cost is, unless somebody said otherwise of the tokens themselves.
_BY_MONTH: Final = f"""
WITH own AS (
    SELECT row_number() OVER () AS stretch, q.id, q.call_kind, p.source_id,
        greatest(a.valid_from, %(first)s) AS starts_at, least(a.valid_to, %(end)s) AS ends_at
    FROM workloads_attribution a JOIN usage_series q ON q.identity_id = a.identity_id
    JOIN sources_part p ON p.id = q.part_id
    WHERE a.workload_id = %(workload)s AND a.valid_from < %(end)s AND a.valid_to > %(first)s
), cut AS (
    SELECT stretch, starts_at AS at FROM own
    UNION
    SELECT o.stretch, r.valid_from FROM own o JOIN sources_role r USING (source_id)
    WHERE r.valid_from > o.starts_at AND r.valid_from < o.ends_at
), piece AS (
    SELECT o.*, cut.at, lead(cut.at, 1, o.ends_at) OVER (PARTITION BY o.stretch ORDER BY cut.at) AS until
    FROM own o JOIN cut USING (stretch)
), s AS MATERIALIZED (
    SELECT w.id, w.call_kind, w.at AS starts_at, w.until AS ends_at,
        w.call_kind <> 'retry_failed' AND {_counts("latency")} AS latency_counts_here,
        {_counts("tokens", "token_cost")} AS tokens_count_here
    FROM piece w
)
SELECT CASE WHEN %(as_one)s THEN (%(first)s AT TIME ZONE %(zone)s)::date
        ELSE date_trunc('month', h.hour AT TIME ZONE %(zone)s)::date END,
    count(*) FILTER (WHERE h.flags & {AMENDS | CANCELS} = 0) - count(*) FILTER (WHERE h.flags & {CANCELS} <> 0),
    sum(h.requests) FILTER (WHERE s.tokens_count_here),
    coalesce(sum(h.requests) FILTER (WHERE s.call_kind = 'retry_failed' AND s.tokens_count_here), 0),
    bool_or(h.flags & 16 <> 0), {_TOKENS}, {_COUNTS}
FROM s JOIN usage_hour h ON h.series_id = s.id AND h.hour >= s.starts_at AND h.hour < s.ends_at
WHERE h.hour >= %(first)s AND h.hour < %(end)s
GROUP BY 1 ORDER BY 1
"""
_SOURCES: Final = """
SELECT s.name, s.slug, s.state, (
        SELECT max(u.finished_at) FROM sources_pull u JOIN sources_part p ON p.id = u.part_id
        WHERE p.source_id = s.id AND u.state = 'done'
    ), (
        SELECT max(newest.hour) FROM usage_series q
        JOIN workloads_attribution b ON b.identity_id = q.identity_id AND b.workload_id = %(workload)s
        JOIN sources_part p ON p.id = q.part_id AND p.source_id = s.id
        CROSS JOIN LATERAL (
            SELECT h.hour FROM usage_hour h WHERE h.series_id = q.id ORDER BY h.hour DESC LIMIT 1
        ) newest
    )
FROM sources_source s
WHERE s.id IN (
    SELECT i.source_id FROM workloads_attribution a JOIN usage_identity i ON i.id = a.identity_id
    WHERE a.workload_id = %(workload)s AND a.valid_to > %(now)s
)
ORDER BY s.name
"""
