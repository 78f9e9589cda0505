"""What waits for a price: tokens whose cost is unknown."""

from django.db import connection

from apps.core.actor import Actor
from apps.costs.selectors.scope import CostScope, rows_of

_UNPRICED = """
SELECT offering_id, sum(unpriced_tokens)::bigint FROM costs_month
WHERE unpriced_tokens > 0 AND offering_id IS NOT NULL GROUP BY offering_id
"""


def unpriced_tokens() -> dict[int, int]:
    """Tokens without a price by offering, over all months; one query on the monthly sums."""
    with connection.cursor() as cursor:
        cursor.execute(_UNPRICED)
        return dict(cursor.fetchall())


def unpriced_of(*, actor: Actor, scope: CostScope) -> tuple[int, int]:
    """How many models of the scope have usage without a price, and how many tokens that is."""
    rows = rows_of(actor, scope)
    counted = "count(DISTINCT x.offering_id), coalesce(sum(x.unpriced_tokens), 0)"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {counted} FROM ({rows.text}) x WHERE x.unpriced_tokens > 0", rows.values)
        models, tokens = cursor.fetchone()
    return int(models), int(tokens)
