"""What an import left to do: the spenders without an owner, by money, and the models without a price, by tokens."""

from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from apps.sources.models import Pull
from apps.usage.models import label_of

MOST = 5


@dataclass(frozen=True, slots=True)
class LooseKey:
    """A spender of the import that no binding claims. `cost` is None where nothing of it could be priced."""

    identity_id: int
    label: str
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class LooseModel:
    offering_id: int
    label: str
    tokens: int


def loose_keys(pull: Pull) -> list[LooseKey]:
    """Counting unallocated cost of the part's spenders in the organisation's currency, most money first."""
    with connection.cursor() as cursor:
        cursor.execute(_KEYS, [pull.part_id, pull.part_id, MOST])
        return [LooseKey(number, label_of(pairs), cost) for number, pairs, cost in cursor.fetchall()]


def loose_models(pull: Pull) -> list[LooseModel]:
    """Models of the part whose tokens have no cost, most tokens first."""
    with connection.cursor() as cursor:
        cursor.execute(_MODELS, [pull.part_id, MOST])
        return [
            LooseModel(number, name or "model not reported", int(tokens)) for number, name, tokens in cursor.fetchall()
        ]


_KEYS = """
WITH spender AS (
    SELECT identity_id FROM usage_series WHERE part_id = %s
    UNION SELECT identity_id FROM usage_charge WHERE part_id = %s AND in_scope
)
SELECT i.id, i.pairs::json, sum(l.amount_org)
FROM spender s JOIN usage_identity i ON i.id = s.identity_id
JOIN costs_line l ON l.identity_id = i.id AND l.workload_id IS NULL AND l.role = 'counts' AND l.basis <> 'billed'
GROUP BY i.id, i.pairs ORDER BY sum(l.amount_org) DESC NULLS LAST, i.id LIMIT %s
"""
_MODELS = """
WITH model AS (SELECT DISTINCT identity_id, offering_id, part_id FROM usage_series WHERE part_id = %s)
SELECT o.id, o.name, sum(l.unpriced_tokens)
FROM model m JOIN catalog_offering o ON o.id = m.offering_id
JOIN costs_line l ON l.identity_id = m.identity_id AND l.offering_id = m.offering_id AND l.unpriced_tokens <> 0
GROUP BY o.id, o.name HAVING sum(l.unpriced_tokens) > 0 ORDER BY sum(l.unpriced_tokens) DESC, o.id LIMIT %s
"""
