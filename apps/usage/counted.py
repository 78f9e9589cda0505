"""What one import brought, counted again from the ledger: calls, tokens and hours by key and model, or rows of a bill.

`rows` of both are ledger rows that the import wrote, also those that a later import has replaced since; all else is of
the part as it stands now. Keys that whoever asks may not see are counted without their name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from apps.accounts.rights import Right, rights_of
from apps.core.actor import Actor
from apps.sources.models import Pull
from apps.usage.corrections import STANDING_CHARGE
from apps.usage.fields import CANCELS
from apps.usage.models import label_of
from apps.workloads.models import Attribution, Workload

HIDDEN: Final = "keys that you may not see"


@dataclass(frozen=True, slots=True)
class Counted:
    """One series of a part. Tokens are inclusive, as files state them; None is 'not told'."""

    key: str
    provider: str
    model: str
    call_kind: str
    service_tier: str
    prompt_band: int
    rows: int
    requests: int | None
    input_tokens: int | None


@dataclass(frozen=True, slots=True)
class Billed:
    """Rows of a bill that are alike, in scope or not."""

    category: str
    meter: str
    unit: str
    currency: str
    rows: int
    standing: int
    billed: Decimal | None


def counted(*, actor: Actor, pull: Pull) -> list[Counted]:
    """By series, most ledger rows first; of the import's window where it has one."""
    rows = list(_rows(_COUNTED, pull))
    shown = _shown(actor, {row[0] for row in rows})
    return [Counted(label_of(pairs) if key in shown else HIDDEN, *rest) for key, pairs, *rest in rows]


def _shown(actor: Actor, keys: set[int]) -> set[int]:
    """Keys of workloads that the actor sees and of no other; what nobody claims, for those who place it."""
    spans = Attribution.objects.filter(identity_id__in=keys)
    seen = Workload.objects.money_visible_to(actor).values("pk")
    own = set(spans.filter(workload__in=seen).values_list("identity_id", flat=True))
    others = spans.filter(workload__isnull=False).exclude(workload__in=seen).values_list("identity_id", flat=True)
    return (keys if rights_of(actor).may(Right.SEE_UNALLOCATED) else own) - set(others)


def billed(pull: Pull) -> list[Billed]:
    return [Billed(*row) for row in _rows(_BILLED, pull)]


def _rows(statement: str, pull: Pull) -> Iterator[tuple[Any, ...]]:
    values = {"pull": pull.pk, "part": pull.part_id, "since": pull.since, "until": pull.until}
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        yield from cursor.fetchall()


def _plus(*names: str) -> str:
    """Their sum; NULL only where none of them is known."""
    zeros = " + ".join(f"coalesce(sum({name}), 0)" for name in names)
    known = ", ".join(f"sum({name})" for name in names)
    return f"CASE WHEN coalesce({known}) IS NOT NULL THEN ({zeros})::bigint END"


_COUNTED: Final = f"""
WITH row AS (
    SELECT h.series_id, h.hour, h.pull_id = %(pull)s AND h.flags & {CANCELS} = 0 AS is_own, h.requests, h.input,
        h.cached, h.cache_write, h.cache_write_1h
    FROM usage_series s JOIN usage_hour h ON h.series_id = s.id
    WHERE s.part_id = %(part)s AND h.hour >= coalesce(%(since)s, '-infinity'::timestamptz)
        AND h.hour < coalesce(%(until)s, 'infinity'::timestamptz)
    UNION ALL
    SELECT r.series_id, r.hour, true, NULL, NULL, NULL, NULL, NULL
    FROM usage_replaced r WHERE r.pull_id = %(pull)s AND r.flags & {CANCELS} = 0
)
SELECT i.id, i.pairs::json, o.provider, o.name, s.call_kind, s.service_tier, s.prompt_band,
    count(DISTINCT row.hour) FILTER (WHERE is_own), sum(requests)::bigint,
    {_plus("input", "cached", "cache_write", "cache_write_1h")}
FROM row JOIN usage_series s ON s.id = row.series_id JOIN usage_identity i ON i.id = s.identity_id
JOIN catalog_offering o ON o.id = s.offering_id
GROUP BY i.id, 3, 4, 5, 6, 7 ORDER BY 8 DESC, 9 DESC NULLS LAST, i.id, 4, 5, 6, 7
"""
_BILLED: Final = f"""
WITH row AS (
    SELECT c.category, c.meter, c.unit, c.currency, c.charge_start, c.row_digest, c.occurrence,
        c.pull_id = %(pull)s AND NOT c.cancels AS is_own, {STANDING_CHARGE} AS stands, c.billed
    FROM usage_charge c WHERE c.part_id = %(part)s
        AND c.charge_start >= coalesce(%(since)s, '-infinity'::timestamptz)
        AND c.charge_start < coalesce(%(until)s, 'infinity'::timestamptz)
    UNION ALL
    SELECT r.category, r.meter, r.unit, r.currency, r.charge_start, r.row_digest, r.occurrence, true, false, NULL
    FROM usage_charge_replaced r WHERE r.pull_id = %(pull)s
)
SELECT category, meter, unit, currency,
    count(DISTINCT (charge_start, row_digest, occurrence)) FILTER (WHERE is_own), count(*) FILTER (WHERE stands),
    sum(billed) FILTER (WHERE stands)
FROM row GROUP BY 1, 2, 3, 4 ORDER BY 7 DESC NULLS LAST, 6 DESC, 1, 2, 3
"""
