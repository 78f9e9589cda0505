"""What of the money waits for a person: keys that nobody claims, tokens without a price."""

import json
from dataclasses import dataclass
from datetime import date

from django.db import connection

from apps.core.actor import Actor
from apps.costs.selectors.scope import CostScope, line_conditions
from apps.usage.models import label_of


@dataclass(frozen=True, slots=True)
class UnclaimedKeys:
    """Usage keys of a period that no binding claims; `largest` names the one with most cost."""

    count: int
    largest: str


@dataclass(frozen=True, slots=True)
class UnpricedModels:
    """Models of a period with tokens but without a price."""

    count: int
    tokens: int
    largest: str


def unclaimed_keys(*, actor: Actor, first: date, end: date) -> UnclaimedKeys:
    """Keys in the lines of the period that are nobody's, as far as the actor may see them."""
    where = line_conditions(actor, CostScope(first, end, allocated=False))
    with connection.cursor() as cursor:
        cursor.execute(_UNCLAIMED.format(conditions=where.text), where.values)
        rows = cursor.fetchall()
    if not rows:
        return UnclaimedKeys(0, "")
    pairs, _, count = rows[0]
    return UnclaimedKeys(count, label_of(json.loads(pairs)) if pairs else "")


def unpriced_models(*, first: date, end: date) -> UnpricedModels:
    """From the monthly sums of the months that touch the period, with all that became known of them since.

    A price that came after its month was signed takes the tokens away by a correction: what counts is the sum of a
    workload's month.
    """
    with connection.cursor() as cursor:
        cursor.execute(_UNPRICED, [first.replace(day=1), end])
        rows = cursor.fetchall()
    return UnpricedModels(len(rows), int(sum(row[1] for row in rows)), rows[0][0] if rows else "")


_UNCLAIMED = """
SELECT i.pairs, g.cost, count(*) OVER () FROM (
    SELECT t.identity_id, sum(t.amount_org) AS cost FROM costs_line t WHERE {conditions} GROUP BY 1
) g LEFT JOIN usage_identity i ON i.id = g.identity_id ORDER BY g.cost DESC NULLS LAST LIMIT 1
"""
_UNPRICED = """
SELECT coalesce(nullif(o.name, ''), 'model not reported'), sum(m.tokens) FROM (
    SELECT offering_id, sum(unpriced_tokens) AS tokens FROM costs_month WHERE charge_month >= %s AND charge_month < %s
    GROUP BY charge_month, workload_id, offering_id HAVING sum(unpriced_tokens) > 0
) m LEFT JOIN catalog_offering o ON o.id = m.offering_id
GROUP BY m.offering_id, o.name ORDER BY 2 DESC
"""
