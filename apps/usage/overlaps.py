"""Where two parts of a source speak of the same spender at the same time: allowed, since parts add up, but said.

A bill corrected under another name is such a case, and its money would count twice without a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from apps.sources.models import Part
from apps.usage.corrections import STANDING_CHARGE
from apps.usage.identities import digest_of


class Spender(NamedTuple):
    """Somebody in a file, by canonical pairs, with the first and the last instant at which they are named."""

    pairs: str
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another part of the source with rows of the same spenders at the same time; `spenders` counts them."""

    part: str
    spenders: int
    first: datetime
    last: datetime
    of_bill: bool = False

    def __str__(self) -> str:
        noun = "spender" if self.of_bill else "key"
        who = f"{self.spenders:,} {noun}{'' if self.spenders == 1 else 's'}"
        when = f"{self.first:%-d %b %Y %H:%M} to {self.last:%-d %b %Y %H:%M} UTC"
        what = "charges" if self.of_bill else "usage"
        return f"Part '{self.part}' has {what} of {who} too, from {when}. Parts add up."


def overlaps_ahead(*, part: Part, spenders: Sequence[Spender]) -> list[Overlap]:
    """What an import of these spenders would meet in other parts of the source."""
    columns = [
        [digest_of(spender.pairs) for spender in spenders],
        [spender.first for spender in spenders],
        [spender.last for spender in spenders],
    ]
    parameters = [*columns, part.source_id, part.source_id, part.pk]
    return _read(_AHEAD_HOURS, parameters) + _read(_AHEAD_CHARGES, parameters, of_bill=True)


def overlaps_of(part: Part) -> list[Overlap]:
    """What the part as it is loaded meets, hour by hour, and day by day where it is a bill."""
    parameters = [part.pk, part.source_id, part.pk]
    return _read(_LOADED_HOURS, parameters) + _read(_LOADED_CHARGES, parameters, of_bill=True)


def _read(sql: str, parameters: list[Any], *, of_bill: bool = False) -> list[Overlap]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
    return [Overlap(part, number, first, last, of_bill) for part, number, first, last in rows]


_NAMED = """
WITH named AS (
    SELECT i.id, date_trunc('hour', seen.first) AS first, seen.last
    FROM unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) AS seen (digest, first, last)
    JOIN usage_identity i ON i.source_id = %s AND i.digest = seen.digest
)
"""
_AHEAD_HOURS = f"""
{_NAMED}
SELECT p.name, count(DISTINCT s.identity_id), min(h.hour), max(h.hour)
FROM sources_part p JOIN usage_series s ON s.part_id = p.id JOIN named ON named.id = s.identity_id
JOIN usage_hour h ON h.series_id = s.id AND h.hour BETWEEN named.first AND named.last
WHERE p.source_id = %s AND p.id <> %s
GROUP BY p.id, p.name ORDER BY p.name
"""
_AHEAD_CHARGES = f"""
{_NAMED}
SELECT p.name, count(DISTINCT c.identity_id), min(c.charge_start), max(c.charge_end)
FROM sources_part p JOIN usage_charge c ON c.part_id = p.id
JOIN named ON named.id = c.identity_id AND c.charge_start BETWEEN named.first AND named.last
WHERE p.source_id = %s AND p.id <> %s AND {STANDING_CHARGE}
GROUP BY p.id, p.name ORDER BY p.name
"""
_LOADED_HOURS = """
WITH own AS (
    SELECT DISTINCT s.identity_id, h.hour
    FROM usage_series s JOIN usage_hour h ON h.series_id = s.id WHERE s.part_id = %s
)
SELECT p.name, count(DISTINCT s.identity_id), min(h.hour), max(h.hour)
FROM sources_part p JOIN usage_series s ON s.part_id = p.id JOIN usage_hour h ON h.series_id = s.id
JOIN own ON own.identity_id = s.identity_id AND own.hour = h.hour
WHERE p.source_id = %s AND p.id <> %s
GROUP BY p.id, p.name ORDER BY p.name
"""
# By the day on which a charge starts: a purchase for a year must not meet every bill of that year.
_LOADED_CHARGES = f"""
WITH own AS (
    SELECT DISTINCT c.identity_id, date_trunc('day', c.charge_start) AS day
    FROM usage_charge c WHERE c.part_id = %s AND {STANDING_CHARGE}
)
SELECT p.name, count(DISTINCT c.identity_id), min(c.charge_start), max(c.charge_end)
FROM sources_part p JOIN usage_charge c ON c.part_id = p.id
JOIN own ON own.identity_id = c.identity_id AND own.day = date_trunc('day', c.charge_start)
WHERE p.source_id = %s AND p.id <> %s AND {STANDING_CHARGE}
GROUP BY p.id, p.name ORDER BY p.name
"""
