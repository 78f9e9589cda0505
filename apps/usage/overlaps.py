"""Where two parts of a source speak of the same spender at the same time: allowed, since parts add up, but said."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apps.sources.models import Part
from apps.usage.identities import pairs_of_key


@dataclass(frozen=True, slots=True)
class Overlap:
    """Another part of the source with rows of the same keys in the same hours; `keys` counts them."""

    part: str
    keys: int
    first_hour: datetime
    last_hour: datetime

    def __str__(self) -> str:
        keys = "1 key" if self.keys == 1 else f"{self.keys:,} keys"
        hours = f"{self.first_hour:%d %b %Y %H:%M} to {self.last_hour:%d %b %Y %H:%M} UTC"
        return f"Part '{self.part}' has usage of {keys} too, from {hours}. Parts add up."


def overlaps_ahead(*, part: Part, keys: Iterable[str], first: datetime, last: datetime) -> list[Overlap]:
    """What an import of these keys and hours would meet in other parts of the source."""
    digests = [hashlib.sha256(pairs_of_key(key).encode()).hexdigest() for key in keys]
    return _read(_AHEAD, [part.source_id, digests, part.source_id, part.pk, first, last])


def overlaps_of(part: Part) -> list[Overlap]:
    """What the part as it is loaded meets, hour by hour."""
    return _read(_LOADED, [part.pk, part.source_id, part.pk])


def _read(sql: str, parameters: list[Any]) -> list[Overlap]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [Overlap(*row) for row in cursor.fetchall()]


_AHEAD = """
WITH named AS (SELECT id FROM usage_identity WHERE source_id = %s AND digest = ANY(%s))
SELECT p.name, count(DISTINCT s.identity_id), min(h.hour), max(h.hour)
FROM sources_part p JOIN usage_series s ON s.part_id = p.id JOIN usage_hour h ON h.series_id = s.id
WHERE p.source_id = %s AND p.id <> %s AND s.identity_id IN (SELECT id FROM named) AND h.hour BETWEEN %s AND %s
GROUP BY p.id, p.name ORDER BY p.name
"""
_LOADED = """
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
